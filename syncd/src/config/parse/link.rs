//! The link blocks `Multicast`, `UDP` and `TCP` (conntrackd.md §5.4).

use super::super::lexer::TokenKind;
use super::super::report::{At, FilePlace, quoted};
use super::filter::{has_leading_zero, leading_zero};
use super::general::{BYTES_MAX, set};
use super::parser::{BlockName, Directive, Parser, place};
use super::raw::{Placed, RawLink, RawLinkKind};
use std::str::FromStr;

/// The most links that lead to one peer.
const LINKS_MAX: usize = 4;
/// The longest name of an interface (IFNAMSIZ of netdevice(7) is 16 bytes with the NUL).
const INTERFACE_MAX: usize = 15;

type LinkDirective = Directive<RawLink>;

const V4: LinkDirective =
    Directive { word: "IPv4_address", read: |p, l, at| addr(p, &mut l.v4, at, "IPv4_address") };
const V6: LinkDirective =
    Directive { word: "IPv6_address", read: |p, l, at| addr(p, &mut l.v6, at, "IPv6_address") };
const V4_PEER: LinkDirective = Directive {
    word: "IPv4_Destination_Address",
    read: |p, l, at| addr(p, &mut l.v4_peer, at, "IPv4_Destination_Address"),
};
const V6_PEER: LinkDirective = Directive {
    word: "IPv6_Destination_Address",
    read: |p, l, at| addr(p, &mut l.v6_peer, at, "IPv6_Destination_Address"),
};
const V4_INTERFACE: LinkDirective =
    Directive { word: "IPv4_interface", read: |p, l, at| addr(p, &mut l.v4_interface, at, "IPv4_interface") };
const V6_INTERFACE: LinkDirective = Directive { word: "IPv6_interface", read: v6_interface };
const GROUP: LinkDirective =
    Directive { word: "Group", read: |p, l, at| set(&mut l.port, p.number(at, "Group", 0..=65_535)) };
const PORT: LinkDirective =
    Directive { word: "Port", read: |p, l, at| set(&mut l.port, p.number(at, "Port", 0..=65_535)) };
const INTERFACE: LinkDirective = Directive { word: "Interface", read: interface };
const SEND_BUFFER: LinkDirective = Directive {
    word: "SndSocketBuffer",
    read: |p, l, at| set(&mut l.send_buffer, p.number(at, "SndSocketBuffer", 0..=BYTES_MAX)),
};
const RECEIVE_BUFFER: LinkDirective = Directive {
    word: "RcvSocketBuffer",
    read: |p, l, at| set(&mut l.receive_buffer, p.number(at, "RcvSocketBuffer", 0..=BYTES_MAX)),
};
const CHECKSUM: LinkDirective =
    Directive { word: "Checksum", read: |p, l, at| set(&mut l.checksum, p.switch(at, "Checksum")) };
const ERROR_QUEUE_LENGTH: LinkDirective = Directive {
    word: "ErrorQueueLength",
    read: |p, l, at| set(&mut l.error_queue_length, p.number(at, "ErrorQueueLength", 0..=u32::MAX)),
};

pub(super) const MULTICAST: &[LinkDirective] =
    &[V4, V6, V4_INTERFACE, V6_INTERFACE, GROUP, INTERFACE, SEND_BUFFER, RECEIVE_BUFFER, CHECKSUM];
pub(super) const UDP: &[LinkDirective] =
    &[V4, V6, V4_PEER, V6_PEER, PORT, INTERFACE, SEND_BUFFER, RECEIVE_BUFFER, CHECKSUM];
pub(super) const TCP: &[LinkDirective] =
    &[V4, V6, V4_PEER, V6_PEER, PORT, INTERFACE, SEND_BUFFER, RECEIVE_BUFFER, CHECKSUM, ERROR_QUEUE_LENGTH];

/// `KIND { … }` or `KIND Default { … }`, in `Sync` or in one of its `Peer` blocks.
pub(super) fn link(
    p: &mut Parser<'_>,
    links: &mut Vec<RawLink>,
    at: FilePlace,
    kind: RawLinkKind,
) -> Option<()> {
    let (table, name) = match kind {
        RawLinkKind::Multicast => (MULTICAST, "Multicast"),
        RawLinkKind::Udp => (UDP, "UDP"),
        RawLinkKind::Tcp => (TCP, "TCP"),
    };
    let mut link = RawLink::new(kind, at);
    if p.peek().kind == TokenKind::Word && p.peek().text == b"Default" {
        p.take();
        link.is_default = true;
    }
    p.block(BlockName { name, place: at }, table, &mut link)?;
    if let Some(other) = links.iter().find(|l| l.kind != kind) {
        let text = format!(
            "links are all of one kind: {name} cannot be used together with the {} of line {}",
            other.kind.word(),
            other.place.line
        );
        p.error(at, text);
        return Some(());
    }
    if links.len() == LINKS_MAX {
        p.cannot_start(at, format!("there can be {LINKS_MAX} links at the most"));
        return Some(());
    }
    links.push(link);
    Some(())
}

/// An address. An invalid one is refused: the original goes on without it, and then listens on every address,
/// for example.
fn addr<A: FromStr>(p: &mut Parser<'_>, setting: &mut Placed<A>, at: FilePlace, word: &str) -> Option<()> {
    let t = p.peek();
    if t.kind != TokenKind::Address {
        p.unexpected(&format!("an address after {word}"));
        return None;
    }
    p.take();
    let text = std::str::from_utf8(t.text).unwrap_or_default();
    if has_leading_zero(text, word) {
        p.error(place(&t), leading_zero(t.text));
        return Some(());
    }
    match text.parse() {
        Ok(value) => *setting = Some(At { value, place: at }),
        Err(_) => {
            let family = word.split('_').next().unwrap_or_default();
            p.error(place(&t), format!("{} is no {family} address, as {word} wants", quoted(t.text)));
        }
    }
    Some(())
}

fn v6_interface(p: &mut Parser<'_>, _: &mut RawLink, at: FilePlace) -> Option<()> {
    if p.peek().kind != TokenKind::Address {
        p.unexpected("an address after IPv6_interface");
        return None;
    }
    p.take();
    p.warn(at, "IPv6_interface has no effect: Interface says it all".into());
    Some(())
}

fn interface(p: &mut Parser<'_>, link: &mut RawLink, at: FilePlace) -> Option<()> {
    let t = p.peek();
    let name = p.outside_name("Interface", "the name of an interface")?;
    link.interface = Some(At { value: name.into(), place: place(&t) });
    if name.len() > INTERFACE_MAX {
        let text = format!("{}: no interface has a name of more than {INTERFACE_MAX} bytes", quoted(t.text));
        p.cannot_start(at, text);
    }
    Some(())
}
