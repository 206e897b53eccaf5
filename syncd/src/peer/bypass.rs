//! `DisableInternalCache`: messages are made from events and nothing is kept (sync-protocol.md §4.1).
//!
//! The original appends them to its send buffer and forgets to send that, up to a second long. Here they wait
//! as long as any other change.

use crate::peer::clock::Millis;
use crate::peer::machine::Machine;
use zct_wire::event::Event;
use zct_wire::peer::{Encode, Expect, Flow, MESSAGE_MAX};

/// What may wait for a network that takes nothing: more is dropped and counted.
const BYTES_MAX: usize = 1 << 20;

/// Whole messages, one after the other, with their numbers still to come.
#[derive(Debug, Default)]
pub(crate) struct Bypass {
    bytes: Vec<u8>,
    // Of those, bytes that have been sent.
    sent: usize,
    since: Option<Millis>,
}

impl Bypass {
    fn waiting(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(crate) fn due(&self, gather: Millis) -> Option<Millis> {
        self.since.map(|since| since + gather)
    }

    fn push(&mut self, now: Millis, message: &[u8]) -> bool {
        if self.waiting() + message.len() > BYTES_MAX {
            return false;
        }
        if self.sent > BYTES_MAX / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.since.get_or_insert(now);
        self.bytes.extend_from_slice(message);
        true
    }

    /// The first message that waits.
    fn first(&self) -> Option<&[u8]> {
        let rest = self.bytes.get(self.sent..)?;
        let len = u16::from_be_bytes(*rest.get(2..)?.first_chunk()?);
        rest.get(..usize::from(len))
    }
}

impl Machine {
    pub(crate) fn bypass_flow(&mut self, now: Millis, event: Event, flow: &Flow) {
        let mut buf = [0; MESSAGE_MAX];
        let len = flow.encode(&mut buf, event, 0, 0, self.encode);
        self.bypass_message(now, len.ok().and_then(|n| buf.get(..n)));
        let stats = &mut self.stats.internal;
        match event {
            Event::New => stats.created += 1,
            Event::Update => stats.updated += 1,
            Event::Destroy => stats.destroyed += 1,
        }
    }

    pub(crate) fn bypass_expect(&mut self, now: Millis, event: Event, expect: &Expect) {
        let mut buf = [0; MESSAGE_MAX];
        let len = expect.encode(&mut buf, event, 0, 0, Encode { wscale: false, ..self.encode });
        self.bypass_message(now, len.ok().and_then(|n| buf.get(..n)));
        let stats = &mut self.stats.internal_expect;
        match event {
            Event::New => stats.created += 1,
            Event::Update => stats.updated += 1,
            Event::Destroy => stats.destroyed += 1,
        }
    }

    fn bypass_message(&mut self, now: Millis, message: Option<&[u8]>) {
        if !message.is_some_and(|m| self.bypass.push(now, m)) {
            self.stats.bypass_dropped += 1;
        }
    }

    /// A flow of a kernel dump that [`Host::dump_kernel`](crate::peer::Host::dump_kernel) asked for: sent as
    /// new. Pass no more while [`Machine::bypass_is_full`].
    pub fn bypass_dump(&mut self, now: Millis, flow: &Flow) {
        self.bypass_flow(now, Event::New, flow);
    }

    /// True when the dump should wait until [`Machine::transmit`] has taken something.
    pub fn bypass_is_full(&self) -> bool {
        self.bypass.waiting() > BYTES_MAX / 2
    }

    /// Moves messages into a datagram and numbers them.
    pub(crate) fn fill_from_bypass(&mut self, now: Millis, buf: &mut [u8], len: &mut usize) {
        let full = self.bypass.waiting() >= buf.len();
        if self.bypass.since.is_none() || !(full || self.bypass.due(self.config.gather_ms) <= Some(now)) {
            return;
        }
        while let Some(message) = self.bypass.first() {
            let taken = message.len();
            let Some(to) = buf.get_mut(*len..*len + taken) else {
                if *len > 0 {
                    return;
                }
                self.stats.unsendable += 1;
                self.bypass.sent += taken;
                continue;
            };
            to.copy_from_slice(message);
            if let Some(seq) = to.get_mut(4..8) {
                seq.copy_from_slice(&self.seq.to_be_bytes());
            }
            *len += taken;
            self.bypass.sent += taken;
            self.numbered();
        }
        self.bypass = Bypass::default();
    }
}
