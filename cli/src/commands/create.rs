//! `-I` and `-A`: a flow, or an expectation, from the command line (command-line.md §5.4).

use super::existing::{Added, Adder, Short};
use super::wanted::{FLAGS, Mode, wanted};
use super::{Invocation, Silent};
use crate::fail::{Doing, Fail, operation_failed, warn};
use crate::flags::args::{Args, Ports};
use crate::flags::id::Id;
use zct_engine::Requests;
use zct_wire::consts::{af, nlm_f};
use zct_wire::request::{self, NewExpect};
use zct_wire::tuple::{Addr, Tuple};

/// `-I`, `-A`: creates one flow, or with `-A` updates the one that exists.
pub fn flow(call: &Invocation, mode: Mode) -> Result<(), Fail> {
    let wanted = wanted(call, mode)?;
    let created = Requests::open().and_then(|mut r| {
        let flags = FLAGS | nlm_f::ACK;
        r.ask(|buf, seq| request::new_flow(buf, seq, flags, &wanted.flow), &mut Silent)
    });
    let short = match created {
        Ok(()) => Short { expected: wanted.unexpected, timeout: None },
        Err(e) if mode == Mode::Add && e.errno() == Some(libc::EEXIST) => {
            let added = Adder::open().and_then(|mut adder| adder.add(&[&wanted]));
            match added.map_err(|e| operation_failed(mode.doing(), &e))?.pop() {
                Some(Added::Refused(fail)) => return Err(fail),
                Some(Added::Done(short)) => short,
                None => Short::default(),
            }
        }
        Err(e) => return Err(wanted.refused(mode, &e)),
    };
    for text in Short::warnings(u64::from(short.expected), u64::from(short.timeout.is_some())) {
        warn(text.as_bytes());
    }
    if let Some(text) = wanted.looks_translated() {
        warn(text.as_bytes());
    }
    let done = if mode == Mode::Create { "created" } else { "added" };
    call.name.say(format!("1 flow entries have been {done}.").as_bytes());
    Ok(())
}

/// `-I expect`: creates one expectation.
pub fn expectation(call: &Invocation) -> Result<(), Fail> {
    let args = &call.args;
    let proto = args.protocol.map(|p| p.num);
    let tuple = |src, dst, ports: Ports| Tuple {
        src,
        dst,
        proto,
        src_port: ports.src,
        dst_port: ports.dst,
        ..Tuple::default()
    };
    let mask = |mask: Option<Addr>, id: Id| mask.or_else(|| prefix_of(args, id));
    let new = NewExpect::default().with(|it| {
        it.family = args.family.unwrap_or(af::INET);
        it.tuple = tuple(args.tuple_src.map(|a| a.addr), args.tuple_dst.map(|a| a.addr), args.tuple_ports);
        it.mask = tuple(mask(args.mask_src, Id::MaskSrc), mask(args.mask_dst, Id::MaskDst), args.mask_ports);
        it.master = super::get::orig_tuple(args);
        it.timeout_s = args.timeout;
    });
    let flags = nlm_f::CREATE | nlm_f::EXCL | nlm_f::ACK;
    Requests::open()
        .and_then(|mut r| r.ask(|buf, seq| request::new_expect(buf, seq, flags, &new), &mut Silent))
        .map_err(|e| operation_failed(Doing::CreateExpect, &e))
}

/// The mask given as a prefix length: that of the expected address, or else of the master's.
fn prefix_of(args: &Args, id: Id) -> Option<Addr> {
    let (tuple, orig) = match id {
        Id::MaskSrc => (args.tuple_src, args.orig_src),
        _ => (args.tuple_dst, args.orig_dst),
    };
    tuple.and_then(|a| a.mask).or(orig.and_then(|a| a.mask))
}
