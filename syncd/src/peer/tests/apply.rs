//! What each type of message may change.

use super::*;
use zct_wire::peer::header::HDR;

/// A message with this number as its type: with the body of an expectation if it is one, otherwise of a flow.
fn message(b: &mut Bench, number: u8) {
    let tuple = flow(1).orig;
    let mut buf = [0; MESSAGE_MAX];
    let e = Expect { master: tuple, tuple, mask: tuple, ..Expect::default() };
    let n = match Kind::from_number(number) {
        Some(Kind::Expect(_)) => e.encode(&mut buf, Event::New, 0, b.peer_seq, Encode::default()),
        Some(Kind::Flow(_) | Kind::Control | Kind::Digest) | None => {
            flow(1).encode(&mut buf, Event::New, 0, b.peer_seq, Encode::default())
        }
    }
    .unwrap();
    assert!(n > HDR);
    buf[0] = buf[0] & 0xf0 | number;
    b.peer_seq = b.peer_seq.wrapping_add(1);
    b.receive(&buf[..n]);
}

/// A flow's message changes the flows, an expectation's the expectations, and nothing else changes either of
/// them: least of all a number that a newer version may use.
#[test]
fn every_type_changes_its_own_cache_and_no_other() {
    for number in 0..16 {
        let mut b = Bench::greeted(PeerConfig::default());
        let before = b.m.stats();
        message(&mut b, number);
        let s = b.m.stats();
        let flows = s.external != before.external;
        let expects = s.external_expect != before.external_expect;
        let want = match Kind::from_number(number) {
            Some(Kind::Flow(_)) => (true, false, before.bad_header),
            Some(Kind::Expect(_)) => (false, true, before.bad_header),
            // A control message without a flag has no meaning, nor have sums.
            Some(Kind::Control | Kind::Digest) | None => (false, false, before.bad_header + 1),
        };
        assert_eq!((flows, expects, s.bad_header), want, "type {number}");
    }
}
