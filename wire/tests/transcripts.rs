//! Lines and saved commands of flows, as in the transcripts of the original (command-line.md §10).

mod common;

use common::{check, context};
use zct_wire::build::{Builder, Head};
use zct_wire::consts::{af, cta, cta_help, cta_timestamp, ipctnl, ipproto, ips};
use zct_wire::error::WireError;
use zct_wire::event::Event;
use zct_wire::flow::FlowView;
use zct_wire::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use zct_wire::text::save::Verb;
use zct_wire::text::{EventTime, LabelNames, LocalTime, Out, Style, TextContext, TimeZone, line, save};
use zct_wire::tuple::{Addr, Tuple};

fn v4(proto: u8) -> Tuple {
    Tuple {
        src: Some(Addr::V4([1; 4])),
        dst: Some(Addr::V4([2; 4])),
        proto: Some(proto),
        src_port: Some(10),
        dst_port: Some(20),
        ..Tuple::default()
    }
}

fn query(icmp_type: u8, proto: u8) -> Tuple {
    let icmp = Tuple { icmp_type: Some(icmp_type), icmp_code: Some(0), icmp_id: Some(1234), ..v4(proto) };
    Tuple { src_port: None, dst_port: None, ..icmp }
}

fn v6(t: Tuple) -> Tuple {
    let addr = |last| Some(Addr::V6([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]));
    Tuple { src: addr(1), dst: addr(2), ..t }
}

/// A flow as transcripts 15 to 17 list it.
struct Listed {
    orig: Tuple,
    reply: Tuple,
    status: u32,
    mark: u32,
    zone: Option<u16>,
    protoinfo: Option<ProtoInfo>,
}

impl Listed {
    fn of(orig: Tuple) -> Listed {
        let reply = orig.inverse().expect("a query or ports");
        Listed { orig, reply, status: ips::CONFIRMED, mark: 0, zone: None, protoinfo: None }
    }

    fn message(&self) -> Vec<u8> {
        let family = self.orig.src.map_or(af::UNSPEC, |a| a.family());
        message(ipctnl::NEW, family, |b| {
            self.orig.build(b, cta::TUPLE_ORIG);
            self.reply.build(b, cta::TUPLE_REPLY);
            if let Some(z) = self.zone {
                b.put_be16(cta::ZONE, z);
            }
            b.put_be32(cta::STATUS, self.status).put_be32(cta::MARK, self.mark).put_be32(cta::ID, 77);
            b.put_be32(cta::USE, 1).put_be32(cta::TIMEOUT, 99);
            if let Some(p) = self.protoinfo {
                p.build(b, cta::PROTOINFO);
            }
        })
    }
}

fn message(kind: u16, family: u8, fill: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
    let mut buf = [0xa5; 1024];
    let mut b = Builder::new(&mut buf, Head::new(kind, 0).family(family));
    fill(&mut b);
    b.finish().expect("small").to_vec()
}

fn text(write: impl FnOnce(&mut Out<'_>) -> Result<(), WireError>) -> String {
    let mut buf = [0xa5; 4096];
    let mut out = Out::new(&mut buf);
    write(&mut out).expect("a message that can be read");
    String::from_utf8(out.written().to_vec()).expect("ASCII")
}

fn view(bytes: &[u8]) -> FlowView<'_> {
    FlowView::index(check::messages(bytes).next().expect("a message")).expect("which is whole")
}

/// Each flow with its line, and what `-o save` makes of it.
fn listed() -> Vec<(Listed, &'static str, &'static str)> {
    let tcp = |state| Some(ProtoInfo::Tcp(TcpInfo { state: Some(state), ..TcpInfo::default() }));
    let local = |src, dst, src_port, dst_port| Tuple {
        src: Some(Addr::V4(src)),
        dst: Some(Addr::V4(dst)),
        src_port: Some(src_port),
        dst_port: Some(dst_port),
        ..v4(ipproto::TCP)
    };
    let sctp = SctpInfo { state: Some(4), vtag: [Some(1), Some(2)] };
    let dccp = DccpInfo { state: Some(4), role: Some(1), handshake_seq: None };
    vec![
        (
            Listed { protoinfo: tcp(3), ..Listed::of(v4(ipproto::TCP)) },
            "tcp      6 99 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 [UNREPLIED] \
             src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 mark=0 use=1",
            "-A -t 99 -u UNSET -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p tcp --sport 10 --dport 20 \
             --reply-port-src 20 --reply-port-dst 10 --state ESTABLISHED",
        ),
        (
            Listed {
                reply: local([4, 3, 2, 1], [1, 2, 3, 4], 8888, 9999),
                status: ips::CONFIRMED | ips::SRC_NAT_DONE | ips::DST_NAT_DONE,
                protoinfo: tcp(1),
                ..Listed::of(local([10, 0, 0, 10], [10, 0, 0, 3], 1000, 53))
            },
            "tcp      6 99 SYN_SENT src=10.0.0.10 dst=10.0.0.3 sport=1000 dport=53 [UNREPLIED] \
             src=4.3.2.1 dst=1.2.3.4 sport=8888 dport=9999 mark=0 use=1",
            "-A -t 99 -u UNSET -s 10.0.0.10 -d 10.0.0.3 -g 4.3.2.1 -n 1.2.3.4 -p tcp --sport 1000 --dport 53 \
             --reply-port-src 8888 --reply-port-dst 9999 --state SYN_SENT",
        ),
        (
            Listed { protoinfo: Some(ProtoInfo::Sctp(sctp)), ..Listed::of(v4(ipproto::SCTP)) },
            "sctp     132 99 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 [UNREPLIED] \
             src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 mark=0 use=1",
            "-A -t 99 -u UNSET -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p sctp --sport 10 --dport 20 \
             --reply-port-src 20 --reply-port-dst 10 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
        ),
        (
            Listed { mark: 7, zone: Some(3), ..Listed::of(v4(ipproto::UDP)) },
            "udp      17 99 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 [UNREPLIED] \
             src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 mark=7 zone=3 use=1",
            "-A -t 99 -u UNSET -w 3 -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p udp --sport 10 --dport 20 \
             --reply-port-src 20 --reply-port-dst 10",
        ),
        (
            Listed::of(query(8, ipproto::ICMP)),
            "icmp     1 99 src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=1234 [UNREPLIED] \
             src=2.2.2.2 dst=1.1.1.1 type=0 code=0 id=1234 mark=0 use=1",
            "-A -t 99 -u UNSET -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p icmp --icmp-type 8 \
             --icmp-code 0 --icmp-id 1234",
        ),
        (
            Listed { status: 0xe, ..Listed::of(v4(ipproto::UDPLITE)) },
            "udplite  136 99 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 \
             src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 [ASSURED] mark=0 use=1",
            "-A -t 99 -u SEEN_REPLY,ASSURED -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p udplite --sport 10 \
             --dport 20 --reply-port-src 20 --reply-port-dst 10",
        ),
        (
            Listed::of(Tuple { src_port: Some(16), dst_port: Some(20), ..v4(ipproto::GRE) }),
            "gre      47 99 src=1.1.1.1 dst=2.2.2.2 srckey=0x10 dstkey=0x14 [UNREPLIED] \
             src=2.2.2.2 dst=1.1.1.1 srckey=0x14 dstkey=0x10 mark=0 use=1",
            "-A -t 99 -u UNSET -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p gre --srckey 16 --dstkey 20 \
             --reply-key-src 20 --reply-key-dst 16",
        ),
        (
            Listed::of(v6(query(128, ipproto::ICMPV6))),
            "icmpv6   58 99 src=2001::1 dst=2001::2 type=128 code=0 id=1234 [UNREPLIED] \
             src=2001::2 dst=2001::1 type=129 code=0 id=1234 mark=0 use=1",
            "-A -t 99 -u UNSET -s 2001::1 -d 2001::2 -r 2001::2 -q 2001::1 -p icmpv6 --icmpv6-type 128 \
             --icmpv6-code 0 --icmpv6-id 1234",
        ),
        (
            Listed::of(v4(201)),
            "unknown  201 99 src=1.1.1.1 dst=2.2.2.2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 mark=0 use=1",
            "-A -t 99 -u UNSET -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p 201",
        ),
        // Not in the transcripts: what they have no kernel for (command-line.md §3.1, §3.3).
        (
            Listed {
                protoinfo: Some(ProtoInfo::Dccp(dccp)),
                status: ips::EXPECTED | ips::SEEN_REPLY | ips::FIXED_TIMEOUT | ips::OFFLOAD,
                ..Listed::of(v6(v4(ipproto::DCCP)))
            },
            "dccp     33 99 OPEN src=2001::1 dst=2001::2 sport=10 dport=20 \
             src=2001::2 dst=2001::1 sport=20 dport=10 [OFFLOAD] mark=0 use=1",
            "-A -t 99 -u EXPECTED,SEEN_REPLY,FIXED_TIMEOUT -s 2001::1 -d 2001::2 -r 2001::2 -q 2001::1 -p dccp \
             --sport 10 --dport 20 --reply-port-src 20 --reply-port-dst 10 --state OPEN --role server",
        ),
    ]
}

#[test]
fn listed_flows() {
    for (flow, line, saved) in listed() {
        let bytes = flow.message();
        let f = view(&bytes);
        assert_eq!(text(|o| line::flow(o, &f, &Style::default(), &context(None))), line);
        // The original leaves out the mark.
        let added = text(|o| save::flow(o, &f, Verb::Add));
        let mark = format!(" -m {}", flow.mark);
        assert!(added.contains(&(mark.clone() + " -")), "{added}");
        assert_eq!(added.replacen(&mark, "", 1), saved);
        assert_eq!(text(|o| save::flow(o, &f, Verb::Delete)), saved.replacen("-A", "-D", 1));
        let style = Style { extended: true, id: true, ..Style::default() };
        let is_v6 = matches!(flow.orig.src, Some(Addr::V6(_)));
        let family = if is_v6 { "ipv6     10" } else { "ipv4     2" };
        let long = format!("{family} {line} id=77");
        assert_eq!(text(|o| line::flow(o, &f, &style, &context(None))), long);
    }
}

/// Transcript 41: zones of one direction.
#[test]
fn zones_of_one_direction() {
    let t = |zone| Tuple { zone, ..v4(ipproto::UDP) };
    let bytes = message(ipctnl::NEW, af::INET, |b| {
        t(Some(8)).build(b, cta::TUPLE_ORIG);
        t(Some(9)).build(b, cta::TUPLE_REPLY);
    });
    let tuple = "src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20";
    let want = format!("udp      17 {tuple} zone-orig=8 {tuple} zone-reply=9");
    assert_eq!(text(|o| line::flow(o, &view(&bytes), &Style::default(), &context(None))), want);
    let saved = text(|o| save::flow(o, &view(&bytes), Verb::Update));
    assert!(saved.starts_with("-U --orig-zone 8 --reply-zone 9 -s 1.1.1.1 "), "{saved}");
}

struct November;

impl TimeZone for November {
    fn local(&self, unix_s: i64) -> LocalTime {
        let sec = (unix_s - 1_000) as u8;
        LocalTime { year: 2026, month: 10, day: 3, hour: 16, min: 4, sec, wday: 1 }
    }
}

impl LabelNames for November {
    fn name(&self, bit: u16) -> Option<&[u8]> {
        [&b"foo"[..], b"bar"].get(usize::from(bit)).copied()
    }
}

/// Transcripts 21 and 52: accounting, times, helper, labels; and the same as an event of a program.
#[test]
fn everything_a_line_can_have() {
    let local = Tuple {
        src: Some(Addr::V4([127, 0, 0, 1])),
        dst: Some(Addr::V4([127, 0, 0, 1])),
        src_port: Some(40_001),
        dst_port: Some(21),
        ..v4(ipproto::TCP)
    };
    let bytes = message(ipctnl::DELETE, af::INET, |b| {
        local.build(b, cta::TUPLE_ORIG);
        local.inverse().expect("ports").build(b, cta::TUPLE_REPLY);
        b.put_be32(cta::STATUS, 0xe).put_be32(cta::TIMEOUT, 119).put_be32(cta::MARK, u32::MAX);
        b.nest(cta::PROTOINFO, |b| _ = b.nest(1, |b| _ = b.put_u8(1, 7)));
        for (kind, packets, bytes) in [(cta::COUNTERS_ORIG, 4u64, 236u64), (cta::COUNTERS_REPLY, 3, u64::MAX)]
        {
            b.nest(kind, |b| _ = b.put(1, &packets.to_be_bytes()).put(2, &bytes.to_be_bytes()));
        }
        b.nest(cta::TIMESTAMP, |b| {
            b.put(cta_timestamp::START, &1_000_900_000_000u64.to_be_bytes());
            b.put(cta_timestamp::STOP, &1_002_100_000_000u64.to_be_bytes());
        });
        b.nest(cta::HELP, |b| _ = b.put_str(cta_help::NAME, b"ftp"));
        b.put(cta::LABELS, &7u32.to_ne_bytes());
    });
    let labels: &dyn LabelNames = &November;
    let ctx = TextContext { now_s: 0, zone: &November, labels: Some(labels) };
    let style = Style { ktimestamp: true, ..Style::default() };
    let got = text(|out| {
        line::timestamp(out, EventTime { sec: 7, usec: 42 });
        line::tag(out, Event::of(view(&bytes).msg()).expect("an event"));
        line::flow(out, &view(&bytes), &style, &ctx)?;
        line::userspace(out, 4711, Some(b"conntrack"));
        Ok(())
    });
    let want = "[00000007.000042]\t[DESTROY] \
                tcp      6 119 TIME_WAIT src=127.0.0.1 dst=127.0.0.1 sport=40001 dport=21 packets=4 bytes=236 \
                src=127.0.0.1 dst=127.0.0.1 sport=21 dport=40001 packets=3 bytes=18446744073709551615 [ASSURED] \
                mark=4294967295 delta-time=2 [start=Mon Nov  3 16:04:00 2026] [stop=Mon Nov  3 16:04:02 2026] \
                helper=ftp labels=foo,bar,bit-2 [USERSPACE] portid=4711 progname=conntrack";
    assert_eq!(got, want);
}
