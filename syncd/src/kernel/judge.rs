//! Which of the kernel's messages are wanted: the filter of flows, the names of helpers, and who has
//! caused a change.

use crate::config::flow_filter::{FilterVerdict, FlowFilter, Subject};
use crate::config::settings::{Expectations, Filter};
use crate::peer::Origin;
use zct_wire::WireError;
use zct_wire::flow::FlowView;

/// Netlink ports of our own sockets. Changes made through these come back as events.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnPorts {
    /// The port of the commit.
    pub commit: u32,
    /// The port of the direct injection.
    pub inject: u32,
    /// The port of the purge. The flush on demand has none here: the peer has to learn of what it deletes.
    pub purge: u32,
}

impl OwnPorts {
    pub(super) fn origin(&self, port: u32) -> Origin {
        match port {
            0 => Origin::Kernel,
            p if p == self.commit => Origin::Commit,
            p if p == self.inject => Origin::Inject,
            p if p == self.purge => Origin::Flush,
            _ => Origin::Kernel,
        }
    }
}

/// The filters, and the ports of our own sockets.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) flows: FlowFilter,
    expects: Expectations,
    pub(super) ports: OwnPorts,
}

impl Judge {
    pub(super) fn new(filter: &Filter, expects: Expectations) -> Judge {
        Judge { flows: FlowFilter::new(filter), expects, ports: OwnPorts::default() }
    }

    /// Takes over new filters. The ports stay.
    pub(super) fn reload(&mut self, filter: &Filter, expects: Expectations) {
        (self.flows, self.expects) = (FlowFilter::new(filter), expects);
    }

    /// True if `ExpectationSync` is on.
    pub(super) fn wants_expects(&self) -> bool {
        self.expects != Expectations::Off
    }

    /// Judges a flow. One that lacks an address never passes: it could neither be told from others
    /// nor be committed.
    pub(super) fn flow(&self, view: &FlowView<'_>) -> Result<FilterVerdict, WireError> {
        if self.flows.is_empty() {
            return Ok(FilterVerdict::Pass);
        }
        Ok(Subject::of(view)?.map_or(FilterVerdict::Address, |s| self.flows.judge(&s)))
    }

    /// True when expectations of this helper are wanted.
    pub(super) fn expect(&self, helper: Option<&[u8]>) -> bool {
        match &self.expects {
            Expectations::Off => false,
            Expectations::All => true,
            Expectations::Of(names) => names.iter().any(|name| {
                let start = helper.and_then(|h| h.get(..name.len()));
                start.is_some_and(|s| s.eq_ignore_ascii_case(name.as_bytes()))
            }),
        }
    }
}
