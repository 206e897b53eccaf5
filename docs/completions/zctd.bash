# Commands of zctd with their words. The tests compare them with zctd -h.
_zctd_peers() {
    zctd status 2>/dev/null | sed -n 's/^peer  *\([^ ]*\) (node [0-9]*) .*/\1/p'
}
_zctd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local command= words= i
    COMPREPLY=()
    case $prev in
        -C|genkey) compopt -o default; return ;;
        --from) COMPREPLY=($(compgen -W "$(_zctd_peers)" -- "$cur")); return ;;
        --zone|--timeout) return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -C) ((i++)) ;;
            *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $command in
        '') words="status wait genkey helpers --check --help --version -d -v -h -c -f -F -i -e -k -s -R -n -B -t" ;;
        status) words="--json --ledger" ;;
        wait) words="--ready --synced --committed --timeout" ;;
        helpers) words="--rules --prepare --disable" ;;
        -c) words="ct expect --from --zone" ;;
        -f) words="internal external" ;;
        -F|-R) words="ct expect" ;;
        -i) words="ct expect -x" ;;
        -e) words="ct expect -x --from" ;;
        -s) words="network cache runtime link rsqueue queue ct expect protocol helper" ;;
    esac
    COMPREPLY=($(compgen -W "$words -C" -- "$cur"))
}
complete -F _zctd zctd conntrackd
