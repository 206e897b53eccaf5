//! Flows there and back, and frames that are not what they say.

use super::*;
use crate::consts::ips;
use crate::peer::header::Messages;
use crate::peer::{MESSAGE_MAX, captures};
use std::vec::Vec;

fn round(f: &Flow, what: Encode) -> Vec<u8> {
    let mut buf = [0xa5; MESSAGE_MAX];
    let n = f.encode(&mut buf, Event::Update, 0, 7, what).unwrap();
    buf[..n].to_vec()
}

/// The one message of a capture.
fn read(capture: &[u8]) -> Flow {
    let m = Messages::new(capture).next().unwrap().unwrap();
    Flow::decode(m.body()).unwrap()
}

fn addr(text: &str) -> Addr {
    Addr::V4(text.parse::<std::net::Ipv4Addr>().unwrap().octets())
}

#[test]
fn captured_flows_mean_what_was_captured() {
    let f = read(captures::TCP4_ESTABLISHED);
    assert_eq!((f.orig.src, f.orig.dst), (Some(addr("10.1.0.2")), Some(addr("10.2.0.2"))));
    assert_eq!((f.orig.src_port, f.orig.dst_port, f.orig.proto), (Some(44_862), Some(80), Some(6)));
    assert_eq!((f.status, f.timeout_s, f.mark), (Some(0x18e), Some(432_000), None));
    assert_eq!(f.proto.and_then(|p| p.state()), Some(3));

    let f = read(captures::TCP4_DELETE_SYNPROXY);
    assert_eq!((f.mark, f.synproxy), (Some(9), Some(Synproxy::default())));
    let f = read(captures::UDP4_ZONE);
    assert_eq!((f.zone, f.mark), (Some(7), Some(0)));
    let f = read(captures::TCP4_HELPER);
    assert_eq!(f.helper, Name::new(b"ftp"));
    let f = read(captures::TCP4_LABEL);
    assert_eq!(f.labels.unwrap()[..4], 8u32.to_ne_bytes());
    let related = Messages::new(captures::EXPECT_DELETE_AND_RELATED).nth(1).unwrap().unwrap();
    let f = Flow::decode(related.body()).unwrap();
    let m = f.master.unwrap();
    assert_eq!((m.src, m.src_port, m.dst_port), (Some(addr("10.1.0.2")), Some(43_888), Some(21)));
    assert_eq!(f.status.unwrap() & ips::EXPECTED, ips::EXPECTED);
}

/// The fields that stand in the sender's byte order, from a little-endian sender.
#[cfg(target_endian = "little")]
#[test]
fn host_order_fields() {
    let f = read(captures::TCP4_SNAT);
    assert_eq!((f.snat, f.spat), (Some(addr("10.2.0.1")), Some(40_046)));
    let f = read(captures::TCP4_DNAT);
    assert_eq!((f.dnat, f.dpat), (Some(addr("10.2.0.2")), Some(8_080)));
    assert_eq!(read(captures::ICMP_ECHO).orig.icmp_id, Some(77));
}

#[test]
fn captured_flows_are_written_byte_for_byte() {
    let mut seen = 0;
    for whole in captures::ALL {
        for m in Messages::new(whole).map(Result::unwrap) {
            let Some(Kind::Flow(event)) = m.kind() else { continue };
            let f = Flow::decode(m.body()).unwrap();
            let mut buf = [0xa5; MESSAGE_MAX];
            let what = Encode { timeout: true, wscale: true };
            let n = f.encode(&mut buf, event, m.flags, m.seq, what).unwrap();
            assert_eq!(&buf[..n], m.bytes);
            seen += 1;
        }
    }
    assert_eq!(seen, 14);
}

/// Everything at once, at its longest.
fn full(v6: bool, proto: ProtoInfo) -> Flow {
    let a = |n: u8| if v6 { Addr::V6([n; 16]) } else { Addr::V4([n; 4]) };
    let tuple = |n: u8, proto: u8| Tuple {
        src: Some(a(n)),
        dst: Some(a(n + 1)),
        proto: Some(proto),
        src_port: Some(0x1234),
        dst_port: Some(0x5678),
        ..Tuple::default()
    };
    let l4 = match proto {
        ProtoInfo::Tcp(_) => 6,
        ProtoInfo::Sctp(_) => 132,
        ProtoInfo::Dccp(_) => 33,
    };
    let adj = |n| SeqAdj { correction_pos: n, offset_before: -5, offset_after: i32::MIN };
    Flow {
        orig: tuple(1, l4),
        status: Some(0x8000_0001),
        timeout_s: Some(u32::MAX),
        mark: Some(0xdead_beef),
        proto: Some(proto),
        master: Some(tuple(3, 17)),
        snat: Some(a(5)),
        dnat: Some(a(6)),
        spat: Some(0x9c6e),
        dpat: Some(1),
        seq_adj: Some([adj(1), adj(u32::MAX)]),
        helper: Name::new(b"elevenchars"),
        labels: Some(core::array::from_fn(|i| i as u8 ^ 0x5a)),
        synproxy: Some(Synproxy { isn: 1, its: 2, tsoff: 3 }),
        zone: Some(0x0102),
        ..Flow::default()
    }
}

fn all_full() -> Vec<Flow> {
    let infos = [
        ProtoInfo::Tcp(TcpInfo { state: Some(3), wscale: [Some(14), Some(0)], ..TcpInfo::default() }),
        ProtoInfo::Sctp(SctpInfo { state: Some(4), vtag: [Some(1), Some(0x0102_0304)] }),
        ProtoInfo::Dccp(DccpInfo { state: Some(4), role: Some(1), handshake_seq: None }),
    ];
    infos.into_iter().flat_map(|i| [full(false, i), full(true, i)]).collect()
}

const EVERYTHING: Encode = Encode { timeout: true, wscale: true };

#[test]
fn everything_at_once_goes_round_and_fits() {
    for f in all_full() {
        let bytes = round(&f, EVERYTHING);
        assert_eq!(Flow::decode(&bytes[8..]), Ok(f));
        assert!(bytes.len() <= MESSAGE_MAX && bytes.len() % 4 == 0);
        for n in 0..bytes.len() {
            let mut small = [0u8; MESSAGE_MAX];
            assert_eq!(f.encode(&mut small[..n], Event::New, 0, 0, EVERYTHING), Err(Full));
        }
    }
}

#[test]
fn every_truncation_is_an_error_or_less_never_invented() {
    for f in all_full() {
        let bytes = round(&f, EVERYTHING);
        for n in 8..bytes.len() {
            let Ok(cut) = Flow::decode(&bytes[8..n]) else { continue };
            let mut merged = f;
            merged.merge(&cut);
            assert_eq!(merged, f, "{n} bytes");
        }
    }
}

#[test]
fn wrong_sizes_and_numbers_refuse_the_message() {
    let f = full(true, ProtoInfo::Tcp(TcpInfo { state: Some(3), ..TcpInfo::default() }));
    let bytes = round(&f, EVERYTHING);
    let mut at = 8;
    while at < bytes.len() {
        let len = usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let kind = u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]);
        for claimed in [0, 3, len - 1, len + 1, 0xffff] {
            // Names and labels have no fixed size.
            if matches!(kind, ct::HELPER_NAME | ct::LABELS) && claimed.abs_diff(len) == 1 {
                continue;
            }
            let mut bad = bytes.clone();
            bad[at..at + 2].copy_from_slice(&(claimed as u16).to_be_bytes());
            assert!(Flow::decode(&bad[8..]).is_err(), "attribute {kind} of length {claimed}");
        }
        let mut bad = bytes.clone();
        bad[at + 2..at + 4].copy_from_slice(&33u16.to_be_bytes());
        assert!(Flow::decode(&bad[8..]).is_err());
        at += len.next_multiple_of(4);
    }
}

#[test]
fn configuration_leaves_out_timeout_and_scales() {
    let f = all_full()[0];
    let bytes = round(&f, Encode { timeout: false, wscale: false });
    let got = Flow::decode(&bytes[8..]).unwrap();
    let info = TcpInfo { state: Some(3), ..TcpInfo::default() };
    assert_eq!((got.timeout_s, got.proto), (None, Some(ProtoInfo::Tcp(info))));
}

#[test]
fn helper_names_the_original_refuses_are_read_but_not_written() {
    let mut body = Vec::from([0u8, 20, 0, 27]);
    body.extend(b"fifteenletters_");
    body.push(0);
    let f = Flow::decode(&body).unwrap();
    assert_eq!(f.helper, Name::new(b"fifteenletters_"));
    let again = Flow::decode(&round(&f, EVERYTHING)[8..]).unwrap();
    assert_eq!(again.helper, None);
    // One more than the kernel can hold; and a name whose NUL is missing.
    let mut long = Vec::from([0u8, 21, 0, 27]);
    long.extend(*b"sixteenletters_x\0\0\0\0");
    assert!(Flow::decode(&long).is_err());
    assert_eq!(Flow::decode(&[0, 7, 0, 27, b'f', b't', b'p', 0]).unwrap().helper, Name::new(b"ftp"));
}

#[test]
fn labels_of_other_sizes() {
    let with = |words: &[u8]| {
        let mut body = Vec::new();
        body.extend((4 + words.len() as u16).to_be_bytes());
        body.extend(28u16.to_be_bytes());
        body.extend(words);
        body.resize(body.len().next_multiple_of(4), 0);
        Flow::decode(&body)
    };
    let mut one = [0u8; 16];
    one[..4].copy_from_slice(&0x0102_0304u32.to_ne_bytes());
    assert_eq!(with(&[1, 2, 3, 4]).unwrap().labels, Some(one));
    let mut five = [0u8; 20];
    five[..4].copy_from_slice(&[1, 2, 3, 4]);
    five[16] = 9;
    assert_eq!(with(&five).unwrap().labels, Some(one));
    assert_eq!(with(&[1, 2, 3, 4, 5]).unwrap().labels, None);
    assert_eq!(with(&[0; 1024]).unwrap().labels, Some([0; 16]));
    assert!(with(&[0; 1028]).is_err());
}

#[test]
fn the_ports_of_a_ping_are_no_translation() {
    let mut body = Vec::new();
    let mut put = |kind: u16, value: &[u8]| {
        body.extend((4 + value.len() as u16).to_be_bytes());
        body.extend(kind.to_be_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    };
    put(ct::IPV4, &[10, 0, 0, 1, 10, 0, 0, 2]);
    put(ct::L4PROTO, &[1]);
    put(ct::SPAT_PORT, &[0, 0]);
    put(ct::DPAT_PORT, &[0, 0]);
    put(ct::SNAT_IPV6, &[1; 16]);
    let f = Flow::decode(&body).unwrap();
    assert_eq!((f.spat, f.dpat, f.snat), (None, None, None));
}
