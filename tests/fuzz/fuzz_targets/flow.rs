//! A flow from any attributes: the index agrees with the walk, what is read is built and read again, and no
//! key is made of a flow that is not whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zct_fuzz::{last, message, parsed, rebuilt, tuple_round_trip, walk};
use zct_wire::consts::{cta, ipctnl};
use zct_wire::flow::{Dir, FlowView};
use zct_wire::proto::ProtoInfo;
use zct_wire::request;

fuzz_target!(|data: &[u8]| {
    let Some((&family, attrs)) = data.split_first() else { return };
    let bytes = message(ipctnl::NEW, family, attrs);
    let (indexed, walked) = (FlowView::index(parsed(&bytes)), walk(attrs));
    assert_eq!(indexed.as_ref().err(), walked.as_ref().err());
    let (Ok(f), Ok(walked)) = (indexed, walked) else { return };
    assert_eq!(f.family(), family);
    for kind in 0..=cta::MAX as u16 + 1 {
        let known = usize::from(kind) <= cta::MAX;
        let value = last(&walked, kind).filter(|_| known);
        assert_eq!(f.raw(kind), value, "attribute {kind}");
        assert_eq!(f.has(kind), value.is_some());
    }
    for kind in [cta::TUPLE_ORIG, cta::TUPLE_REPLY, cta::TUPLE_MASTER] {
        if let Some(nest) = f.raw(kind) {
            tuple_round_trip(nest);
        }
    }
    // A fixed-size attribute is there, absent, or too short; never something else.
    for (kind, read) in [
        (cta::STATUS, f.status()),
        (cta::TIMEOUT, f.timeout_s()),
        (cta::MARK, f.mark()),
        (cta::SECMARK, f.secmark()),
        (cta::USE, f.use_count()),
        (cta::ID, f.id()),
    ] {
        match f.raw(kind) {
            None => assert_eq!(read, Ok(None)),
            Some(v) => assert_eq!(read.is_ok(), v.len() >= 4),
        }
    }
    for dir in [Dir::Orig, Dir::Reply] {
        let _ = (f.counters(dir), f.seq_adj(dir));
    }
    let _ = (f.timestamps(), f.event_time_ns(), f.helper(), f.secctx(), f.synproxy());
    if let Some(labels) = f.labels() {
        assert!(labels.iter().all(|bit| bit < 128 && labels.has(bit)));
    }
    if let Ok(Some(info)) = f.protoinfo() {
        let built = rebuilt(|b| info.build(b, cta::PROTOINFO));
        assert_eq!(ProtoInfo::parse(&built), Ok(Some(info)));
    }
    let _ = f.state();
    if let Ok(key) = f.key() {
        let orig = f.orig().expect("a key has one").expect("that can be read");
        assert!(orig.src.is_some() && orig.dst.is_some() && orig.proto.is_some());
        let mut buf = vec![0xa5; bytes.len() + 64];
        let request = request::delete(&mut buf, 7, 0, &key).expect("no longer than the flow");
        let sent = FlowView::index(parsed(request)).expect("what we build can be read");
        assert_eq!(sent.orig(), Ok(Some(orig)), "a delete names the flow it was asked for");
        assert_eq!((sent.zone(), sent.id()), (f.zone(), f.id()));
    }
});
