# Commands of zctd with their words. The tests compare them with zctd -h.
function __zctd_peers
    command -q zctd; or return
    zctd status 2>/dev/null | sed -n 's/^peer  *\([^ ]*\) (node [0-9]*) .*/\1/p'
end
# The command of the line, which stands in front but for the configuration file, is one of these.
function __zctd_in
    set -l words (commandline -opc)[2..]
    if test "$words[1]" = -C
        set words $words[3..]
    end
    contains -- "$words[1]" $argv
end
complete -c zctd -f
complete -c zctd -o C -r -F -d 'the configuration file'
complete -c zctd -n '__zctd_in ""' -a status -d 'the state of the daemon; fails when the nodes are not in sync'
complete -c zctd -n '__zctd_in ""' -a wait -d 'return when the daemon has reached something'
complete -c zctd -n '__zctd_in ""' -a genkey -d 'make a key for Auth'
complete -c zctd -n '__zctd_in ""' -a helpers -d 'read the queues of the userspace helpers'
complete -c zctd -n '__zctd_in ""' -l check -d 'say what is wrong with the configuration file, and what it amounts to'
complete -c zctd -n '__zctd_in ""' -l help -d 'what there is'
complete -c zctd -n '__zctd_in ""' -l version -d 'the version'
complete -c zctd -n '__zctd_in ""' -o d -d 'run in the background'
complete -c zctd -n '__zctd_in ""' -o v -d 'the version'
complete -c zctd -n '__zctd_in ""' -o h -d 'what there is'
complete -c zctd -n '__zctd_in ""' -o c -d 'the peer\'s flows into the kernel'
complete -c zctd -n '__zctd_in ""' -o f -d 'forget what the caches have'
complete -c zctd -n '__zctd_in ""' -o F -d 'empty the table of the kernel'
complete -c zctd -n '__zctd_in ""' -o i -d 'the flows of this node'
complete -c zctd -n '__zctd_in ""' -o e -d 'the flows of the peer'
complete -c zctd -n '__zctd_in ""' -o k -d 'stop the daemon'
complete -c zctd -n '__zctd_in ""' -o s -d 'statistics'
complete -c zctd -n '__zctd_in ""' -o R -d 'read the kernel\'s table again'
complete -c zctd -n '__zctd_in ""' -o n -d 'ask the other node for its flows'
complete -c zctd -n '__zctd_in ""' -o B -d 'send everything to the other node'
complete -c zctd -n '__zctd_in ""' -o t -d 'end the kernel\'s flows in a while'
complete -c zctd -n '__zctd_in status' -l json -d 'for programs'
complete -c zctd -n '__zctd_in status' -l ledger -d 'what was lost, and whether it was repaired'
complete -c zctd -n '__zctd_in wait' -l ready -d 'the kernel\'s flows are known'
complete -c zctd -n '__zctd_in wait' -l synced -d 'the peer\'s flows are known too'
complete -c zctd -n '__zctd_in wait' -l committed -d 'the peer\'s flows are in the kernel'
complete -c zctd -n '__zctd_in wait' -l timeout -x -d 'seconds'
complete -c zctd -n '__zctd_in genkey' -F
complete -c zctd -n '__zctd_in helpers' -l rules -d 'print rules for nft'
complete -c zctd -n '__zctd_in helpers' -l prepare -d 'make the stubs'
complete -c zctd -n '__zctd_in helpers' -l disable -d 'disable the stubs'
complete -c zctd -n '__zctd_in -c -F -R -i -e' -a 'ct expect'
complete -c zctd -n '__zctd_in -f' -a 'internal external'
complete -c zctd -n '__zctd_in -s' -a 'network cache runtime link rsqueue queue ct expect protocol helper'
complete -c zctd -n '__zctd_in -c -e' -l from -x -a '(__zctd_peers)' -d 'of this Peer alone'
complete -c zctd -n '__zctd_in -c' -l zone -x -d 'of this zone alone'
complete -c zctd -n '__zctd_in -i -e' -o x -d 'as XML'
complete -c conntrackd -w zctd
