//! `-G`: one entry, asked for by its tuple.

use super::shown::Flows;
use super::{Invocation, Outcome, output_failed};
use crate::fail::{Doing, Fail, operation_failed};
use crate::flags::args::{Args, Ports};
use crate::output::{Document, Presenter};
use crate::stdout::PrintError;
use std::ops::ControlFlow;
use zct_engine::{Error, Lost, Requests, Sink};
use zct_wire::consts::af;
use zct_wire::expect::ExpectView;
use zct_wire::header::CtMsg;
use zct_wire::request;
use zct_wire::tuple::{Addr, Tuple};

/// The original tuple of the command line.
pub(super) fn orig_tuple(args: &Args) -> Tuple {
    tuple(args, args.orig_src.map(|a| a.addr), args.orig_dst.map(|a| a.addr), args.orig_ports)
}

fn tuple(args: &Args, src: Option<Addr>, dst: Option<Addr>, ports: Ports) -> Tuple {
    Tuple {
        src,
        dst,
        proto: args.protocol.map(|p| p.num),
        src_port: ports.src,
        dst_port: ports.dst,
        // The kernel requires all three ICMP members or none.
        icmp_id: args.icmp_id.or(args.icmp_type.map(|_| 0)),
        icmp_type: args.icmp_type,
        icmp_code: args.icmp_code,
        zone: None,
    }
}

/// `-G`: prints the one flow with this tuple.
pub fn flow(call: &Invocation) -> Result<(), Fail> {
    let orig = orig_tuple(&call.args);
    if orig.src.is_none() || orig.dst.is_none() {
        // The original cannot ask by the reply tuple, and scripts know this answer.
        let refused = Error::Refused { errno: libc::EINVAL, hint: None };
        return Err(operation_failed(Doing::Get, &refused));
    }
    let mut sink = Flows::new(call)?;
    let family = call.args.family.unwrap_or(af::INET);
    let asked = Requests::open().and_then(|mut r| {
        r.ask(|buf, seq| request::get(buf, seq, family, Some(&orig), None, None), &mut sink)
    });
    sink.finish(false);
    asked.map_err(|e| operation_failed(Doing::Get, &e))?;
    let shown = sink.outcome.check()?;
    call.name.say(format!("{shown} flow entries have been shown.").as_bytes());
    if shown == 0 { Err(Fail::silent()) } else { Ok(()) }
}

struct ShownExpectation {
    presenter: Presenter,
    outcome: Outcome,
}

impl Sink for ShownExpectation {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        match ExpectView::index(msg) {
            Ok(e) => {
                let printed = self.presenter.expect(&e, None);
                self.outcome.note(printed);
            }
            Err(e) => self.outcome.lost(Lost::Damaged(e)),
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.outcome.lost(why);
    }
}

/// `-G expect`: the key is the expected tuple, given as the original direction.
pub fn expectation(call: &Invocation) -> Result<(), Fail> {
    let presenter =
        Presenter::stdout(&call.args.output, Document::Expect, None).map_err(|e| output_failed(&e))?;
    let mut sink = ShownExpectation { presenter, outcome: Outcome::default() };
    let key = orig_tuple(&call.args);
    let family = call.args.family.unwrap_or(af::INET);
    let asked = Requests::open()
        .and_then(|mut r| r.ask(|buf, seq| request::get_expect(buf, seq, family, &key, None), &mut sink));
    if let Err(e) = sink.presenter.flush() {
        sink.outcome.note(Err(PrintError::Io(e)));
    }
    asked.map_err(|e| operation_failed(Doing::Other, &e))?;
    sink.outcome.check().map(drop)
}
