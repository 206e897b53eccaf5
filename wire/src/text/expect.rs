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
    out.lit(b"proto=");
    out.u32(u32::from(expected.proto.unwrap_or(0)));
    out.byte(b' ');
    part(out, b"", &expected);
    part(out, b"mask-", &e.mask()?.unwrap_or_default());
    part(out, b"master-", &e.master()?.unwrap_or_default());
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

/// Addresses and ports of one tuple, with a word before the addresses. Each tuple is written by its own
/// protocol: PPTP, over TCP, expects GRE.
fn part(out: &mut Out<'_>, prefix: &[u8], t: &Tuple) {
    for (name, addr) in [(&b"src="[..], &t.src), (b"dst=", &t.dst)] {
        out.put(prefix);
        out.put(name);
        if let Some(a) = addr {
            out.addr(a);
        }
        out.byte(b' ');
    }
    line::layer4(out, t, t.proto.unwrap_or(0));
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
    use super::super::sample;
    use super::*;
    use crate::consts::{cta_expect, ipproto};

    const FTP: &str = "proto=6 src=127.0.0.1 dst=127.0.0.1 sport=0 dport=1026 \
        mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 \
        master-src=127.0.0.1 master-dst=127.0.0.1 sport=40001 dport=21";

    /// spec/cli.md, transcript 53.
    #[test]
    fn an_ftp_data_connection() {
        assert_eq!(sample::expectation(sample::ftp, line), format!("299 {FTP} class=0 helper=ftp"));
    }

    /// Seen with the original 1.4.7 when it is given these flags.
    #[test]
    fn flags_and_what_is_absent() {
        for (flags, want) in [
            (0, ""),
            (1, "PERMANENT "),
            (2, "INACTIVE "),
            (4, "USERSPACE "),
            (5, "PERMANENT,USERSPACE "),
            (7, "PERMANENT,INACTIVE,USERSPACE "),
            // No flag has this bit, but the blank after flags is there.
            (8, " "),
        ] {
            let got = sample::expectation(
                |b| {
                    sample::ftp(b);
                    b.put_be32(cta_expect::FLAGS, flags).put_be16(cta_expect::ZONE, 9);
                },
                line,
            );
            assert_eq!(got, format!("299 {FTP} zone=9 {want}class=0 helper=ftp"));
        }
        let tcp = ipproto::TCP;
        assert_eq!(sample::expectation(|b| sample::expected(b, tcp, tcp, tcp), line), FTP);
    }

    /// As the original 1.4.7: master, mask and expected flow each have their own protocol.
    #[test]
    fn gre_expected_by_pptp() {
        let (tcp, gre) = (ipproto::TCP, ipproto::GRE);
        let ftp = |mask: &str| {
            format!(
                "proto=47 src=127.0.0.1 dst=127.0.0.1 srckey=0x0 dstkey=0x402 \
                 mask-src=255.255.255.255 mask-dst=255.255.255.255 {mask} \
                 master-src=127.0.0.1 master-dst=127.0.0.1 sport=40001 dport=21"
            )
        };
        let got = sample::expectation(|b| sample::expected(b, tcp, gre, gre), line);
        assert_eq!(got, ftp("srckey=0x0 dstkey=0xffff"));
        let got = sample::expectation(|b| sample::expected(b, tcp, gre, tcp), line);
        assert_eq!(got, ftp("sport=0 dport=65535"));
    }

    #[test]
    fn microseconds_are_padded_on_the_right() {
        for (sec, usec, want) in [
            (1_795_452_143, 4211, "[1795452143.4211  ]\t"),
            (1_795_452_143, 0, "[1795452143.0     ]\t"),
            (1_795_452_143, 999_999, "[1795452143.999999]\t"),
            (12, 100_000, "[12      .100000]\t"),
        ] {
            let got = sample::expectation(sample::ftp, |out, _| {
                timestamp(out, EventTime { sec, usec });
                Ok(())
            });
            assert_eq!(got, want);
        }
    }
}
