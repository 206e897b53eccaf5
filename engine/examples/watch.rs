//! Watches flows begin, change and end, and says how many events did not fit the receive buffer.
//!
//! ```text
//! cargo run -p zct-engine --example watch       # as root, or with CAP_NET_ADMIN; until interrupted
//! cargo run -p zct-engine --example watch 10    # ten events
//! ```

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;
use zct_engine::{Error, Handler, Lost, Reactor, Sink, Subscription, SystemZone, Token, Turn};
use zct_wire::consts::nfnlgrp;
use zct_wire::event::Event;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::text::{Out, Style, TextContext, line};

/// Bytes of receive buffer: what bursts may wait in before events are lost. An event takes 1,280 of them,
/// however short it is.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Receive calls of one turn, so that other sources of a larger program would get theirs.
const BUDGET: u32 = 16;

struct Events {
    room: [u8; 1024],
    /// How many are still wanted.
    wanted: u64,
}

impl Sink for Events {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let what = match Event::of(&msg) {
            Some(Event::New) => "new",
            Some(Event::Update) => "update",
            Some(Event::Destroy) => "destroy",
            None => return ControlFlow::Continue(()),
        };
        let mut out = Out::new(&mut self.room);
        let context = TextContext { now_s: 0, zone: &SystemZone::default(), labels: None };
        let flow = FlowView::index(msg);
        match flow.and_then(|f| line::flow(&mut out, &f, &Style::default(), &context)) {
            Ok(()) => println!("{what:>8} {}", String::from_utf8_lossy(out.written())),
            Err(e) => self.lost(Lost::Damaged(e)),
        }
        self.wanted -= 1;
        if self.wanted == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Called by the subscription itself: no event is missing without a word.
    fn lost(&mut self, why: Lost) {
        println!("    lost {why}");
    }
}

struct Program {
    subscription: Subscription,
    events: Events,
}

impl Handler for Program {
    fn ready(&mut self, _: Token, reactor: &mut Reactor) -> Result<Turn, Error> {
        let (turn, flow) = self.subscription.drain(BUDGET, &mut self.events)?;
        if flow.is_break() {
            reactor.stop();
        }
        Ok(turn)
    }

    fn timer(&mut self, _: Token, _: Instant, _: &mut Reactor) -> Result<(), Error> {
        Ok(())
    }
}

fn watch(wanted: u64) -> Result<(), Error> {
    let groups = [nfnlgrp::CONNTRACK_NEW, nfnlgrp::CONNTRACK_UPDATE, nfnlgrp::CONNTRACK_DESTROY];
    // The buffer is sized before the groups are joined, so that it counts from the first event on.
    let enlarge = |socket: &zct_engine::NetlinkSocket| socket.set_receive_buffer(RECEIVE_BUFFER).map(drop);
    let subscription = Subscription::prepare(enlarge, &groups)?;
    let mut reactor = Reactor::new()?;
    reactor.watch(&subscription, Token(0))?;
    eprintln!("watching");
    let events = Events { room: [0; 1024], wanted };
    reactor.run(Instant::now, &mut Program { subscription, events })
}

fn main() -> ExitCode {
    let wanted = match std::env::args().nth(1).map(|n| n.parse()) {
        None => u64::MAX,
        Some(Ok(n)) if n > 0 => n,
        Some(_) => {
            eprintln!("usage: watch [COUNT]");
            return ExitCode::FAILURE;
        }
    };
    match watch(wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("cannot watch: {e}");
            ExitCode::FAILURE
        }
    }
}
