//! The line of an expectation (command-line.md §3.4).

use crate::sample;
use zct_wire::consts::{cta_expect, ipproto};
use zct_wire::text::EventTime;
use zct_wire::text::expect::{line, timestamp};

const FTP: &str = "proto=6 src=127.0.0.1 dst=127.0.0.1 sport=0 dport=1026 \
    mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 \
    master-src=127.0.0.1 master-dst=127.0.0.1 sport=40001 dport=21";

/// command-line.md §10.7, transcript 53.
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
