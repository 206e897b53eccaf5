//! Kernel numbers under kernel names, grouped by the nest or header they belong to.
//!
//! Sources: linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_conntrack.h,
//! linux/netfilter/nf_conntrack_common.h, linux/netfilter/nf_conntrack_tcp.h,
//! linux/netfilter/nfnetlink_cttimeout.h, linux/netfilter/nfnetlink_cthelper.h. Every group carries [`Named`] rows, and a test compiles the
//! C headers and compares each value.

/// A constant with its name in the C headers, for the test that compares them.
pub type Named = (&'static str, u64);

/// Declares a group: `NAME = value, "C_NAME", "meaning"`; a C name of "" has no C counterpart.
macro_rules! group {
    ($(#[$doc:meta])* $name:ident: $ty:ty { $($id:ident = $value:expr, $c:literal;)* } $($rest:item)*) => {
        $(#[$doc])*
        pub mod $name {
            $(#[doc = concat!("`", $c, "`")] pub const $id: $ty = $value;)*
            /// Every constant of this group with its C name.
            pub const NAMED: &[super::Named] = &[$(($c, $value as u64)),*];
            $($rest)*
        }
    };
}

group! {
    /// Control message types.
    nlmsg: u16 {
        NOOP = 1, "NLMSG_NOOP";
        ERROR = 2, "NLMSG_ERROR";
        DONE = 3, "NLMSG_DONE";
        OVERRUN = 4, "NLMSG_OVERRUN";
    }
}
group! {
    /// Message flags; the same bit means different things on GET, NEW, replies and errors.
    nlm_f: u16 {
        REQUEST = 0x1, "NLM_F_REQUEST";
        MULTI = 0x2, "NLM_F_MULTI";
        ACK = 0x4, "NLM_F_ACK";
        ECHO = 0x8, "NLM_F_ECHO";
        DUMP_INTR = 0x10, "NLM_F_DUMP_INTR";
        DUMP_FILTERED = 0x20, "NLM_F_DUMP_FILTERED";
        ROOT = 0x100, "NLM_F_ROOT";
        MATCH = 0x200, "NLM_F_MATCH";
        DUMP = 0x300, "NLM_F_DUMP";
        REPLACE = 0x100, "NLM_F_REPLACE";
        EXCL = 0x200, "NLM_F_EXCL";
        CREATE = 0x400, "NLM_F_CREATE";
        CAPPED = 0x100, "NLM_F_CAPPED";
        ACK_TLVS = 0x200, "NLM_F_ACK_TLVS";
    }
}
group! {
    /// Explanations after an error (NETLINK_EXT_ACK).
    nlmsgerr_attr: u16 {
        MSG = 1, "NLMSGERR_ATTR_MSG";
        OFFS = 2, "NLMSGERR_ATTR_OFFS";
    }
}
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
    /// Message types with their subsystem in the upper byte: expectations.
    ipctnl_exp: u16 {
        NEW = 0x200, "(NFNL_SUBSYS_CTNETLINK_EXP << 8) | IPCTNL_MSG_EXP_NEW";
        GET = 0x201, "(NFNL_SUBSYS_CTNETLINK_EXP << 8) | IPCTNL_MSG_EXP_GET";
        DELETE = 0x202, "(NFNL_SUBSYS_CTNETLINK_EXP << 8) | IPCTNL_MSG_EXP_DELETE";
        GET_STATS_CPU = 0x203, "(NFNL_SUBSYS_CTNETLINK_EXP << 8) | IPCTNL_MSG_EXP_GET_STATS_CPU";
    }
    /// The type of the replies to GET_STATS_CPU: the number of GET_CTRZERO in the other subsystem.
    /// Match them by sequence number (spec/ctnetlink.md §8).
    pub const STATS_REPLY: u16 = 0x103;
}
group! {
    /// Multicast groups.
    nfnlgrp: u32 {
        CONNTRACK_NEW = 1, "NFNLGRP_CONNTRACK_NEW";
        CONNTRACK_UPDATE = 2, "NFNLGRP_CONNTRACK_UPDATE";
        CONNTRACK_DESTROY = 3, "NFNLGRP_CONNTRACK_DESTROY";
        CONNTRACK_EXP_NEW = 4, "NFNLGRP_CONNTRACK_EXP_NEW";
        CONNTRACK_EXP_UPDATE = 5, "NFNLGRP_CONNTRACK_EXP_UPDATE";
        CONNTRACK_EXP_DESTROY = 6, "NFNLGRP_CONNTRACK_EXP_DESTROY";
    }
}
group! {
    /// Address families.
    af: u8 {
        UNSPEC = 0, "AF_UNSPEC";
        INET = 2, "AF_INET";
        INET6 = 10, "AF_INET6";
    }
}
group! {
    /// Layer 4 protocol numbers that conntrack knows by name.
    ipproto: u8 {
        ICMP = 1, "IPPROTO_ICMP";
        TCP = 6, "IPPROTO_TCP";
        UDP = 17, "IPPROTO_UDP";
        DCCP = 33, "IPPROTO_DCCP";
        GRE = 47, "IPPROTO_GRE";
        ICMPV6 = 58, "IPPROTO_ICMPV6";
        SCTP = 132, "IPPROTO_SCTP";
        UDPLITE = 136, "IPPROTO_UDPLITE";
        RAW = 255, "IPPROTO_RAW";
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
    pub const MAX: usize = 27;
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
    /// Members of CTA_PROTOINFO: one nest a protocol.
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
    /// (net/netfilter/nf_internals.h); spec/ctnetlink.md §4.3 lists them.
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
    /// Attributes of an expectation.
    cta_expect: u16 {
        MASTER = 1, "CTA_EXPECT_MASTER";
        TUPLE = 2, "CTA_EXPECT_TUPLE";
        MASK = 3, "CTA_EXPECT_MASK";
        TIMEOUT = 4, "CTA_EXPECT_TIMEOUT";
        ID = 5, "CTA_EXPECT_ID";
        HELP_NAME = 6, "CTA_EXPECT_HELP_NAME";
        ZONE = 7, "CTA_EXPECT_ZONE";
        FLAGS = 8, "CTA_EXPECT_FLAGS";
        CLASS = 9, "CTA_EXPECT_CLASS";
        NAT = 10, "CTA_EXPECT_NAT";
        FN = 11, "CTA_EXPECT_FN";
    }
    /// The highest number known here.
    pub const MAX: usize = 11;
}
group! {
    /// Members of CTA_EXPECT_NAT.
    cta_expect_nat: u16 {
        DIR = 1, "CTA_EXPECT_NAT_DIR";
        TUPLE = 2, "CTA_EXPECT_NAT_TUPLE";
    }
}
group! {
    /// Bits of CTA_EXPECT_FLAGS.
    nf_ct_expect: u32 {
        PERMANENT = 0x1, "NF_CT_EXPECT_PERMANENT";
        INACTIVE = 0x2, "NF_CT_EXPECT_INACTIVE";
        USERSPACE = 0x4, "NF_CT_EXPECT_USERSPACE";
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
    /// Per-CPU counters of expectations.
    cta_stats_exp: u16 {
        NEW = 1, "CTA_STATS_EXP_NEW";
        CREATE = 2, "CTA_STATS_EXP_CREATE";
        DELETE = 3, "CTA_STATS_EXP_DELETE";
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
group! {
    /// Message types with their subsystem in the upper byte: helpers in user space.
    nfnl_cthelper: u16 {
        NEW = 0x900, "(NFNL_SUBSYS_CTHELPER << 8) | NFNL_MSG_CTHELPER_NEW";
        GET = 0x901, "(NFNL_SUBSYS_CTHELPER << 8) | NFNL_MSG_CTHELPER_GET";
        DEL = 0x902, "(NFNL_SUBSYS_CTHELPER << 8) | NFNL_MSG_CTHELPER_DEL";
    }
}
group! {
    /// Attributes of a helper in user space.
    nfcth: u16 {
        NAME = 1, "NFCTH_NAME";
        TUPLE = 2, "NFCTH_TUPLE";
        QUEUE_NUM = 3, "NFCTH_QUEUE_NUM";
        POLICY = 4, "NFCTH_POLICY";
        PRIV_DATA_LEN = 5, "NFCTH_PRIV_DATA_LEN";
        STATUS = 6, "NFCTH_STATUS";
    }
    /// Room for the name of a helper or of an expectation policy in bytes, its NUL included. The kernel
    /// keeps it in a private header (NF_CT_HELPER_NAME_LEN, net/netfilter/nf_conntrack_expect.h).
    pub const NAME_MAX: usize = 16;
}
group! {
    /// Members of NFCTH_TUPLE.
    nfcth_tuple: u16 {
        L3PROTONUM = 1, "NFCTH_TUPLE_L3PROTONUM";
        L4PROTONUM = 2, "NFCTH_TUPLE_L4PROTONUM";
    }
}
group! {
    /// Members of NFCTH_POLICY: how many policies there are, and up to four of them.
    nfcth_policy_set: u16 {
        NUM = 1, "NFCTH_POLICY_SET_NUM";
        SET1 = 2, "NFCTH_POLICY_SET1";
        SET2 = 3, "NFCTH_POLICY_SET2";
        SET3 = 4, "NFCTH_POLICY_SET3";
        SET4 = 5, "NFCTH_POLICY_SET4";
    }
}
group! {
    /// Members of one policy in NFCTH_POLICY.
    nfcth_policy: u16 {
        NAME = 1, "NFCTH_POLICY_NAME";
        EXPECT_MAX = 2, "NFCTH_POLICY_EXPECT_MAX";
        EXPECT_TIMEOUT = 3, "NFCTH_POLICY_EXPECT_TIMEOUT";
    }
}
group! {
    /// Values of NFCTH_STATUS.
    nfct_helper_status: u32 {
        DISABLED = 0, "NFCT_HELPER_STATUS_DISABLED";
        ENABLED = 1, "NFCT_HELPER_STATUS_ENABLED";
    }
}

/// Every group, for the test against the C headers.
pub const ALL: &[&[Named]] = &[
    nlmsg::NAMED,
    nlm_f::NAMED,
    nlmsgerr_attr::NAMED,
    ipctnl::NAMED,
    ipctnl_exp::NAMED,
    nfnlgrp::NAMED,
    af::NAMED,
    ipproto::NAMED,
    cta::NAMED,
    cta_tuple::NAMED,
    cta_ip::NAMED,
    cta_proto::NAMED,
    cta_protoinfo::NAMED,
    cta_protoinfo_tcp::NAMED,
    cta_protoinfo_dccp::NAMED,
    cta_protoinfo_sctp::NAMED,
    cta_help::NAMED,
    cta_nat::NAMED,
    cta_protonat::NAMED,
    cta_counters::NAMED,
    cta_timestamp::NAMED,
    cta_seqadj::NAMED,
    cta_synproxy::NAMED,
    cta_secctx::NAMED,
    cta_filter::NAMED,
    ctnetlink_filter::NAMED,
    cta_expect::NAMED,
    cta_expect_nat::NAMED,
    nf_ct_expect::NAMED,
    cta_stats::NAMED,
    cta_stats_exp::NAMED,
    cta_stats_global::NAMED,
    ips::NAMED,
    ip_ct_tcp_flag::NAMED,
    ipctnl_timeout::NAMED,
    cta_timeout::NAMED,
    cta_timeout_generic::NAMED,
    cta_timeout_tcp::NAMED,
    cta_timeout_udp::NAMED,
    cta_timeout_udplite::NAMED,
    cta_timeout_icmp::NAMED,
    cta_timeout_icmpv6::NAMED,
    cta_timeout_dccp::NAMED,
    cta_timeout_sctp::NAMED,
    cta_timeout_gre::NAMED,
    nfnl_cthelper::NAMED,
    nfcth::NAMED,
    nfcth_tuple::NAMED,
    nfcth_policy_set::NAMED,
    nfcth_policy::NAMED,
    nfct_helper_status::NAMED,
];
