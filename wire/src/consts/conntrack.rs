//! Flows: messages, attributes, filters, counters and status bits.
//!
//! Sources: linux/netfilter/nfnetlink_conntrack.h, linux/netfilter/nf_conntrack_common.h,
//! linux/netfilter/nf_conntrack_tcp.h.

group! {
    /// Message types with their subsystem in the upper byte: flows.
    ipctnl: u16 {
        NEW = 0x100, "(NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW";
        GET = 0x101, "(NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET";
        DELETE = 0x102, "(NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE";
        GET_CTRZERO = 0x103, "(NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET_CTRZERO";
        GET_STATS_CPU = 0x104, "(NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET_STATS_CPU";
        GET_STATS = 0x105, "(NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET_STATS";
        GET_DYING = 0x106, "(NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET_DYING";
        GET_UNCONFIRMED = 0x107, "(NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET_UNCONFIRMED";
    }
}
group! {
    /// Attributes of a flow.
    cta: u16 {
        TUPLE_ORIG = 1, "CTA_TUPLE_ORIG";
        TUPLE_REPLY = 2, "CTA_TUPLE_REPLY";
        STATUS = 3, "CTA_STATUS";
        PROTOINFO = 4, "CTA_PROTOINFO";
        HELP = 5, "CTA_HELP";
        NAT_SRC = 6, "CTA_NAT_SRC";
        TIMEOUT = 7, "CTA_TIMEOUT";
        MARK = 8, "CTA_MARK";
        COUNTERS_ORIG = 9, "CTA_COUNTERS_ORIG";
        COUNTERS_REPLY = 10, "CTA_COUNTERS_REPLY";
        USE = 11, "CTA_USE";
        ID = 12, "CTA_ID";
        NAT_DST = 13, "CTA_NAT_DST";
        TUPLE_MASTER = 14, "CTA_TUPLE_MASTER";
        SEQ_ADJ_ORIG = 15, "CTA_SEQ_ADJ_ORIG";
        SEQ_ADJ_REPLY = 16, "CTA_SEQ_ADJ_REPLY";
        SECMARK = 17, "CTA_SECMARK";
        ZONE = 18, "CTA_ZONE";
        SECCTX = 19, "CTA_SECCTX";
        TIMESTAMP = 20, "CTA_TIMESTAMP";
        MARK_MASK = 21, "CTA_MARK_MASK";
        LABELS = 22, "CTA_LABELS";
        LABELS_MASK = 23, "CTA_LABELS_MASK";
        SYNPROXY = 24, "CTA_SYNPROXY";
        FILTER = 25, "CTA_FILTER";
        STATUS_MASK = 26, "CTA_STATUS_MASK";
        TIMESTAMP_EVENT = 27, "CTA_TIMESTAMP_EVENT";
    }
    /// The highest number known here; newer kernels may send more, which are skipped.
    pub const MAX: usize = crate::consts::group::highest(NAMED);
}
group! {
    /// Members of a tuple.
    cta_tuple: u16 {
        IP = 1, "CTA_TUPLE_IP";
        PROTO = 2, "CTA_TUPLE_PROTO";
        ZONE = 3, "CTA_TUPLE_ZONE";
    }
}
group! {
    /// Members of CTA_TUPLE_IP.
    cta_ip: u16 {
        V4_SRC = 1, "CTA_IP_V4_SRC";
        V4_DST = 2, "CTA_IP_V4_DST";
        V6_SRC = 3, "CTA_IP_V6_SRC";
        V6_DST = 4, "CTA_IP_V6_DST";
    }
}
group! {
    /// Members of CTA_TUPLE_PROTO.
    cta_proto: u16 {
        NUM = 1, "CTA_PROTO_NUM";
        SRC_PORT = 2, "CTA_PROTO_SRC_PORT";
        DST_PORT = 3, "CTA_PROTO_DST_PORT";
        ICMP_ID = 4, "CTA_PROTO_ICMP_ID";
        ICMP_TYPE = 5, "CTA_PROTO_ICMP_TYPE";
        ICMP_CODE = 6, "CTA_PROTO_ICMP_CODE";
        ICMPV6_ID = 7, "CTA_PROTO_ICMPV6_ID";
        ICMPV6_TYPE = 8, "CTA_PROTO_ICMPV6_TYPE";
        ICMPV6_CODE = 9, "CTA_PROTO_ICMPV6_CODE";
    }
}
group! {
    /// Members of CTA_PROTOINFO: one nest per protocol.
    cta_protoinfo: u16 {
        TCP = 1, "CTA_PROTOINFO_TCP";
        DCCP = 2, "CTA_PROTOINFO_DCCP";
        SCTP = 3, "CTA_PROTOINFO_SCTP";
    }
}
group! {
    /// Members of CTA_PROTOINFO_TCP.
    cta_protoinfo_tcp: u16 {
        STATE = 1, "CTA_PROTOINFO_TCP_STATE";
        WSCALE_ORIGINAL = 2, "CTA_PROTOINFO_TCP_WSCALE_ORIGINAL";
        WSCALE_REPLY = 3, "CTA_PROTOINFO_TCP_WSCALE_REPLY";
        FLAGS_ORIGINAL = 4, "CTA_PROTOINFO_TCP_FLAGS_ORIGINAL";
        FLAGS_REPLY = 5, "CTA_PROTOINFO_TCP_FLAGS_REPLY";
    }
}
group! {
    /// Members of CTA_PROTOINFO_DCCP.
    cta_protoinfo_dccp: u16 {
        STATE = 1, "CTA_PROTOINFO_DCCP_STATE";
        ROLE = 2, "CTA_PROTOINFO_DCCP_ROLE";
        HANDSHAKE_SEQ = 3, "CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ";
    }
}
group! {
    /// Members of CTA_PROTOINFO_SCTP.
    cta_protoinfo_sctp: u16 {
        STATE = 1, "CTA_PROTOINFO_SCTP_STATE";
        VTAG_ORIGINAL = 2, "CTA_PROTOINFO_SCTP_VTAG_ORIGINAL";
        VTAG_REPLY = 3, "CTA_PROTOINFO_SCTP_VTAG_REPLY";
    }
}
group! {
    /// Members of CTA_HELP.
    cta_help: u16 {
        NAME = 1, "CTA_HELP_NAME";
        INFO = 2, "CTA_HELP_INFO";
    }
}
group! {
    /// Members of CTA_NAT_SRC and CTA_NAT_DST.
    cta_nat: u16 {
        V4_MINIP = 1, "CTA_NAT_V4_MINIP";
        V4_MAXIP = 2, "CTA_NAT_V4_MAXIP";
        PROTO = 3, "CTA_NAT_PROTO";
        V6_MINIP = 4, "CTA_NAT_V6_MINIP";
        V6_MAXIP = 5, "CTA_NAT_V6_MAXIP";
    }
}
group! {
    /// Members of CTA_NAT_PROTO.
    cta_protonat: u16 {
        PORT_MIN = 1, "CTA_PROTONAT_PORT_MIN";
        PORT_MAX = 2, "CTA_PROTONAT_PORT_MAX";
    }
}
group! {
    /// Members of CTA_COUNTERS_*.
    cta_counters: u16 {
        PACKETS = 1, "CTA_COUNTERS_PACKETS";
        BYTES = 2, "CTA_COUNTERS_BYTES";
    }
}
group! {
    /// Members of CTA_TIMESTAMP.
    cta_timestamp: u16 {
        START = 1, "CTA_TIMESTAMP_START";
        STOP = 2, "CTA_TIMESTAMP_STOP";
    }
}
group! {
    /// Members of CTA_SEQ_ADJ_*.
    cta_seqadj: u16 {
        CORRECTION_POS = 1, "CTA_SEQADJ_CORRECTION_POS";
        OFFSET_BEFORE = 2, "CTA_SEQADJ_OFFSET_BEFORE";
        OFFSET_AFTER = 3, "CTA_SEQADJ_OFFSET_AFTER";
    }
}
group! {
    /// Members of CTA_SYNPROXY.
    cta_synproxy: u16 {
        ISN = 1, "CTA_SYNPROXY_ISN";
        ITS = 2, "CTA_SYNPROXY_ITS";
        TSOFF = 3, "CTA_SYNPROXY_TSOFF";
    }
}
group! {
    /// Members of CTA_SECCTX.
    cta_secctx: u16 {
        NAME = 1, "CTA_SECCTX_NAME";
    }
}
group! {
    /// Members of CTA_FILTER; their values are host-endian, unlike all others.
    cta_filter: u16 {
        ORIG_FLAGS = 1, "CTA_FILTER_ORIG_FLAGS";
        REPLY_FLAGS = 2, "CTA_FILTER_REPLY_FLAGS";
    }
}
group! {
    /// Bits of CTA_FILTER_*_FLAGS. The kernel keeps them in a private header
    /// (net/netfilter/nf_internals.h); ctnetlink.md §4.3 lists them.
    ctnetlink_filter: u32 {
        IP_SRC = 0x1, "";
        IP_DST = 0x2, "";
        ZONE = 0x4, "";
        PROTO_NUM = 0x8, "";
        PROTO_SRC_PORT = 0x10, "";
        PROTO_DST_PORT = 0x20, "";
        ICMP_TYPE = 0x40, "";
        ICMP_CODE = 0x80, "";
        ICMP_ID = 0x100, "";
        ICMPV6_TYPE = 0x200, "";
        ICMPV6_CODE = 0x400, "";
        ICMPV6_ID = 0x800, "";
    }
}
group! {
    /// Per-CPU counters of flows.
    cta_stats: u16 {
        SEARCHED = 1, "CTA_STATS_SEARCHED";
        FOUND = 2, "CTA_STATS_FOUND";
        NEW = 3, "CTA_STATS_NEW";
        INVALID = 4, "CTA_STATS_INVALID";
        IGNORE = 5, "CTA_STATS_IGNORE";
        DELETE = 6, "CTA_STATS_DELETE";
        DELETE_LIST = 7, "CTA_STATS_DELETE_LIST";
        INSERT = 8, "CTA_STATS_INSERT";
        INSERT_FAILED = 9, "CTA_STATS_INSERT_FAILED";
        DROP = 10, "CTA_STATS_DROP";
        EARLY_DROP = 11, "CTA_STATS_EARLY_DROP";
        ERROR = 12, "CTA_STATS_ERROR";
        SEARCH_RESTART = 13, "CTA_STATS_SEARCH_RESTART";
        CLASH_RESOLVE = 14, "CTA_STATS_CLASH_RESOLVE";
        CHAIN_TOOLONG = 15, "CTA_STATS_CHAIN_TOOLONG";
    }
}
group! {
    /// Members of the GET_STATS reply.
    cta_stats_global: u16 {
        ENTRIES = 1, "CTA_STATS_GLOBAL_ENTRIES";
        MAX_ENTRIES = 2, "CTA_STATS_GLOBAL_MAX_ENTRIES";
    }
}
group! {
    /// Bits of CTA_STATUS.
    ips: u32 {
        EXPECTED = 1 << 0, "IPS_EXPECTED";
        SEEN_REPLY = 1 << 1, "IPS_SEEN_REPLY";
        ASSURED = 1 << 2, "IPS_ASSURED";
        CONFIRMED = 1 << 3, "IPS_CONFIRMED";
        SRC_NAT = 1 << 4, "IPS_SRC_NAT";
        DST_NAT = 1 << 5, "IPS_DST_NAT";
        SEQ_ADJUST = 1 << 6, "IPS_SEQ_ADJUST";
        SRC_NAT_DONE = 1 << 7, "IPS_SRC_NAT_DONE";
        DST_NAT_DONE = 1 << 8, "IPS_DST_NAT_DONE";
        DYING = 1 << 9, "IPS_DYING";
        FIXED_TIMEOUT = 1 << 10, "IPS_FIXED_TIMEOUT";
        TEMPLATE = 1 << 11, "IPS_TEMPLATE";
        UNTRACKED = 1 << 12, "IPS_UNTRACKED";
        HELPER = 1 << 13, "IPS_HELPER";
        OFFLOAD = 1 << 14, "IPS_OFFLOAD";
        HW_OFFLOAD = 1 << 15, "IPS_HW_OFFLOAD";
    }
}
group! {
    /// Bits of the TCP flags in CTA_PROTOINFO_TCP_FLAGS_*.
    ip_ct_tcp_flag: u8 {
        WINDOW_SCALE = 0x01, "IP_CT_TCP_FLAG_WINDOW_SCALE";
        SACK_PERM = 0x02, "IP_CT_TCP_FLAG_SACK_PERM";
        CLOSE_INIT = 0x04, "IP_CT_TCP_FLAG_CLOSE_INIT";
        BE_LIBERAL = 0x08, "IP_CT_TCP_FLAG_BE_LIBERAL";
        DATA_UNACKNOWLEDGED = 0x10, "IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED";
        MAXACK_SET = 0x20, "IP_CT_TCP_FLAG_MAXACK_SET";
        CHALLENGE_ACK = 0x40, "IP_CT_EXP_CHALLENGE_ACK";
        SIMULTANEOUS_OPEN = 0x80, "IP_CT_TCP_SIMULTANEOUS_OPEN";
    }
}
