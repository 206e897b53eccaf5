//! Messages from a TCP stream (sync-protocol.md §1.1), with a reassembler for each connection.
//!
//! The original has one for the whole process, so that two connections spoil each other's messages.

use zct_wire::peer::{Bad, Split, Transport, split};

/// Room for the longest message there can be, and as much again to read into.
const CAPACITY: usize = 2 * 65_536;

/// Collects what arrives on one connection, and returns whole messages and whole sealed frames: the length of
/// both is in the same place.
///
/// # Allocation
/// One buffer of 128 KiB for the life of the connection.
#[derive(Debug)]
pub struct Reassembler {
    buf: Vec<u8>,
    // Bytes that have arrived.
    filled: usize,
    // How many of them were returned as whole messages.
    taken: usize,
}

impl Default for Reassembler {
    fn default() -> Self {
        Reassembler { buf: vec![0; CAPACITY], filled: 0, taken: 0 }
    }
}

impl Reassembler {
    /// Room to read into; never empty. Messages that were returned earlier are overwritten.
    pub fn room(&mut self) -> &mut [u8] {
        // What is left is less than one message, so at least half of the buffer is free.
        self.buf.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        &mut self.buf[self.filled..]
    }

    /// Notes that `n` bytes have been read into [`Reassembler::room`], and returns the messages that are
    /// complete now: pass them to the machine as if they were a datagram. There may be none.
    ///
    /// # Errors
    /// The framing is lost, and with it the rest of the stream: close the connection.
    pub fn filled(&mut self, n: usize) -> Result<&mut [u8], Bad> {
        self.filled = (self.filled + n).min(self.buf.len());
        let start = self.taken;
        let mut rest = &self.buf[start..self.filled];
        loop {
            match split(rest, Transport::Stream) {
                Split::End => break,
                Split::Partial(_) => break,
                Split::Message(_, next) | Split::Bad(Bad::Version, next) => rest = next,
                Split::Bad(bad, _) => return Err(bad),
            }
        }
        self.taken = self.filled - rest.len();
        Ok(&mut self.buf[start..self.taken])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::peer::header::encode_control;
    use zct_wire::peer::{Messages, flag};

    fn messages(n: u32) -> Vec<u8> {
        let mut out = Vec::new();
        for seq in 0..n {
            let mut buf = [0; 16];
            let range = (seq % 2 == 0).then_some((seq, seq));
            let flags = if range.is_some() { flag::ACK } else { flag::ALIVE };
            let len = encode_control(&mut buf, flags, seq, range).unwrap();
            out.extend(&buf[..len]);
        }
        out
    }

    #[test]
    fn any_cutting_gives_the_same_messages() {
        let all = messages(50);
        for step in 1..40 {
            let mut r = Reassembler::default();
            let mut got = Vec::new();
            for piece in all.chunks(step) {
                r.room()[..piece.len()].copy_from_slice(piece);
                got.extend(Messages::new(r.filled(piece.len()).unwrap()).map(|m| m.unwrap().seq));
            }
            assert_eq!(got, (0..50).collect::<Vec<_>>(), "in pieces of {step}");
        }
    }

    #[test]
    fn there_is_always_room_for_a_message() {
        let mut r = Reassembler::default();
        let mut head = [0u8; 8];
        head.copy_from_slice(&[0x10, 0, 0xff, 0xff, 0, 0, 0, 1]);
        r.room()[..8].copy_from_slice(&head);
        assert_eq!(r.filled(8), Ok(&mut [][..]));
        let mut left = 65_535 - 8;
        while left > 0 {
            let n = r.room().len().min(left);
            assert!(n > 0);
            left -= n;
            let whole = r.filled(n).unwrap().len();
            assert_eq!(whole, if left == 0 { 65_535 } else { 0 });
        }
    }

    #[test]
    fn lost_framing_is_told() {
        for (len, bad) in [(0u16, Bad::Size), (7, Bad::Size)] {
            let mut r = Reassembler::default();
            r.room()[..16].fill(0);
            r.room()[0] = 0x10;
            r.room()[2..4].copy_from_slice(&len.to_be_bytes());
            assert_eq!(r.filled(16), Err(bad));
        }
    }
}
