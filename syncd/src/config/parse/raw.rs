//! What the file says, before it is checked and defaults are filled in.

use super::super::report::{At, Place};
use super::super::settings::{
    AuthKey, AuthMode, Facility, FilterFrom, HelperFamily, HelperKind, HelperProtocol, Listen, LogFormat,
    Logic, MarkBits, Network, Ports, Protocol, SchedulerPolicy, TcpState, Translation,
};
use super::unique::Unique;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use zct_helpers::config::Prefix;

/// A setting with its place, if the file has it. The last occurrence counts.
pub(crate) type Set<T> = Option<At<T>>;

/// A whole file.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub(crate) general: RawGeneral,
    pub(crate) sync: RawSync,
    pub(crate) stats: RawStats,
    pub(crate) helpers: RawHelpers,
    pub(crate) metrics: RawMetrics,
    pub(crate) sync_place: Option<Place>,
    pub(crate) stats_place: Option<Place>,
}

/// `General`.
#[derive(Debug, Default)]
pub(crate) struct RawGeneral {
    pub(crate) hash_size: Set<u32>,
    pub(crate) hash_limit: Set<u32>,
    pub(crate) log_file: Set<Option<PathBuf>>,
    pub(crate) syslog: Set<Option<Facility>>,
    pub(crate) lock_file: Set<PathBuf>,
    pub(crate) control_socket: Set<PathBuf>,
    pub(crate) netlink_buffer_size: Set<u32>,
    pub(crate) netlink_buffer_size_max: Set<u32>,
    pub(crate) netlink_overrun_resync_s: Set<Option<u32>>,
    pub(crate) netlink_events_reliable: Set<bool>,
    pub(crate) event_iteration_limit: Set<u32>,
    pub(crate) poll_s: Set<u32>,
    pub(crate) filter: RawFilter,
    pub(crate) scheduler_policy: Set<SchedulerPolicy>,
    pub(crate) scheduler_priority: Set<u8>,
    pub(crate) systemd: Set<bool>,
}

/// `Filter`. The lists of several blocks are joined, and the last Accept or Ignore applies to all of it.
#[derive(Debug, Default)]
pub(crate) struct RawFilter {
    pub(crate) from: Set<FilterFrom>,
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
    pub(crate) ftfw: Option<Place>,
    pub(crate) alarm: Option<Place>,
    pub(crate) notrack: Option<Place>,
    pub(crate) resend_queue_size: Set<u32>,
    pub(crate) ack_window_size: Set<u32>,
    pub(crate) disable_external_cache: Set<bool>,
    pub(crate) disable_internal_cache: Set<bool>,
    pub(crate) startup_resync: Set<bool>,
    pub(crate) refresh_time_s: Set<u32>,
    pub(crate) cache_timeout_s: Set<u32>,
    pub(crate) commit_timeout_s: Set<u32>,
    pub(crate) purge_timeout_s: Set<u32>,
    pub(crate) tcp_window_tracking: Set<bool>,
    /// `ExpectationSync` given as on or off; `None` if it lists helpers.
    pub(crate) expectation_sync: Set<bool>,
    pub(crate) expectation_helpers: Unique<String>,
    pub(crate) sync_after_s: Set<u32>,
    pub(crate) update_interval_s: Set<u32>,
    pub(crate) digest: Set<bool>,
    pub(crate) digest_interval_s: Set<u32>,
    pub(crate) review_interval_s: Set<u32>,
    pub(crate) links: Vec<RawLink>,
    pub(crate) peers: Vec<RawPeer>,
    pub(crate) node_id: Set<u32>,
    pub(crate) auth: Option<RawAuth>,
}

/// `Peer NAME`.
#[derive(Debug)]
pub(crate) struct RawPeer {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) node_id: Set<u32>,
    pub(crate) links: Vec<RawLink>,
}

/// `Auth`, all blocks together.
#[derive(Debug)]
pub(crate) struct RawAuth {
    pub(crate) place: Place,
    /// Each number once; the last occurrence counts.
    pub(crate) keys: Vec<AuthKey>,
    pub(crate) active: Set<u32>,
    pub(crate) mode: Set<AuthMode>,
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
    pub(crate) place: Place,
    pub(crate) is_default: bool,
    pub(crate) interface: Set<String>,
    pub(crate) v4: Set<Ipv4Addr>,
    pub(crate) v6: Set<Ipv6Addr>,
    pub(crate) v4_peer: Set<Ipv4Addr>,
    pub(crate) v6_peer: Set<Ipv6Addr>,
    pub(crate) v4_interface: Set<Ipv4Addr>,
    pub(crate) port: Set<u32>,
    pub(crate) send_buffer: Set<u32>,
    pub(crate) receive_buffer: Set<u32>,
    pub(crate) checksum: Set<bool>,
    /// In `TCP` only, but it applies to all links.
    pub(crate) error_queue_length: Set<u32>,
}

/// `Stats`.
#[derive(Debug, Default)]
pub(crate) struct RawStats {
    pub(crate) log_file: Set<Option<PathBuf>>,
    pub(crate) syslog: Set<Option<Facility>>,
    pub(crate) log_format: Set<LogFormat>,
}

/// `Metrics`, all blocks together.
#[derive(Debug, Default)]
pub(crate) struct RawMetrics {
    pub(crate) place: Option<Place>,
    pub(crate) listen: Set<Listen>,
    pub(crate) text_file: Set<PathBuf>,
    pub(crate) interval_s: Set<u32>,
}

/// `Helper`, all blocks together.
#[derive(Debug, Default)]
pub(crate) struct RawHelpers {
    pub(crate) setup: Set<bool>,
    pub(crate) types: Vec<RawHelper>,
}

/// `Type`. Whatever was unknown has been reported as an error.
#[derive(Debug)]
pub(crate) struct RawHelper {
    pub(crate) place: Place,
    pub(crate) kind: Option<&'static HelperKind>,
    pub(crate) family: Option<HelperFamily>,
    pub(crate) protocol: Option<HelperProtocol>,
    pub(crate) queue_num: Set<u32>,
    pub(crate) queue_len: Set<u32>,
    pub(crate) policy: Set<RawPolicy>,
    pub(crate) privileged_ports: Set<bool>,
    pub(crate) senders: Vec<Prefix>,
    pub(crate) addresses: Vec<Prefix>,
    pub(crate) max_expectations: Set<u32>,
    pub(crate) permanent: Set<bool>,
    pub(crate) any_port: Set<bool>,
}

/// `Policy`.
#[derive(Debug, Default)]
pub(crate) struct RawPolicy {
    pub(crate) expect_max: Set<u32>,
    pub(crate) expect_timeout_s: Set<u32>,
}
