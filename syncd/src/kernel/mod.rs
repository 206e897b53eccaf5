//! The kernel's side: events as they come, dumps in steps, and what is done when events were lost
//! (spec/conntrackd.md §9).
//!
//! The groups are joined before the first dump, so nothing falls in between. While a dump runs, events overtake
//! it: the kernel has made the datagram that waits in the dump's socket before they happened. What such a
//! datagram says about a flow that had an event since is older than what is known, and is passed over.

pub mod commit;
pub mod event_bpf;
pub mod flush;
pub mod inject;
pub mod restore;

use crate::config::flow_filter::{FlowFilter, Subject, Verdict};
use crate::config::settings::{Expectations, Filter, FilterFrom, General};
use crate::host::log::Log;
use crate::peer::{Event, Millis, Origin};
use std::ops::ControlFlow;
use zct_engine::events::EVENT_BYTES;
use zct_engine::{BpfInsn, Error, Lost, Progress, Sink, StepDump, Subscription, Turn};
use zct_wire::WireError;
use zct_wire::consts::{ipctnl, nfnlgrp};
use zct_wire::expect::ExpectView;
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{Table, dump};

/// Events that one system call may bring.
const EVENTS_A_CALL: u32 = 64;
/// Datagrams of a dump in one turn: some 130 flows each.
const DUMP_A_TURN: u32 = 4;

/// Where flows and expectations go that have passed the filters.
pub trait Taker {
    /// An event.
    fn flow(&mut self, event: Event, origin: Origin, flow: &FlowView<'_>) -> Result<(), WireError>;
    /// An event of an expectation.
    fn expect(&mut self, event: Event, origin: Origin, expect: &ExpectView<'_>) -> Result<(), WireError>;
    /// A flow of a dump.
    fn dumped(&mut self, why: Why, flow: &FlowView<'_>) -> Result<(), WireError>;
    /// An expectation of a dump.
    fn expect_dumped(&mut self, why: Why, expect: &ExpectView<'_>) -> Result<(), WireError>;
    /// True when this flow is in the cache: its end matters then, whatever state it ended in.
    fn knows(&self, flow: &FlowView<'_>) -> bool;
}

/// What a dump is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// To know the flows: at the start, and for `-R`. Nothing is sent.
    Populate,
    /// To find what was missed; then everything is sent, and what the kernel no longer has ends.
    Resync,
    /// To send the table, of which nothing is kept (`DisableInternalCache`).
    Bulk,
}

/// A dump that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Job {
    why: Why,
    table: Table,
}

/// What has come of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Nothing is to be done.
    Idle,
    /// There is more to do at once.
    More,
    /// It waits for the kernel.
    Waiting,
    /// All that was asked for to this end has been dumped.
    Done(Why),
    /// It has failed, or is known to be incomplete; nothing more is dumped to this end.
    Failed(Why),
}

/// Netlink ports of our own sockets, whose changes come back as events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    /// Of the commit.
    pub commit: u32,
    /// Of the direct injection.
    pub inject: u32,
    /// Of the purge. The flush on demand has none: what it deletes reaches the peer.
    pub purge: u32,
}

impl Ports {
    fn origin(&self, port: u32) -> Origin {
        match port {
            0 => Origin::Kernel,
            p if p == self.commit => Origin::Commit,
            p if p == self.inject => Origin::Inject,
            p if p == self.purge => Origin::Flush,
            _ => Origin::Kernel,
        }
    }
}

/// What `-s runtime` says about netlink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// "events received".
    pub events: u64,
    /// "events filtered".
    pub filtered: u64,
    /// "events unknown type".
    pub unknown_events: u64,
    /// "catch event failed": overruns, and messages that made no sense.
    pub failed: u64,
    /// "dump unknown type".
    pub unknown_dumped: u64,
    /// "netlink overrun".
    pub overruns: u64,
    /// Events that were lost in them; the original does not know.
    pub lost: u64,
    /// "flush kernel table".
    pub flushes: u64,
    /// "resync with kernel table".
    pub resyncs: u64,
}

/// What the filters know.
#[derive(Debug)]
struct Judge {
    flows: FlowFilter,
    expects: Expectations,
    ports: Ports,
    counters: Counters,
    /// Ids of flows that had events since the last datagram of the dump under way.
    touched: Vec<u32>,
    dumping: bool,
    overrun: bool,
}

/// Events and dumps.
#[derive(Debug)]
pub struct Kernel {
    settings: General,
    events: Option<Subscription>,
    judge: Judge,
    dump: StepDump,
    jobs: Vec<Job>,
    job: Option<Job>,
    /// The dump under way is known to have lost something.
    incomplete: bool,
    resync_at: Option<Millis>,
    poll_at: Option<Millis>,
    told_limit: bool,
    buffer: usize,
}

impl Kernel {
    /// Opens the sockets and joins the groups.
    ///
    /// # Errors
    /// EPERM without CAP_NET_ADMIN, EPROTONOSUPPORT without ctnetlink.
    pub fn open(settings: &General, expects: Expectations, log: &mut Log) -> Result<Kernel, Error> {
        let mut groups = vec![nfnlgrp::CONNTRACK_NEW, nfnlgrp::CONNTRACK_UPDATE, nfnlgrp::CONNTRACK_DESTROY];
        if expects != Expectations::Off {
            groups.extend([
                nfnlgrp::CONNTRACK_EXP_NEW,
                nfnlgrp::CONNTRACK_EXP_UPDATE,
                nfnlgrp::CONNTRACK_EXP_DESTROY,
            ]);
        }
        let mut kernel = Kernel {
            settings: settings.clone(),
            events: None,
            judge: Judge {
                flows: FlowFilter::new(&settings.filter),
                expects,
                ports: Ports::default(),
                counters: Counters::default(),
                touched: Vec::new(),
                dumping: false,
                overrun: false,
            },
            dump: StepDump::open()?,
            jobs: Vec::new(),
            job: None,
            incomplete: false,
            resync_at: None,
            poll_at: None,
            told_limit: false,
            buffer: 0,
        };
        if settings.poll_s.is_some() {
            log.notice("running in polling mode");
            return Ok(kernel);
        }
        let program = kernel_part(&settings.filter);
        if !kernel.judge.flows.is_empty() {
            let place = if program.is_some() { "kernel" } else { "user" };
            log.notice(&format!("using {place}-space event filtering"));
        }
        let subscription = Subscription::prepare(
            |socket| {
                match settings.netlink_buffer_size {
                    // The kernel doubles the value; the setting is what is wanted in the end.
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
        )?;
        kernel.buffer = subscription.socket().receive_buffer()?;
        log.notice(&format!("netlink event socket buffer size has been set to {} bytes", kernel.buffer));
        kernel.events = Some(subscription);
        Ok(kernel)
    }

    /// The event socket, to be watched.
    pub fn events(&self) -> Option<&Subscription> {
        self.events.as_ref()
    }

    /// The dump's socket, to be watched.
    pub fn dump_socket(&self) -> &StepDump {
        &self.dump
    }

    /// What it has counted.
    pub fn counters(&self) -> Counters {
        self.judge.counters
    }

    /// The same, to count what others do.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.judge.counters
    }

    /// Bytes of the event socket's buffer, as the kernel counts.
    pub fn buffer(&self) -> usize {
        self.buffer
    }

    /// Events that the buffer holds (spec/ctnetlink.md §5.6); any number where nobody listens.
    pub fn buffer_events(&self) -> usize {
        if self.events.is_some() { self.buffer / EVENT_BYTES } else { usize::MAX }
    }

    /// Says which sockets are our own.
    pub fn set_ports(&mut self, ports: Ports) {
        self.judge.ports = ports;
    }

    /// The filter in use.
    pub fn filter(&self) -> &FlowFilter {
        &self.judge.flows
    }

    /// Takes over what can be changed while running; a filter in the kernel is replaced.
    pub fn reload(&mut self, settings: &General, expects: Expectations) -> Result<(), Error> {
        let buffer = settings
            .netlink_buffer_size
            .filter(|_| settings.netlink_buffer_size != self.settings.netlink_buffer_size);
        self.settings = settings.clone();
        self.judge.flows = FlowFilter::new(&settings.filter);
        self.judge.expects = expects;
        self.told_limit = false;
        self.poll_at = None;
        if let Some(events) = &self.events {
            match kernel_part(&settings.filter) {
                Some(code) => events.socket().attach_filter(&code)?,
                None => events.socket().detach_filter()?,
            }
            if let Some(bytes) = buffer {
                self.buffer = events.socket().set_receive_buffer(bytes as usize / 2)?;
            }
        }
        Ok(())
    }

    /// Takes events, up to EventIterationLimit of them.
    pub fn events_ready(&mut self, now: Millis, taker: &mut dyn Taker, log: &mut Log) -> Result<Turn, Error> {
        let Some(events) = &mut self.events else { return Ok(Turn::Drained) };
        let calls = self.settings.event_iteration_limit.div_ceil(EVENTS_A_CALL).max(1);
        self.judge.dumping = self.dump.is_running();
        let mut sink = EventSink { judge: &mut self.judge, taker };
        let (turn, _) = events.drain(calls, &mut sink)?;
        if std::mem::take(&mut self.judge.overrun) {
            self.overran(now, log)?;
        }
        Ok(turn)
    }

    /// Events were lost: room for more next time, and a comparison with the kernel.
    fn overran(&mut self, now: Millis, log: &mut Log) -> Result<(), Error> {
        if let Some(events) = &self.events {
            let wanted = self.buffer.saturating_mul(2);
            if wanted <= self.settings.netlink_buffer_size_max as usize {
                self.buffer = events.socket().set_receive_buffer(wanted / 2)?;
                log.notice(&format!(
                    "netlink event socket buffer size has been doubled to {} bytes",
                    self.buffer
                ));
            } else if !self.told_limit {
                self.told_limit = true;
                log.warning(&format!(
                    "netlink event socket buffer is full: events were lost. Its size of {} bytes cannot be \
                     doubled within NetlinkBufferSizeMaxGrowth",
                    self.buffer
                ));
            }
        }
        if let Some(s) = self.settings.netlink_overrun_resync_s {
            self.resync_at = Some(now + Millis::from(s) * 1000);
        }
        Ok(())
    }

    /// Asks for a dump; one that is asked for already serves both.
    pub fn want(&mut self, why: Why) {
        self.want_table(Job { why, table: Table::Conntrack });
        if self.judge.expects != Expectations::Off {
            self.want_expects(why);
        }
    }

    /// Asks for a dump of the flows alone.
    pub fn want_flows(&mut self, why: Why) {
        self.want_table(Job { why, table: Table::Conntrack });
    }

    /// Asks for a dump of the expectations alone.
    pub fn want_expects(&mut self, why: Why) {
        self.want_table(Job { why, table: Table::Expect });
    }

    fn want_table(&mut self, job: Job) {
        if !self.jobs.contains(&job) {
            self.jobs.push(job);
        }
    }

    /// True while a dump runs or waits for its turn.
    pub fn is_dumping(&self) -> bool {
        self.job.is_some() || !self.jobs.is_empty()
    }

    /// What has to be compared with the kernel now: the overrun's time has come, or the next poll.
    pub fn resync_is_due(&mut self, now: Millis) -> bool {
        if let Some(s) = self.settings.poll_s {
            let due = self.poll_at.is_some_and(|at| at <= now);
            if due || self.poll_at.is_none() {
                self.poll_at = Some(now + Millis::from(s) * 1000);
            }
            return due;
        }
        let due = self.resync_at.is_some_and(|at| at <= now);
        if due {
            self.resync_at = None;
        }
        due
    }

    /// Compare again later, because it could not be done now.
    pub fn resync_later(&mut self, now: Millis) {
        if self.settings.poll_s.is_some() {
            // The next poll does it.
            return;
        }
        let wait_s = self.settings.netlink_overrun_resync_s.unwrap_or(30).max(1);
        self.resync_at = Some(now + Millis::from(wait_s) * 1000);
    }

    /// When to look at it again if nothing happens.
    pub fn deadline(&self) -> Option<Millis> {
        [self.resync_at, self.poll_at].into_iter().flatten().min()
    }

    /// Goes on with the dump under way, or begins the next one.
    ///
    /// # Errors
    /// A request that could not be sent: nothing is dumped any more.
    pub fn step(&mut self, taker: &mut dyn Taker) -> Result<Stepped, Error> {
        let job = match self.job {
            Some(job) => job,
            None if self.jobs.is_empty() => return Ok(Stepped::Idle),
            None => {
                let job = self.jobs.remove(0);
                let begun = self.dump.begin(|buf, seq| dump(buf, seq, job.table, &DumpFilter::default()));
                if let Err(e) = begun {
                    self.jobs.clear();
                    return Err(e);
                }
                (self.job, self.incomplete) = (Some(job), false);
                self.judge.touched.clear();
                job
            }
        };
        self.judge.touched.sort_unstable();
        let mut sink = DumpSink { judge: &mut self.judge, taker, why: job.why, incomplete: false };
        let mut progress = Ok(Progress::More);
        for _ in 0..DUMP_A_TURN {
            progress = self.dump.step(1, &mut sink);
            // The next datagram is made by now: events from here on are newer than it.
            sink.judge.touched.clear();
            if !matches!(progress, Ok(Progress::More)) {
                break;
            }
        }
        self.incomplete |= sink.incomplete;
        let failed = match progress {
            Ok(Progress::More) => return Ok(Stepped::More),
            Ok(Progress::Waiting) => return Ok(Stepped::Waiting),
            Ok(Progress::Done) => self.incomplete,
            Err(_) => true,
        };
        self.job = None;
        if failed {
            self.jobs.retain(|j| j.why != job.why);
            return Ok(Stepped::Failed(job.why));
        }
        let more = self.jobs.iter().any(|j| j.why == job.why);
        Ok(if more { Stepped::More } else { Stepped::Done(job.why) })
    }
}

/// The part of the filter that is put into the kernel, if that is asked for.
fn kernel_part(filter: &Filter) -> Option<Vec<BpfInsn>> {
    if filter.from == FilterFrom::Kernelspace { event_bpf::program(filter) } else { None }
}

impl Judge {
    /// Judges a flow. One that lacks an address passes nothing: it could neither be told from others nor be
    /// committed.
    fn flow(&self, view: &FlowView<'_>) -> Result<Verdict, WireError> {
        if self.flows.is_empty() {
            return Ok(Verdict::Pass);
        }
        Ok(Subject::of(view)?.map_or(Verdict::Address, |s| self.flows.judge(&s)))
    }

    /// True when expectations of this helper are wanted.
    fn expect(&self, helper: Option<&[u8]>) -> bool {
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

/// Judges events and hands on what passes.
struct EventSink<'a> {
    judge: &'a mut Judge,
    taker: &'a mut dyn Taker,
}

impl EventSink<'_> {
    fn flow(&mut self, event: Event, msg: CtMsg<'_>) -> Result<(), WireError> {
        let origin = self.judge.ports.origin(msg.hdr.portid.get());
        let view = FlowView::index(msg)?;
        if self.judge.dumping {
            if let Some(id) = view.id()? {
                self.judge.touched.push(id);
            }
        }
        let passes = match self.judge.flow(&view)? {
            Verdict::Pass => true,
            // The original loses the end of such a flow, and the peer keeps it for ever.
            Verdict::State => event == Event::Destroy && self.taker.knows(&view),
            Verdict::Protocol | Verdict::Address => false,
        };
        if !passes {
            self.judge.counters.filtered += 1;
            return Ok(());
        }
        self.taker.flow(event, origin, &view)
    }

    fn expect(&mut self, event: Event, msg: CtMsg<'_>) -> Result<(), WireError> {
        let origin = self.judge.ports.origin(msg.hdr.portid.get());
        let view = ExpectView::index(msg)?;
        if !self.judge.expect(view.helper()) {
            self.judge.counters.filtered += 1;
            return Ok(());
        }
        self.taker.expect(event, origin, &view)
    }
}

impl Sink for EventSink<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        self.judge.counters.events += 1;
        let Some(event) = Event::of(&msg) else {
            self.judge.counters.unknown_events += 1;
            return ControlFlow::Continue(());
        };
        let done = match msg.kind() {
            ipctnl::NEW | ipctnl::DELETE => self.flow(event, msg),
            _ => self.expect(event, msg),
        };
        if done.is_err() {
            self.judge.counters.failed += 1;
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.judge.counters.failed += 1;
        if let Lost::Overrun { count } = why {
            self.judge.counters.overruns += 1;
            self.judge.counters.lost += count.unwrap_or(1);
        }
        // A damaged or truncated event is as lost as one that did not fit.
        self.judge.overrun = true;
    }
}

/// Judges what a dump brings.
struct DumpSink<'a> {
    judge: &'a mut Judge,
    taker: &'a mut dyn Taker,
    why: Why,
    incomplete: bool,
}

impl DumpSink<'_> {
    fn flow(&mut self, msg: CtMsg<'_>) -> Result<(), WireError> {
        let view = FlowView::index(msg)?;
        let overtaken = !self.judge.touched.is_empty()
            && view.id()?.is_some_and(|id| self.judge.touched.binary_search(&id).is_ok());
        if overtaken || self.judge.flow(&view)? != Verdict::Pass {
            return Ok(());
        }
        self.taker.dumped(self.why, &view)
    }
}

impl Sink for DumpSink<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let done = match Event::of(&msg) {
            None | Some(Event::Destroy) => {
                self.judge.counters.unknown_dumped += 1;
                return ControlFlow::Continue(());
            }
            Some(_) if msg.kind() == ipctnl::NEW => self.flow(msg),
            Some(_) => ExpectView::index(msg).and_then(|view| {
                if self.judge.expect(view.helper()) {
                    self.taker.expect_dumped(self.why, &view)
                } else {
                    Ok(())
                }
            }),
        };
        if done.is_err() {
            self.incomplete = true;
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {
        self.incomplete = true;
    }
}
