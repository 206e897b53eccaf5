//! What every netlink family here shares: control messages, flags, multicast groups, and the families and
//! protocols that messages are about.
//!
//! Sources: linux/netlink.h, linux/netfilter/nfnetlink.h, sys/socket.h, netinet/in.h.

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
