//! The kernel's side: events as they come, dumps in steps, and what is done when events were lost
//! (conntrackd.md §9).
//!
//! The groups are joined before the first dump, so nothing falls in between.

mod claims;
pub mod commit;
mod counters;
mod dumps;
pub mod event_bpf;
mod events;
pub mod flush;
pub mod inject;
mod judge;
mod overrun;
pub mod restore;
mod review;
mod table;
mod taker;

pub use counters::NetlinkCounters;
pub use dumps::Stepped;
pub use judge::OwnPorts;
pub use review::Reviewed;
pub use table::TableSize;
pub use taker::{Taker, Why};

use crate::config::flow_filter::FlowFilter;
use crate::config::settings::{Expectations, General};
use crate::host::log::Log;
use crate::peer::Millis;
use dumps::Dumps;
use events::EventSink;
use judge::Judge;
use overrun::Overrun;
use review::SlowRead;
use zct_engine::{Error, StepDump, Subscription, Turn};
use zct_wire::consts::nfnlgrp;
use zct_wire::request::Table;

/// Events that one system call may return.
const EVENTS_A_CALL: u32 = 64;

/// The sockets for events and for dumps, with their state.
#[derive(Debug)]
pub struct Kernel {
    events: Option<Subscription>,
    /// System calls for events that one turn may make.
    calls: u32,
    netlink_buffer_size: Option<u32>,
    judge: Judge,
    counters: NetlinkCounters,
    dumps: Dumps,
    overrun: Overrun,
    review: SlowRead,
}

/// The number of system calls that return EventIterationLimit events.
fn calls(settings: &General) -> u32 {
    settings.event_iteration_limit.div_ceil(EVENTS_A_CALL).max(1)
}

impl Kernel {
    /// Opens the sockets and joins the groups.
    ///
    /// # Errors
    /// EPERM without CAP_NET_ADMIN, EPROTONOSUPPORT without ctnetlink.
    pub fn open(settings: &General, expects: Expectations, log: &mut Log) -> Result<Kernel, Error> {
        let mut kernel = Kernel {
            events: None,
            calls: calls(settings),
            netlink_buffer_size: settings.netlink_buffer_size,
            judge: Judge::new(&settings.filter, expects),
            counters: NetlinkCounters::default(),
            dumps: Dumps::open()?,
            overrun: Overrun::new(settings),
            review: SlowRead::default(),
        };
        if settings.poll_s.is_some() {
            log.notice("running in polling mode");
            return Ok(kernel);
        }
        let subscription = events::subscribe(settings, &kernel.judge, log)?;
        let bytes = subscription.socket().receive_buffer()?;
        log.notice(&format!("netlink event socket buffer size has been set to {bytes} bytes"));
        kernel.overrun.resized(bytes);
        kernel.events = Some(subscription);
        Ok(kernel)
    }

    /// The event socket, to be watched for readiness.
    pub fn events(&self) -> Option<&Subscription> {
        self.events.as_ref()
    }

    /// The dump's socket, to be watched for readiness.
    pub fn dump_socket(&self) -> &StepDump {
        self.dumps.socket()
    }

    /// The counts so far.
    pub fn counters(&self) -> NetlinkCounters {
        self.counters
    }

    /// The counts, to be added to by those who act elsewhere.
    pub fn counters_mut(&mut self) -> &mut NetlinkCounters {
        &mut self.counters
    }

    /// Bytes in the event socket's buffer, as the kernel counts them.
    pub fn buffer(&self) -> usize {
        self.overrun.buffer()
    }

    /// Events that the buffer holds; a large number if nobody listens.
    pub fn buffer_events(&self) -> usize {
        if self.events.is_some() { self.overrun.buffer_events() } else { usize::MAX }
    }

    /// Tells which netlink ports are our own.
    pub fn set_ports(&mut self, ports: OwnPorts) {
        self.judge.ports = ports;
    }

    /// The filter that is in use.
    pub fn filter(&self) -> &FlowFilter {
        &self.judge.flows
    }

    /// Takes over the settings that can change at run time; a filter in the kernel is replaced.
    ///
    /// # Errors
    /// When the event socket refuses its new filter or size.
    pub fn reload(&mut self, settings: &General, expects: Expectations) -> Result<(), Error> {
        let size = settings.netlink_buffer_size;
        let changed = std::mem::replace(&mut self.netlink_buffer_size, size) != size;
        self.calls = calls(settings);
        self.judge.reload(&settings.filter, expects);
        self.overrun.reload(settings);
        if let Some(events) = &self.events {
            events::refilter(events, &settings.filter)?;
            if let Some(bytes) = size.filter(|_| changed) {
                self.overrun.resized(events.socket().set_receive_buffer(bytes as usize / 2)?);
            }
        }
        Ok(())
    }

    /// Takes events, up to EventIterationLimit of them.
    ///
    /// # Errors
    /// Errors of the event socket other than lost events.
    pub fn events_ready(&mut self, now: Millis, taker: &mut dyn Taker, log: &mut Log) -> Result<Turn, Error> {
        let Kernel { events, judge, counters, dumps, overrun, review, .. } = self;
        let Some(events) = events else { return Ok(Turn::Drained) };
        dumps.overtaken.expect_events(dumps.is_running());
        review.overtaken.expect_events(review.is_reading());
        let overtaken = [&mut dumps.overtaken, &mut review.overtaken];
        let mut sink = EventSink { judge, counters, overtaken, taker, overrun: false };
        let (turn, _) = events.drain(self.calls, &mut sink)?;
        if sink.overrun {
            overrun.happened(now, events, log)?;
        }
        Ok(turn)
    }

    /// Whether events are listened to at all: a daemon that polls does not.
    pub fn listens(&self) -> bool {
        self.events.is_some()
    }

    /// Listens to new flows, or no more; to changes and ends in any case. The kernel spends a third of the
    /// time of a commit on telling us of what we have just made.
    ///
    /// # Errors
    /// [`Error::Sys`] of `setsockopt`.
    pub fn hear_new(&mut self, hear: bool) -> Result<(), Error> {
        match (&mut self.events, hear) {
            (None, _) => Ok(()),
            (Some(events), true) => events.join(nfnlgrp::CONNTRACK_NEW),
            (Some(events), false) => events.leave_one(nfnlgrp::CONNTRACK_NEW),
        }
    }

    /// Gives up the dumps for this purpose, also one that is under way.
    ///
    /// # Errors
    /// As [`StepDump::open`]; the dump's socket is a new one afterwards if the result is true.
    pub fn give_up(&mut self, why: Why) -> Result<bool, Error> {
        self.dumps.give_up(why)
    }

    /// Asks for a dump of flows, and of expectations if those are wanted.
    pub fn want(&mut self, why: Why) {
        self.want_flows(why);
        if self.judge.wants_expects() {
            self.want_expects(why);
        }
    }

    /// Asks for a dump of the flows alone.
    pub fn want_flows(&mut self, why: Why) {
        self.dumps.want(why, Table::Conntrack);
    }

    /// Asks for a dump of the expectations alone.
    pub fn want_expects(&mut self, why: Why) {
        self.dumps.want(why, Table::Expect);
    }

    /// True while a dump is under way or waiting for its turn.
    pub fn is_dumping(&self) -> bool {
        self.dumps.is_wanted()
    }

    /// Continues the dump under way, or begins the next one.
    ///
    /// # Errors
    /// When a request could not be sent; nothing is being dumped then.
    pub fn step(&mut self, taker: &mut dyn Taker) -> Result<Stepped, Error> {
        self.dumps.step(&self.judge, &mut self.counters, taker)
    }

    /// Sets how often the table is read to be compared slowly; `None` for never.
    pub fn set_review_interval(&mut self, now: Millis, interval: Option<Millis>) {
        // Without events everything is compared at every poll.
        self.review.set(now, interval.filter(|_| self.events.is_some()));
    }

    /// What the review has to do now. Call this, [`Kernel::begin_review`] and [`Kernel::review`] only when all
    /// events have been taken.
    pub fn review_is_due(&self, now: Millis) -> Option<Reviewed> {
        self.review.is_due(now)
    }

    /// Begins to read the table, of about so many flows.
    ///
    /// # Errors
    /// When the request could not be sent.
    pub fn begin_review(&mut self, now: Millis, flows: usize) -> Result<(), Error> {
        self.review.begin(now, flows)
    }

    /// Reads another datagram of it.
    pub fn review(&mut self, now: Millis, taker: &mut dyn Taker) -> Reviewed {
        self.review.step(now, &self.judge, taker)
    }

    /// Whether a review is under way; `None` if there are none at all.
    pub fn reviews(&self) -> Option<bool> {
        self.review.deadline().map(|_| self.review.is_reading())
    }

    /// Gives up the review under way and puts off the next one; true when there was one.
    pub fn give_up_review(&mut self, now: Millis) -> bool {
        self.review.give_up(now)
    }

    /// Whether a comparison with the kernel is due now, after an overrun or because of polling.
    pub fn resync_is_due(&mut self, now: Millis) -> bool {
        self.overrun.resync_is_due(now)
    }

    /// True when a comparison will be due because events were lost, or because the last one failed.
    pub fn resync_is_pending(&self) -> bool {
        self.overrun.resync_is_pending()
    }

    /// Postpones a comparison that could not be made now.
    pub fn resync_later(&mut self, now: Millis) {
        self.overrun.resync_later(now);
    }

    /// When this has to be looked at again if nothing happens.
    pub fn deadline(&self) -> Option<Millis> {
        [self.overrun.deadline(), self.review.deadline()].into_iter().flatten().min()
    }
}
