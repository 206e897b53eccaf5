//! What a protocol says about a packet.

use crate::few::Few;
use crate::refusal::Refusal;
use zct_wire::expected::Expected;

/// The most expectations of one packet.
pub const EXPECTED_MAX: usize = 4;
/// The most places in a packet that name the addresses and ports of its expectations.
pub const EDITS_MAX: usize = 12;

/// How a place in the payload is written. The number is that of the expectation, in the order in which they
/// were added; its address is [`Expected::destination`], its port the one that was found free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The address as text: `192.0.2.1`, `2001:db8::1`.
    Address(u8),
    /// The port in decimal digits.
    Port(u8),
    /// A colon and the port, for a place that has neither (length 0) or both.
    ColonPort(u8),
    /// An IPv4 address and the port as FTP has them: `192,0,2,1,4,210`.
    HostPort(u8),
    /// Address and port as RPC has them, `192.0.2.1.4.210`, with its length before and zeros up to a multiple
    /// of four after it.
    Universal(u8),
    /// The port as two bytes, big endian.
    Port16(u8),
    /// The port as four bytes, big endian.
    Port32(u8),
    /// A length of two bytes, big endian, that grows by as much as the payload does.
    Length16,
    /// The same in four bytes.
    Length32,
}

/// A place in the payload that has to say what the translated side sees. Only read when the flow is
/// translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Where it begins, in bytes from the beginning of the payload.
    pub at: usize,
    /// How many bytes of the payload it replaces.
    pub len: usize,
    /// What stands there instead.
    pub write: Write,
}

/// What is to be done about a packet. The packet itself is always let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The flows to expect.
    pub expected: Few<Expected, EXPECTED_MAX>,
    /// Where the payload names them, in ascending order and without overlap.
    pub edits: Few<Edit, EDITS_MAX>,
    /// Why an announcement is not followed. There can be expectations beside it.
    pub refused: Option<Refusal>,
    /// How long the flow itself is to live from now on, in seconds.
    pub timeout_s: Option<u32>,
}

impl Verdict {
    /// Nothing in it for this helper.
    pub const PASS: Verdict =
        Verdict { expected: Few::NONE, edits: Few::NONE, refused: None, timeout_s: None };

    /// An announcement that is not followed.
    pub fn refuse(why: Refusal) -> Verdict {
        Verdict { refused: Some(why), ..Verdict::PASS }
    }

    /// One flow to expect, which the payload does not name in a way that would have to change.
    pub fn expect(one: Expected) -> Verdict {
        let mut verdict = Verdict::PASS;
        verdict.add(one);
        verdict
    }

    /// Adds a flow to expect and returns its number for [`Write`]. When there is no room for it,
    /// [`Refusal::TooMany`] is noted instead.
    pub fn add(&mut self, one: Expected) -> u8 {
        let number = u8::try_from(self.expected.len()).unwrap_or(u8::MAX);
        if !self.expected.push(one) {
            self.refused = Some(Refusal::TooMany);
        }
        number
    }

    /// Adds a place in the payload. When there is no room for it, nothing at all is expected: half a change
    /// would be worse.
    pub fn edit(&mut self, at: usize, len: usize, write: Write) {
        if !self.edits.push(Edit { at, len, write }) {
            *self = Verdict::refuse(Refusal::TooMany);
        }
    }

    /// Whether the packet had anything in it for the helper.
    pub fn is_match(&self) -> bool {
        !self.expected.is_empty() || self.refused.is_some()
    }
}

impl From<Result<Verdict, Refusal>> for Verdict {
    /// So that a protocol can refuse with `?`.
    fn from(result: Result<Verdict, Refusal>) -> Verdict {
        result.unwrap_or_else(Verdict::refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::tuple::Addr;

    #[test]
    fn what_does_not_fit_is_refused() {
        let e = Expected::new(6, None, Addr::V4([10, 0, 0, 1]), 2000).unwrap();
        let mut v = Verdict::expect(e);
        assert_eq!([v.add(e), v.add(e), v.add(e)], [1, 2, 3]);
        assert!(v.refused.is_none() && v.is_match());
        v.add(e);
        assert_eq!((v.expected.len(), v.refused), (4, Some(Refusal::TooMany)));
        let mut v = Verdict::expect(e);
        (0..=EDITS_MAX).for_each(|at| v.edit(at, 1, Write::Port(0)));
        assert_eq!(v, Verdict::refuse(Refusal::TooMany));
        assert!(!Verdict::PASS.is_match());
    }
}
