//! A clock, label names, and messages that are built and rendered in one call.

use zct_wire::build::{Builder, Head};
use zct_wire::consts::{af, cta, cta_expect, ipctnl, ipctnl_exp, ipproto};
use zct_wire::error::WireError;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::text::{LabelNames, LocalTime, Out, TextContext, TimeZone};
use zct_wire::tuple::{Addr, Tuple};

/// Always the same Wednesday; only the second of the minute is that of the moment asked for.
struct Wednesday;

impl TimeZone for Wednesday {
    fn local(&self, unix_s: i64) -> LocalTime {
        LocalTime { year: 2026, month: 10, day: 25, hour: 3, min: 4, sec: (unix_s % 60) as u8, wday: 3 }
    }
}

struct Names;

impl LabelNames for Names {
    fn name(&self, bit: u16) -> Option<&[u8]> {
        match bit {
            0 => Some(b"bar"),
            127 => Some(b"a<b>&\"c\""),
            _ => None,
        }
    }
}

/// Some seconds after the flows of these tests began, with label names.
pub(crate) const CTX: TextContext<'_> =
    TextContext { now_s: 1_795_452_160, zone: &Wednesday, labels: Some(&Names) };

/// The same without label names.
pub(crate) const UNLABELLED: TextContext<'_> = TextContext { labels: None, ..CTX };

/// An IPv4 tuple.
pub(crate) fn v4(proto: u8, src: ([u8; 4], u16), dst: ([u8; 4], u16)) -> Tuple {
    Tuple {
        src: Some(Addr::V4(src.0)),
        dst: Some(Addr::V4(dst.0)),
        proto: Some(proto),
        src_port: Some(src.1),
        dst_port: Some(dst.1),
        ..Tuple::default()
    }
}

/// Both directions of a flow without address translation.
pub(crate) fn tuples(b: &mut Builder<'_>, orig: Tuple) {
    orig.build(b, cta::TUPLE_ORIG);
    orig.inverse().unwrap_or_default().build(b, cta::TUPLE_REPLY);
}

/// Packets and bytes of both directions.
pub(crate) fn counters(b: &mut Builder<'_>, orig: [u64; 2], reply: [u64; 2]) {
    for (kind, [packets, bytes]) in [(cta::COUNTERS_ORIG, orig), (cta::COUNTERS_REPLY, reply)] {
        b.nest(kind, |b| _ = b.put(1, &packets.to_be_bytes()).put(2, &bytes.to_be_bytes()));
    }
}

/// When a flow began, and when it ended.
pub(crate) fn times(b: &mut Builder<'_>, start_ns: u64, stop_ns: Option<u64>) {
    b.nest(cta::TIMESTAMP, |b| {
        b.put(1, &start_ns.to_be_bytes());
        if let Some(ns) = stop_ns {
            b.put(2, &ns.to_be_bytes());
        }
    });
}

/// The expectation of an FTP data connection: master, what is expected, and the mask, each with the
/// protocol given.
pub(crate) fn expected(b: &mut Builder<'_>, master: u8, expected: u8, mask: u8) {
    let here = [127, 0, 0, 1];
    v4(master, (here, 40_001), (here, 21)).build(b, cta_expect::MASTER);
    v4(expected, (here, 0), (here, 1026)).build(b, cta_expect::TUPLE);
    v4(mask, ([255; 4], 0), ([255; 4], 65_535)).build(b, cta_expect::MASK);
}

/// What the FTP helper makes of a PORT command, with 299 seconds left.
pub(crate) fn ftp(b: &mut Builder<'_>) {
    expected(b, ipproto::TCP, ipproto::TCP, ipproto::TCP);
    b.put_be32(cta_expect::TIMEOUT, 299).put_be32(cta_expect::CLASS, 0);
    b.put_str(cta_expect::HELP_NAME, b"ftp");
}

fn message(kind: u16, family: u8, fill: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
    let mut buf = [0xa5; 2048];
    let mut b = Builder::new(&mut buf, Head::new(kind, 1).family(family));
    fill(&mut b);
    b.finish().unwrap().to_vec()
}

fn text(render: impl FnOnce(&mut Out<'_>) -> Result<(), WireError>) -> String {
    let mut buf = [0xa5; 4096];
    let mut out = Out::new(&mut buf);
    assert_eq!(render(&mut out), Ok(()));
    assert!(!out.is_full());
    String::from_utf8(out.written().to_vec()).unwrap()
}

/// The text `render` makes of an IPv4 flow with the attributes `fill` gives it.
pub(crate) fn flow(
    fill: impl FnOnce(&mut Builder<'_>),
    render: impl FnOnce(&mut Out<'_>, &FlowView<'_>) -> Result<(), WireError>,
) -> String {
    flow_of(af::INET, fill, render)
}

/// The same for any family.
pub(crate) fn flow_of(
    family: u8,
    fill: impl FnOnce(&mut Builder<'_>),
    render: impl FnOnce(&mut Out<'_>, &FlowView<'_>) -> Result<(), WireError>,
) -> String {
    let bytes = message(ipctnl::NEW, family, fill);
    let msg = CtMsg::parse(Frames::new(&bytes).next().unwrap().unwrap()).unwrap();
    text(|out| render(out, &FlowView::index(msg).unwrap()))
}

/// The text `render` makes of an IPv4 expectation with the attributes `fill` gives it.
pub(crate) fn expectation(
    fill: impl FnOnce(&mut Builder<'_>),
    render: impl FnOnce(&mut Out<'_>, &ExpectView<'_>) -> Result<(), WireError>,
) -> String {
    let bytes = message(ipctnl_exp::NEW, af::INET, fill);
    let msg = CtMsg::parse(Frames::new(&bytes).next().unwrap().unwrap()).unwrap();
    text(|out| render(out, &ExpectView::index(msg).unwrap()))
}
