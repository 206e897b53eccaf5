//! Expectations: messages, attributes, flags and counters.
//!
//! Sources: linux/netfilter/nfnetlink_conntrack.h, linux/netfilter/nf_conntrack_common.h.

group! {
    /// Message types with their subsystem in the upper byte: expectations.
    ipctnl_exp: u16 {
        NEW = 0x200, "(NFNL_SUBSYS_CTNETLINK_EXP << 8) | IPCTNL_MSG_EXP_NEW";
        GET = 0x201, "(NFNL_SUBSYS_CTNETLINK_EXP << 8) | IPCTNL_MSG_EXP_GET";
        DELETE = 0x202, "(NFNL_SUBSYS_CTNETLINK_EXP << 8) | IPCTNL_MSG_EXP_DELETE";
        GET_STATS_CPU = 0x203, "(NFNL_SUBSYS_CTNETLINK_EXP << 8) | IPCTNL_MSG_EXP_GET_STATS_CPU";
    }
    /// Type of the replies to GET_STATS_CPU. It is the number of GET_CTRZERO in the subsystem of flows, so
    /// replies have to be matched by sequence number (ctnetlink.md §8).
    pub const STATS_REPLY: u16 = 0x103;
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
    /// The highest number known here; newer kernels may send more, which are skipped.
    pub const MAX: usize = crate::consts::group::highest(NAMED);
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
    /// Per-CPU counters of expectations.
    cta_stats_exp: u16 {
        NEW = 1, "CTA_STATS_EXP_NEW";
        CREATE = 2, "CTA_STATS_EXP_CREATE";
        DELETE = 3, "CTA_STATS_EXP_DELETE";
    }
}
