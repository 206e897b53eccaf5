//! Queues of packets for user space: messages, commands, flags, attributes and verdicts.
//!
//! Sources: linux/netfilter/nfnetlink_queue.h, linux/netfilter.h.

group! {
    /// Message types with their subsystem in the upper byte: queues.
    nfqnl_msg: u16 {
        PACKET = 0x300, "(NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET";
        VERDICT = 0x301, "(NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_VERDICT";
        CONFIG = 0x302, "(NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_CONFIG";
        VERDICT_BATCH = 0x303, "(NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_VERDICT_BATCH";
    }
}
group! {
    /// Attributes of the configuration of a queue.
    nfqa_cfg: u16 {
        CMD = 1, "NFQA_CFG_CMD";
        PARAMS = 2, "NFQA_CFG_PARAMS";
        QUEUE_MAXLEN = 3, "NFQA_CFG_QUEUE_MAXLEN";
        MASK = 4, "NFQA_CFG_MASK";
        FLAGS = 5, "NFQA_CFG_FLAGS";
    }
}
group! {
    /// Commands in NFQA_CFG_CMD.
    nfqnl_cfg_cmd: u8 {
        BIND = 1, "NFQNL_CFG_CMD_BIND";
        UNBIND = 2, "NFQNL_CFG_CMD_UNBIND";
    }
}
group! {
    /// Bits of NFQA_CFG_FLAGS.
    nfqa_cfg_f: u32 {
        FAIL_OPEN = 1 << 0, "NFQA_CFG_F_FAIL_OPEN";
        CONNTRACK = 1 << 1, "NFQA_CFG_F_CONNTRACK";
    }
    /// The copy mode that brings the packet (NFQNL_COPY_PACKET).
    pub const COPY_PACKET: u8 = 2;
}
group! {
    /// Attributes of a packet and of a verdict.
    nfqa: u16 {
        PACKET_HDR = 1, "NFQA_PACKET_HDR";
        VERDICT_HDR = 2, "NFQA_VERDICT_HDR";
        PAYLOAD = 10, "NFQA_PAYLOAD";
        CT = 11, "NFQA_CT";
        CT_INFO = 12, "NFQA_CT_INFO";
        CAP_LEN = 13, "NFQA_CAP_LEN";
        EXP = 15, "NFQA_EXP";
    }
}
group! {
    /// Values of NFQA_CT_INFO.
    ip_ct: u32 {
        ESTABLISHED = 0, "IP_CT_ESTABLISHED";
        RELATED = 1, "IP_CT_RELATED";
        NEW = 2, "IP_CT_NEW";
        ESTABLISHED_REPLY = 3, "IP_CT_ESTABLISHED_REPLY";
        RELATED_REPLY = 4, "IP_CT_RELATED_REPLY";
    }
}
group! {
    /// Verdicts.
    nf: u32 {
        ACCEPT = 1, "NF_ACCEPT";
    }
}
