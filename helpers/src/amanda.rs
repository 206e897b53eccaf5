//! Amanda over UDP: the server's answer names the ports on which it waits for the client's streams.
//!
//! ```text
//! Amanda 2.4 REP HANDLE 000-00000000 SEQ 1080
//! CONNECT DATA 50000 MESG 50001 INDEX 50002
//! ```

use crate::config::Config;
use crate::datagram::TCP;
use crate::packet::{Packet, Side};
use crate::private::Private;
use crate::read::{Cursor, lines};
use crate::refusal::Refusal;
use crate::verdict::{Verdict, Write};

/// What every message of Amanda begins with.
const MAGIC: &[u8] = b"Amanda ";
const CONNECT: &[u8] = b"CONNECT ";
/// The streams in the order in which they are named (`STATE` since Amanda 3).
const STREAMS: [&[u8]; 4] = [b"DATA", b"MESG", b"INDEX", b"STATE"];
/// The longest of these names.
const NAME_MAX: usize = 5;
/// What stands for a stream that is not used.
const UNUSED: &[u8] = b"-1";
/// Seconds that the exchange may pause after an answer: the server is looking at its disks.
const PAUSE_S: u32 = 300;

/// Expects the streams that an answer of the server announces.
pub(crate) fn packet(config: &Config<'_>, _: &mut Private, packet: &Packet<'_>) -> Verdict {
    if packet.side != Side::Reply || !packet.payload.starts_with(MAGIC) {
        return Verdict::PASS;
    }
    let line = lines(packet.payload).find(|(_, line)| line.starts_with(CONNECT));
    let verdict = line.map_or(Verdict::PASS, |(at, line)| streams(config, packet, at, line));
    Verdict { timeout_s: Some(PAUSE_S), ..verdict }
}

/// Expects every stream that may be, even if others of the line are refused. Reading ends where the line is
/// no longer what Amanda writes.
fn streams(config: &Config<'_>, packet: &Packet<'_>, start: usize, line: &[u8]) -> Verdict {
    let mut verdict = Verdict::PASS;
    let mut names = STREAMS.iter();
    let mut rest = Cursor::new(line);
    let mut more = rest.exactly(CONNECT);
    while more.is_some() {
        let name = rest.until(b' ', NAME_MAX).filter(|name| names.any(|n| n == name));
        let at = rest.at();
        let number = name.and_then(|_| port(&mut rest));
        let len = rest.at().saturating_sub(at);
        more = rest.exactly(b" ");
        match number.filter(|_| more.is_some() || rest.is_end()) {
            None => {
                verdict.refused = Some(Refusal::Malformed);
                break;
            }
            Some(None) => {}
            Some(Some(number)) => match config.port(number) {
                Err(why) => verdict.refused = Some(why),
                Ok(port) => {
                    let number = verdict.add(packet.expect_to_sender(TCP, port));
                    verdict.edit(start.saturating_add(at), len, Write::Port(number));
                }
            },
        }
    }
    verdict
}

/// The number of a stream's port; `None` inside for a stream that is not used.
fn port(rest: &mut Cursor<'_>) -> Option<Option<u32>> {
    match rest.exactly(UNUSED) {
        Some(()) => Some(None),
        None => rest.decimal(5).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, PUBLIC, SERVER, behind_nat, udp_client, udp_server};
    use crate::{Edit, Expected, Follow};
    use std::vec::Vec;

    const ANSWER: &[u8] = b"Amanda 2.4 REP HANDLE 000-00000000 SEQ 1080\n\
        CONNECT DATA 50000 MESG 50001 INDEX 50002\nOPTIONS features=fff;\n";

    fn read(payload: &[u8]) -> Verdict {
        packet(&Config::default(), &mut Private::zero(0), &udp_server(10080, payload))
    }

    fn ports(verdict: &Verdict) -> Vec<u16> {
        verdict.expected.iter().map(Expected::port).collect()
    }

    /// An answer with this line.
    fn with(line: &str) -> Verdict {
        read(format!("Amanda 2.5 REP HANDLE 007-00A1B2C3 SEQ 1234567890\n{line}\nOPTIONS ;\n").as_bytes())
    }

    #[test]
    fn every_stream_is_expected_from_the_client() {
        let v = read(ANSWER);
        assert_eq!((ports(&v), v.refused, v.timeout_s), ([50000, 50001, 50002].into(), None, Some(300)));
        for e in v.expected.iter() {
            assert_eq!((e.source(), e.destination(), e.protocol()), (Some(CLIENT), SERVER, TCP));
            assert!(!e.is_permanent() && e.followed().is_none());
        }
        for edit in v.edits.iter() {
            let Edit { at, len, write: Write::Port(n) } = *edit else { panic!("{edit:?}") };
            let text = core::str::from_utf8(&ANSWER[at..at + len]).unwrap();
            assert_eq!(text.parse(), Ok(ports(&v)[usize::from(n)]));
        }
        assert_eq!(ports(&with("CONNECT DATA 50000 MESG 50001 INDEX 50002 STATE 50003")).len(), 4);
        assert_eq!(ports(&with("CONNECT DATA 50000 MESG 50001 INDEX -1\r")), [50000, 50001]);
        assert_eq!(ports(&with("CONNECT INDEX 50002")), [50002]);
    }

    #[test]
    fn behind_nat_the_streams_follow_it() {
        let p = behind_nat(udp_server(10080, ANSWER), 999);
        let v = packet(&Config::default(), &mut Private::zero(0), &p);
        let first = v.expected.get(0).unwrap();
        assert_eq!((first.source(), first.destination()), (Some(CLIENT), SERVER));
        assert_eq!(first.followed(), Some(Follow { dir: 0, port: 50000 }));
        assert_ne!(p.reply.dst(), CLIENT, "the server knows it as {PUBLIC:?}");
    }

    #[test]
    fn what_is_no_answer_with_streams_opens_nothing() {
        let pass = Verdict { timeout_s: Some(300), ..Verdict::PASS };
        assert_eq!(read(b"Amanda 2.4 ACK HANDLE 000-00000000 SEQ 1080\n"), pass);
        // Without the end of its line nothing is expected: the rest may be in a packet that never comes.
        assert_eq!(read(ANSWER.split_inclusive(|b| *b == b'X').next().unwrap()), pass);
        assert_eq!(read(b"Amanda 2.4 REP\nxCONNECT DATA 50000\n"), pass);
        for other in [&b""[..], b"Amanda", b"CONNECT DATA 50000 MESG 50001 INDEX 50002\n"] {
            assert_eq!(read(other), Verdict::PASS);
        }
        let of_the_client = udp_client(10080, ANSWER);
        assert_eq!(packet(&Config::default(), &mut Private::zero(0), &of_the_client), Verdict::PASS);
    }

    #[test]
    fn ports_that_may_not_be_opened_are_refused_one_by_one() {
        for (line, why, left) in [
            ("CONNECT DATA 0 MESG 50001", Refusal::PortZero, &[50001][..]),
            ("CONNECT DATA 50000 MESG 22", Refusal::PrivilegedPort, &[50000]),
            ("CONNECT DATA 50000 MESG 111 INDEX 2000", Refusal::ReservedPort, &[50000, 2000]),
            ("CONNECT DATA 65558", Refusal::Malformed, &[]),
            ("CONNECT DATA 655360 MESG 50001", Refusal::Malformed, &[]),
            ("CONNECT DATA 50000x MESG 50001", Refusal::Malformed, &[]),
            ("CONNECT DATA 50000 ", Refusal::Malformed, &[50000]),
            ("CONNECT DATA +5000 MESG 50001", Refusal::Malformed, &[]),
            ("CONNECT DATA  50000", Refusal::Malformed, &[]),
            ("CONNECT MESG 50001 DATA 50000", Refusal::Malformed, &[50001]),
            ("CONNECT DATA 50000 DATA 50001", Refusal::Malformed, &[50000]),
            ("CONNECT SHELL 50000", Refusal::Malformed, &[]),
            ("CONNECT DATA", Refusal::Malformed, &[]),
            ("CONNECT DATA ", Refusal::Malformed, &[]),
        ] {
            let v = with(line);
            assert_eq!((v.refused, &ports(&v)[..]), (Some(why), left), "{line}");
        }
    }
}
