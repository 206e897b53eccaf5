//! Messages of a queue: reading one ends, and the verdict on it can be read again, has an expectation with its
//! mask, and the packet as it was given.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zct_helpers::Datagram;
use zct_wire::attr::Attrs;
use zct_wire::consts::{cta_expect, nfqa};
use zct_wire::expected::Expected;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::nfqueue::{Change, Queued, VERDICT_MAX, accept, accept_up_to};

fuzz_target!(|data: &[u8]| {
    for frame in Frames::new(data).flatten() {
        if let Ok(queued) = CtMsg::parse(frame).and_then(Queued::parse) {
            read(&queued);
        }
    }
    if let Some(datagram) = Datagram::parse(data) {
        assert!(datagram.transport_at <= datagram.payload_at && datagram.payload_at <= datagram.end);
        assert!(datagram.end <= data.len());
    }
});

fn message(bytes: &[u8]) -> CtMsg<'_> {
    let mut frames = Frames::new(bytes);
    let frame = frames.next().expect("a message").expect("a whole one");
    assert!(frames.next().is_none());
    CtMsg::parse(frame).expect("one of netfilter")
}

fn read(queued: &Queued<'_>) {
    let mut buf = vec![0xa5; queued.payload.len() + VERDICT_MAX];
    let plain = message(accept_up_to(&mut buf, queued.queue, queued.id).expect("room"));
    assert_eq!((plain.resource(), plain.attrs().count()), (queued.queue, 1));

    let Ok(Some(flow)) = queued.flow() else { return };
    let expected = Expected::along(&flow.reply, flow.original.protocol, flow.original.src_port);
    // The kernel keeps at most as much as a name and private data can have.
    let name = flow.helper.unwrap_or(b"ftp");
    let private = flow.private.filter(|p| p.len() <= 32 && name.len() <= 15).map(|p| (name, p));
    let change =
        Change { private, timeout_s: Some(1), expected: Some(&expected), packet: Some(queued.payload) };
    let bytes = accept(&mut buf, queued.queue, queued.id, &change).expect("room");
    let verdict = message(bytes);
    let find = |kind| verdict.attrs().flatten().find(|a| a.kind == kind).map(|a| a.value);
    assert_eq!(find(nfqa::PAYLOAD), Some(queued.payload));
    assert!(find(nfqa::CT).is_some());
    let nest: Vec<_> =
        Attrs::new(find(nfqa::EXP).expect("an expectation")).flatten().map(|a| a.kind).collect();
    assert!(nest.contains(&cta_expect::TUPLE) && nest.contains(&cta_expect::MASK));
}
