//! `Helper`: which userspace helpers run, and how (conntrackd.md §5.7).

use zct_helpers::config::Prefix;

/// `Helper`: userspace helpers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Helpers {
    /// `Setup`: whether the daemon makes the stubs of its helpers in the kernel.
    pub setup: bool,
    /// `Type`, without repetitions.
    pub types: Vec<Helper>,
}

/// `Type NAME FAMILY PROTOCOL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// The helper with this name.
    pub kind: &'static HelperKind,
    /// `inet` or `inet6`.
    pub family: HelperFamily,
    /// `tcp` or `udp`.
    pub protocol: HelperProtocol,
    /// `QueueNum`: the queue in which the kernel hands over the helper's packets.
    pub queue_num: u16,
    /// `QueueLen`: how many packets may wait there; `None` for the kernel's default.
    pub queue_len: Option<u32>,
    /// `Policy`, or `None` for the helper's own.
    pub policy: Option<Policy>,
    /// `AllowPrivilegedPorts`: whether ports below 1024 may be announced.
    pub privileged_ports: bool,
    /// `AllowFrom`: the only senders whose announcements are taken; all while this is empty.
    pub senders: Vec<Prefix>,
    /// `AllowAddress`: what may be announced beside the sender's own address.
    pub addresses: Vec<Prefix>,
    /// `MaxExpectations`: how many expectations of this type may wait at a time; `None` for no limit of ours.
    pub max_expectations: Option<u32>,
    /// `Permanent`: whether more than one flow may use what is expected; `None` for what the protocol does.
    pub permanent: Option<bool>,
    /// `AnyServerPort`: whether servers may answer from other ports than that of their service.
    pub any_port: bool,
}

/// `Policy`. A member that is not given is 0, as in the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `ExpectMax`: how many expectations one flow may have.
    pub expect_max: u8,
    /// `ExpectTimeout`: seconds that an expectation lasts.
    pub expect_timeout_s: u32,
}

/// The layer 3 protocol of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelperFamily {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl HelperFamily {
    /// The file's word for it.
    pub fn word(self) -> &'static str {
        match self {
            HelperFamily::Inet => "inet",
            HelperFamily::Inet6 => "inet6",
        }
    }
}

/// The layer 4 protocol of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelperProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl HelperProtocol {
    /// The file's word for it.
    pub fn word(self) -> &'static str {
        match self {
            HelperProtocol::Tcp => "tcp",
            HelperProtocol::Udp => "udp",
        }
    }
}

/// A helper of the original, where it is a plug-in.
#[derive(Debug, PartialEq, Eq)]
pub struct HelperKind {
    /// Its name, which its policy has too.
    pub name: &'static str,
    /// The layer 4 protocols that it works with.
    pub protocols: &'static [HelperProtocol],
    /// The kernel's own helper with that name, if there is one.
    pub module: Option<&'static str>,
}

const fn helper_kind(
    name: &'static str,
    protocols: &'static [HelperProtocol],
    module: Option<&'static str>,
) -> HelperKind {
    HelperKind { name, protocols, module }
}

/// All helpers that the original has.
pub static HELPERS: [HelperKind; 10] = [
    helper_kind("amanda", &[HelperProtocol::Udp], Some("nf_conntrack_amanda")),
    helper_kind("dhcpv6", &[HelperProtocol::Udp], None),
    helper_kind("ftp", &[HelperProtocol::Tcp], Some("nf_conntrack_ftp")),
    helper_kind("mdns", &[HelperProtocol::Udp], None),
    helper_kind("rpc", &[HelperProtocol::Tcp, HelperProtocol::Udp], None),
    helper_kind("sane", &[HelperProtocol::Tcp], Some("nf_conntrack_sane")),
    helper_kind("slp", &[HelperProtocol::Udp], None),
    helper_kind("ssdp", &[HelperProtocol::Tcp, HelperProtocol::Udp], None),
    helper_kind("tftp", &[HelperProtocol::Udp], Some("nf_conntrack_tftp")),
    helper_kind("tns", &[HelperProtocol::Tcp], None),
];
