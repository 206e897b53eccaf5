//! The options of conntrack that take numbers or addresses: the width of the kernel's field, how it is
//! written, what it says about a flow, and which commands take it. Written from the kernel's headers and the
//! original's manual, not from the program's table, with which it is compared.

use super::address::{Form, Nets, Translation, nat, nets};
use super::flows::{Flow, MARKS, NUMBERS, ZONES};
use super::number::{Base, Ranges, Several, Verdict, mark, numbers, seconds};
use super::texts;
use super::words::{WITH_PORTS, label, protocol};
use fastrand::Rng;
use zct_wire::consts::ips;
use zct_wire::tuple::Addr;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Numbers of this many bits, with lists and ranges where flows are selected.
    Number(Base, u32, Several),
    /// A single number between these two.
    Between(u128, u128),
    /// A value, or a value with a mask.
    Mark,
    /// A time in seconds, or with units.
    Seconds,
    /// Addresses of this form.
    Address(Form),
    /// An address to translate to, with or without ports.
    Nat,
    /// A protocol's number or name.
    Protocol,
    /// Names of labels, from [`super::words::LABELS`].
    Label,
}

/// What a value says about flows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meaning {
    Numbers(Ranges),
    Mark(u32, u32),
    Nets(Nets),
    Nat(Translation),
    Bits(Vec<u8>),
}

impl Meaning {
    /// The number, where there can be only one.
    pub(crate) fn number(&self) -> Option<u128> {
        match self {
            Meaning::Numbers(r) if r.len() == 1 && r[0].0 == r[0].1 => Some(r[0].0),
            Meaning::Nets(n) if n.ranges.len() == 1 && n.ranges[0].0 == n.ranges[0].1 => Some(n.ranges[0].0),
            Meaning::Mark(value, _) => Some((*value).into()),
            _ => None,
        }
    }

    /// Whether it can only be about IPv6.
    pub(crate) fn six(&self) -> bool {
        match self {
            Meaning::Nets(n) => n.six,
            Meaning::Nat(n) => n.to.six,
            _ => false,
        }
    }

    /// Addresses that the program has to show, because they are written in a way that surprises.
    pub(crate) fn said(&self) -> &[String] {
        match self {
            Meaning::Nets(n) => &n.said,
            Meaning::Nat(n) => &n.to.said,
            _ => &[],
        }
    }
}

/// The part of a flow that a value is compared with.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Number(fn(&Flow) -> Option<u128>),
    /// The zones of both directions.
    Zones,
    Mark,
    Addr(fn(&Flow) -> Option<Addr>),
    /// Whether it is translated: the source, the destination.
    Nat(bool, bool),
    Labels,
    /// No part: it selects every flow or none.
    All,
    None,
}

/// An option that is tried.
pub(crate) struct Row {
    pub(crate) letter: Option<char>,
    pub(crate) names: &'static [&'static str],
    /// The protocols that it belongs to, if any.
    pub(crate) protocols: &'static [&'static str],
    pub(crate) kind: Kind,
    pub(crate) of: Of,
    /// The commands in which it selects: `L D U E`; or is part of a key: `G`.
    pub(crate) selects: &'static str,
    /// The commands in which it is written or means something else: `I A U` and others.
    pub(crate) sets: &'static str,
    /// The commands on expectations that take it: `I D G`.
    pub(crate) expects: &'static str,
}

const NUMBER16: Kind = Kind::Number(Base::Ten, 16, Several::Always);
const KEY: Kind = Kind::Number(Base::Any, 16, Several::Perhaps);
const NET: Kind = Kind::Address(Form { length: true, list: true });
const ADDR: Kind = Kind::Address(Form { length: false, list: true });
const ONE_NET: Kind = Kind::Address(Form { length: true, list: false });
const ONE_ADDR: Kind = Kind::Address(Form { length: false, list: false });
const ZONE: Kind = Kind::Number(Base::Any, 16, Several::Perhaps);
const GRE: &[&str] = &["gre"];

const ROW: Row = Row {
    letter: None,
    names: &[],
    protocols: &[],
    kind: NUMBER16,
    of: Of::All,
    selects: "LDUE",
    sets: "",
    expects: "",
};

const fn port(
    names: &'static [&'static str],
    protocols: &'static [&'static str],
    kind: Kind,
    of: fn(&Flow) -> Option<u128>,
    expects: &'static str,
) -> Row {
    Row { names, protocols, kind, of: Of::Number(of), selects: "LDUEG", sets: "IA", expects, ..ROW }
}

const fn of_expectation(
    names: &'static [&'static str],
    protocols: &'static [&'static str],
    kind: Kind,
) -> Row {
    Row { names, protocols, kind, of: Of::None, selects: "", expects: "I", ..ROW }
}

const fn tag(names: &'static [&'static str], of: fn(&Flow) -> Option<u128>) -> Row {
    let kind = Kind::Number(Base::Ten, 32, Several::Perhaps);
    Row {
        names,
        protocols: &["sctp"],
        kind,
        of: Of::Number(of),
        selects: "G",
        sets: "IAU",
        expects: "I",
        ..ROW
    }
}

const fn icmp(
    names: &'static [&'static str],
    protocols: &'static [&'static str],
    bits: u32,
    of: fn(&Flow) -> Option<u128>,
) -> Row {
    let kind = Kind::Number(Base::Ten, bits, Several::Perhaps);
    Row { names, protocols, kind, of: Of::Number(of), selects: "LDUEG", sets: "IA", ..ROW }
}

fn number<T: Into<u128>>(v: Option<T>) -> Option<u128> {
    v.map(Into::into)
}

/// The zone of one direction alone: a flow whose zone is for both has none, nor is it without one.
fn of_one_direction(f: &Flow, direction: usize) -> Option<u128> {
    f.zone.is_none_or(|z| z == 0).then_some(f.zones[direction].into())
}

/// All options that take a number or an address.
pub(crate) const ROWS: &[Row] = &[
    Row {
        letter: Some('s'),
        names: &["src", "orig-src"],
        kind: NET,
        of: Of::Addr(|f| f.orig.src),
        selects: "LDUEG",
        sets: "IA",
        expects: "IDG",
        ..ROW
    },
    Row {
        letter: Some('d'),
        names: &["dst", "orig-dst"],
        kind: NET,
        of: Of::Addr(|f| f.orig.dst),
        selects: "LDUEG",
        sets: "IA",
        expects: "IDG",
        ..ROW
    },
    Row {
        letter: Some('r'),
        names: &["reply-src"],
        kind: ADDR,
        of: Of::Addr(|f| f.reply.src),
        selects: "LDUEG",
        sets: "IA",
        expects: "IDG",
        ..ROW
    },
    Row {
        letter: Some('q'),
        names: &["reply-dst"],
        kind: ADDR,
        of: Of::Addr(|f| f.reply.dst),
        selects: "LDUEG",
        sets: "IA",
        expects: "IDG",
        ..ROW
    },
    Row {
        letter: Some('p'),
        names: &["protonum"],
        kind: Kind::Protocol,
        of: Of::Number(|f| number(f.orig.proto)),
        selects: "LDUEG",
        sets: "IA",
        expects: "IDG",
        ..ROW
    },
    Row {
        letter: Some('t'),
        names: &["timeout"],
        kind: Kind::Seconds,
        of: Of::Number(|f| Some(f.timeout.into())),
        selects: "",
        sets: "IAUD",
        expects: "I",
        ..ROW
    },
    of_expectation(&["tuple-src"], &[], ONE_NET),
    of_expectation(&["tuple-dst"], &[], ONE_NET),
    Row { names: &["mask-src"], kind: ONE_ADDR, of: Of::Addr(|f| f.orig.src), expects: "I", ..ROW },
    Row { names: &["mask-dst"], kind: ONE_ADDR, of: Of::Addr(|f| f.orig.dst), expects: "I", ..ROW },
    Row {
        letter: Some('m'),
        names: &["mark"],
        kind: Kind::Mark,
        of: Of::Mark,
        selects: "LDE",
        sets: "IAU",
        ..ROW
    },
    Row {
        letter: Some('i'),
        names: &["id"],
        kind: Kind::Number(Base::Any, 32, Several::Perhaps),
        of: Of::Number(|f| Some(f.id.into())),
        selects: "DUG",
        ..ROW
    },
    Row {
        letter: Some('n'),
        names: &["src-nat"],
        kind: Kind::Nat,
        of: Of::Nat(true, false),
        sets: "IA",
        ..ROW
    },
    Row {
        letter: Some('g'),
        names: &["dst-nat"],
        kind: Kind::Nat,
        of: Of::Nat(false, true),
        sets: "IA",
        ..ROW
    },
    Row {
        letter: Some('j'),
        names: &["any-nat"],
        kind: Kind::Nat,
        of: Of::Nat(true, true),
        selects: "LE",
        ..ROW
    },
    Row {
        letter: Some('c'),
        names: &["secmark"],
        kind: Kind::Number(Base::Any, 32, Several::Perhaps),
        // Today's kernels report no secmark, so this does nothing, which has to be said.
        of: Of::All,
        selects: "LE",
        ..ROW
    },
    Row {
        letter: Some('b'),
        names: &["buffer-size"],
        // The kernel doubles it and keeps the result as an int.
        kind: Kind::Number(Base::Ten, 30, Several::Never),
        selects: "",
        sets: "E",
        ..ROW
    },
    Row { letter: Some('w'), names: &["zone"], kind: ZONE, of: Of::Zones, selects: "LDE", sets: "IA", ..ROW },
    Row {
        names: &["orig-zone"],
        kind: ZONE,
        of: Of::Number(|f| of_one_direction(f, 0)),
        selects: "LDE",
        sets: "IA",
        ..ROW
    },
    Row {
        names: &["reply-zone"],
        kind: ZONE,
        of: Of::Number(|f| of_one_direction(f, 1)),
        selects: "LDE",
        sets: "IA",
        ..ROW
    },
    Row { letter: Some('l'), names: &["label"], kind: Kind::Label, of: Of::Labels, selects: "LDUEG", ..ROW },
    Row { names: &["label-add"], kind: Kind::Label, of: Of::Labels, selects: "", sets: "IAU", ..ROW },
    Row { names: &["label-del"], kind: Kind::Label, of: Of::Labels, selects: "", sets: "U", ..ROW },
    Row { names: &["jobs"], kind: Kind::Between(1, 64), of: Of::All, selects: "L", ..ROW },
    port(&["sport", "orig-port-src"], WITH_PORTS, NUMBER16, |f| number(f.orig.src_port), "IDG"),
    port(&["dport", "orig-port-dst"], WITH_PORTS, NUMBER16, |f| number(f.orig.dst_port), "IDG"),
    port(&["reply-port-src"], WITH_PORTS, NUMBER16, |f| number(f.reply.src_port), "DG"),
    port(&["reply-port-dst"], WITH_PORTS, NUMBER16, |f| number(f.reply.dst_port), "DG"),
    port(&["srckey", "orig-key-src"], GRE, KEY, |f| number(f.orig.src_port), "IDG"),
    port(&["dstkey", "orig-key-dst"], GRE, KEY, |f| number(f.orig.dst_port), "IDG"),
    port(&["reply-key-src"], GRE, KEY, |f| number(f.reply.src_port), "IDG"),
    port(&["reply-key-dst"], GRE, KEY, |f| number(f.reply.dst_port), "IDG"),
    of_expectation(&["mask-port-src"], WITH_PORTS, NUMBER16),
    of_expectation(&["mask-port-dst"], WITH_PORTS, NUMBER16),
    of_expectation(&["tuple-port-src"], WITH_PORTS, NUMBER16),
    of_expectation(&["tuple-port-dst"], WITH_PORTS, NUMBER16),
    of_expectation(&["mask-key-src"], GRE, KEY),
    of_expectation(&["mask-key-dst"], GRE, KEY),
    of_expectation(&["tuple-key-src"], GRE, KEY),
    of_expectation(&["tuple-key-dst"], GRE, KEY),
    tag(&["orig-vtag"], |f| Some(f.vtags[0].into())),
    tag(&["reply-vtag"], |f| Some(f.vtags[1].into())),
    icmp(&["icmp-type"], &["icmp"], 8, |f| number(f.orig.icmp_type)),
    icmp(&["icmp-code"], &["icmp"], 8, |f| number(f.orig.icmp_code)),
    icmp(&["icmp-id"], &["icmp"], 16, |f| number(f.orig.icmp_id)),
    icmp(&["icmpv6-type"], &["icmpv6"], 8, |f| number(f.orig.icmp_type)),
    icmp(&["icmpv6-code"], &["icmpv6"], 8, |f| number(f.orig.icmp_code)),
    icmp(&["icmpv6-id"], &["icmpv6"], 16, |f| number(f.orig.icmp_id)),
];

/// Options that take neither a number nor an address.
pub(crate) const OTHERS: &[&str] = &[
    "status",
    "zero",
    "event-mask",
    "nat-range",
    "family",
    "output",
    "labelmap",
    "dry-run",
    "kernel-filter",
    "explain",
    "by",
    // A number, but one that selects no flow: tests/groups.rs tries it.
    "top",
    "sort",
    "reader",
    "state",
    "role",
];

impl Row {
    /// A random text for this option, often a number that some flow has.
    pub(crate) fn text(&self, rng: &mut Rng, flows: &[Flow]) -> String {
        let mut near: Vec<u128> = match (&self.of, self.kind) {
            (Of::Number(of), _) => flows.iter().filter_map(of).collect(),
            (Of::Mark, _) => MARKS.iter().map(|m| u128::from(*m)).collect(),
            (Of::Zones, _) => ZONES.iter().map(|z| u128::from(*z)).collect(),
            (_, Kind::Between(a, b)) => vec![a, 2, b],
            (_, Kind::Nat) => vec![20_000, 443, 65_535],
            _ => Vec::new(),
        };
        if near.is_empty() {
            near.extend(NUMBERS.map(u128::from));
        }
        match self.kind {
            Kind::Number(_, bits, _) => texts::number(rng, &near, (1 << bits) - 1),
            Kind::Between(_, max) => texts::number(rng, &near, max),
            Kind::Mark => texts::mark(rng, &near),
            Kind::Seconds => texts::number(rng, &[0, 1, 5, 60, 600, 432_000, 2_147_483], u32::MAX.into()),
            Kind::Address(_) => texts::address(rng),
            Kind::Nat => texts::nat(rng, &near),
            Kind::Protocol => texts::protocol(rng, &near),
            Kind::Label => texts::label(rng),
        }
    }

    /// What the text means; `selects` says whether it is a selection, which may name several.
    pub(crate) fn judge(&self, text: &str, selects: bool) -> Verdict<Meaning> {
        match self.kind {
            Kind::Number(base, bits, several) => {
                let several = if selects { several } else { Several::Never };
                numbers(text, base, (1 << bits) - 1, several).map(Meaning::Numbers)
            }
            Kind::Between(from, to) => match numbers(text, Base::Any, to, Several::Never) {
                Verdict::Right(r) | Verdict::Perhaps(r) if r[0].0 < from => Verdict::Wrong,
                v => v.map(Meaning::Numbers),
            },
            Kind::Mark => mark(text).map(|(v, m)| Meaning::Mark(v, m)),
            Kind::Seconds => seconds(text).map(|v| Meaning::Numbers(vec![(v, v)])),
            Kind::Address(form) => nets(text, Form { list: form.list && selects, ..form }).map(Meaning::Nets),
            Kind::Nat => nat(text).map(Meaning::Nat),
            Kind::Protocol => protocol(text).map(|n| Meaning::Numbers(vec![(n, n)])),
            Kind::Label => label(text).map(Meaning::Bits),
        }
    }

    /// Whether the value selects the flow.
    pub(crate) fn selects_flow(&self, meaning: &Meaning, f: &Flow) -> bool {
        let within = |r: &Ranges, n: u128| r.iter().any(|(a, b)| (*a..=*b).contains(&n));
        match (self.of, meaning) {
            (Of::All, _) => true,
            (Of::None, _) => false,
            (Of::Number(of), Meaning::Numbers(r)) => of(f).is_some_and(|n| within(r, n)),
            (Of::Zones, Meaning::Numbers(r)) => f.zones.iter().all(|z| within(r, (*z).into())),
            (Of::Mark, Meaning::Mark(value, mask)) => f.mark & mask == *value,
            (Of::Addr(of), Meaning::Nets(n)) => of(f).is_some_and(|a| n.contain(a)),
            (Of::Nat(src, dst), Meaning::Nat(n)) => {
                src && translated(n, f, ips::SRC_NAT_DONE, true)
                    || dst && translated(n, f, ips::DST_NAT_DONE, false)
            }
            (Of::Labels, Meaning::Bits(bits)) => bits.iter().all(|b| has_bit(f, *b)),
            _ => panic!("{:?}: {meaning:?}", self.names),
        }
    }
}

/// Whether a flow has this label.
pub(crate) fn has_bit(f: &Flow, bit: u8) -> bool {
    let at = usize::from(bit / 32) * 4;
    u32::from_ne_bytes(f.labels[at..at + 4].try_into().expect("four bytes")) >> (bit % 32) & 1 == 1
}

fn translated(to: &Translation, f: &Flow, done: u32, src: bool) -> bool {
    let (before, after) = if src {
        ((f.orig.src, f.orig.src_port), (f.reply.dst, f.reply.dst_port))
    } else {
        ((f.orig.dst, f.orig.dst_port), (f.reply.src, f.reply.src_port))
    };
    let port = |(from, to): (u128, u128)| {
        before.1 != after.1 && after.1.is_some_and(|p| (from..=to).contains(&p.into()))
    };
    f.status & done != 0
        && before.0 != after.0
        && after.0.is_some_and(|a| to.to.contain(a))
        && to.ports.is_none_or(port)
}
