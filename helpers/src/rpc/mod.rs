//! The port mapper (RFC 1833) over UDP and TCP: the server's answer to a question for a service names its
//! port.
//!
//! The private data has the original's four numbers: transaction, program, version, protocol. Two bits of the
//! last one are ours, and once a question over TCP is answered, the answer's sequence number takes the place
//! of the version: the same segment sent again has to be read, and changed, in the same way.

mod message;
mod universal;
mod xdr;

#[cfg(test)]
mod captures;

use crate::config::Config;
use crate::packet::{Packet, Side, State, Transport};
use crate::private::Private;
use crate::read::Cursor;
use crate::refusal::Refusal;
use crate::verdict::{Verdict, Write};
use message::{Asked, Call, Form, Found, PORTMAPPER};
use zct_wire::expected::Expected;

/// Places in the private data.
const XID: usize = 0;
const PROGRAM: usize = 4;
const VERSION_OR_SEQ: usize = 8;
const PROTOCOL: usize = 12;
/// Bits of the number at [`PROTOCOL`]: the answer has an address, and it has been seen.
const WITH_ADDRESS: u32 = 0x100;
const ANSWERED: u32 = 0x200;

/// RFC 5531, section 11: the bit of a record mark that says the record ends with this fragment.
const LAST_FRAGMENT: u32 = 0x8000_0000;
const RECORD_MARK: usize = 4;

/// Notes a question of the client's, or expects what the server's answer to it announces.
pub(crate) fn packet(config: &Config<'_>, private: &mut Private, packet: &Packet<'_>) -> Verdict {
    let over_tcp = packet.transport != Transport::Udp;
    if packet.payload.is_empty() || (over_tcp && packet.state != State::Established) {
        return Verdict::PASS;
    }
    let (message, is_whole) = record(packet.payload, over_tcp);
    match packet.side {
        Side::Original => question(private, message, is_whole),
        Side::Reply => answer(config, private, packet, message, is_whole).into(),
    }
}

/// The message in a packet, and whether that is all of it.
fn record(payload: &[u8], over_tcp: bool) -> (&[u8], bool) {
    if !over_tcp {
        return (payload, true);
    }
    let mut rest = Cursor::new(payload);
    let claimed = rest.be32();
    let len = u32::try_from(rest.rest().len()).ok();
    (rest.rest(), len.is_some_and(|len| len < LAST_FRAGMENT && claimed == Some(len | LAST_FRAGMENT)))
}

fn question(private: &mut Private, message: &[u8], is_whole: bool) -> Verdict {
    let asked = message::call(message);
    match asked {
        Asked::Port(call) if is_whole => note(private, &call),
        // Whatever else the client sends, it no longer waits for what it asked before.
        _ => private.clear(),
    }
    match asked {
        Asked::Malformed if is_whole => Verdict::refuse(Refusal::Malformed),
        Asked::Malformed | Asked::Port(_) if !is_whole => Verdict::refuse(Refusal::Split),
        _ => Verdict::PASS,
    }
}

fn note(private: &mut Private, call: &Call) {
    let form = match call.form {
        Form::Port => 0,
        Form::Address => WITH_ADDRESS,
    };
    private.set_number(XID, call.xid);
    private.set_number(PROGRAM, call.program);
    private.set_number(VERSION_OR_SEQ, call.version);
    private.set_number(PROTOCOL, u32::from(call.protocol) | form);
}

fn answer(
    config: &Config<'_>,
    private: &mut Private,
    packet: &Packet<'_>,
    message: &[u8],
    is_whole: bool,
) -> Result<Verdict, Refusal> {
    let noted = private.number(PROTOCOL);
    if noted == 0 {
        return Ok(Verdict::PASS);
    }
    let form = if noted & WITH_ADDRESS == 0 { Form::Port } else { Form::Address };
    let protocol = match noted & !(WITH_ADDRESS | ANSWERED) {
        6 => 6,
        17 => 17,
        _ => {
            private.clear();
            return Err(Refusal::StalePrivate);
        }
    };
    let xid = private.number(XID);
    // Late answers to something else leave the question as it is.
    if Cursor::new(message).be32() != Some(xid) {
        return Ok(Verdict::PASS);
    }
    let program = private.number(PROGRAM);
    match packet.transport {
        Transport::Tcp { seq, .. } if noted & ANSWERED == 0 => {
            private.set_number(VERSION_OR_SEQ, seq);
            private.set_number(PROTOCOL, noted | ANSWERED);
        }
        Transport::Tcp { seq, .. } if seq != private.number(VERSION_OR_SEQ) => return Err(Refusal::Unasked),
        Transport::Tcp { .. } => {}
        // A client that asks again over UDP is noted again.
        Transport::Udp => private.clear(),
    }
    if !is_whole {
        return Err(Refusal::Split);
    }
    match message::reply(message, xid, form) {
        Some((found, at)) if program != PORTMAPPER => announced(config, packet, protocol, found, at),
        _ => Ok(Verdict::PASS),
    }
}

/// Expects flows to the port that was found; `at` is where the message names it.
fn announced(
    config: &Config<'_>,
    packet: &Packet<'_>,
    protocol: u8,
    found: Found<'_>,
    at: usize,
) -> Result<Verdict, Refusal> {
    let over_tcp = packet.transport != Transport::Udp;
    let at = if over_tcp { at.saturating_add(RECORD_MARK) } else { at };
    let len = packet.payload.len().saturating_sub(at);
    let (expected, write) = match found {
        // The protocol's own ways to say that there is no such service.
        Found::Port(0) | Found::Address(b"") => return Ok(Verdict::PASS),
        Found::Port(port) => (packet.expect_to_sender(protocol, config.port(port)?), Write::Port32(0)),
        Found::Address(text) => {
            let (addr, port) = universal::parse(text).ok_or(Refusal::Malformed)?;
            let port = config.port(port.into())?;
            let own = packet.sender().0;
            let of_server = universal::is_any(addr) && addr.family() == own.family();
            let expected = if of_server || config.address(packet, addr)? {
                Some(packet.expect_to_sender(protocol, port))
            } else {
                Expected::new(protocol, Some(packet.other().src()), addr, port)
            };
            (expected.ok_or(Refusal::ForeignAddress)?, Write::Universal(0))
        }
    };
    // A client that mounts a file system connects more than once to a port that it has asked for once.
    let expected = if config.permanent.unwrap_or(true) { expected.permanent() } else { expected };
    let mut verdict = Verdict::expect(expected);
    if over_tcp && write == Write::Universal(0) {
        verdict.edit(0, RECORD_MARK, Write::Length32);
    }
    verdict.edit(at, len, write);
    Ok(verdict)
}

#[cfg(test)]
mod tests;
