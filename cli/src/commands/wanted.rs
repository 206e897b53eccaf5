//! The flow that a line of `-I` or `-A` describes, and why the kernel did not take it.

use super::{Invocation, refused};
use crate::fail::{Doing, Fail, operation_failed};
use crate::flags::args::{Args, NatOption, Ports};
use crate::values::label;
use crate::values::nat::NatArg;
use zct_engine::Error;
use zct_wire::consts::{af, ipproto, ips, nlm_f};
use zct_wire::filter::Masked;
use zct_wire::nat::Nat;
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::request::NewFlow;
use zct_wire::text::Out;
use zct_wire::tuple::{Addr, Tuple};

/// What to do when the flow already exists; otherwise `-I` and `-A` do the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `-I`: that is an error.
    Create,
    /// `-A`: the flow is updated.
    Add,
}

/// The flags of a request that creates, besides ACK. `-A` sends them too, and does not leave it to the
/// kernel to update a flow that exists: that would ignore the reply direction, switch TCP to liberal window
/// tracking, and refuse the rest.
pub const FLAGS: u16 = nlm_f::CREATE | nlm_f::EXCL;

impl Mode {
    /// The command whose words an errno gets.
    pub fn doing(self) -> Doing {
        match self {
            Mode::Create => Doing::Create,
            Mode::Add => Doing::Add,
        }
    }
}

/// The flow that a line of `-I` or `-A` describes.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The request that creates it.
    pub flow: NewFlow<'static>,
    /// What the line says about the reply direction of a flow that exists, if anything.
    pub reply: Option<Reply>,
    /// True when `-u EXPECTED` was left out, because the kernel sets it only together with a master, which
    /// no option can name.
    pub unexpected: bool,
}

/// What the reply direction has to be; a port that is `None` may be any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Where answers come from, and from which port.
    pub src: (Option<Addr>, Option<u16>),
    /// Where answers go to, and to which port.
    pub dst: (Option<Addr>, Option<u16>),
}

impl Wanted {
    /// Why the kernel did not create it: the original's words, followed by what they mean here.
    pub(crate) fn refused(&self, mode: Mode, error: &Error) -> Fail {
        let fail = operation_failed(mode.doing(), error);
        let translates = self.flow.nat_src.is_some() || self.flow.nat_dst.is_some();
        let meaning = match error.errno() {
            Some(libc::EBUSY) if self.flow.status.is_some_and(|s| s & ips::EXPECTED != 0) => {
                refused::EXPECTED
            }
            Some(libc::EOPNOTSUPP) if translates => "this kernel has no NAT (modprobe nf_nat)",
            Some(libc::ENOMEM) => "the table is full, see net.netfilter.nf_conntrack_max",
            Some(libc::EEXIST) if mode == Mode::Add => {
                "another flow has the reply direction that this one would get"
            }
            _ => return fail,
        };
        Fail { text: [&fail.text[..], b" (", meaning.as_bytes(), b")"].concat(), ..fail }
    }

    /// The warning for a reply direction that is not the inverse although there is no translation. Listings
    /// show such a flow as if it were translated, but its packets are not.
    pub(crate) fn looks_translated(&self) -> Option<String> {
        let (orig, reply) = (self.flow.orig?, self.flow.reply?);
        let translated = self.flow.nat_src.is_some() || self.flow.nat_dst.is_some();
        // The kernel refuses a direction without its ports.
        if self.reply.is_none() || translated || reply.proto != orig.proto {
            return None;
        }
        // The keys of GRE differ from one direction to the other without any translation.
        let ports = orig.proto != Some(ipproto::GRE);
        let sides = [
            ("--src-nat", (orig.src, orig.src_port), (reply.dst, reply.dst_port)),
            ("--dst-nat", (orig.dst, orig.dst_port), (reply.src, reply.src_port)),
        ];
        // The kernel refuses half of a direction, so there is nothing to warn about.
        let differs = |a: (Option<Addr>, Option<u16>), b: (Option<Addr>, Option<u16>)| {
            b.0.is_some() && a.0 != b.0 || ports && a.1 != b.1 && b.1.is_some()
        };
        let options: Vec<String> = sides
            .into_iter()
            .filter(|(_, before, after)| differs(*before, *after))
            .map(|(option, before, after)| {
                let port = after.1.filter(|p| ports && before.1 != Some(*p));
                format!("{option} {}", endpoint((after.0, port)))
            })
            .collect();
        (!options.is_empty()).then(|| {
            format!(
                "WARNING: the reply direction is not the inverse of the original one, but no translation is \
                 asked for: packets will not be translated without {}",
                options.join(" ")
            )
        })
    }

    /// The reply direction the flow will have; a port that may be any is that of the original direction.
    pub(crate) fn reply_tuple(&self) -> Tuple {
        let (orig, reply) = (self.flow.orig.unwrap_or_default(), self.flow.reply.unwrap_or_default());
        match self.reply {
            None => reply,
            Some(Reply { src, dst }) => Tuple {
                src: src.0,
                dst: dst.0,
                src_port: src.1.or(orig.dst_port),
                dst_port: dst.1.or(orig.src_port),
                ..reply
            },
        }
    }
}

/// The flow that the options describe.
///
/// # Errors
/// A usage error when ports are given for a direction that has no addresses, or a port to translate to for a
/// protocol that has no ports.
pub fn wanted(call: &Invocation, mode: Mode) -> Result<Wanted, Fail> {
    let args = &call.args;
    let (orig, reply) = tuples(args)?;
    let (nat_src, nat_dst) = nat(args)?;
    let labels = label::bits(call.labels.as_deref(), &args.label_add)?;
    let status = args.status.map(|s| s.set);
    let unexpected = mode == Mode::Add && status.is_some_and(|s| s & ips::EXPECTED != 0);
    let flow = NewFlow::default().with(|it| {
        it.family = args.family.unwrap_or(af::INET);
        it.orig = Some(Tuple { zone: args.orig_zone, ..orig });
        it.reply = Some(Tuple { zone: args.reply_zone, ..reply });
        it.zone = args.zone;
        it.timeout_s = args.timeout;
        it.status = if unexpected { status.map(|s| s & !ips::EXPECTED) } else { status };
        it.mark = args.mark.map(|m| Masked { value: m.value, mask: u32::MAX });
        it.protoinfo = protoinfo(args);
        it.nat_src = nat_src;
        it.nat_dst = nat_dst;
        // The mask has only the labels that are named, so an existing flow keeps its other labels.
        it.labels = (!labels.is_empty()).then(|| (label::words(&labels), label::words(&labels)));
    });
    Ok(Wanted { flow, reply: wanted_reply(args, &flow), unexpected })
}

/// What the line says about the reply direction: its own options, overridden by those of NAT.
fn wanted_reply(args: &Args, flow: &NewFlow<'_>) -> Option<Reply> {
    let given = args.reply_src.is_some() || args.reply_dst.is_some();
    if !given && flow.nat_src.is_none() && flow.nat_dst.is_none() {
        return None;
    }
    let reply = flow.reply?;
    let side = |nat: Option<Nat>, addr, port, given_port: Option<u16>| match nat {
        // Without a port here, the kernel chooses it.
        Some(n) => (n.addr, n.port.or(given_port)),
        None => (addr, port),
    };
    Some(Reply {
        src: side(flow.nat_dst, reply.src, reply.src_port, args.reply_ports.src),
        dst: side(flow.nat_src, reply.dst, reply.dst_port, args.reply_ports.dst),
    })
}

/// Both directions. One without an address is the inverse of the other. When both have one, nothing is
/// inferred, and missing members are zero: a NAT option fills them in.
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

/// The inverse. An ICMP type that has no answer stays as it is, and the kernel refuses the flow.
fn inverse(t: &Tuple) -> Tuple {
    t.inverse().unwrap_or(Tuple { src: t.dst, dst: t.src, ..*t })
}

/// One direction. If the protocol has ports but none is given for this direction, the protocol is left out
/// as well, as in the original, and the kernel refuses the flow.
fn side(args: &Args, src: Option<Addr>, dst: Option<Addr>, ports: Ports) -> Tuple {
    let num = args.protocol.map_or(0, |p| p.num);
    let portless = !args.protocol.is_some_and(|p| p.has_options) || is_icmp(num);
    let untracked = args.in_file && num == ipproto::DCCP;
    let named = portless || untracked || ports.src.is_some() || ports.dst.is_some();
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

/// The translations to set up. The original silently leaves out the port except for TCP and UDP.
///
/// A saved line names the translated addresses and has the translated ports in the reply ports. They are
/// taken from there, so that the line restores exactly what it was saved from, or fails: left to itself, the
/// kernel would choose another port if that one is in use.
///
/// # Errors
/// A usage error for a port with a protocol that has none.
fn nat(args: &Args) -> Result<(Option<Nat>, Option<Nat>), Fail> {
    const WITH_PORTS: [u8; 5] = [ipproto::TCP, ipproto::UDP, ipproto::UDPLITE, ipproto::SCTP, ipproto::DCCP];
    let ports = WITH_PORTS.contains(&args.protocol.map_or(0, |p| p.num));
    let nat = |option: NatOption, name: &str, reply_port: Option<u16>| match option.flatten() {
        Some(NatArg { port: Some(port), .. }) if !ports => Err(Fail::usage(format!(
            "`--{name}' takes an address without a port (`{port}') with this protocol, which has no ports"
        ))),
        Some(NatArg { addr, port }) => {
            Ok(Some(Nat { addr: Some(addr), port: port.or(reply_port.filter(|_| ports)) }))
        }
        None => Ok(None),
    };
    let src = nat(args.src_nat, "src-nat", args.reply_ports.dst)?;
    Ok((src, nat(args.dst_nat, "dst-nat", args.reply_ports.src)?))
}

/// The protocol's state. Window checks of TCP are relaxed, because the windows are not known.
fn protoinfo(args: &Args) -> Option<ProtoInfo> {
    match args.protocol?.num {
        ipproto::TCP => Some(ProtoInfo::Tcp(TcpInfo::created(args.state()?))),
        ipproto::SCTP => Some(ProtoInfo::Sctp(SctpInfo { state: args.state(), vtag: args.vtag })),
        ipproto::DCCP => {
            Some(ProtoInfo::Dccp(DccpInfo { state: args.state(), role: args.role, handshake_seq: None }))
        }
        _ => None,
    }
}

/// `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`, as NAT options take them.
pub(super) fn endpoint((addr, port): (Option<Addr>, Option<u16>)) -> String {
    let mut buf = [0; 64];
    let mut out = Out::new(&mut buf);
    if let Some(a) = addr {
        out.addr(&a);
    }
    let text = String::from_utf8_lossy(out.written()).into_owned();
    match (addr, port) {
        (Some(Addr::V6(_)), Some(port)) => format!("[{text}]:{port}"),
        (_, Some(port)) => format!("{text}:{port}"),
        (_, None) => text,
    }
}
