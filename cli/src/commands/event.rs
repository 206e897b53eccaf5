//! `-E`: events as they happen, until SIGINT or SIGTERM.

use super::{Invocation, Outcome, output_failed};
use crate::event_bpf;
use crate::fail::{Doing, Fail, Name, operation_failed, warn};
use crate::filter::Filter;
use crate::flags::selection;
use crate::output::{Document, Format, Happened, Presenter, now};
use crate::program::Programs;
use crate::stdout::PrintError;
use crate::values::list::EVENTS_ALL;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use zct_engine::{
    Error, Handler, Lost, Pace, Reactor, Signals, Sink, Subscription, Token, Turn, errno_text, pace,
};
use zct_wire::WireError;
use zct_wire::consts::{cta, nfnlgrp};
use zct_wire::event::Event;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::text::EventTime;

const EVENTS: Token = Token(0);
const SIGNALS: Token = Token(1);
const BURST: Token = Token(2);
/// Receive calls per turn, of up to 64 events each. Signals are looked at after that.
const BUDGET: u32 = 64;
/// Events that should fit the receive buffer when `-b` is not given.
const BURST_EVENTS: usize = 100_000;
/// The room one event takes in it, however long it is (ctnetlink.md §5.6).
const EVENT_BYTES: usize = 1280;
/// Losses that are closer together than this belong to one burst.
const QUIET: Duration = Duration::from_secs(1);

/// What the events are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Events of flows.
    Flows,
    /// Events of expectations.
    Expectations,
}

/// Prints the events that match.
struct Printed {
    subject: Subject,
    filter: Filter,
    presenter: Presenter,
    programs: Programs,
    outcome: Outcome,
    loss: Loss,
    /// True once the user has been told that `-c` selects nothing.
    told: bool,
}

/// What the kernel had to drop, in total and in the current burst.
#[derive(Default)]
struct Loss {
    total: u64,
    burst: u64,
    /// The size of the burst when the timer was set.
    seen: u64,
    /// True when a burst has begun or grown since the last look.
    news: bool,
    damaged: Option<WireError>,
}

impl Printed {
    fn flow(&mut self, msg: CtMsg<'_>, kind: Event) -> Result<Option<Result<(), PrintError>>, WireError> {
        let f = FlowView::index(msg)?;
        if !self.filter.matches(&f)? {
            return Ok(None);
        }
        if self.filter.secmark.is_some() && !f.has(cta::SECMARK) && !std::mem::replace(&mut self.told, true) {
            warn(super::NO_SECMARKS);
        }
        let time = f.event_time_ns()?.map_or_else(now, EventTime::from_ns);
        let what = happened(&mut self.programs, &self.presenter, msg, kind, time);
        Ok(Some(self.presenter.flow_event(&f, &what)))
    }

    fn expectation(&mut self, msg: CtMsg<'_>, kind: Event) -> Result<Result<(), PrintError>, WireError> {
        let e = ExpectView::index(msg)?;
        let what = happened(&mut self.programs, &self.presenter, msg, kind, now());
        Ok(self.presenter.expect(&e, Some(&what)))
    }

    /// Writes out what has been printed so far; false when the output no longer works.
    fn flush(&mut self) -> bool {
        let flushed = self.presenter.flush();
        flushed.map_err(|e| self.outcome.note(Err(PrintError::Io(e)))).is_ok()
    }
}

/// Time and cause of an event. The program is looked up only where its name is printed.
fn happened<'a>(
    programs: &'a mut Programs,
    presenter: &Presenter,
    msg: CtMsg<'_>,
    kind: Event,
    time: EventTime,
) -> Happened<'a> {
    let portid = msg.port();
    let named = portid != 0 && presenter.format() != Format::Xml;
    let program = if named { programs.name(portid) } else { None };
    Happened { kind, time, portid, program }
}

impl Sink for Printed {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let Some(kind) = Event::of(&msg) else { return ControlFlow::Continue(()) };
        let printed = match self.subject {
            Subject::Flows => self.flow(msg, kind),
            Subject::Expectations => self.expectation(msg, kind).map(Some),
        };
        let goes_on = match printed {
            Ok(None) => true,
            Ok(Some(printed)) => self.outcome.note(printed),
            Err(e) => {
                self.lost(Lost::Damaged(e));
                true
            }
        };
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn lost(&mut self, why: Lost) {
        let count = match why {
            Lost::Overrun { count } => count.unwrap_or(1),
            Lost::Damaged(e) => {
                self.loss.damaged.get_or_insert(e);
                1
            }
            _ => 1,
        };
        self.loss.total += count;
        self.loss.burst += count;
        self.loss.news = true;
        let said = self.presenter.lost(count, now());
        if let Err(e) = said {
            self.outcome.note(Err(e));
        }
    }
}

struct Listener {
    name: Name,
    events: Subscription,
    signals: Signals,
    sink: Printed,
    /// `None` when the receive buffer is too small to rest.
    pace: Option<Pace>,
    /// True between the first loss of a burst and the first quiet second after it.
    in_burst: bool,
}

impl Listener {
    /// Prints what is queued, bounded by the budget; `Break` when the output is gone.
    fn drain(&mut self) -> Result<(Turn, ControlFlow<()>), Error> {
        let (turn, flow) = self.events.drain(BUDGET, &mut self.sink)?;
        if flow.is_break() || (turn == Turn::Drained && !self.sink.flush()) {
            return Ok((turn, ControlFlow::Break(())));
        }
        Ok((turn, ControlFlow::Continue(())))
    }

    /// Warns that events are being lost, once per burst.
    fn warn_of_losses(&mut self, reactor: &mut Reactor) {
        if !std::mem::take(&mut self.sink.loss.news) || self.in_burst {
            return;
        }
        self.in_burst = true;
        self.sink.loss.seen = self.sink.loss.burst;
        reactor.set_timer(Instant::now() + QUIET, BURST);
        warn(b"WARNING: We have hit ENOBUFS! We are losing events.");
        warn(b"This message means that the current netlink socket buffer size is too small.");
        warn(b"Please, check --buffer-size in conntrack(8) manpage.");
    }

    fn end_burst(&mut self) {
        let lost = std::mem::take(&mut self.sink.loss.burst);
        if lost > 0 {
            self.name.say(format!("{lost} events have been lost.").as_bytes());
        }
        self.in_burst = false;
    }

    /// After a signal: takes no new events, prints those that are queued, and ends the document.
    fn finish(&mut self) -> Result<(), Error> {
        // A second signal ends the program at once, even if the reader of our output is slow.
        self.signals.release()?;
        self.events.leave()?;
        loop {
            let (turn, flow) = self.drain()?;
            if turn == Turn::Drained || flow.is_break() {
                break;
            }
        }
        if let Err(e) = self.sink.presenter.close() {
            self.sink.outcome.note(Err(e));
        }
        self.sink.flush();
        Ok(())
    }
}

impl Handler for Listener {
    fn ready(&mut self, token: Token, reactor: &mut Reactor) -> Result<Turn, Error> {
        if token == SIGNALS {
            if self.signals.pending()?.is_some() {
                reactor.stop();
            }
            return Ok(Turn::Drained);
        }
        let (turn, flow) = self.drain()?;
        self.warn_of_losses(reactor);
        if flow.is_break() {
            reactor.stop();
        } else if let (Turn::Drained, Some(pace)) = (turn, &mut self.pace) {
            if let Some(rest) = pace.rest(self.events.received(), Instant::now()) {
                // Signals can wait this long too.
                std::thread::sleep(rest);
            }
        }
        Ok(turn)
    }

    fn timer(&mut self, _: Token, now: Instant, reactor: &mut Reactor) -> Result<(), Error> {
        let loss = &mut self.sink.loss;
        if loss.burst == loss.seen {
            self.end_burst();
        } else {
            loss.seen = loss.burst;
            reactor.set_timer(now + QUIET, BURST);
        }
        Ok(())
    }
}

/// `-E`, `-E expect`: prints events until a signal ends it.
pub fn listen(call: &Invocation, subject: Subject) -> Result<(), Fail> {
    let args = &call.args;
    let signals =
        Signals::take(&[libc::SIGINT, libc::SIGTERM]).map_err(|e| operation_failed(Doing::Other, &e))?;
    let filter = selection::filter(args, call.label_bits.clone());
    let program = if subject == Subject::Flows { event_bpf::program(&filter) } else { None };
    let mut buffer = None;
    let events = Subscription::prepare(
        |socket| {
            match args.buffer_size {
                Some(bytes) => buffer = Some(socket.set_receive_buffer(bytes)?),
                // Whatever the kernel grants is good enough.
                None => _ = socket.set_receive_buffer(default_buffer()),
            }
            program.as_deref().map_or(Ok(()), |program| socket.attach_filter(program))
        },
        &groups(call, subject),
    )
    .map_err(|e| not_opened(subject, &e))?;
    if let Some(bytes) = buffer {
        warn(format!("NOTICE: Netlink socket buffer size has been set to {bytes} bytes.").as_bytes());
    }
    let document = if subject == Subject::Flows { Document::Conntrack } else { Document::Expect };
    let presenter = Presenter::stdout(&args.output, document, call.labels.clone());
    let sink = Printed {
        subject,
        filter,
        presenter: presenter.map_err(|e| output_failed(&e))?,
        programs: Programs::default(),
        outcome: Outcome::default(),
        loss: Loss::default(),
        told: false,
    };
    let room = events.socket().receive_buffer().map_err(|e| not_opened(subject, &e))?;
    let pace = (room >= pace::ROOM).then(|| Pace::new(Instant::now()));
    let mut listener = Listener { name: call.name, events, signals, sink, pace, in_burst: false };
    run(&mut listener).map_err(|e| receive_failed(&e))?;
    listener.end_burst();
    let Printed { outcome, loss, .. } = listener.sink;
    let shown = outcome.check()?;
    if let Some(e) = loss.damaged {
        warn(format!("WARNING: unreadable events were counted as lost, the first one: {e}").as_bytes());
    }
    let what = if subject == Subject::Flows { "flow" } else { "expectation" };
    call.name.say(format!("{shown} {what} events have been shown.").as_bytes());
    if loss.total > 0 {
        call.name.say(format!("{} {what} events have been lost.", loss.total).as_bytes());
    }
    Ok(())
}

fn run(listener: &mut Listener) -> Result<(), Error> {
    let mut reactor = Reactor::new()?;
    reactor.watch(&listener.events, EVENTS)?;
    reactor.watch(&listener.signals, SIGNALS)?;
    reactor.run(Instant::now, listener)?;
    listener.finish()
}

/// Half of what a burst of events needs, because the kernel doubles it, but at most half of 1/64 of the
/// machine's memory, which matters on small routers.
fn default_buffer() -> usize {
    let kib = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
        line.split_ascii_whitespace().next()?.parse::<usize>().ok()
    });
    let share = kib.map_or(usize::MAX, |k| k.saturating_mul(1024) / 64);
    (BURST_EVENTS * EVENT_BYTES).min(share) / 2
}

/// The multicast groups to join: only those asked for, because each costs the kernel time for every flow.
fn groups(call: &Invocation, subject: Subject) -> Vec<u32> {
    if subject == Subject::Expectations {
        return vec![
            nfnlgrp::CONNTRACK_EXP_NEW,
            nfnlgrp::CONNTRACK_EXP_UPDATE,
            nfnlgrp::CONNTRACK_EXP_DESTROY,
        ];
    }
    let mask = call.args.events.unwrap_or(EVENTS_ALL);
    (nfnlgrp::CONNTRACK_NEW..=nfnlgrp::CONNTRACK_DESTROY).filter(|group| mask >> group & 1 == 1).collect()
}

/// The original's words for a socket that cannot be opened, and what is missing.
fn not_opened(subject: Subject, error: &Error) -> Fail {
    let Error::Sys { op, source } = error else { return operation_failed(Doing::Other, error) };
    let errno = source.raw_os_error().unwrap_or(0);
    let denied = errno == libc::EPERM;
    if *op == "socket" {
        return operation_failed(Doing::Other, error);
    }
    if denied && subject == Subject::Expectations {
        return Fail::runtime("Can't open handler");
    }
    warn(format!("mnl_socket_bind: {}", errno_text(errno)).as_bytes());
    if denied {
        return Fail::runtime("Can't open netlink socket: listening to events needs CAP_NET_ADMIN");
    }
    Fail::runtime("Can't open netlink socket")
}

fn receive_failed(error: &Error) -> Fail {
    match error.errno() {
        Some(errno) => Fail::runtime(format!("failed to received netlink event: {}", errno_text(errno))),
        None => Fail::runtime(format!("failed to received netlink event: {error}")),
    }
}
