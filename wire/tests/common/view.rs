//! Properties of the readers on any bytes: walks end, every accessor answers, what is read can be built
//! again and reads the same. Each function panics when one does not hold.

use zct_wire::attr::Attrs;
use zct_wire::build::{Builder, Head};
use zct_wire::consts::{cta, cta_expect, ips};
use zct_wire::event::Event;
use zct_wire::expect::ExpectView;
use zct_wire::filter::Masked;
use zct_wire::flow::{Dir, FlowView};
use zct_wire::header::{CtMsg, Frames, NL_HDR};
use zct_wire::request::{self, NewFlow};
use zct_wire::stats::{CpuStats, GlobalStats};
use zct_wire::tuple::{Shape, Tuple};

/// The walk over attributes ends, yields only parts of what it was given, and nothing after an error.
pub fn attrs(bytes: &[u8]) {
    let inside = bytes.as_ptr_range();
    let (mut items, mut failed) = (0, false);
    for a in Attrs::new(bytes) {
        assert!(!failed, "an item after an error");
        items += 1;
        match a {
            Ok(a) => {
                let value = a.value.as_ptr_range();
                assert!(inside.start <= value.start && value.end <= inside.end);
                assert!(a.kind < 0x4000, "flag bits left in {:#x}", a.kind);
            }
            Err(_) => failed = true,
        }
    }
    assert!(items <= bytes.len() / 4 + 1, "{items} attributes in {} bytes", bytes.len());
}

/// The walk over messages ends; errors and acknowledgements are read from their own frame alone.
pub fn frames(datagram: &[u8]) {
    let mut items = 0;
    for frame in Frames::new(datagram) {
        items += 1;
        let Ok(frame) = frame else { continue };
        assert!((NL_HDR..=datagram.len()).contains(&frame.bytes.len()));
        assert_eq!(frame.payload().len(), frame.bytes.len() - NL_HDR);
        if let Some(Ok(e)) = frame.error() {
            assert_eq!(Ok(e.code), frame.code());
            let room = frame.bytes.as_ptr_range();
            if let Some(text) = e.text {
                assert!(room.start <= text.as_ptr() && text.as_ptr_range().end <= room.end);
                assert!(!text.contains(&0));
            }
        }
        if let Ok(msg) = CtMsg::parse(frame) {
            attrs(msg.bytes.get(20..).unwrap_or_default());
            flow(msg);
            expect(msg);
            stats(msg);
        }
    }
    assert!(items <= datagram.len() / NL_HDR + 1, "{items} messages in {} bytes", datagram.len());
}

/// A tuple that can be built says the same when it is read again, and so does its inverse.
pub fn tuple(nest: &[u8]) {
    let Ok(t) = Tuple::parse(nest) else { return };
    let shape = Shape::parse(nest).expect("Tuple::parse is Shape::parse");
    assert_eq!((shape.tuple(), shape.proto()), (t, t.proto.unwrap_or(0)));
    // Ports belong to a protocol: without its number there is no nest to put them into.
    let whole = match t.proto {
        Some(_) => t,
        None => Tuple { src: t.src, dst: t.dst, zone: t.zone, ..Tuple::default() },
    };
    assert_eq!(rebuilt(&whole), whole);
    if let Some(inverse) = t.inverse() {
        assert_eq!(inverse.inverse(), Some(Tuple { zone: None, ..t }));
    }
}

fn rebuilt(t: &Tuple) -> Tuple {
    let mut buf = [0xa5; 256];
    let mut b = Builder::new(&mut buf, Head::new(0x100, 0).family(2));
    t.build(&mut b, 1);
    let bytes = b.finish().expect("a tuple fits 256 bytes");
    let nest = Attrs::new(&bytes[20..]).next().expect("one attribute").expect("which is whole");
    Tuple::parse(nest.value).expect("what was built")
}

/// Every accessor of a flow answers, has() and raw() agree, and a request made of the answers reads the same.
pub fn flow(msg: CtMsg<'_>) {
    // Walk and index agree on what is broken.
    let walk = msg.attrs().find_map(Result::err);
    let f = match FlowView::index(msg) {
        Ok(f) => f,
        Err(e) => return assert!(walk.is_some() || msg.bytes.len() > 0xffff, "{e}"),
    };
    assert_eq!(walk, None);
    for kind in 0..=cta::MAX as u16 {
        let last = msg.attrs().flatten().filter(|a| a.kind == kind).last();
        assert_eq!(f.raw(kind), last.map(|a| a.value), "attribute {kind}");
        assert_eq!(f.has(kind), last.is_some());
    }
    for kind in [cta::TUPLE_ORIG, cta::TUPLE_REPLY, cta::TUPLE_MASTER] {
        f.raw(kind).into_iter().for_each(tuple);
    }
    assert_eq!(f.orig_shape().map(|s| s.tuple()), f.orig().map(Option::unwrap_or_default));
    assert_eq!(f.reply_shape().map(|s| s.tuple()), f.reply().map(Option::unwrap_or_default));
    let _ = (f.secmark(), f.use_count(), f.id(), f.event_time_ns(), f.secctx(), f.timestamps(), f.state());
    let _ = (f.counters(Dir::Orig), f.counters(Dir::Reply), Event::of(f.msg()), f.family());
    if let Some(labels) = f.labels() {
        let bits: Vec<u16> = labels.iter().collect();
        assert!(bits.windows(2).all(|w| w[0] < w[1]) && bits.iter().all(|b| *b < 128), "{bits:?}");
        assert!((0..200).all(|n| labels.has(n) == bits.contains(&n)));
        assert_eq!(labels.is_empty(), bits.is_empty());
    }
    sent_again(&f);
}

/// What the daemon does with a flow: reads all of it and makes a request of it.
fn sent_again(f: &FlowView<'_>) {
    let (Ok(orig), Ok(reply), Ok(protoinfo)) = (f.orig(), f.reply(), f.protoinfo()) else { return };
    let (Ok(timeout_s), Ok(status), Ok(mark), Ok(zone)) = (f.timeout_s(), f.status(), f.mark(), f.zone())
    else {
        return;
    };
    let (Ok(helper), Ok(master), Ok(synproxy)) = (f.helper(), f.master(), f.synproxy()) else { return };
    let (Ok(adj_orig), Ok(adj_reply)) = (f.seq_adj(Dir::Orig), f.seq_adj(Dir::Reply)) else { return };
    let numbered = |t: &Option<Tuple>| t.is_none_or(|t| t.proto.is_some());
    if helper.is_some_and(|h| h.len() > 1000) || ![orig, reply, master].iter().all(numbered) {
        return;
    }
    let new = NewFlow::default().with(|it| {
        it.family = f.family();
        it.orig = orig;
        it.reply = reply;
        it.zone = zone;
        it.timeout_s = timeout_s;
        it.status = status;
        it.mark = mark.map(|value| Masked { value, mask: u32::MAX });
        it.protoinfo = protoinfo;
        it.helper = helper;
        it.master = master;
        it.seq_adj = [adj_orig, adj_reply];
        it.synproxy = synproxy;
    });
    let mut buf = [0xa5; request::REQUEST_MAX];
    let bytes = request::new_flow(&mut buf, 1, 0, &new).expect("any flow fits a request");
    let frame = Frames::new(bytes).next().expect("one message").expect("which is whole");
    let again = CtMsg::parse(frame).and_then(FlowView::index).expect("what was built");
    assert_eq!((again.family(), again.orig(), again.reply()), (f.family(), Ok(orig), Ok(reply)));
    assert_eq!((again.timeout_s(), again.mark(), again.zone()), (Ok(timeout_s), Ok(mark), Ok(zone)));
    assert_eq!(again.status(), Ok(status.map(|s| s | ips::CONFIRMED)));
    assert_eq!((again.protoinfo(), again.helper()), (Ok(protoinfo), Ok(helper)));
    assert_eq!((again.master(), again.synproxy()), (Ok(master), Ok(synproxy)));
    assert_eq!((again.seq_adj(Dir::Orig), again.seq_adj(Dir::Reply)), (Ok(adj_orig), Ok(adj_reply)));
}

/// Every accessor of an expectation answers.
pub fn expect(msg: CtMsg<'_>) {
    let walk = msg.attrs().find_map(Result::err);
    let e = match ExpectView::index(msg) {
        Ok(e) => e,
        Err(e) => return assert_eq!(walk, Some(e)),
    };
    assert_eq!(walk, None);
    for (kind, read) in [
        (cta_expect::TUPLE, e.tuple_expected()),
        (cta_expect::MASK, e.mask()),
        (cta_expect::MASTER, e.master()),
    ] {
        let last = msg.attrs().flatten().filter(|a| a.kind == kind).last();
        assert_eq!(read, last.map(|a| Tuple::parse(a.value)).transpose());
        last.into_iter().for_each(|a| tuple(a.value));
    }
    let _ = (e.timeout_s(), e.id(), e.zone(), e.flags(), e.class(), e.family(), e.nat());
    assert!([e.helper(), e.function()].into_iter().flatten().all(|text| !text.contains(&0)));
}

/// Counters of any message can be read as far as they go.
pub fn stats(msg: CtMsg<'_>) {
    let attrs = msg.attrs().count();
    assert_eq!(CpuStats::new(msg).counters().count(), attrs);
    if let Ok(global) = GlobalStats::parse(msg) {
        assert!(attrs > 0 || global == GlobalStats::default());
    }
}
