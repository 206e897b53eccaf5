//! `DisableInternalCache`: messages are made from events and nothing is kept (sync-protocol.md §4.1).
//!
//! The original appends them to its send buffer but does not trigger sending, for up to a second. Here they
//! wait no longer than any other change.

use crate::peer::clock::Millis;
use zct_wire::event::Event;
use zct_wire::peer::{Encode, Expect, Flow, MESSAGE_MAX};

/// How much may wait while the network accepts nothing; anything beyond is dropped and counted.
const BYTES_MAX: usize = 1 << 20;

/// Whole messages, one after another, which get their numbers when they are sent.
#[derive(Debug, Default)]
pub(crate) struct Bypass {
    bytes: Vec<u8>,
    // How many of these bytes have been sent.
    sent: usize,
    since: Option<Millis>,
    dropped: u64,
}

impl Bypass {
    /// Makes a message from a flow's event; if there is no room for it, drops and counts it.
    pub(crate) fn flow(&mut self, now: Millis, event: Event, flow: &Flow, encode: Encode) {
        let mut buf = [0; MESSAGE_MAX];
        let len = flow.encode(&mut buf, event, 0, 0, encode);
        self.push(now, len.ok().and_then(|n| buf.get(..n)));
    }

    /// Makes a message from an expectation's event, likewise.
    pub(crate) fn expect(&mut self, now: Millis, event: Event, expect: &Expect, encode: Encode) {
        let mut buf = [0; MESSAGE_MAX];
        let len = expect.encode(&mut buf, event, 0, 0, Encode { wscale: false, ..encode });
        self.push(now, len.ok().and_then(|n| buf.get(..n)));
    }

    fn push(&mut self, now: Millis, message: Option<&[u8]>) {
        let Some(message) = message.filter(|m| self.waiting() + m.len() <= BYTES_MAX) else {
            self.dropped += 1;
            return;
        };
        if self.sent > BYTES_MAX / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.since.get_or_insert(now);
        self.bytes.extend_from_slice(message);
    }

    /// Number of messages that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn waiting(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// True when no more should be made until something has been sent.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting() > BYTES_MAX / 2
    }

    pub(crate) fn due(&self, gather: Millis) -> Option<Millis> {
        self.since.map(|since| since + gather)
    }

    /// True when there is something to send now: its time has come, or it fills a datagram of `room` bytes.
    pub(crate) fn is_due(&self, now: Millis, gather: Millis, room: usize) -> bool {
        self.due(gather).is_some_and(|due| due <= now || self.waiting() >= room)
    }

    /// The first message that waits.
    pub(crate) fn first(&self) -> Option<&[u8]> {
        let rest = self.bytes.get(self.sent..)?;
        let len = u16::from_be_bytes(*rest.get(2..)?.first_chunk()?);
        rest.get(..usize::from(len))
    }

    /// The first message, `len` bytes long, has been sent.
    pub(crate) fn sent(&mut self, len: usize) {
        self.sent += len;
        if self.waiting() == 0 {
            *self = Bypass { dropped: self.dropped, ..Bypass::default() };
        }
    }
}
