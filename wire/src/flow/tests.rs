//! Accessors on messages as kernels write them, cut short, and with wrong lengths.

use super::*;
use crate::build::{Builder, Head};
use crate::header::Frames;
use std::vec::Vec;

fn view(bytes: &[u8]) -> Result<FlowView<'_>, WireError> {
    FlowView::index(CtMsg::parse(Frames::new(bytes).next().unwrap()?)?)
}

/// One flow with every attribute the kernel sends.
fn full(buf: &mut [u8]) -> &[u8] {
    let orig = Tuple { proto: Some(6), src_port: Some(1), dst_port: Some(2), ..Tuple::default() };
    let mut b = Builder::new(buf, Head::new(0x100, 0).flags(0x600).family(2));
    orig.build(&mut b, cta::TUPLE_ORIG);
    orig.build(&mut b, cta::TUPLE_REPLY);
    b.put_be32(cta::STATUS, 0x18e).put_be32(cta::MARK, 0).put_be32(cta::ID, 77).put_be32(cta::USE, 2);
    b.put_be32(cta::TIMEOUT, 300).put_be16(cta::ZONE, 5);
    b.nest(cta::COUNTERS_ORIG, |b| {
        b.put(1, &7u64.to_be_bytes()).put(2, &900u64.to_be_bytes());
    });
    b.nest(cta::TIMESTAMP, |b| {
        b.put(1, &5u64.to_be_bytes()).put(2, &6u64.to_be_bytes());
    });
    b.nest(cta::HELP, |b| {
        b.put_str(1, b"ftp");
    });
    let mut labels = [0u8; 16];
    labels[..4].copy_from_slice(&(1u32 << 3).to_ne_bytes());
    labels[12..].copy_from_slice(&(1u32 << 31).to_ne_bytes());
    b.put(cta::LABELS, &labels);
    b.nest(cta::SEQ_ADJ_ORIG, |b| {
        b.put_be32(1, 9).put(2, &(-4i32).to_be_bytes()).put(3, &8i32.to_be_bytes());
    });
    b.nest(cta::SYNPROXY, |b| {
        b.put_be32(1, 1).put_be32(2, 2).put_be32(3, 3);
    });
    b.put(cta::TIMESTAMP_EVENT, &8u64.to_be_bytes());
    b.put(900, b"from a newer kernel");
    b.finish().unwrap()
}

#[test]
fn every_accessor_reads_what_was_put() {
    let mut buf = [0xa5; 1024];
    let f = view(full(&mut buf)).unwrap();
    assert_eq!(f.orig().unwrap().unwrap().src_port, Some(1));
    assert_eq!(f.status(), Ok(Some(0x18e)));
    assert_eq!((f.mark(), f.id(), f.use_count()), (Ok(Some(0)), Ok(Some(77)), Ok(Some(2))));
    assert_eq!((f.timeout_s(), f.zone()), (Ok(Some(300)), Ok(Some(5))));
    assert_eq!(f.counters(Dir::Orig), Ok(Some(Counters { packets: 7, bytes: 900 })));
    assert_eq!(f.counters(Dir::Reply), Ok(None));
    assert_eq!(f.timestamps(), Ok(Some(Timestamps { start_ns: Some(5), stop_ns: Some(6) })));
    assert_eq!(f.helper(), Ok(Some(&b"ftp"[..])));
    assert_eq!(f.labels().unwrap().iter().collect::<Vec<_>>(), [3, 127]);
    assert!(f.labels().unwrap().has(127) && !f.labels().unwrap().has(128));
    let adj = SeqAdj { correction_pos: 9, offset_before: -4, offset_after: 8 };
    assert_eq!(f.seq_adj(Dir::Orig), Ok(Some(adj)));
    assert_eq!(f.synproxy(), Ok(Some(Synproxy { isn: 1, its: 2, tsoff: 3 })));
    assert_eq!(f.event_time_ns(), Ok(Some(8)));
    assert_eq!((f.secmark(), f.secctx(), f.protoinfo()), (Ok(None), Ok(None), Ok(None)));
    assert_eq!(f.master(), Ok(None));
}

#[test]
fn labels_are_128_bits_in_whole_words() {
    let ones = [0xff; 64];
    for (bytes, bits) in [(0, 0), (3, 0), (4, 32), (7, 32), (16, 128), (20, 128), (64, 128)] {
        let labels = LabelBits::new(&ones[..bytes]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), (0..bits).collect::<Vec<_>>(), "{bytes} bytes");
        assert_eq!(labels.is_empty(), bits == 0);
        assert!(!labels.has(bits));
    }
}

#[test]
fn what_is_left_out_is_absent_and_nothing_else_is() {
    let mut buf = [0xa5; 1024];
    let f = view(full(&mut buf)).unwrap();
    let less = f.without(cta::TIMEOUT).without(900);
    assert_eq!((less.timeout_s(), less.has(cta::TIMEOUT)), (Ok(None), false));
    assert_eq!((less.status(), less.mark(), less.id()), (f.status(), f.mark(), f.id()));
    assert_eq!(f.timeout_s(), Ok(Some(300)));
}

#[test]
fn every_truncation_is_an_error_or_a_shorter_flow() {
    let mut buf = [0xa5; 1024];
    let whole = full(&mut buf).to_vec();
    for n in 0..whole.len() {
        let mut cut = whole[..n].to_vec();
        if n >= 4 {
            cut[..4].copy_from_slice(&(n as u32).to_ne_bytes());
        }
        let Some(Ok(frame)) = Frames::new(&cut).next() else { continue };
        let Ok(msg) = CtMsg::parse(frame) else { continue };
        if let Ok(f) = FlowView::index(msg) {
            assert!(matches!(f.status(), Ok(None | Some(0x18e))), "{n}");
            assert!(matches!(f.timeout_s(), Ok(None | Some(300))), "{n}");
        }
    }
}

#[test]
fn lengths_that_lie_are_errors_and_the_last_duplicate_counts() {
    let mut buf = [0; 64];
    let mut b = Builder::new(&mut buf, Head::new(0x100, 0).family(2));
    b.put_be32(cta::MARK, 1).put_be32(cta::MARK, 2);
    let good = b.finish().unwrap().to_vec();
    assert_eq!(view(&good).unwrap().mark(), Ok(Some(2)));
    for claimed in [0u16, 3, 17, 0xffff] {
        let mut bad = good.clone();
        bad[20..22].copy_from_slice(&claimed.to_ne_bytes());
        assert!(view(&bad).is_err(), "length {claimed}");
    }
    let mut short = good.clone();
    short[20..22].copy_from_slice(&7u16.to_ne_bytes());
    short[28..30].copy_from_slice(&7u16.to_ne_bytes());
    assert_eq!(view(&short).unwrap().mark(), Err(WireError::BadValue { what: "CTA_MARK", want: 4, have: 3 }));
}
