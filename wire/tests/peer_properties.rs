//! Properties of the peer codec over arbitrary flows and arbitrary bytes.

use proptest::prelude::*;
use zct_wire::event::Event;
use zct_wire::expect::ExpectNat;
use zct_wire::flow::{SeqAdj, Synproxy};
use zct_wire::peer::codec::HELPER_SENT_MAX;
use zct_wire::peer::header::HDR;
use zct_wire::peer::{Encode, Expect, Flow, MESSAGE_MAX, Message, Messages, Name, Split, Transport, split};
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::tuple::{Addr, Tuple};

const EVERYTHING: Encode = Encode { timeout: true, wscale: true };

fn addr(v6: bool) -> BoxedStrategy<Addr> {
    if v6 {
        any::<[u8; 16]>().prop_map(Addr::V6).boxed()
    } else {
        any::<[u8; 4]>().prop_map(Addr::V4).boxed()
    }
}

prop_compose! {
    fn tuple(v6: bool, proto: u8)(src in addr(v6), dst in addr(v6), ports: [u16; 2]) -> Tuple {
        let [src_port, dst_port] = ports.map(Some);
        Tuple { src: Some(src), dst: Some(dst), proto: Some(proto), src_port, dst_port, ..Tuple::default() }
    }
}

/// A name of 1 to `max` bytes, none of them NUL.
fn name<const N: usize>(max: usize) -> impl Strategy<Value = Option<Name<N>>> {
    prop::option::of(prop::collection::vec(1u8..=255, 1..=max)).prop_map(|v| v.and_then(|v| Name::new(&v)))
}

prop_compose! {
    fn seq_adj()(correction_pos: u32, offset_before: i32, offset_after: i32) -> SeqAdj {
        SeqAdj { correction_pos, offset_before, offset_after }
    }
}

fn state(proto: u8) -> BoxedStrategy<Option<ProtoInfo>> {
    match proto {
        6 => (any::<u8>(), any::<[Option<u8>; 2]>())
            .prop_map(|(s, wscale)| ProtoInfo::Tcp(TcpInfo { state: Some(s), wscale, ..TcpInfo::default() }))
            .prop_map(Some)
            .boxed(),
        132 => (any::<u8>(), any::<[Option<u32>; 2]>())
            .prop_map(|(s, vtag)| Some(ProtoInfo::Sctp(SctpInfo { state: Some(s), vtag })))
            .boxed(),
        33 => (any::<u8>(), any::<Option<u8>>())
            .prop_map(|(s, role)| DccpInfo { state: Some(s), role, handshake_seq: None })
            .prop_map(|i| Some(ProtoInfo::Dccp(i)))
            .boxed(),
        _ => Just(None).boxed(),
    }
}

fn flow_of(v6: bool, proto: u8) -> impl Strategy<Value = Flow> {
    let first = (
        tuple(v6, proto),
        any::<[Option<u32>; 2]>(),
        state(proto),
        prop::option::of(tuple(v6, 6)),
        prop::option::of(addr(v6)),
        prop::option::of(addr(v6)),
        any::<[Option<u16>; 3]>(),
        any::<(u8, u8, u16)>(),
    );
    let second = (
        prop::option::of((seq_adj(), seq_adj()).prop_map(|(a, b)| [a, b])),
        name::<15>(HELPER_SENT_MAX),
        any::<Option<[u8; 16]>>(),
        any::<Option<[u32; 3]>>(),
        any::<u32>(),
    );
    (first, second).prop_map(move |(a, b)| {
        let (mut orig, [timeout_s, mark], proto_state, master, snat, dnat, [spat, dpat, zone], icmp) = a;
        let (seq_adj, helper, labels, synproxy, status) = b;
        let is_icmp = matches!(proto, 1 | 58);
        if !matches!(proto, 6 | 17 | 33 | 132) {
            (orig.src_port, orig.dst_port) = (None, None);
        }
        if is_icmp {
            (orig.icmp_type, orig.icmp_code, orig.icmp_id) = (Some(icmp.0), Some(icmp.1), Some(icmp.2));
        }
        Flow {
            orig,
            reply_zone: None,
            zone,
            status: Some(status),
            timeout_s,
            mark,
            proto: proto_state,
            master,
            snat,
            dnat,
            spat: spat.filter(|_| !is_icmp),
            dpat: dpat.filter(|_| !is_icmp),
            seq_adj,
            helper,
            labels,
            synproxy: synproxy.map(|[isn, its, tsoff]| Synproxy { isn, its, tsoff }),
        }
    })
}

fn flow() -> impl Strategy<Value = Flow> {
    let proto =
        prop_oneof![Just(6u8), Just(17), Just(132), Just(33), Just(1), Just(58), Just(47), any::<u8>()];
    (any::<bool>(), proto).prop_flat_map(|(v6, proto)| flow_of(v6, proto))
}

fn expect() -> impl Strategy<Value = Expect> {
    any::<bool>().prop_flat_map(|v6| {
        let tuples =
            (tuple(v6, 6), tuple(v6, 17), tuple(v6, 17), prop::option::of((any::<u32>(), tuple(v6, 6))));
        let rest = (any::<[Option<u32>; 2]>(), any::<u32>(), name::<15>(HELPER_SENT_MAX), name::<27>(27));
        (tuples, rest).prop_map(
            move |((master, t, mask, nat), ([timeout_s, class], flags, helper, function))| {
                // A translation to IPv6 does not travel, its direction does.
                let nat = nat
                    .map(|(dir, tuple)| ExpectNat { dir, tuple: if v6 { Tuple::default() } else { tuple } });
                Expect { master, tuple: t, mask, timeout_s, flags: Some(flags), class, nat, helper, function }
            },
        )
    })
}

fn one(bytes: &[u8]) -> Message<'_> {
    let mut all = Messages::new(bytes);
    let m = all.next().expect("a message").expect("a good one");
    assert!(all.next().is_none());
    m
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flows_go_round(f in flow(), seq: u32, flags in prop::bits::u8::masked(0x60)) {
        let mut buf = [0xa5; MESSAGE_MAX];
        let n = f.encode(&mut buf, Event::Update, flags, seq, EVERYTHING).unwrap();
        let m = one(&buf[..n]);
        prop_assert_eq!((m.number, m.flags, m.seq), (1, flags, seq));
        prop_assert_eq!(Flow::decode(m.body()), Ok(f));
        prop_assert_eq!(n % 4, 0);
    }

    #[test]
    fn expectations_go_round(e in expect(), seq: u32) {
        let mut buf = [0xa5; MESSAGE_MAX];
        let n = e.encode(&mut buf, Event::Destroy, 0, seq, EVERYTHING).unwrap();
        let m = one(&buf[..n]);
        prop_assert_eq!((m.number, m.seq), (5, seq));
        prop_assert_eq!(Expect::decode(m.body()), Ok(e));
    }

    /// Merging a flow into an empty one gives its members, and merging twice changes nothing more.
    #[test]
    fn merging_is_idempotent(mut old in flow(), new in flow()) {
        old.merge(&new);
        let once = old;
        old.merge(&new);
        prop_assert_eq!(once, old);
        let mut empty = Flow { orig: new.orig, zone: new.zone, ..Flow::default() };
        empty.merge(&new);
        prop_assert_eq!(empty, new);
    }

    /// Whatever comes in, the walks end, no byte is read twice, and what was read can be written.
    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(Messages::new(&bytes).count() <= bytes.len() / 8 + 1);
        let mut rest = &bytes[..];
        loop {
            let next = match split(rest, Transport::Stream) {
                Split::End | Split::Partial(_) => break,
                Split::Message(m, next) => {
                    prop_assert!(m.bytes.len() >= HDR);
                    next
                }
                Split::Bad(_, next) => next,
            };
            prop_assert!(next.len() < rest.len());
            rest = next;
        }
        rewritten(&bytes)?;
    }

    /// The same with bodies that are nearly right: one byte changed, or cut short.
    #[test]
    fn nearly_right_bytes_are_survived(f in flow(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut buf = [0xa5; MESSAGE_MAX];
        let n = f.encode(&mut buf, Event::Update, 0, 0, EVERYTHING).unwrap();
        let mut body = buf[HDR..n].to_vec();
        let i = at.index(body.len());
        body[i] = byte;
        rewritten(&body)?;
        body.truncate(cut.index(body.len() + 1));
        rewritten(&body)?;
    }
}

/// What can be read from `body` can be written, and reads back as the same but for what is never written.
fn rewritten(body: &[u8]) -> Result<(), TestCaseError> {
    let mut buf = [0xa5; MESSAGE_MAX];
    if let Ok(f) = Flow::decode(body) {
        let n = f.encode(&mut buf, Event::New, 0, 0, EVERYTHING).unwrap();
        let again = Flow::decode(&buf[HDR..n]).unwrap();
        let n2 = again.encode(&mut [0; MESSAGE_MAX], Event::New, 0, 0, EVERYTHING).unwrap();
        prop_assert_eq!(n, n2);
        prop_assert_eq!((again.orig.src, again.timeout_s, again.mark), (f.orig.src, f.timeout_s, f.mark));
    }
    if let Ok(e) = Expect::decode(body) {
        let n = e.encode(&mut buf, Event::New, 0, 0, EVERYTHING).unwrap();
        prop_assert!(Expect::decode(&buf[HDR..n]).is_ok());
    }
    Ok(())
}
