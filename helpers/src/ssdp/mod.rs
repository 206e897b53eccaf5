//! UPnP (UPnP Device Architecture 1.1, sections 1.3 and 4.1): a search, its answers, and the events of the
//! devices found.
//!
//! | message | over | sent by | lets through |
//! |---|---|---|---|
//! | search | UDP to a group | the one that looks for devices | answers from anyone |
//! | answer | UDP, expected by the search | a device | a connection to the device's description |
//! | subscription | TCP, expected by the answer | the one that searched | connections for events back to it |
//! | event | TCP, expected by the subscription | the device | the next one |
//!
//! Every step needs the one before it. Flows that are expected cannot keep private data, so all there is to
//! go by is the flow that expected this one; that is enough. An answer in which a device names another host,
//! or a subscription on a flow that no answer led to, opens nothing.

mod http;

use crate::config::Config;
use crate::datagram::{TCP, UDP};
use crate::packet::{Packet, Side, State};
use crate::private::Private;
use crate::refusal::Refusal;
use crate::verdict::{Verdict, Write};
use http::{Field, Url, field, url};
use zct_wire::expected::{Ends, Expected, Follow};
use zct_wire::tuple::Addr;

/// The name under which expected flows get this helper.
const NAME: &str = "ssdp";
const PORT: u16 = 1900;
/// Descriptions may be on the port that a URL has without saying so.
const HTTP: u16 = 80;
const GROUPS: [Addr; 3] = [
    Addr::V4([239, 255, 255, 250]),
    Addr::V6([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0c]),
    Addr::V6([0xff, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0c]),
];
const SEARCH: &[u8] = b"M-SEARCH * HTTP/1.1\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 ";
const SUBSCRIBE: &[u8] = b"SUBSCRIBE ";
const NOTIFY: &[u8] = b"NOTIFY ";

/// Whether these ends are those of a search.
fn is_search(ends: &Ends) -> bool {
    ends.protocol == UDP && ends.dst_port == PORT && GROUPS.contains(&ends.dst())
}

/// Over UDP: expects answers to a search, and connections to the devices that answer.
pub(crate) fn datagram(config: &Config<'_>, _: &mut Private, packet: &Packet<'_>) -> Verdict {
    if packet.side != Side::Original {
        return Verdict::PASS;
    }
    let searched = packet.master.filter(is_search);
    if is_search(&packet.original) && packet.payload.starts_with(SEARCH) {
        search(config, packet).into()
    } else if packet.payload.starts_with(ANSWER) {
        match searched {
            Some(search) => answer(config, packet, &search).into(),
            None => Verdict::refuse(Refusal::Unasked),
        }
    } else {
        Verdict::PASS
    }
}

fn search(config: &Config<'_>, packet: &Packet<'_>) -> Result<Verdict, Refusal> {
    // An answer comes from an address that nobody knows beforehand, so it cannot be translated back.
    if packet.translated {
        return Err(Refusal::CannotTranslate);
    }
    let (client, port) = packet.sender();
    let answer = Expected::new(UDP, None, client, config.port_or(port.into(), &[PORT])?);
    Ok(answer.map_or(Verdict::PASS, |e| Verdict::expect(e.permanent().helper(NAME))))
}

fn answer(config: &Config<'_>, packet: &Packet<'_>, search: &Ends) -> Result<Verdict, Refusal> {
    let Some((_, url)) = named(packet, b"location", url)? else { return Ok(Verdict::PASS) };
    let port = config.port_or(url.port, &[HTTP])?;
    config.address(packet, url.host)?;
    let description = Expected::new(TCP, Some(search.src()), url.host, port);
    let description = description.ok_or(Refusal::ForeignAddress)?.helper(NAME);
    let permanent = config.permanent.unwrap_or(false);
    Ok(Verdict::expect(if permanent { description.permanent() } else { description }))
}

/// Over TCP: expects the connections for the events of a subscription.
pub(crate) fn segment(config: &Config<'_>, _: &mut Private, packet: &Packet<'_>) -> Verdict {
    if packet.side != Side::Original || packet.state != State::Established {
        return Verdict::PASS;
    }
    if packet.payload.starts_with(SUBSCRIBE) {
        subscription(config, packet).into()
    } else if packet.payload.starts_with(NOTIFY) {
        event(packet).into()
    } else {
        Verdict::PASS
    }
}

fn subscription(config: &Config<'_>, packet: &Packet<'_>) -> Result<Verdict, Refusal> {
    // A renewal names no address.
    let Some((at, url)) = named(packet, b"callback", callback)? else { return Ok(Verdict::PASS) };
    let answered = |ends: &Ends| ends.protocol == UDP && ends.src() == packet.original.dst();
    if !packet.master.as_ref().is_some_and(answered) {
        return Err(Refusal::Unasked);
    }
    let port = config.port(url.port)?;
    if url.host != packet.sender().0 {
        return Err(Refusal::ForeignAddress);
    }
    let mut verdict = Verdict::expect(packet.expect_to_sender(TCP, port).helper(NAME));
    let place = |range: core::ops::Range<usize>| (at.saturating_add(range.start), range.len());
    let (host_at, port_at) = (place(url.host_at), place(url.port_at));
    verdict.edit(host_at.0, host_at.1, Write::Address(0));
    verdict.edit(port_at.0, port_at.1, Write::ColonPort(0));
    Ok(verdict)
}

/// A device makes a connection for each event, and a subscription expects one.
fn event(packet: &Packet<'_>) -> Result<Verdict, Refusal> {
    let own = &packet.original;
    // The flow that expected this one is the subscription, or the event before.
    let to_device = |m: &Ends| m.protocol == TCP && m.dst() == own.src();
    let before =
        |m: &Ends| (m.protocol, m.src(), m.dst(), m.dst_port) == (TCP, own.src(), own.dst(), own.dst_port);
    if !packet.master.as_ref().is_some_and(|m| to_device(m) || before(m)) {
        return Err(Refusal::Unasked);
    }
    let follow = packet.translated.then_some(Follow { dir: 0, port: packet.reply.src_port });
    Ok(Verdict::expect(Expected::along(own, TCP, own.dst_port).follow(follow).helper(NAME)))
}

/// A URL in angle brackets; of several the first.
fn callback(text: &[u8]) -> Option<Url> {
    let text = text.strip_prefix(b"<")?;
    let end = text.iter().position(|b| *b == b'>')?;
    let mut url = url(text.get(..end)?)?;
    for range in [&mut url.host_at, &mut url.port_at] {
        *range = range.start.saturating_add(1)..range.end.saturating_add(1);
    }
    Some(url)
}

/// The URL in the field with this name, and where that field's value begins. `None` if the header has none.
fn named<const LEN: usize>(
    packet: &Packet<'_>,
    name: &[u8; LEN],
    read: impl Fn(&[u8]) -> Option<Url>,
) -> Result<Option<(usize, Url)>, Refusal> {
    match field(packet.payload, name) {
        Field::Value(at, text) => read(text).map(|url| Some((at, url))).ok_or(Refusal::Malformed),
        Field::Absent => Ok(None),
        Field::TooLong => Err(Refusal::TooLong),
        Field::Cut => Err(Refusal::Split),
    }
}

#[cfg(test)]
mod tests;
