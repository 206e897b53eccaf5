//! SANE's network protocol: the scanner server's answer to a start names the port on which it sends the
//! image.

use crate::config::Config;
use crate::datagram::TCP;
use crate::packet::{Packet, Side, State, Transport};
use crate::private::Private;
use crate::read::Cursor;
use crate::refusal::Refusal;
use crate::verdict::{Verdict, Write};

/// SANE_NET_START: the number of the request, and a handle.
const START: u32 = 7;
const START_LEN: usize = 8;
const STATUS_GOOD: u32 = 0;
/// Values of the private data, as the original has them: nothing noted, or that the answer to a start is to
/// come. A value with the bit [`SEEN`] is the sequence number of that answer, so that the same segment sent
/// again is read, and changed, in the same way.
const NOTHING: u32 = 0;
const STARTED: u32 = 1;
const SEEN: u32 = 0x8000_0000;
/// Where the port is in the answer: after the status.
const PORT_AT: usize = 4;

/// Expects the connection for the image after the answer to a start.
pub(crate) fn packet(config: &Config<'_>, private: &mut Private, packet: &Packet<'_>) -> Verdict {
    if packet.payload.is_empty() || packet.state != State::Established {
        return Verdict::PASS;
    }
    let Transport::Tcp { seq, .. } = packet.transport else { return Verdict::PASS };
    let seen = seq | SEEN;
    match packet.side {
        Side::Original => {
            let is_start =
                packet.payload.len() == START_LEN && packet.payload.starts_with(&START.to_be_bytes());
            private.set_number(0, if is_start { STARTED } else { NOTHING });
            Verdict::PASS
        }
        Side::Reply => {
            let noted = private.number(0);
            let counts = noted == STARTED || noted == seen;
            private.set_number(0, if counts { seen } else { NOTHING });
            if counts {
                answer(config, packet).into()
            } else if noted == NOTHING || noted & SEEN != 0 {
                Verdict::PASS
            } else {
                Verdict::refuse(Refusal::StalePrivate)
            }
        }
    }
}

fn answer(config: &Config<'_>, packet: &Packet<'_>) -> Result<Verdict, Refusal> {
    let mut rest = Cursor::new(packet.payload);
    let (Some(status), Some(port)) = (rest.be32(), rest.be32()) else { return Err(Refusal::Split) };
    if status != STATUS_GOOD {
        return Ok(Verdict::PASS);
    }
    let mut verdict = Verdict::expect(packet.expect_to_sender(TCP, config.port(port)?));
    verdict.edit(PORT_AT, 4, Write::Port32(0));
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, SERVER, answer as reply, behind_nat, client};
    use crate::{Edit, Follow};

    /// scanimage and saned with the backend `test`.
    const START: &[u8] = &[0, 0, 0, 7, 0, 0, 0, 0];
    const ANSWER: &[u8] = &[
        0, 0, 0, 0, // SANE_STATUS_GOOD
        0, 0, 0xa5, 0x7b, // port
        0, 0, 0x12, 0x34, // byte order
        0, 0, 0, 0, // no resource that needs a password
    ];

    /// What follows from an answer after a request.
    fn after(request: &[u8], payload: &[u8]) -> Verdict {
        let mut private = Private::zero(4);
        let config = Config::default();
        assert_eq!(packet(&config, &mut private, &client(request)), Verdict::PASS);
        let v = packet(&config, &mut private, &reply(client(payload)));
        let next = Packet { transport: Transport::Tcp { seq: 2000, syn: false }, ..reply(client(payload)) };
        assert_eq!(packet(&config, &mut private, &next), Verdict::PASS, "one answer for one start");
        v
    }

    #[test]
    fn the_image_is_expected_where_the_answer_says() {
        let v = after(START, ANSWER);
        let e = v.expected.get(0).unwrap();
        assert_eq!((e.source(), e.destination(), e.port(), e.protocol()), (Some(CLIENT), SERVER, 42363, TCP));
        assert!(!e.is_permanent() && v.expected.len() == 1);
        assert_eq!(v.edits.get(0), Some(&Edit { at: 4, len: 4, write: Write::Port32(0) }));
    }

    #[test]
    fn behind_nat_it_follows() {
        let mut private = Private::zero(4);
        private.set_number(0, STARTED);
        let p = behind_nat(reply(client(ANSWER)), 3000);
        let v = packet(&Config::default(), &mut private, &p);
        assert_eq!(v.expected.get(0).unwrap().followed(), Some(Follow { dir: 0, port: 42363 }));
    }

    #[test]
    fn only_the_answer_to_a_start_counts() {
        let other_requests: [&[u8]; 4] =
            [&[0, 0, 0, 6, 0, 0, 0, 0], &[0, 0, 0, 7, 0, 0, 0], &[0, 0, 0, 7, 0, 0, 0, 0, 0], &[0, 0, 0, 10]];
        for request in other_requests {
            assert_eq!(after(request, ANSWER), Verdict::PASS, "{request:?}");
            // A start that has not been answered, then something else.
            let mut private = Private::zero(4);
            let config = Config::default();
            packet(&config, &mut private, &client(START));
            packet(&config, &mut private, &client(b""));
            assert_eq!(private.number(0), STARTED, "an acknowledgement changes nothing");
            packet(&config, &mut private, &client(request));
            assert_eq!(packet(&config, &mut private, &reply(client(ANSWER))), Verdict::PASS, "{request:?}");
        }
        let refused = [&[0, 0, 0, 3], &ANSWER[4..]].concat();
        assert_eq!(after(START, &refused), Verdict::PASS);
    }

    #[test]
    fn answers_that_open_nothing_are_counted() {
        for len in 1..8 {
            assert_eq!(after(START, &ANSWER[..len]), Verdict::refuse(Refusal::Split), "{len}");
        }
        for (port, why) in [
            ([0, 0, 0, 0], Refusal::PortZero),
            ([0, 0, 0, 22], Refusal::PrivilegedPort),
            ([0, 0, 0, 111], Refusal::ReservedPort),
            ([0, 1, 0, 22], Refusal::Malformed),
            ([0xff; 4], Refusal::Malformed),
        ] {
            let payload = [&ANSWER[..4], &port, &ANSWER[8..]].concat();
            assert_eq!(after(START, &payload), Verdict::refuse(why), "{port:?}");
        }
    }

    #[test]
    fn garbage_in_the_flow_is_not_believed() {
        let mut private = Private::zero(4);
        private.set_number(0, 0x0100_0000);
        let v = packet(&Config::default(), &mut private, &reply(client(ANSWER)));
        assert_eq!((v, private.number(0)), (Verdict::refuse(Refusal::StalePrivate), 0));
        // A flow that had no start on this node: nothing is noted of it.
        let v = packet(&Config::default(), &mut Private::zero(4), &reply(client(ANSWER)));
        assert_eq!(v, Verdict::PASS);
    }
}
