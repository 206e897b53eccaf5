//! Calls and replies of the port mapper: RFC 5531, section 9 around RFC 1833, sections 2
//! (rpcbind, versions 3 and 4) and 3 (port mapper, version 2).

use super::{universal, xdr::opaque};
use crate::read::Cursor;

/// The port mapper's own program number, under all its names.
pub(super) const PORTMAPPER: u32 = 100_000;
/// RFC 5531, section 9.
const CALL: u32 = 0;
const REPLY: u32 = 1;
const RPC_VERSION: u32 = 2;
const ACCEPTED: u32 = 0;
const SUCCESS: u32 = 0;
/// RFC 5531, section 8.2: the most that credentials have, in bytes.
const AUTH_MAX: usize = 400;
/// RFC 1833, section 3, PMAPPROC_GETPORT; and section 2, RPCBPROC_GETADDR.
const GETPORT: u32 = 3;
/// RFC 1833, section 2.2.1, RPCBPROC_GETVERSADDR: in version 4 only.
const GETVERSADDR: u32 = 9;
/// The longest transport name that is known, as `udp6`.
const NETID_MAX: usize = 4;
/// The longest owner in a call that is read, in bytes: callers send their own name or number.
const OWNER_MAX: usize = 255;

/// The form in which an answer names a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A number: version 2.
    Port,
    /// A universal address: versions 3 and 4.
    Address,
}

/// A question for the port of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Number of the transaction, which the reply repeats.
    pub(super) xid: u32,
    /// The program asked for.
    pub(super) program: u32,
    /// And its version.
    pub(super) version: u32,
    /// The transport asked for: 6 or 17.
    pub(super) protocol: u8,
    /// The form of the answer.
    pub(super) form: Form,
}

/// What a message of the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A question for a port.
    Port(Call),
    /// Another call, or something that is not a call.
    Else,
    /// A question for a port that is not put as the RFC says.
    Malformed,
}

/// Reads a message of the client, without a record mark.
pub(super) fn call(message: &[u8]) -> Asked {
    let mut items = Cursor::new(message);
    let Some((xid, form)) = heading(&mut items) else { return Asked::Else };
    arguments(&mut items, xid, form).map_or(Asked::Malformed, Asked::Port)
}

/// Transaction and form of a question for a port.
fn heading(items: &mut Cursor<'_>) -> Option<(u32, Form)> {
    let xid = items.be32()?;
    if [items.be32()?, items.be32()?, items.be32()?] != [CALL, RPC_VERSION, PORTMAPPER] {
        return None;
    }
    let form = match [items.be32()?, items.be32()?] {
        [2, GETPORT] => Form::Port,
        [3 | 4, GETPORT] | [4, GETVERSADDR] => Form::Address,
        _ => return None,
    };
    Some((xid, form))
}

fn arguments(items: &mut Cursor<'_>, xid: u32, form: Form) -> Option<Call> {
    for _credentials_and_verifier in 0..2 {
        let _flavour = items.be32()?;
        opaque(items, AUTH_MAX)?;
    }
    let (program, version) = (items.be32()?, items.be32()?);
    let protocol = match form {
        Form::Port => {
            let protocol = u8::try_from(items.be32()?).ok().filter(|p| matches!(p, 6 | 17))?;
            let _port = items.be32()?;
            protocol
        }
        Form::Address => {
            let protocol = match opaque(items, NETID_MAX)? {
                b"tcp" | b"tcp6" => 6,
                b"udp" | b"udp6" => 17,
                _ => return None,
            };
            let _address = opaque(items, universal::TEXT_MAX)?;
            let _owner = opaque(items, OWNER_MAX)?;
            protocol
        }
    };
    items.is_end().then_some(Call { xid, program, version, protocol, form })
}

/// The result of a call that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A number, which need not be a port.
    Port(u32),
    /// The text of an address; empty if there is no such service.
    Address(&'a [u8]),
}

/// The result in the reply to this transaction, and where it begins in the message, which has no record mark.
/// `None` for everything else.
pub(super) fn reply(message: &[u8], xid: u32, form: Form) -> Option<(Found<'_>, usize)> {
    let mut items = Cursor::new(message);
    if [items.be32()?, items.be32()?, items.be32()?] != [xid, REPLY, ACCEPTED] {
        return None;
    }
    let _flavour = items.be32()?;
    opaque(&mut items, AUTH_MAX)?;
    if items.be32()? != SUCCESS {
        return None;
    }
    let at = items.at();
    let found = match form {
        Form::Port => Found::Port(items.be32()?),
        Form::Address => Found::Address(opaque(&mut items, universal::TEXT_MAX)?),
    };
    items.is_end().then_some((found, at))
}

#[cfg(test)]
mod tests {
    use super::super::captures::*;
    use super::*;

    #[test]
    fn questions_for_a_port_in_all_forms() {
        let nfs =
            |xid, protocol, form| Asked::Port(Call { xid, program: 100_003, version: 3, protocol, form });
        assert_eq!(call(&GETPORT_NFS), nfs(0x1234_5678, 6, Form::Port));
        assert_eq!(call(&GETADDR_UDP), nfs(0x6b00_90cb, 17, Form::Address));
        assert_eq!(call(&GETADDR_TCP[4..]), nfs(0x7178_fc4b, 6, Form::Address));
        assert_eq!(call(&GETADDR_TCP6[4..]), nfs(0xfa91_c228, 6, Form::Address));
        let mut versions = GETADDR_UDP;
        versions[23] = 9;
        assert_eq!(call(&versions), nfs(0x6b00_90cb, 17, Form::Address));
        versions[19] = 3;
        assert_eq!(call(&versions), Asked::Else, "version 3 has no such procedure");
    }

    #[test]
    fn other_calls_are_none_of_our_business() {
        for (at, value) in [(7, 1), (11, 3), (15, 0xa1), (19, 1), (19, 5), (23, 0), (23, 4), (23, 5)] {
            let mut other = GETPORT_NFS;
            other[at] = value;
            assert_eq!(call(&other), Asked::Else, "{at}");
        }
        assert_eq!(call(&DUMP_TCP[4..]), Asked::Else);
        assert_eq!(call(&NOT_REGISTERED), Asked::Else);
    }

    #[test]
    fn questions_that_are_cut_or_too_long_are_malformed() {
        for whole in [&GETPORT_NFS[..], &GETADDR_UDP, &GETADDR_TCP[4..]] {
            for len in 0..whole.len() {
                let expected = if len < 24 { Asked::Else } else { Asked::Malformed };
                assert_eq!(call(&whole[..len]), expected, "{len}");
            }
            assert_eq!(call(&[whole, &[0]].concat()), Asked::Malformed);
            assert_eq!(call(&[whole, &[0; 4]].concat()), Asked::Malformed);
        }
        let mut protocol = GETPORT_NFS;
        for p in [0, 1, 132] {
            protocol[51] = p;
            assert_eq!(call(&protocol), Asked::Malformed);
        }
        (protocol[50], protocol[51]) = (1, 6);
        assert_eq!(call(&protocol), Asked::Malformed, "262 is not 6");
        let mut credentials = GETPORT_NFS;
        credentials[30] = 0x10;
        assert_eq!(call(&credentials), Asked::Malformed);
    }

    #[test]
    fn replies_to_the_transaction_only() {
        assert_eq!(reply(&PORT_2049, 0x1234_5678, Form::Port), Some((Found::Port(2049), 24)));
        assert_eq!(reply(&PORT_2049, 0x1234_5679, Form::Port), None);
        let address = Some((Found::Address(b"127.0.0.1.8.1"), 24));
        assert_eq!(reply(&ADDRESS_UDP, 0x6b00_90cb, Form::Address), address);
        assert_eq!(reply(&ADDRESS_TCP[4..], 0x7178_fc4b, Form::Address), address);
        assert_eq!(reply(&NOT_REGISTERED, 0x6b0d_7584, Form::Address), Some((Found::Address(b""), 24)));
        for (at, value) in [(7, 0), (7, 2), (11, 1), (18, 2), (23, 1)] {
            let mut other = PORT_2049;
            other[at] = value;
            assert_eq!(reply(&other, 0x1234_5678, Form::Port), None, "{at}");
        }
        for len in 0..PORT_2049.len() {
            assert_eq!(reply(&PORT_2049[..len], 0x1234_5678, Form::Port), None);
        }
        for len in 0..ADDRESS_UDP.len() {
            assert_eq!(reply(&ADDRESS_UDP[..len], 0x6b00_90cb, Form::Address), None);
        }
        assert_eq!(reply(&[&PORT_2049[..], &[0; 4]].concat(), 0x1234_5678, Form::Port), None);
    }
}
