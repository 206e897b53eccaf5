# Made from the table of options: ZCT_GOLDEN=write cargo test -p zct
_zct_seen() {
    zct -L --by "$1" --top 100 2>/dev/null | sed -n 's/^\([0-9][0-9]*\) .*/\1/p'
}
_zct_offer() {
    COMPREPLY=($(compgen -W "$1" -- "$cur"))
}
_zct_list() {
    local head=
    [[ $cur != *,* ]] || head=${cur%,*},
    COMPREPLY=($(compgen -P "$head" -W "$1" -- "${cur##*,}"))
}
_zct() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local proto= own= i
    COMPREPLY=()
    [[ $cur != = ]] || cur=
    [[ $prev != = ]] || prev=${COMP_WORDS[COMP_CWORD-2]}
    if [[ ${COMP_WORDS[0]##*/} == zct ]]; then
        ((COMP_CWORD == 1)) && [[ $cur != -* ]] && { _zct_offer "help metrics top nfct reconcile"; return; }
        case ${COMP_WORDS[1]} in
            help) ((COMP_CWORD != 2)) || _zct_offer "dump get delete create add update event flush counter stats help version load-file metrics top nfct reconcile tcp udp udplite sctp dccp gre icmp icmpv6"; return ;;
            metrics)
                case $prev in
                    --textfile) compopt -o default; return ;;
                esac
                _zct_offer "--by-protocol --by-zone --textfile --help"; return ;;
            top)
                case $prev in
                    --by) _zct_list "src dst sport dport proto zone mark state nat flow"; return ;;
                    --sort) _zct_offer "flows packets bytes rate age"; return ;;
                    --delay) return ;;
                    --rows) return ;;
                    --output) _zct_offer "json"; return ;;
                esac
                own=" --by --sort --delay --rows --once --batch --output --help" ;;
            reconcile)
                case $prev in
                    --keep-dst) return ;;
                    --keep-src) return ;;
                    --keep-reply-src) return ;;
                    --keep-reply-dst) return ;;
                esac
                own=" --keep-dst --keep-src --keep-reply-src --keep-reply-dst --allow-empty --all --help" ;;
        esac
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -p|--protonum)
                proto=${COMP_WORDS[i+1]}
                [[ $proto != = ]] || proto=${COMP_WORDS[i+2]} ;;
        esac
    done
    case $prev in
        -L|--dump|-G|--get|-D|--delete|-I|--create|-A|--add|-U|--update|-E|--event|-F|--flush|-C|--counter|-S|--stats)
            [[ $cur == -* ]] || { _zct_offer "conntrack expect dying unconfirmed"; return; } ;;
        -R|--load-file) compopt -o default; return ;;
        -s|--src|--orig-src) return ;;
        -d|--dst|--orig-dst) return ;;
        -r|--reply-src) return ;;
        -q|--reply-dst) return ;;
        -p|--protonum)
            _zct_offer "tcp udp udplite icmp icmpv6 sctp gre dccp"; return ;;
        -t|--timeout) return ;;
        -u|--status)
            _zct_list "ASSURED SEEN_REPLY UNREPLIED FIXED_TIMEOUT EXPECTED OFFLOAD HW_OFFLOAD UNSET"; return ;;
        -e|--event-mask)
            _zct_list "ALL NEW UPDATES DESTROY"; return ;;
        --tuple-src) return ;;
        --tuple-dst) return ;;
        --mask-src) return ;;
        --mask-dst) return ;;
        -a|--nat-range) return ;;
        -m|--mark) _zct_offer "$(_zct_seen mark)"; return ;;
        -i|--id) return ;;
        -f|--family)
            _zct_offer "ipv4 ipv6"; return ;;
        -o|--output)
            _zct_list "xml extended timestamp id ktimestamp labels userspace save json"; return ;;
        -c|--secmark) return ;;
        -b|--buffer-size) return ;;
        -w|--zone) _zct_offer "$(_zct_seen zone)"; return ;;
        -l|--label) return ;;
        --label-add) return ;;
        --orig-zone) _zct_offer "$(_zct_seen zone)"; return ;;
        --reply-zone) _zct_offer "$(_zct_seen zone)"; return ;;
        -M|--labelmap) compopt -o default; return ;;
        --kernel-filter)
            _zct_offer "auto always never"; return ;;
        --jobs) return ;;
        --reader)
            _zct_offer "auto bpf netlink"; return ;;
        --by)
            _zct_list "src dst sport dport proto zone mark state nat"; return ;;
        --top) return ;;
        --sort)
            _zct_offer "flows packets bytes"; return ;;
        --sport|--orig-port-src) return ;;
        --dport|--orig-port-dst) return ;;
        --reply-port-src) return ;;
        --reply-port-dst) return ;;
        --mask-port-src) return ;;
        --mask-port-dst) return ;;
        --tuple-port-src) return ;;
        --tuple-port-dst) return ;;
        --state)
            case ${proto,,} in
                tcp|6) _zct_list "NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2 LISTEN"; return ;;
                sctp|132) _zct_list "NONE CLOSED COOKIE_WAIT COOKIE_ECHOED ESTABLISHED SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT HEARTBEAT_SENT HEARTBEAT_ACKED"; return ;;
                dccp|33) _zct_list "NONE REQUEST RESPOND PARTOPEN OPEN CLOSEREQ CLOSING TIMEWAIT IGNORE INVALID"; return ;;
            esac
            _zct_list "NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2 LISTEN CLOSED COOKIE_WAIT COOKIE_ECHOED SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT HEARTBEAT_SENT HEARTBEAT_ACKED REQUEST RESPOND PARTOPEN OPEN CLOSEREQ CLOSING TIMEWAIT IGNORE INVALID"; return ;;
        --orig-vtag) return ;;
        --reply-vtag) return ;;
        --role)
            _zct_offer "client server"; return ;;
        --srckey|--orig-key-src) return ;;
        --dstkey|--orig-key-dst) return ;;
        --reply-key-src) return ;;
        --reply-key-dst) return ;;
        --mask-key-src) return ;;
        --mask-key-dst) return ;;
        --tuple-key-src) return ;;
        --tuple-key-dst) return ;;
        --icmp-type) return ;;
        --icmp-code) return ;;
        --icmp-id) return ;;
        --icmpv6-type) return ;;
        --icmpv6-code) return ;;
        --icmpv6-id) return ;;
    esac
    local words="-L --dump -G --get -D --delete -I --create -A --add -U --update -E --event -F --flush -C --counter -S --stats -h --help -V --version -R --load-file --keep-going --dry-run -s --src --orig-src -d --dst --orig-dst -r --reply-src -q --reply-dst -p --protonum -t --timeout -u --status -z --zero -e --event-mask --tuple-src --tuple-dst --mask-src --mask-dst -a --nat-range -m --mark -i --id -f --family -n --src-nat -g --dst-nat -o --output -c --secmark -b --buffer-size -j --any-nat -w --zone -l --label --label-add --label-del --orig-zone --reply-zone -M --labelmap --kernel-filter --explain --jobs --reader --all --by --top --sort$own"
    case ${proto,,} in
        tcp|6) words+=" --sport --orig-port-src --dport --orig-port-dst --reply-port-src --reply-port-dst --mask-port-src --mask-port-dst --tuple-port-src --tuple-port-dst --state" ;;
        udp|17) words+=" --sport --orig-port-src --dport --orig-port-dst --reply-port-src --reply-port-dst --mask-port-src --mask-port-dst --tuple-port-src --tuple-port-dst" ;;
        udplite|136) words+=" --sport --orig-port-src --dport --orig-port-dst --reply-port-src --reply-port-dst --mask-port-src --mask-port-dst --tuple-port-src --tuple-port-dst" ;;
        sctp|132) words+=" --sport --orig-port-src --dport --orig-port-dst --reply-port-src --reply-port-dst --mask-port-src --mask-port-dst --tuple-port-src --tuple-port-dst --state --orig-vtag --reply-vtag" ;;
        dccp|33) words+=" --sport --orig-port-src --dport --orig-port-dst --reply-port-src --reply-port-dst --mask-port-src --mask-port-dst --tuple-port-src --tuple-port-dst --state --role" ;;
        gre|47) words+=" --srckey --orig-key-src --dstkey --orig-key-dst --reply-key-src --reply-key-dst --mask-key-src --mask-key-dst --tuple-key-src --tuple-key-dst" ;;
        icmp|1) words+=" --icmp-type --icmp-code --icmp-id" ;;
        icmpv6|58) words+=" --icmpv6-type --icmpv6-code --icmpv6-id" ;;
    esac
    _zct_offer "$words"
}
complete -F _zct zct conntrack
