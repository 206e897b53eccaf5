//! What the file says, before it is checked and defaults are filled in.

use super::super::report::{At, FilePlace};
use super::super::settings::{
    AuthKey, AuthMode, Facility, FilterFrom, HelperFamily, HelperKind, HelperProtocol, Listen, LogFormat,
    Logic, MarkBits, Network, Ports, Protocol, SchedulerPolicy, TcpState, Translation,
};
use super::unique::Unique;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use zct_helpers::config::Prefix;

/// A setting with its place, if the file has it. The last occurrence counts.
pub(crate) type Placed<T> = Option<At<T>>;

/// A whole file.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub(crate) general: RawGeneral,
    pub(crate) sync: RawSync,
    pub(crate) stats: RawStats,
    pub(crate) helpers: RawHelpers,
    pub(crate) metrics: RawMetrics,
    pub(crate) sync_place: Option<FilePlace>,
    pub(crate) stats_place: Option<FilePlace>,
}

/// `General`.
#[derive(Debug, Default)]
pub(crate) struct RawGeneral {
    pub(crate) hash_size: Placed<u32>,
    pub(crate) hash_limit: Placed<u32>,
    pub(crate) log_file: Placed<Option<PathBuf>>,
    pub(crate) syslog: Placed<Option<Facility>>,
    pub(crate) lock_file: Placed<PathBuf>,
    pub(crate) control_socket: Placed<PathBuf>,
    pub(crate) netlink_buffer_size: Placed<u32>,
    pub(crate) netlink_buffer_size_max: Placed<u32>,
    pub(crate) netlink_overrun_resync_s: Placed<Option<u32>>,
    pub(crate) netlink_events_reliable: Placed<bool>,
    pub(crate) event_iteration_limit: Placed<u32>,
    pub(crate) poll_s: Placed<u32>,
    pub(crate) filter: RawFilter,
    pub(crate) scheduler_policy: Placed<SchedulerPolicy>,
    pub(crate) scheduler_priority: Placed<u8>,
    pub(crate) systemd: Placed<bool>,
}

/// `Filter`. The lists of several blocks are joined, and the last Accept or Ignore applies to all of it.
#[derive(Debug, Default)]
pub(crate) struct RawFilter {
    pub(crate) from: Placed<FilterFrom>,
    pub(crate) protocol: Option<RawList<Protocol>>,
    pub(crate) address: Option<RawList<Network>>,
    pub(crate) state: Option<RawList<TcpState>>,
    pub(crate) port: Option<RawList<Ports>>,
    pub(crate) zone: Option<RawList<u16>>,
    pub(crate) nat: Option<RawList<Translation>>,
    pub(crate) mark: Option<RawList<MarkBits>>,
    pub(crate) label: Option<RawList<u8>>,
}

/// One criterion: a list, and whether it accepts or ignores.
#[derive(Debug)]
pub(crate) struct RawList<T> {
    pub(crate) logic: At<Logic>,
    pub(crate) items: Unique<T>,
}

/// `Sync`, with the settings of all modes together, since the original shares them too.
#[derive(Debug, Default)]
pub(crate) struct RawSync {
    pub(crate) ftfw: Option<FilePlace>,
    pub(crate) alarm: Option<FilePlace>,
    pub(crate) notrack: Option<FilePlace>,
    pub(crate) resend_queue_size: Placed<u32>,
    pub(crate) ack_window_size: Placed<u32>,
    pub(crate) disable_external_cache: Placed<bool>,
    pub(crate) disable_internal_cache: Placed<bool>,
    pub(crate) startup_resync: Placed<bool>,
    pub(crate) refresh_time_s: Placed<u32>,
    pub(crate) cache_timeout_s: Placed<u32>,
    pub(crate) commit_timeout_s: Placed<u32>,
    pub(crate) purge_timeout_s: Placed<u32>,
    pub(crate) tcp_window_tracking: Placed<bool>,
    /// `ExpectationSync` given as on or off; `None` if it lists helpers.
    pub(crate) expectation_sync: Placed<bool>,
    pub(crate) expectation_helpers: Unique<String>,
    pub(crate) sync_after_s: Placed<u32>,
    pub(crate) update_interval_s: Placed<u32>,
    pub(crate) digest: Placed<bool>,
    pub(crate) digest_interval_s: Placed<u32>,
    pub(crate) resync_interval_s: Placed<u32>,
    pub(crate) review_interval_s: Placed<u32>,
    pub(crate) links: Vec<RawLink>,
    pub(crate) peers: Vec<RawPeer>,
    pub(crate) node_id: Placed<u32>,
    pub(crate) auth: Option<RawAuth>,
}

/// `Peer NAME`.
#[derive(Debug)]
pub(crate) struct RawPeer {
    pub(crate) place: FilePlace,
    pub(crate) name: String,
    pub(crate) node_id: Placed<u32>,
    pub(crate) links: Vec<RawLink>,
}

/// `Auth`, all blocks together.
#[derive(Debug)]
pub(crate) struct RawAuth {
    pub(crate) place: FilePlace,
    /// Each number once; the last occurrence counts.
    pub(crate) keys: Vec<AuthKey>,
    pub(crate) active: Placed<u32>,
    pub(crate) mode: Placed<AuthMode>,
}

/// The kind of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawLinkKind {
    Multicast,
    Udp,
    Tcp,
}

impl RawLinkKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            RawLinkKind::Multicast => "Multicast",
            RawLinkKind::Udp => "UDP",
            RawLinkKind::Tcp => "TCP",
        }
    }
}

/// A dedicated link.
#[derive(Debug)]
pub(crate) struct RawLink {
    pub(crate) kind: RawLinkKind,
    pub(crate) place: FilePlace,
    pub(crate) is_default: bool,
    pub(crate) interface: Placed<String>,
    pub(crate) v4: Placed<Ipv4Addr>,
    pub(crate) v6: Placed<Ipv6Addr>,
    pub(crate) v4_peer: Placed<Ipv4Addr>,
    pub(crate) v6_peer: Placed<Ipv6Addr>,
    pub(crate) v4_interface: Placed<Ipv4Addr>,
    pub(crate) port: Placed<u32>,
    pub(crate) send_buffer: Placed<u32>,
    pub(crate) receive_buffer: Placed<u32>,
    pub(crate) checksum: Placed<bool>,
    /// In `TCP` only, but it applies to all links.
    pub(crate) error_queue_length: Placed<u32>,
}

/// `Stats`.
#[derive(Debug, Default)]
pub(crate) struct RawStats {
    pub(crate) log_file: Placed<Option<PathBuf>>,
    pub(crate) syslog: Placed<Option<Facility>>,
    pub(crate) log_format: Placed<LogFormat>,
}

/// `Metrics`, all blocks together.
#[derive(Debug, Default)]
pub(crate) struct RawMetrics {
    pub(crate) place: Option<FilePlace>,
    pub(crate) listen: Placed<Listen>,
    pub(crate) text_file: Placed<PathBuf>,
    pub(crate) interval_s: Placed<u32>,
}

/// `Helper`, all blocks together.
#[derive(Debug, Default)]
pub(crate) struct RawHelpers {
    pub(crate) setup: Placed<bool>,
    pub(crate) types: Vec<RawHelper>,
}

/// `Type`. Whatever was unknown has been reported as an error.
#[derive(Debug)]
pub(crate) struct RawHelper {
    pub(crate) place: FilePlace,
    pub(crate) kind: Option<&'static HelperKind>,
    pub(crate) family: Option<HelperFamily>,
    pub(crate) protocol: Option<HelperProtocol>,
    pub(crate) queue_num: Placed<u32>,
    pub(crate) queue_len: Placed<u32>,
    pub(crate) policy: Placed<RawPolicy>,
    pub(crate) privileged_ports: Placed<bool>,
    pub(crate) senders: Vec<Prefix>,
    pub(crate) addresses: Vec<Prefix>,
    pub(crate) max_expectations: Placed<u32>,
    pub(crate) permanent: Placed<bool>,
    pub(crate) any_port: Placed<bool>,
}

/// `Policy`.
#[derive(Debug, Default)]
pub(crate) struct RawPolicy {
    pub(crate) expect_max: Placed<u32>,
    pub(crate) expect_timeout_s: Placed<u32>,
}
