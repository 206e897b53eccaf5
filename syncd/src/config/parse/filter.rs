//! `Filter` (conntrackd.md §5.6).

use super::super::lexer::{Token, TokenKind};
use super::super::report::{At, FilePlace, quoted};
use super::super::settings::{
    FilterFrom, LABEL_MAX, Logic, MarkBits, Network, Ports, Protocol, TCP_STATE_WORDS, TcpState, Translation,
};
use super::parser::{BlockName, Directive, Parser, place};
use super::raw::{RawFilter, RawList};
use super::unique::Unique;
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};
use zct_engine::labels::{self, LabelMap};

pub(super) const FILTER: &[Directive<RawFilter>] = &[
    Directive { word: "Protocol", read: protocol },
    Directive { word: "Address", read: address },
    Directive { word: "State", read: state },
    Directive {
        word: "Port",
        read: |p, f, at| {
            items(p, &mut f.port, at, "Port", "a port from 0 to 65535 or a range like 1000-2000", ports)
        },
    },
    Directive {
        word: "Zone",
        read: |p, f, at| items(p, &mut f.zone, at, "Zone", "a zone from 0 to 65535", digits),
    },
    Directive { word: "NAT", read: |p, f, at| items(p, &mut f.nat, at, "NAT", "SNAT or DNAT", translation) },
    Directive {
        word: "Mark",
        read: |p, f, at| items(p, &mut f.mark, at, "Mark", "a mark like 5, 0x10 or 0x10/0xf0", mark_bits),
    },
    Directive {
        word: "Label",
        read: |p, f, at| {
            let names = p.names.labels;
            let wanted = "the number of a label, from 0 to 127, or its name in /etc/xtables/connlabel.conf";
            items(p, &mut f.label, at, "Label", wanted, |t| label(names, t))
        },
    },
];

pub(super) const ADDRESS: &[Directive<Unique<Network>>] = &[
    Directive { word: "IPv4_address", read: |p, items, at| network(p, items, at, "IPv4_address") },
    Directive { word: "IPv6_address", read: |p, items, at| network(p, items, at, "IPv6_address") },
];

/// `Filter { … }` or `Filter From WHERE { … }`.
pub(super) fn block(p: &mut Parser<'_>, filter: &mut RawFilter, at: FilePlace) -> Option<()> {
    if is_word(&p.peek(), "From") {
        p.take();
        let t = p.peek();
        let value = if is_word(&t, "Userspace") {
            FilterFrom::Userspace
        } else if is_word(&t, "Kernelspace") {
            FilterFrom::Kernelspace
        } else {
            p.unexpected("Userspace or Kernelspace after From");
            return None;
        };
        p.take();
        filter.from = Some(At { value, place: at });
    }
    p.block(BlockName { name: "Filter", place: at }, FILTER, filter)
}

fn is_word(t: &Token<'_>, word: &str) -> bool {
    t.kind == TokenKind::Word && t.text == word.as_bytes()
}

/// `Accept` or `Ignore`.
fn logic(p: &mut Parser<'_>, at: FilePlace, word: &str) -> Option<At<Logic>> {
    let t = p.peek();
    let value = if is_word(&t, "Accept") {
        Logic::Accept
    } else if is_word(&t, "Ignore") {
        Logic::Ignore
    } else {
        p.unexpected(&format!("Accept or Ignore after {word}"));
        return None;
    };
    p.take();
    Some(At { value, place: at })
}

/// The list that a block adds to: the items of several blocks are joined, and the last block's logic applies
/// to them all.
fn list<'l, T: Clone + Eq + Hash>(
    p: &mut Parser<'_>,
    list: &'l mut Option<RawList<T>>,
    logic: At<Logic>,
    word: &str,
) -> &'l mut Unique<T> {
    let all = list.get_or_insert_with(|| RawList { logic, items: Unique::default() });
    if all.logic.value != logic.value {
        let text =
            format!("of several {word} blocks the last counts: {} holds for all of them", logic.value.word());
        p.warn(logic.place, text);
    }
    all.logic = logic;
    &mut all.items
}

fn protocol(p: &mut Parser<'_>, filter: &mut RawFilter, at: FilePlace) -> Option<()> {
    let logic = logic(p, at, "Protocol")?;
    let items = list(p, &mut filter.protocol, logic, "Protocol");
    p.list(BlockName { name: "Protocol", place: at }, |p, t| {
        let keyword = [("TCP", 6), ("UDP", 17)].into_iter().find(|(word, _)| is_word(&t, word));
        if let Some((name, number)) = keyword {
            p.take();
            items.insert(Protocol { name: name.into(), number });
            return Some(());
        }
        let name = p.name("Protocol", "the name of a protocol")?;
        match p.names.protocols.number(name.as_bytes()) {
            Some(number) => _ = items.insert(Protocol { name: name.into(), number }),
            None => p.warn(
                place(&t),
                format!("{} is not a protocol of /etc/protocols: ignored", quoted(name.as_bytes())),
            ),
        }
        Some(())
    })
}

fn address(p: &mut Parser<'_>, filter: &mut RawFilter, at: FilePlace) -> Option<()> {
    let logic = logic(p, at, "Address")?;
    let items = list(p, &mut filter.address, logic, "Address");
    p.block(BlockName { name: "Address", place: at }, ADDRESS, items)
}

/// An address with or without `/LENGTH`. An invalid one is refused: the original leaves it out with a
/// warning, and then filters more or less than was asked for.
fn network(p: &mut Parser<'_>, items: &mut Unique<Network>, at: FilePlace, word: &str) -> Option<()> {
    let t = p.peek();
    if t.kind != TokenKind::Address {
        p.unexpected(&format!("an address or network after {word}"));
        return None;
    }
    p.take();
    let text = std::str::from_utf8(t.text).unwrap_or_default();
    let (addr, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    if has_leading_zero(addr, word) {
        p.error(place(&t), leading_zero(t.text));
        return Some(());
    }
    let v4 = word == "IPv4_address";
    let max = if v4 { 32 } else { 128 };
    let length = length.map_or(Some(max), |l| l.parse().ok().filter(|l| *l <= max));
    let item = match (length, v4) {
        (Some(l), true) => addr.parse::<Ipv4Addr>().ok().map(|a| Network::V4(a, l)),
        (Some(l), false) => addr.parse::<Ipv6Addr>().ok().map(|a| Network::V6(a, l)),
        (None, _) => None,
    };
    match item {
        Some(item) => {
            if !items.insert(item) {
                p.warn(at, format!("{} is there twice", quoted(t.text)));
            }
        }
        None => {
            let family = if v4 { "IPv4" } else { "IPv6" };
            let text = format!("{} is no {family} address or network (prefix 0 to {max})", quoted(t.text));
            p.error(place(&t), text);
        }
    }
    Some(())
}

/// True when a number of an IPv4 address has leading zeros. The original reads such numbers as octal, most
/// people do not: a guess would serve nobody.
pub(super) fn has_leading_zero(addr: &str, word: &str) -> bool {
    word.starts_with("IPv4")
        && addr.contains('.')
        && addr.split('.').any(|n| n.len() > 1 && n.starts_with('0'))
}

/// The error message for leading zeros.
pub(super) fn leading_zero(word: &[u8]) -> String {
    format!("{}: a number with zeros in front may mean octal; write it without them", quoted(word))
}

/// `{ STATE … for TCP … }`.
fn state(p: &mut Parser<'_>, filter: &mut RawFilter, at: FilePlace) -> Option<()> {
    let logic = logic(p, at, "State")?;
    let items = list(p, &mut filter.state, logic, "State");
    // The first state that no `for TCP` has followed yet.
    let mut open: Option<FilePlace> = None;
    p.list(BlockName { name: "State", place: at }, |p, t| {
        if is_word(&t, "for") {
            p.take();
            open = None;
            if !is_word(&p.peek(), "TCP") {
                p.unexpected("TCP after for: states of other protocols cannot be filtered");
                // A closing brace ends the block; anything else stands where the protocol should be.
                return matches!(p.peek().kind, TokenKind::Close | TokenKind::End).then_some(());
            }
            p.take();
            return Some(());
        }
        let known = TCP_STATE_WORDS.iter().find(|(word, _)| is_word(&t, word));
        let Some((_, number)) = known else {
            p.unexpected("a TCP state or for");
            return None;
        };
        p.take();
        open.get_or_insert(place(&t));
        items.insert(TcpState(*number));
        Some(())
    })?;
    if let Some(place) = open {
        p.error(place, "`for TCP' must follow the states".into());
    }
    Some(())
}

/// `Accept` or `Ignore`, and `{ ITEM … }`.
fn items<T: Clone + Eq + Hash>(
    p: &mut Parser<'_>,
    of: &mut Option<RawList<T>>,
    at: FilePlace,
    word: &'static str,
    wanted: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<()> {
    let logic = logic(p, at, word)?;
    let all = list(p, of, logic, word);
    p.list(BlockName { name: word, place: at }, |p, _| {
        let (place, text) = p.whole(wanted)?;
        match std::str::from_utf8(&text).ok().and_then(&read) {
            Some(item) => {
                if !all.insert(item) {
                    p.warn(place, format!("{} is there twice", quoted(&text)));
                }
            }
            None => p.error(place, format!("{} is not {wanted}", quoted(&text))),
        }
        Some(())
    })
}

/// Digits alone: `parse` takes a sign too.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn ports(text: &str) -> Option<Ports> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ports = Ports { first: digits(first)?, last: digits(last)? };
    (ports.first <= ports.last).then_some(ports)
}

fn translation(text: &str) -> Option<Translation> {
    [Translation::Source, Translation::Destination].into_iter().find(|t| t.word() == text)
}

/// A number, a name of the file, or the form in which a bit without a name is shown.
fn label(names: &LabelMap, text: &str) -> Option<u8> {
    let named = || names.bit(text.as_bytes()).or_else(|| labels::unnamed(text.as_bytes()));
    let bit = digits(text).or_else(|| named().and_then(|bit| u8::try_from(bit).ok()))?;
    (bit <= LABEL_MAX).then_some(bit)
}

fn mark_bits(text: &str) -> Option<MarkBits> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None => digits(text),
    };
    let (value, mask) = match text.split_once('/') {
        Some((value, mask)) => (number(value)?, number(mask)?),
        None => (number(text)?, u32::MAX),
    };
    // A value outside its mask would match nothing.
    (value & !mask == 0).then_some(MarkBits { value, mask })
}

impl Logic {
    /// The word for it in the file.
    pub fn word(self) -> &'static str {
        match self {
            Logic::Accept => "Accept",
            Logic::Ignore => "Ignore",
        }
    }
}
