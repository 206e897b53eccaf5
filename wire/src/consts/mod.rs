//! Kernel numbers under kernel names, grouped by the nest or header they belong to.
//!
//! One file per part of the kernel, each naming its C headers at the top. Every group has [`Named`] rows, and
//! a test compiles the C headers and compares each value.

#[macro_use]
pub(crate) mod group;
mod conntrack;
mod expect;
mod helper;
mod netlink;
mod queue;
mod timeout;

pub use conntrack::*;
pub use expect::*;
pub use group::Named;
pub use helper::*;
pub use netlink::*;
pub use queue::*;
pub use timeout::*;

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
    nfqnl_msg::NAMED,
    nfqa_cfg::NAMED,
    nfqnl_cfg_cmd::NAMED,
    nfqa_cfg_f::NAMED,
    nfqa::NAMED,
    ip_ct::NAMED,
    nf::NAMED,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_the_highest_number() {
        // Room for the highest number, wherever it stands in its list.
        assert_eq!(cta::MAX, usize::from(cta::TIMESTAMP_EVENT));
        assert_eq!(cta_expect::MAX, usize::from(cta_expect::FN));
    }

    /// A group that is left out of [`ALL`] would not be compared with any header.
    #[test]
    fn every_group_is_in_the_list() {
        let files = [
            include_str!("conntrack.rs"),
            include_str!("expect.rs"),
            include_str!("helper.rs"),
            include_str!("netlink.rs"),
            include_str!("queue.rs"),
            include_str!("timeout.rs"),
        ];
        let groups: usize = files.iter().map(|f| f.matches("\ngroup! {").count()).sum();
        assert_eq!(ALL.len(), groups);
        for (i, group) in ALL.iter().enumerate() {
            assert!(ALL.iter().take(i).all(|other| !core::ptr::eq(*other, *group)), "{group:?} twice");
        }
    }
}
