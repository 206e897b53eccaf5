//! Events as they arrive: the socket that receives them, and what is done with each.

use crate::config::flow_filter::FilterVerdict;
use crate::config::settings::{Filter, FilterFrom, General};
use crate::host::log::Log;
use crate::kernel::counters::NetlinkCounters;
use crate::kernel::dumps::Overtaken;
use crate::kernel::event_bpf;
use crate::kernel::judge::Judge;
use crate::kernel::taker::Taker;
use crate::peer::Event;
use std::ops::ControlFlow;
use zct_engine::{BpfInsn, Error, Lost, Sink, Subscription};
use zct_wire::WireError;
use zct_wire::consts::{ipctnl, nfnlgrp};
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;

/// Joins the event groups, with the socket options that the configuration asks for.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN, EPROTONOSUPPORT without ctnetlink.
pub(super) fn subscribe(settings: &General, judge: &Judge, log: &mut Log) -> Result<Subscription, Error> {
    let mut groups = vec![nfnlgrp::CONNTRACK_NEW, nfnlgrp::CONNTRACK_UPDATE, nfnlgrp::CONNTRACK_DESTROY];
    if judge.wants_expects() {
        groups.extend([
            nfnlgrp::CONNTRACK_EXP_NEW,
            nfnlgrp::CONNTRACK_EXP_UPDATE,
            nfnlgrp::CONNTRACK_EXP_DESTROY,
        ]);
    }
    let program = kernel_part(&settings.filter);
    if !judge.flows.is_empty() {
        let place = if program.is_some() { "kernel" } else { "user" };
        log.notice(&format!("using {place}-space event filtering"));
    }
    Subscription::prepare(
        |socket| {
            match settings.netlink_buffer_size {
                // The kernel doubles this value; the setting is the size after that.
                Some(bytes) => _ = socket.set_receive_buffer(bytes as usize / 2)?,
                None => log.notice("NetlinkBufferSize is not set. Using current system buffer size"),
            }
            if settings.netlink_events_reliable {
                socket.set_reliable()?;
                log.notice("reliable ctnetlink event delivery is ENABLED.");
            }
            if let Some(code) = &program {
                socket.attach_filter(code)?;
            }
            Ok(())
        },
        &groups,
    )
}

/// Replaces the filter in the kernel by that of the new settings.
pub(super) fn refilter(events: &Subscription, filter: &Filter) -> Result<(), Error> {
    match kernel_part(filter) {
        Some(code) => events.socket().attach_filter(&code),
        None => events.socket().detach_filter(),
    }
}

/// The part of the filter that goes into the kernel, if the settings ask for that.
fn kernel_part(filter: &Filter) -> Option<Vec<BpfInsn>> {
    if filter.from == FilterFrom::Kernelspace { event_bpf::program(filter) } else { None }
}

/// Judges events, and hands on those that pass.
pub(super) struct EventSink<'a> {
    pub(super) judge: &'a Judge,
    pub(super) counters: &'a mut NetlinkCounters,
    pub(super) overtaken: [&'a mut Overtaken; 2],
    pub(super) taker: &'a mut dyn Taker,
    /// Whether events were lost.
    pub(super) overrun: bool,
}

impl EventSink<'_> {
    fn flow(&mut self, event: Event, msg: CtMsg<'_>) -> Result<(), WireError> {
        let origin = self.judge.ports.origin(msg.port());
        let view = FlowView::index(msg)?;
        for overtaken in &mut self.overtaken {
            overtaken.note(&view)?;
        }
        if !self.passes(event, &view)? {
            self.counters.filtered += 1;
            return Ok(());
        }
        self.taker.flow(event, origin, &view)
    }

    fn passes(&self, event: Event, view: &FlowView<'_>) -> Result<bool, WireError> {
        // Labels come with the beginning and when they change. Other messages are about a flow with labels
        // that they do not tell: it is one that has passed, or one that has not.
        let labels_unknown =
            self.judge.flows.asks_for_labels() && event != Event::New && view.labels().is_none();
        Ok(match self.judge.flow(view)? {
            FilterVerdict::Pass | FilterVerdict::Label if labels_unknown => self.taker.knows(view),
            FilterVerdict::Pass => true,
            // These change while a flow lives. The original ignores the end of a flow in a state that is not
            // wanted, and its peer keeps the flow forever.
            FilterVerdict::State | FilterVerdict::Mark | FilterVerdict::Label => {
                event == Event::Destroy && self.taker.knows(view)
            }
            FilterVerdict::Protocol
            | FilterVerdict::Address
            | FilterVerdict::Port
            | FilterVerdict::Zone
            | FilterVerdict::Nat => false,
        })
    }

    fn expect(&mut self, event: Event, msg: CtMsg<'_>) -> Result<(), WireError> {
        let origin = self.judge.ports.origin(msg.port());
        let view = ExpectView::index(msg)?;
        if !self.judge.expect(view.helper()) {
            self.counters.filtered += 1;
            return Ok(());
        }
        self.taker.expect(event, origin, &view)
    }
}

impl Sink for EventSink<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        self.counters.events += 1;
        let Some(event) = Event::of(&msg) else {
            self.counters.unknown_events += 1;
            return ControlFlow::Continue(());
        };
        let done = match msg.kind() {
            ipctnl::NEW | ipctnl::DELETE => self.flow(event, msg),
            _ => self.expect(event, msg),
        };
        if done.is_err() {
            self.counters.failed += 1;
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.counters.failed += 1;
        if let Lost::Overrun { count } = why {
            self.counters.overruns += 1;
            self.counters.lost += count.unwrap_or(1);
        }
        // A damaged or truncated event is as lost as one that did not fit.
        self.overrun = true;
    }
}
