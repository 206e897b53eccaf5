# Made from the tables of nfct: ZCT_GOLDEN=write cargo test -p zct
_nfct() {
    local cur=${COMP_WORDS[COMP_CWORD]} at=$COMP_CWORD words=
    local command=${COMP_WORDS[1]} subsystem=${COMP_WORDS[2]}
    COMPREPLY=()
    if ((at == 1)); then
        words="list add delete get flush disable default-set default-get help version"
    elif ((at == 2)); then
        case $command in
            list) words="timeout helper" ;;
            add) words="timeout helper" ;;
            delete) words="timeout helper" ;;
            get) words="timeout helper" ;;
            flush) words="timeout helper" ;;
            disable) words="helper" ;;
            default-set) words="timeout" ;;
            default-get) words="timeout" ;;
        esac
    else
        case $command,$subsystem,$((at - 3)) in
            add,timeout,1) words="inet inet6" ;;
            add,timeout,2) words="tcp udp udplite icmp icmpv6 sctp gre dccp generic" ;;
            add,timeout,*)
                (((at - 3 - 3) % 2 == 0)) && case ${COMP_WORDS[5]} in
                    tcp) words="SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2 RETRANS UNACKNOWLEDGED" ;;
                    udp) words="UNREPLIED REPLIED" ;;
                    udplite) words="UNREPLIED REPLIED" ;;
                    icmp) words="TIMEOUT" ;;
                    icmpv6) words="TIMEOUT" ;;
                    sctp) words="CLOSED COOKIE_WAIT COOKIE_ECHOED ESTABLISHED SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT" ;;
                    gre) words="UNREPLIED REPLIED" ;;
                    dccp) words="REQUEST RESPOND PARTOPEN OPEN CLOSEREQ CLOSING TIMEWAIT" ;;
                    generic) words="TIMEOUT" ;;
                esac ;;
            delete,timeout,0) words=$(nfct list timeout 2>/dev/null | sed -n 's/^\.\([^ ]*\) = {$/\1/p') ;;
            get,timeout,0) words=$(nfct list timeout 2>/dev/null | sed -n 's/^\.\([^ ]*\) = {$/\1/p') ;;
            default-set,timeout,0) words="inet inet6" ;;
            default-set,timeout,1) words="tcp udp udplite icmp icmpv6 sctp gre dccp generic" ;;
            default-set,timeout,*)
                (((at - 3 - 2) % 2 == 0)) && case ${COMP_WORDS[4]} in
                    tcp) words="SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2 RETRANS UNACKNOWLEDGED" ;;
                    udp) words="UNREPLIED REPLIED" ;;
                    udplite) words="UNREPLIED REPLIED" ;;
                    icmp) words="TIMEOUT" ;;
                    icmpv6) words="TIMEOUT" ;;
                    sctp) words="CLOSED COOKIE_WAIT COOKIE_ECHOED ESTABLISHED SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT" ;;
                    gre) words="UNREPLIED REPLIED" ;;
                    dccp) words="REQUEST RESPOND PARTOPEN OPEN CLOSEREQ CLOSING TIMEWAIT" ;;
                    generic) words="TIMEOUT" ;;
                esac ;;
            default-get,timeout,0) words="inet inet6" ;;
            default-get,timeout,1) words="tcp udp udplite icmp icmpv6 sctp gre dccp generic" ;;
            add,helper,0) words="amanda dhcpv6 ftp mdns rpc sane slp ssdp tftp tns" ;;
            add,helper,1) words="inet inet6" ;;
            add,helper,2) words="tcp udp" ;;
            delete,helper,0) words="amanda dhcpv6 ftp mdns rpc sane slp ssdp tftp tns" ;;
            delete,helper,1) words="inet inet6" ;;
            delete,helper,2) words="tcp udp" ;;
            get,helper,0) words="amanda dhcpv6 ftp mdns rpc sane slp ssdp tftp tns" ;;
            get,helper,1) words="inet inet6" ;;
            get,helper,2) words="tcp udp" ;;
            disable,helper,0) words="amanda dhcpv6 ftp mdns rpc sane slp ssdp tftp tns" ;;
            disable,helper,1) words="inet inet6" ;;
            disable,helper,2) words="tcp udp" ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _nfct nfct
