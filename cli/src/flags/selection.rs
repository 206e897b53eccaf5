//! Turns options into the selection of flows that they mean.

use crate::fail::Fail;
use crate::filter::{
    Direction, Filter, Icmp, Labels, NatMatch, Network, Networks, PortRange, PortRanges, States,
};
use crate::flags::args::{Args, NatOption, Side};
use crate::values::addr::AddrArg;
use crate::values::list::Status;
use std::sync::Arc;
use zct_wire::tuple::Addr;

/// The selection of `-L`, `-D`, `-E` and `-G`, which every option about a flow narrows.
pub fn filter(args: &Args, labels: Labels) -> Filter {
    let [orig_sport, orig_dport, reply_sport, reply_dport] = &args.port_lists;
    let exact = |addr: Option<Addr>| addr.map(|addr| AddrArg { addr, mask: None });
    Filter {
        family: args.family.or_else(|| args.sets.iter().find_map(|s| s.addresses.family())),
        proto: args.protocol.map(|p| p.num),
        orig: Direction {
            src: networks(args, Side::OrigSrc, args.orig_src, args.mask_src),
            dst: networks(args, Side::OrigDst, args.orig_dst, args.mask_dst),
            src_port: ports(args.orig_ports.src, orig_sport),
            dst_port: ports(args.orig_ports.dst, orig_dport),
            zone: args.orig_zone,
        },
        reply: Direction {
            src: networks(args, Side::ReplySrc, exact(args.reply_src), None),
            dst: networks(args, Side::ReplyDst, exact(args.reply_dst), None),
            src_port: ports(args.reply_ports.src, reply_sport),
            dst_port: ports(args.reply_ports.dst, reply_dport),
            zone: args.reply_zone,
        },
        icmp: Icmp { kind: args.icmp_type, code: args.icmp_code, id: args.icmp_id },
        states: args.states.clone(),
        vtag: args.vtag,
        dccp_role: args.role,
        mark: args.mark,
        status: args.status.unwrap_or_default(),
        zone: args.zone,
        src_nat: nat(args.src_nat),
        dst_nat: nat(args.dst_nat),
        any_nat: nat(args.any_nat),
        labels,
        secmark: args.secmark,
        id: args.id,
        timeout: None,
        not: args.not.iter().map(|not| filter(not, Labels::default())).collect(),
    }
}

/// The first address, those that follow it in a comma list, and those of a file.
fn networks(args: &Args, side: Side, first: Option<AddrArg>, mask: Option<Addr>) -> Networks {
    let more = args.more_addrs[side as usize].iter().copied();
    let listed: Networks = first.into_iter().chain(more).map(|a| network(a, mask)).collect();
    match args.addresses_of(side) {
        Some(set) => listed.or_in(Arc::clone(set)),
        None => listed,
    }
}

/// One port, or a list of ranges.
fn ports(one: Option<u16>, list: &[PortRange]) -> PortRanges {
    if list.is_empty() {
        one.into_iter().map(PortRange::one).collect()
    } else {
        list.iter().copied().collect()
    }
}

/// True when a deletion with these options would delete every flow, because nothing narrows it. A `-t` alone
/// does not, nor does `-u UNSET`.
pub fn is_everything(args: &Args) -> bool {
    args.labels.is_empty()
        && args.labels_not.is_empty()
        && filter(args, Labels::default()) == Filter::default()
}

/// True when nothing but a family narrows the selection.
pub fn is_family_alone(args: &Args) -> bool {
    let family = Filter { family: args.family, ..Filter::default() };
    args.labels.is_empty() && args.labels_not.is_empty() && filter(args, Labels::default()) == family
}

/// The selection of `-L` and `-D`, where a `-u` of which every word was ignored must not select everything.
/// Such words are SRC_NAT and DST_NAT, which have options of their own.
///
/// # Errors
/// The words of the original's `-L`, with exit 1, and which option to use instead.
pub fn checked_filter(args: &Args, labels: Labels) -> Result<Filter, Fail> {
    if args.status.is_some_and(|s| s.ignored && s.set | s.clear == 0) {
        let word = |name: &str| args.warnings.iter().any(|w| w.contains(&format!("ignoring {name}")));
        let named: Vec<&str> = ["SRC_NAT", "DST_NAT"].into_iter().filter(|n| word(n)).collect();
        let options = named.iter().map(|n| if *n == "SRC_NAT" { "--src-nat" } else { "--dst-nat" });
        return Err(Fail::runtime(format!(
            "Operation failed: invalid parameters (`--status {}' selects nothing: use {})",
            named.join(","),
            options.collect::<Vec<_>>().join(" ")
        )));
    }
    Ok(filter(args, labels))
}

/// The selection of `-U`, where mark, status and state say what to change.
pub fn update_filter(args: &Args, labels: Labels) -> Filter {
    Filter {
        mark: None,
        status: Status::default(),
        states: States::new(),
        vtag: [None; 2],
        ..filter(args, labels)
    }
}

/// An address with the mask of its mask option, or else of its prefix length, or else with all its bits.
fn network(arg: AddrArg, mask: Option<Addr>) -> Network {
    let whole = match arg.addr {
        Addr::V4(_) => Addr::V4([0xff; 4]),
        Addr::V6(_) => Addr::V6([0xff; 16]),
    };
    Network { addr: arg.addr, mask: mask.or(arg.mask).unwrap_or(whole) }
}

fn nat(option: NatOption) -> Option<NatMatch> {
    option.map(|arg| NatMatch { addr: arg.map(|a| a.addr), port: arg.and_then(|a| a.port) })
}
