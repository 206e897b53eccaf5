//! A datagram or a stream from a peer: cutting it into messages ends, what was read can be written and read
//! again, and a stream gives the same messages wherever it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zct_wire::event::Event;
use zct_wire::peer::{
    Encode, Expect, Flow, Kind, MESSAGE_MAX, Message, Messages, Split, Transport, attr, header, split,
};

const EVERYTHING: Encode = Encode { timeout: true, wscale: true };

fuzz_target!(|data: &[u8]| {
    assert!(Messages::new(data).count() <= data.len() / header::HDR + 1);
    for m in Messages::new(data).flatten() {
        assert!(m.bytes.len() >= header::HDR);
        body(&m);
    }
    stream(data);
    // Once more behind a correct header, so that all the fuzzing goes into the attributes.
    flow(data);
    expect(data);
});

fn body(m: &Message<'_>) {
    if let Some((from, to)) = m.range().filter(|_| m.kind() == Some(Kind::Control)) {
        let mut buf = [0xa5; header::CONTROL_LEN];
        let n = header::encode_control(&mut buf, m.flags, m.seq, Some((from, to)));
        assert_eq!(n, Some(header::CONTROL_LEN));
        let again = Messages::new(&buf).next().map(|m| m.map(|m| (m.flags, m.seq, m.range())));
        // Without a flag that carries a range, the sixteen bytes are still there and are read as a range.
        assert_eq!(again, Some(Ok((m.flags, m.seq, Some((from, to))))));
    }
    match m.kind() {
        Some(Kind::Flow(_)) => flow(m.body()),
        Some(Kind::Expect(_)) => expect(m.body()),
        Some(Kind::Digest) => _ = zct_wire::peer::Digest::decode(m),
        Some(Kind::Control) | None => {}
    }
}

/// Walks a message's attributes to the end or to the first error.
fn walk(body: &[u8]) {
    assert!(attr::PeerAttrs::new(body).count() <= body.len() / attr::PEER_ATTR_HDR + 1);
}

/// What can be read can be written, and from then on it reads back unchanged. (The first time something may
/// get lost: ports of protocols that have none, names that are too long to send.)
fn flow(body: &[u8]) {
    walk(body);
    let Ok(f) = Flow::decode(body) else { return };
    let mut buf = [0xa5; MESSAGE_MAX];
    let n = f.encode(&mut buf, Event::New, 0, 1, EVERYTHING).expect("MESSAGE_MAX is enough");
    let again = Flow::decode(&buf[header::HDR..n]).expect("what was written");
    let mut buf2 = [0x5a; MESSAGE_MAX];
    let n2 = again.encode(&mut buf2, Event::New, 0, 1, EVERYTHING).expect("MESSAGE_MAX is enough");
    assert_eq!(buf[..n], buf2[..n2]);
    // Merging in what is already there changes nothing.
    let mut merged = f;
    merged.merge(&f);
    assert_eq!(merged, f);
    let _ = (f.reply(), f.nat_src(), f.nat_dst());
}

fn expect(body: &[u8]) {
    let Ok(e) = Expect::decode(body) else { return };
    let mut buf = [0xa5; MESSAGE_MAX];
    let n = e.encode(&mut buf, Event::New, 0, 1, EVERYTHING).expect("MESSAGE_MAX is enough");
    let again = Expect::decode(&buf[header::HDR..n]).expect("what was written");
    let mut buf2 = [0x5a; MESSAGE_MAX];
    let n2 = again.encode(&mut buf2, Event::New, 0, 1, EVERYTHING).expect("MESSAGE_MAX is enough");
    assert_eq!(buf[..n], buf2[..n2]);
}

/// Fed byte by byte or all at once, a stream gives the same messages.
fn stream(data: &[u8]) {
    let cut = |mut bytes: &[u8]| {
        let (mut seqs, mut lost) = (Vec::new(), false);
        loop {
            match split(bytes, Transport::Stream) {
                Split::End => return (seqs, lost, 0),
                Split::Partial(rest) => return (seqs, lost, rest.len()),
                Split::Message(m, rest) => {
                    seqs.push(m.seq);
                    bytes = rest;
                }
                Split::Bad(bad, rest) => {
                    lost |= bad != zct_wire::peer::Bad::Version;
                    bytes = rest;
                }
            }
        }
    };
    let (whole, lost, _) = cut(data);
    if lost {
        return; // the framing is lost, and where that shows depends on what has arrived
    }
    let (mut pending, mut seqs) = (Vec::new(), Vec::new());
    for b in data {
        pending.push(*b);
        let (some, lost, left) = cut(&pending);
        assert!(!lost);
        seqs.extend(some);
        pending.drain(..pending.len() - left);
    }
    assert_eq!(seqs, whole);
}
