//! Helpers in user space: messages, attributes and status.
//!
//! Source: linux/netfilter/nfnetlink_cthelper.h.

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
