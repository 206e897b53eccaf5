//! `-I` and `-A`: a flow, or an expectation, from the command line (spec/cli.md §5.4).

use super::{Invocation, Silent};
use crate::fail::{Doing, Fail, operation_failed};
use crate::flags::args::{Args, NatOption, Ports};
use crate::flags::table::Id;
use crate::values::label;
use zct_engine::Requests;
use zct_wire::consts::{af, ipproto, nlm_f};
use zct_wire::filter::Masked;
use zct_wire::nat::Nat;
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::request::{self, NewExpect, NewFlow};
use zct_wire::tuple::{Addr, Tuple};

/// What `-A` and `-I` have in common, and what they do when the flow exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `-I`: it must not exist.
    Create,
    /// `-A`: then it is updated.
    Add,
}

impl Mode {
    /// The flags of the request, besides ACK.
    pub fn flags(self) -> u16 {
        match self {
            Mode::Create => nlm_f::CREATE | nlm_f::EXCL,
            Mode::Add => nlm_f::CREATE,
        }
    }

    /// Which words an errno has.
    pub fn doing(self) -> Doing {
        match self {
            Mode::Create => Doing::Create,
            Mode::Add => Doing::Add,
        }
    }
}

/// `-I`, `-A`.
pub fn flow(call: &Invocation, mode: Mode) -> Result<(), Fail> {
    let flow = new_flow(call)?;
    Requests::open()
        .and_then(|mut r| {
            let flags = mode.flags() | nlm_f::ACK;
            r.ask(|buf, seq| request::new_flow(buf, seq, flags, &flow), &mut Silent)
        })
        .map_err(|e| operation_failed(mode.doing(), &e))?;
    let done = if mode == Mode::Create { "created" } else { "added" };
    call.name.say(format!("1 flow entries have been {done}.").as_bytes());
    Ok(())
}

/// The flow that the options describe.
///
/// # Errors
/// A usage error when ports are given for a direction that has no addresses.
pub fn new_flow(call: &Invocation) -> Result<NewFlow<'static>, Fail> {
    let args = &call.args;
    let (orig, reply) = tuples(args)?;
    let (nat_src, nat_dst) = nat(args);
    let labels = label::bits(call.labels.as_deref(), &args.label_add)?;
    Ok(NewFlow {
        family: args.family.unwrap_or(af::INET),
        orig: Some(Tuple { zone: args.orig_zone, ..orig }),
        reply: Some(Tuple { zone: args.reply_zone, ..reply }),
        zone: args.zone,
        timeout_s: args.timeout,
        status: args.status.map(|s| s.set),
        mark: args.mark.map(|m| Masked { value: m.value, mask: u32::MAX }),
        protoinfo: protoinfo(args),
        nat_src,
        nat_dst,
        // Only what is named is set: an existing flow keeps its other labels.
        labels: (!labels.is_empty()).then(|| (label::words(&labels), label::words(&labels))),
        ..NewFlow::default()
    })
}

/// Both directions. One that has no address is the inverse of the other; when both have one, nothing is
/// inferred, and what is missing is zero: a NAT option fills it in.
fn tuples(args: &Args) -> Result<(Tuple, Tuple), Fail> {
    let any_orig = args.orig_src.is_some() || args.orig_dst.is_some();
    let any_reply = args.reply_src.is_some() || args.reply_dst.is_some();
    let orig = side(args, args.orig_src.map(|a| a.addr), args.orig_dst.map(|a| a.addr), args.orig_ports);
    let mut reply = side(args, args.reply_src, args.reply_dst, args.reply_ports);
    if any_orig && any_reply {
        reply.icmp_type = inverse(&orig).icmp_type;
        return Ok((zero_filled(args, orig), zero_filled(args, reply)));
    }
    if any_orig {
        return Ok((orig, inverse(&orig)));
    }
    let has_ports = |ports: Ports| ports.src.is_some() || ports.dst.is_some();
    if has_ports(args.orig_ports) && !has_ports(args.reply_ports) {
        return Err(Fail::usage(
            "the ports of `--reply-src' and `--reply-dst' are given by `--reply-port-src' and `--reply-port-dst'",
        ));
    }
    // An ICMP type is always that of the original direction.
    reply.icmp_type = inverse(&orig).icmp_type;
    let orig = Tuple { icmp_type: orig.icmp_type, ..inverse(&reply) };
    Ok((orig, reply))
}

/// The inverse, with an ICMP type that has no answer left as it is: the kernel then says no.
fn inverse(t: &Tuple) -> Tuple {
    t.inverse().unwrap_or(Tuple { src: t.dst, dst: t.src, ..*t })
}

/// One direction. A protocol with ports of which none is given for this direction is not named either, as
/// in the original: the kernel refuses it.
fn side(args: &Args, src: Option<Addr>, dst: Option<Addr>, ports: Ports) -> Tuple {
    let num = args.protocol.map_or(0, |p| p.num);
    let portless = !args.protocol.is_some_and(|p| p.has_options) || is_icmp(num);
    let named = portless || ports.src.is_some() || ports.dst.is_some();
    Tuple {
        src,
        dst,
        proto: Some(if named { num } else { 0 }),
        src_port: ports.src,
        dst_port: ports.dst,
        icmp_id: is_icmp(num).then(|| args.icmp_id.unwrap_or(0)),
        icmp_type: args.icmp_type,
        icmp_code: args.icmp_code,
        zone: None,
    }
}

fn is_icmp(num: u8) -> bool {
    matches!(num, ipproto::ICMP | ipproto::ICMPV6)
}

fn zero_filled(args: &Args, t: Tuple) -> Tuple {
    let zero = if args.family == Some(af::INET6) { Addr::V6([0; 16]) } else { Addr::V4([0; 4]) };
    Tuple { src: t.src.or(Some(zero)), dst: t.dst.or(Some(zero)), ..t }
}

/// The translations to set up. Ports are translated for TCP and UDP only, as in the original.
///
/// A saved line of a flow with both translations names their addresses and keeps the translated ports in
/// the reply ports; they are taken from there, so that the line restores what it was saved from.
fn nat(args: &Args) -> (Option<Nat>, Option<Nat>) {
    let ports = matches!(args.protocol.map(|p| p.num), Some(ipproto::TCP | ipproto::UDP));
    let both = args.src_nat.flatten().is_some() && args.dst_nat.flatten().is_some();
    let saved = both && args.reply_src.is_none() && args.reply_dst.is_none();
    let from_reply = |port: Option<u16>, before: Option<u16>| port.filter(|p| saved && Some(*p) != before);
    let nat = |option: NatOption, saved_port: Option<u16>| {
        let arg = option.flatten()?;
        Some(Nat { addr: Some(arg.addr), port: arg.port.or(saved_port).filter(|_| ports) })
    };
    (
        nat(args.src_nat, from_reply(args.reply_ports.dst, args.orig_ports.src)),
        nat(args.dst_nat, from_reply(args.reply_ports.src, args.orig_ports.dst)),
    )
}

/// The protocol's part. Window checks of TCP are relaxed: what the windows were nobody knows.
fn protoinfo(args: &Args) -> Option<ProtoInfo> {
    match args.protocol?.num {
        ipproto::TCP => Some(ProtoInfo::Tcp(TcpInfo::created(args.state?))),
        ipproto::SCTP => Some(ProtoInfo::Sctp(SctpInfo { state: args.state, vtag: args.vtag })),
        ipproto::DCCP => {
            Some(ProtoInfo::Dccp(DccpInfo { state: args.state, role: args.role, handshake_seq: None }))
        }
        _ => None,
    }
}

/// `-I expect`.
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
    let new = NewExpect {
        family: args.family.unwrap_or(af::INET),
        tuple: tuple(args.tuple_src.map(|a| a.addr), args.tuple_dst.map(|a| a.addr), args.tuple_ports),
        mask: tuple(mask(args.mask_src, Id::MaskSrc), mask(args.mask_dst, Id::MaskDst), args.mask_ports),
        master: super::get::orig_tuple(args),
        timeout_s: args.timeout,
        ..NewExpect::default()
    };
    let flags = nlm_f::CREATE | nlm_f::EXCL | nlm_f::ACK;
    Requests::open()
        .and_then(|mut r| r.ask(|buf, seq| request::new_expect(buf, seq, flags, &new), &mut Silent))
        .map_err(|e| operation_failed(Doing::CreateExpect, &e))
}

/// The mask that a prefix length stands for: of the expected address, else of the master's.
fn prefix_of(args: &Args, id: Id) -> Option<Addr> {
    let (tuple, orig) = match id {
        Id::MaskSrc => (args.tuple_src, args.orig_src),
        _ => (args.tuple_dst, args.orig_dst),
    };
    tuple.and_then(|a| a.mask).or(orig.and_then(|a| a.mask))
}
