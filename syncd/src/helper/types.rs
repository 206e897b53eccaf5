//! The configured types, with the protocol that reads for each.

use super::counts::HelperCounts;
use super::limit::Limit;
use crate::config::settings::{Helper as Settings, HelperFamily, HelperProtocol};
use std::time::Instant;
use zct_helpers::{Config, Helper};
use zct_wire::consts::{af, ipproto};

/// How many lines about what is made and what is refused a type may write in ten seconds.
const LINES: u32 = 20;

/// Whose a stub is by now. The kernel has one list of them for all network namespaces, and does not say who has made or
/// changed one; so it is this process's as long as it has its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Whose {
    /// Enabled, with our queue.
    #[default]
    Ours,
    /// Disabled, with our queue, or gone.
    Disabled,
    /// Another program has given it this queue.
    Queue(u32),
}

/// One `Type` of the configuration that zctd has a protocol for.
#[derive(Debug)]
pub(super) struct HelperType {
    pub(super) settings: Settings,
    pub(super) protocol: &'static Helper,
    pub(super) counts: HelperCounts,
    pub(super) made_lines: Limit,
    pub(super) refused_lines: Limit,
    /// How many expectations of this type there may be: those that were found at the last count, and those
    /// made since.
    pub(super) waiting: usize,
    pub(super) counted: Option<Instant>,
    /// Whose its stub was when it was looked at last.
    pub(super) stub: Whose,
}

impl HelperType {
    /// `None` for a protocol that zctd does not have.
    pub(super) fn new(settings: &Settings) -> Option<HelperType> {
        let protocol = Helper::find(settings.kind.name, l4(settings.protocol))?;
        Some(HelperType {
            settings: settings.clone(),
            protocol,
            counts: HelperCounts::default(),
            made_lines: Limit::new(LINES),
            refused_lines: Limit::new(LINES),
            waiting: 0,
            counted: None,
            stub: Whose::Ours,
        })
    }

    pub(super) fn title(&self) -> String {
        title(&self.settings)
    }

    pub(super) fn family(&self) -> u8 {
        family(self.settings.family)
    }

    /// The settings as the protocol wants them.
    pub(super) fn config(&self) -> Config<'_> {
        Config {
            privileged_ports: self.settings.privileged_ports,
            senders: &self.settings.senders,
            addresses: &self.settings.addresses,
            permanent: self.settings.permanent,
            any_port: self.settings.any_port,
        }
    }
}

/// `ftp inet tcp`
pub(super) fn title(h: &Settings) -> String {
    format!("{} {} {}", h.kind.name, h.family.word(), h.protocol.word())
}

pub(super) fn family(f: HelperFamily) -> u8 {
    match f {
        HelperFamily::Inet => af::INET,
        HelperFamily::Inet6 => af::INET6,
    }
}

pub(super) fn l4(p: HelperProtocol) -> u8 {
    match p {
        HelperProtocol::Tcp => ipproto::TCP,
        HelperProtocol::Udp => ipproto::UDP,
    }
}
