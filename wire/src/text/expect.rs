//! The line of an expectation (spec/cli.md §3.4).

use super::{EventTime, Out, line};
use crate::consts::nf_ct_expect;
use crate::error::WireError;
use crate::expect::ExpectView;
use crate::tuple::Tuple;

/// The flags of an expectation by name, and which of them are set.
pub(super) fn flags(e: &ExpectView<'_>) -> Result<[(&'static [u8], bool); 3], WireError> {
    let flags = e.flags()?.unwrap_or(0);
    let flag = |name: &'static [u8], bit: u32| (name, flags & bit != 0);
    Ok([
        flag(b"PERMANENT", nf_ct_expect::PERMANENT),
        flag(b"INACTIVE", nf_ct_expect::INACTIVE),
        flag(b"USERSPACE", nf_ct_expect::USERSPACE),
    ])
}

/// Appends one expectation without a newline.
pub fn line(out: &mut Out<'_>, e: &ExpectView<'_>) -> Result<(), WireError> {
    let expected = e.tuple_expected()?.unwrap_or_default();
    if let Some(t) = e.timeout_s()? {
        out.u32(t);
        out.byte(b' ');
    }
    let proto = expected.proto.unwrap_or(0);
    out.lit(b"proto=");
    out.u32(u32::from(proto));
    out.byte(b' ');
    part(out, b"", &expected, proto);
    part(out, b"mask-", &e.mask()?.unwrap_or_default(), proto);
    part(out, b"master-", &e.master()?.unwrap_or_default(), proto);
    if let Some(z) = e.zone()? {
        out.lit(b"zone=");
        out.u32(u32::from(z));
        out.byte(b' ');
    }
    if e.flags()?.is_some_and(|f| f != 0) {
        let mut separator: &[u8] = b"";
        for (name, _) in flags(e)?.into_iter().filter(|(_, set)| *set) {
            out.put(separator);
            out.put(name);
            separator = b",";
        }
        // The blank is there even when no flag has a name.
        out.byte(b' ');
    }
    if let Some(c) = e.class()? {
        out.lit(b"class=");
        out.u32(c);
        out.byte(b' ');
    }
    if let Some(name) = e.helper() {
        out.lit(b"helper=");
        out.put(name);
    }
    out.trim_blank();
    Ok(())
}

/// Addresses and ports of one tuple, with a word before the addresses.
fn part(out: &mut Out<'_>, prefix: &[u8], t: &Tuple, proto: u8) {
    for (name, addr) in [(&b"src="[..], &t.src), (b"dst=", &t.dst)] {
        out.put(prefix);
        out.put(name);
        if let Some(a) = addr {
            out.addr(a);
        }
        out.byte(b' ');
    }
    line::layer4(out, t, proto);
}

/// The time before an expectation (`-o timestamp`): microseconds padded with blanks on the right, unlike
/// those of flows.
pub fn timestamp(out: &mut Out<'_>, t: EventTime) {
    out.byte(b'[');
    left(out, t.sec, 8);
    out.byte(b'.');
    left(out, u64::from(t.usec), 6);
    out.lit(b"]\t");
}

/// A number with blanks after it up to `width`.
fn left(out: &mut Out<'_>, v: u64, width: u32) {
    out.u64(v);
    for _ in v.checked_ilog10().unwrap_or(0).saturating_add(1)..width {
        out.byte(b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Builder;
    use crate::consts::{af, cta_expect, ipctnl_exp, ipproto};
    use crate::header::{CtMsg, Frames};
    use crate::tuple::Addr;
    use std::string::String;

    fn v4(src: [u8; 4], dst: [u8; 4], src_port: u16, dst_port: u16) -> Tuple {
        Tuple {
            src: Some(Addr::V4(src)),
            dst: Some(Addr::V4(dst)),
            proto: Some(ipproto::TCP),
            src_port: Some(src_port),
            dst_port: Some(dst_port),
            ..Tuple::default()
        }
    }

    fn text(family: u8, fill: impl FnOnce(&mut Builder<'_>)) -> String {
        let mut buf = [0xa5; 1024];
        let mut b = Builder::new(&mut buf, ipctnl_exp::NEW, 0, 0, family, 0);
        fill(&mut b);
        let frame = Frames::new(b.finish().unwrap()).next().unwrap().unwrap();
        let mut room = [0xa5; 1024];
        let mut out = Out::new(&mut room);
        line(&mut out, &ExpectView::index(CtMsg::parse(frame).unwrap()).unwrap()).unwrap();
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    /// Transcript 53.
    #[test]
    fn an_expectation_of_the_ftp_helper() {
        let local = [127, 0, 0, 1];
        let got = text(af::INET, |b| {
            v4(local, local, 0, 1026).build(b, cta_expect::TUPLE);
            v4([255; 4], [255; 4], 0, 65_535).build(b, cta_expect::MASK);
            v4(local, local, 40_001, 21).build(b, cta_expect::MASTER);
            b.put_be32(cta_expect::TIMEOUT, 299).put_be32(cta_expect::ID, 5);
            b.put_be32(cta_expect::FLAGS, 0).put_be32(cta_expect::CLASS, 0);
            b.put_str(cta_expect::HELP_NAME, b"ftp").put_str(cta_expect::FN, b"nat-follow-master");
        });
        let want = concat!(
            "299 proto=6 ",
            "src=127.0.0.1 dst=127.0.0.1 sport=0 dport=1026 ",
            "mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 ",
            "master-src=127.0.0.1 master-dst=127.0.0.1 sport=40001 dport=21 ",
            "class=0 helper=ftp",
        );
        assert_eq!(got, want);
    }

    /// Zone, flags with commas between them, no helper: the last blank goes.
    #[test]
    fn flags_and_zone() {
        let addresses = |b: &mut Builder<'_>| {
            let gre = Tuple { proto: Some(ipproto::GRE), ..v4([1; 4], [2; 4], 16, 20) };
            gre.build(b, cta_expect::TUPLE);
            gre.build(b, cta_expect::MASK);
            gre.build(b, cta_expect::MASTER);
        };
        const ADDRESSES: &str = concat!(
            "proto=47 ",
            "src=1.1.1.1 dst=2.2.2.2 srckey=0x10 dstkey=0x14 ",
            "mask-src=1.1.1.1 mask-dst=2.2.2.2 srckey=0x10 dstkey=0x14 ",
            "master-src=1.1.1.1 master-dst=2.2.2.2 srckey=0x10 dstkey=0x14",
        );
        assert_eq!(text(af::INET, addresses), ADDRESSES);
        for (flags, words) in [
            (0, " zone=3 class=1"),
            (1, " zone=3 PERMANENT class=1"),
            (5, " zone=3 PERMANENT,USERSPACE class=1"),
            (7, " zone=3 PERMANENT,INACTIVE,USERSPACE class=1"),
            // A flag without a name leaves its blank behind.
            (8, " zone=3  class=1"),
        ] {
            let got = text(af::INET, |b| {
                addresses(b);
                b.put_be32(cta_expect::FLAGS, flags).put_be16(cta_expect::ZONE, 3);
                b.put_be32(cta_expect::CLASS, 1);
            });
            assert_eq!(got, format!("{ADDRESSES}{words}"));
        }
    }

    /// What was not sent is empty or zero, as in the original.
    #[test]
    fn nothing_but_headers() {
        assert_eq!(text(af::INET6, |_| {}), "proto=0 src= dst= mask-src= mask-dst= master-src= master-dst=");
    }

    /// W20: microseconds padded with blanks on the right.
    #[test]
    fn the_time_before_an_expectation() {
        for (sec, usec, want) in [
            (1_795_452_143, 4211, "[1795452143.4211  ]\t"),
            (1_795_452_143, 999_999, "[1795452143.999999]\t"),
            (7, 0, "[7       .0     ]\t"),
        ] {
            let mut room = [0xa5; 64];
            let mut out = Out::new(&mut room);
            timestamp(&mut out, EventTime { sec, usec });
            assert_eq!(String::from_utf8_lossy(out.written()), want);
        }
    }
}
