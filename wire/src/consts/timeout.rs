//! Timeout policies: messages, attributes, and the states of each protocol.
//!
//! Source: linux/netfilter/nfnetlink_cttimeout.h.

group! {
    /// Message types with their subsystem in the upper byte: timeout policies.
    ipctnl_timeout: u16 {
        NEW = 0x800, "(NFNL_SUBSYS_CTNETLINK_TIMEOUT << 8) | IPCTNL_MSG_TIMEOUT_NEW";
        GET = 0x801, "(NFNL_SUBSYS_CTNETLINK_TIMEOUT << 8) | IPCTNL_MSG_TIMEOUT_GET";
        DELETE = 0x802, "(NFNL_SUBSYS_CTNETLINK_TIMEOUT << 8) | IPCTNL_MSG_TIMEOUT_DELETE";
        DEFAULT_SET = 0x803, "(NFNL_SUBSYS_CTNETLINK_TIMEOUT << 8) | IPCTNL_MSG_TIMEOUT_DEFAULT_SET";
        DEFAULT_GET = 0x804, "(NFNL_SUBSYS_CTNETLINK_TIMEOUT << 8) | IPCTNL_MSG_TIMEOUT_DEFAULT_GET";
    }
}
group! {
    /// Attributes of a timeout policy.
    cta_timeout: u16 {
        NAME = 1, "CTA_TIMEOUT_NAME";
        L3PROTO = 2, "CTA_TIMEOUT_L3PROTO";
        L4PROTO = 3, "CTA_TIMEOUT_L4PROTO";
        DATA = 4, "CTA_TIMEOUT_DATA";
        USE = 5, "CTA_TIMEOUT_USE";
    }
    /// Room for a policy's name in bytes, its NUL included (CTNL_TIMEOUT_NAME_MAX).
    pub const NAME_MAX: usize = 32;
}
group! {
    /// Members of CTA_TIMEOUT_DATA for protocols without timeouts of their own.
    cta_timeout_generic: u16 {
        TIMEOUT = 1, "CTA_TIMEOUT_GENERIC_TIMEOUT";
    }
}
group! {
    /// Members of CTA_TIMEOUT_DATA for TCP.
    cta_timeout_tcp: u16 {
        SYN_SENT = 1, "CTA_TIMEOUT_TCP_SYN_SENT";
        SYN_RECV = 2, "CTA_TIMEOUT_TCP_SYN_RECV";
        ESTABLISHED = 3, "CTA_TIMEOUT_TCP_ESTABLISHED";
        FIN_WAIT = 4, "CTA_TIMEOUT_TCP_FIN_WAIT";
        CLOSE_WAIT = 5, "CTA_TIMEOUT_TCP_CLOSE_WAIT";
        LAST_ACK = 6, "CTA_TIMEOUT_TCP_LAST_ACK";
        TIME_WAIT = 7, "CTA_TIMEOUT_TCP_TIME_WAIT";
        CLOSE = 8, "CTA_TIMEOUT_TCP_CLOSE";
        SYN_SENT2 = 9, "CTA_TIMEOUT_TCP_SYN_SENT2";
        RETRANS = 10, "CTA_TIMEOUT_TCP_RETRANS";
        UNACK = 11, "CTA_TIMEOUT_TCP_UNACK";
    }
}
group! {
    /// Members of CTA_TIMEOUT_DATA for UDP.
    cta_timeout_udp: u16 {
        UNREPLIED = 1, "CTA_TIMEOUT_UDP_UNREPLIED";
        REPLIED = 2, "CTA_TIMEOUT_UDP_REPLIED";
    }
}
group! {
    /// Members of CTA_TIMEOUT_DATA for UDPlite.
    cta_timeout_udplite: u16 {
        UNREPLIED = 1, "CTA_TIMEOUT_UDPLITE_UNREPLIED";
        REPLIED = 2, "CTA_TIMEOUT_UDPLITE_REPLIED";
    }
}
group! {
    /// Members of CTA_TIMEOUT_DATA for ICMP.
    cta_timeout_icmp: u16 {
        TIMEOUT = 1, "CTA_TIMEOUT_ICMP_TIMEOUT";
    }
}
group! {
    /// Members of CTA_TIMEOUT_DATA for ICMPv6.
    cta_timeout_icmpv6: u16 {
        TIMEOUT = 1, "CTA_TIMEOUT_ICMPV6_TIMEOUT";
    }
}
group! {
    /// Members of CTA_TIMEOUT_DATA for DCCP.
    cta_timeout_dccp: u16 {
        REQUEST = 1, "CTA_TIMEOUT_DCCP_REQUEST";
        RESPOND = 2, "CTA_TIMEOUT_DCCP_RESPOND";
        PARTOPEN = 3, "CTA_TIMEOUT_DCCP_PARTOPEN";
        OPEN = 4, "CTA_TIMEOUT_DCCP_OPEN";
        CLOSEREQ = 5, "CTA_TIMEOUT_DCCP_CLOSEREQ";
        CLOSING = 6, "CTA_TIMEOUT_DCCP_CLOSING";
        TIMEWAIT = 7, "CTA_TIMEOUT_DCCP_TIMEWAIT";
    }
}
group! {
    /// Members of CTA_TIMEOUT_DATA for SCTP.
    cta_timeout_sctp: u16 {
        CLOSED = 1, "CTA_TIMEOUT_SCTP_CLOSED";
        COOKIE_WAIT = 2, "CTA_TIMEOUT_SCTP_COOKIE_WAIT";
        COOKIE_ECHOED = 3, "CTA_TIMEOUT_SCTP_COOKIE_ECHOED";
        ESTABLISHED = 4, "CTA_TIMEOUT_SCTP_ESTABLISHED";
        SHUTDOWN_SENT = 5, "CTA_TIMEOUT_SCTP_SHUTDOWN_SENT";
        SHUTDOWN_RECD = 6, "CTA_TIMEOUT_SCTP_SHUTDOWN_RECD";
        SHUTDOWN_ACK_SENT = 7, "CTA_TIMEOUT_SCTP_SHUTDOWN_ACK_SENT";
        HEARTBEAT_SENT = 8, "CTA_TIMEOUT_SCTP_HEARTBEAT_SENT";
    }
}
group! {
    /// Members of CTA_TIMEOUT_DATA for GRE.
    cta_timeout_gre: u16 {
        UNREPLIED = 1, "CTA_TIMEOUT_GRE_UNREPLIED";
        REPLIED = 2, "CTA_TIMEOUT_GRE_REPLIED";
    }
}
