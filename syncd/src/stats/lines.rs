//! The log of ended flows in statistics mode (conntrackd.md §11).
//!
//! The original's line is the date, a tab, and the flow as `conntrack -L` shows it, without the timeout. It
//! is cut at 1024 bytes there, and whole here. It contains counters, times and marks if the kernel's destroy
//! event does. Syslog gets the same without date and tab. With `LogFormat json` there is one object per flow,
//! in the form of `zct -E -o json,timestamp,ktimestamp,id`.
//!
//! # Errors
//! Each function fails at the first attribute that cannot be read. What it has written by then has to be
//! taken back with [`Out::rewind`], as after a buffer that was too small ([`Out::is_full`]).
//!
//! # Allocation
//! None.

use zct_wire::error::WireError;
use zct_wire::event::Event;
use zct_wire::flow::{Counters, Dir, LabelBits, Timestamps};
use zct_wire::proto::StateOf;
use zct_wire::text::json::EventHead;
use zct_wire::text::{EventTime, Facts, LocalTime, Out, Style, TextContext, json, line};
use zct_wire::tuple::{Shape, Tuple};

/// A flow that has ended: all that is known about it, except what has lost its meaning. Newer kernels put the
/// rest of its timeout into the destroy event, and a flow from a dump has a reference count.
#[derive(Clone, Copy)]
pub struct EndedFlow<'a> {
    /// The kernel's last message, or the flow as it was stored if that message was missed.
    pub flow: &'a dyn Facts,
    /// The helper, which only earlier messages named.
    pub helper: Option<&'a [u8]>,
}

impl<'a> EndedFlow<'a> {
    /// A flow about which everything is known from one source.
    pub fn new(flow: &'a dyn Facts) -> EndedFlow<'a> {
        EndedFlow { flow, helper: None }
    }
}

impl Facts for EndedFlow<'_> {
    fn family(&self) -> u8 {
        self.flow.family()
    }
    fn orig(&self) -> Result<Shape<'_>, WireError> {
        self.flow.orig()
    }
    fn reply(&self) -> Result<Option<Shape<'_>>, WireError> {
        self.flow.reply()
    }
    fn status(&self) -> Result<Option<u32>, WireError> {
        self.flow.status()
    }
    fn mark(&self) -> Result<Option<u32>, WireError> {
        self.flow.mark()
    }
    fn zone(&self) -> Result<Option<u16>, WireError> {
        self.flow.zone()
    }
    fn state(&self) -> Result<Option<(StateOf, u8)>, WireError> {
        self.flow.state()
    }
    fn helper(&self) -> Result<Option<&[u8]>, WireError> {
        Ok(self.flow.helper()?.or(self.helper))
    }
    fn master(&self) -> Result<Option<Tuple>, WireError> {
        self.flow.master()
    }
    fn id(&self) -> Result<Option<u32>, WireError> {
        self.flow.id()
    }
    fn labels(&self) -> Option<LabelBits<'_>> {
        self.flow.labels()
    }
    fn counters(&self, dir: Dir) -> Result<Option<Counters>, WireError> {
        self.flow.counters(dir)
    }
    fn secmark(&self) -> Result<Option<u32>, WireError> {
        self.flow.secmark()
    }
    fn secctx(&self) -> Result<Option<&[u8]>, WireError> {
        self.flow.secctx()
    }
    fn timestamps(&self) -> Result<Option<Timestamps>, WireError> {
        self.flow.timestamps()
    }
}

/// Appends the line of a flow that ended at `when`, with its newline.
pub fn text_line(
    out: &mut Out<'_>,
    flow: &EndedFlow<'_>,
    when: &LocalTime,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    out.ctime(when);
    out.byte(b'\t');
    syslog_text(out, flow, ctx)?;
    out.byte(b'\n');
    Ok(())
}

/// Appends the text about a flow for syslog, which adds the date and ends the line itself.
pub fn syslog_text(out: &mut Out<'_>, flow: &EndedFlow<'_>, ctx: &TextContext<'_>) -> Result<(), WireError> {
    // The original has no label map open here, so its line shows no labels.
    line::facts(out, flow, &Style::default(), &TextContext { labels: None, ..*ctx })
}

/// Appends the object of a flow that ended at `when`, with its newline.
pub fn json_line(
    out: &mut Out<'_>,
    flow: &EndedFlow<'_>,
    when: EventTime,
    ctx: &TextContext<'_>,
) -> Result<(), WireError> {
    // No log line of the original shows who deleted the flow, so it is not looked up for this one either.
    let event = EventHead { kind: Event::Destroy, portid: 0, program: None, time: Some(when) };
    let style = Style { ktimestamp: true, id: true, ..Style::default() };
    json::facts(out, flow, Some(&event), &style, ctx)?;
    out.byte(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Row;
    use zct_wire::build::{Builder, Head};
    use zct_wire::consts::{cta, cta_help, ips};
    use zct_wire::flow::FlowView;
    use zct_wire::header::{CtMsg, Frames};
    use zct_wire::peer::Flow;
    use zct_wire::text::{LabelNames, TimeZone};
    use zct_wire::tuple::Addr;

    struct Utc;

    impl TimeZone for Utc {
        fn local(&self, _: i64) -> LocalTime {
            LocalTime::default()
        }
    }

    struct Named;

    impl LabelNames for Named {
        fn name(&self, bit: u16) -> Option<&[u8]> {
            (bit == 1).then_some(b"gold")
        }
    }

    const WHEN: LocalTime = LocalTime { year: 2026, month: 10, day: 25, hour: 5, min: 16, sec: 47, wday: 3 };

    fn ctx() -> TextContext<'static> {
        TextContext { now_s: 1_795_583_807, zone: &Utc, labels: Some(&Named) }
    }

    /// A destroy event, with what `more` adds to it.
    fn event(
        family: u8,
        orig: Tuple,
        reply: Tuple,
        status: u32,
        more: impl FnOnce(&mut Builder<'_>),
    ) -> Vec<u8> {
        let mut buf = [0; 1024];
        let mut b = Builder::new(&mut buf, Head::new(0x102, 0).family(family));
        orig.build(&mut b, cta::TUPLE_ORIG);
        reply.build(&mut b, cta::TUPLE_REPLY);
        b.put_be32(cta::STATUS, status).put_be32(cta::TIMEOUT, 899).put_be32(cta::USE, 2);
        more(&mut b);
        b.finish().unwrap().to_vec()
    }

    fn rendered(
        bytes: &[u8],
        render: impl FnOnce(&mut Out<'_>, &EndedFlow<'_>) -> Result<(), WireError>,
    ) -> String {
        let flow =
            FlowView::index(CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap()).unwrap();
        let mut buf = [0; 1024];
        let mut out = Out::new(&mut buf);
        render(&mut out, &EndedFlow::new(&flow)).unwrap();
        assert!(!out.is_full());
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    fn ports(proto: u8, a: Addr, b: Addr, sport: u16, dport: u16) -> (Tuple, Tuple) {
        let one = |src, dst, sport, dport| Tuple {
            src: Some(src),
            dst: Some(dst),
            proto: Some(proto),
            src_port: Some(sport),
            dst_port: Some(dport),
            ..Tuple::default()
        };
        (one(a, b, sport, dport), one(b, a, dport, sport))
    }

    fn tcp() -> Vec<u8> {
        let (orig, reply) = ports(6, Addr::V4([10, 0, 0, 1]), Addr::V4([10, 0, 0, 2]), 1, 80);
        event(2, orig, reply, ips::SEEN_REPLY | ips::ASSURED, |b| {
            b.nest(cta::PROTOINFO, |b| _ = b.nest(1, |b| _ = b.put(1, &[7])));
            for (kind, packets, bytes) in [(cta::COUNTERS_ORIG, 6u64, 327u64), (cta::COUNTERS_REPLY, 4, 223)]
            {
                b.nest(kind, |b| _ = b.put(1, &packets.to_be_bytes()).put(2, &bytes.to_be_bytes()));
            }
            b.put_be32(cta::MARK, 5).put_be32(cta::ID, 77);
            b.nest(cta::TIMESTAMP, |b| {
                b.put(1, &1_795_583_806_900_000_000u64.to_be_bytes());
                b.put(2, &1_795_583_807_100_000_000u64.to_be_bytes());
            });
            let mut labels = [0u8; 16];
            labels[..4].copy_from_slice(&2u32.to_ne_bytes());
            b.put(cta::LABELS, &labels);
        })
    }

    /// Lines from conntrackd 1.4.7's statistics log with accounting and timestamps on (Linux 6.18), except
    /// for ports and counters.
    #[test]
    fn lines_are_those_of_the_original() {
        let of = |bytes: &[u8]| rendered(bytes, |out, f| text_line(out, f, &WHEN, &ctx()));
        assert_eq!(
            of(&tcp()),
            "Wed Nov 25 05:16:47 2026\ttcp      6 TIME_WAIT src=10.0.0.1 dst=10.0.0.2 sport=1 dport=80 packets=6 \
             bytes=327 src=10.0.0.2 dst=10.0.0.1 sport=80 dport=1 packets=4 bytes=223 [ASSURED] mark=5 delta-time=1\n"
        );
        let (orig, reply) = ports(17, Addr::V6([0xfd; 16]), Addr::V6([0xfe; 16]), 5, 53);
        assert_eq!(
            of(&event(10, orig, reply, 0, |b| _ = b.put_be16(cta::ZONE, 7))),
            "Wed Nov 25 05:16:47 2026\tudp      17 src=fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd \
             dst=fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe sport=5 dport=53 [UNREPLIED] \
             src=fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe dst=fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd sport=53 \
             dport=5 zone=7\n"
        );
    }

    #[test]
    fn syslog_has_its_own_date() {
        let text = rendered(&tcp(), |out, f| syslog_text(out, f, &ctx()));
        assert!(text.starts_with("tcp      6 TIME_WAIT src=10.0.0.1 "), "{text}");
        assert!(text.ends_with("[ASSURED] mark=5 delta-time=1"), "{text}");
    }

    #[test]
    fn objects_have_everything_but_what_is_over() {
        let when = EventTime { sec: 1_795_583_807, usec: 421 };
        assert_eq!(
            rendered(&tcp(), |out, f| json_line(out, f, when, &ctx())),
            "{\"event\":\"destroy\",\"timestamp\":1795583807.000421,\"family\":\"ipv4\",\"protonum\":6,\
             \"protocol\":\"tcp\",\"state\":\"TIME_WAIT\",\"orig\":{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\
             \"sport\":1,\"dport\":80,\"packets\":6,\"bytes\":327},\"reply\":{\"src\":\"10.0.0.2\",\
             \"dst\":\"10.0.0.1\",\"sport\":80,\"dport\":1,\"packets\":4,\"bytes\":223},\
             \"status\":[\"SEEN_REPLY\",\"ASSURED\"],\"mark\":5,\"start_ns\":1795583806900000000,\
             \"stop_ns\":1795583807100000000,\"delta_time\":1,\"id\":77,\"labels\":[\"gold\"]}\n"
        );
    }

    /// A flow whose end was missed is logged from what was stored of it, in the same words, as far as
    /// it is known.
    #[test]
    fn what_was_kept_is_shown_as_the_message_was() {
        let when = EventTime { sec: 1_795_583_807, usec: 421 };
        let v6 = ports(17, Addr::V6([0xfd; 16]), Addr::V6([0xfe; 16]), 5, 53);
        let gre = ports(47, Addr::V4([10, 0, 0, 1]), Addr::V4([10, 0, 0, 2]), 0x1234, 0x5678);
        let ping = |kind| Tuple {
            src_port: None,
            dst_port: None,
            icmp_type: Some(kind),
            icmp_code: Some(0),
            icmp_id: Some(77),
            ..ports(1, Addr::V4([10, 0, 0, 1]), Addr::V4([10, 0, 0, 2]), 0, 0).0
        };
        let back = Tuple { src: ping(0).dst, dst: ping(0).src, ..ping(0) };
        let mut zoned = ports(99, Addr::V4([10, 0, 0, 1]), Addr::V4([10, 0, 0, 2]), 0, 0);
        zoned.0 = Tuple { src_port: None, dst_port: None, zone: Some(3), ..zoned.0 };
        zoned.1 = Tuple { src_port: None, dst_port: None, ..zoned.1 };
        let state = |b: &mut Builder<'_>| {
            b.nest(cta::PROTOINFO, |b| _ = b.nest(1, |b| _ = b.put(1, &[7])));
        };
        let tcp = ports(6, Addr::V4([10, 0, 0, 1]), Addr::V4([10, 0, 0, 2]), 1, 80);
        for ((orig, reply), status, family) in [
            (tcp, ips::SEEN_REPLY | ips::ASSURED, 2),
            (v6, 0, 10),
            (gre, ips::SEEN_REPLY | ips::OFFLOAD, 2),
            ((ping(8), back), ips::CONFIRMED, 2),
            (zoned, ips::SEEN_REPLY | ips::HW_OFFLOAD, 2),
        ] {
            let bytes = event(family, orig, reply, status, |b| {
                state(b);
                b.put_be32(cta::MARK, 5).put_be32(cta::ID, 77).put_be16(cta::ZONE, 7);
                b.nest(cta::HELP, |b| _ = b.put_str(cta_help::NAME, b"ftp"));
            });
            let msg = CtMsg::parse(Frames::new(&bytes).next().unwrap().unwrap()).unwrap();
            let kept = Flow::from_kernel(&FlowView::index(msg).unwrap()).unwrap();
            let kept = Row::local(&kept, 77);
            let both = |render: &dyn Fn(&mut Out<'_>, &EndedFlow<'_>)| {
                let mut buf = [0; 1024];
                let mut out = Out::new(&mut buf);
                render(&mut out, &EndedFlow::new(&kept));
                let ours = String::from_utf8(out.written().to_vec()).unwrap();
                let theirs = rendered(&bytes, |out, f| {
                    render(out, f);
                    Ok(())
                });
                assert!(!ours.is_empty());
                assert_eq!(ours, theirs);
            };
            both(&|out, f| text_line(out, f, &WHEN, &ctx()).unwrap());
            both(&|out, f| json_line(out, f, when, &ctx()).unwrap());
        }
    }

    #[test]
    fn the_helper_that_earlier_messages_named_is_shown() {
        let bytes = tcp();
        let text =
            rendered(&bytes, |out, f| syslog_text(out, &EndedFlow { helper: Some(b"ftp"), ..*f }, &ctx()));
        assert!(text.ends_with("mark=5 delta-time=1 helper=ftp"), "{text}");
    }

    #[test]
    fn a_buffer_that_is_too_small_says_so_and_damage_is_an_error() {
        let bytes = tcp();
        let flow =
            FlowView::index(CtMsg::parse(Frames::new(&bytes).next().unwrap().unwrap()).unwrap()).unwrap();
        for room in 0..200 {
            let mut buf = vec![0; room];
            let mut out = Out::new(&mut buf);
            text_line(&mut out, &EndedFlow::new(&flow), &WHEN, &ctx()).unwrap();
            assert!(out.is_full(), "{room}");
            out.rewind(0);
            assert!(out.is_empty() && !out.is_full());
        }
        let (orig, reply) = ports(17, Addr::V4([1; 4]), Addr::V4([2; 4]), 1, 2);
        let damaged = event(2, orig, reply, 0, |b| _ = b.put(cta::MARK, &[1, 2]));
        let flow =
            FlowView::index(CtMsg::parse(Frames::new(&damaged).next().unwrap().unwrap()).unwrap()).unwrap();
        let mut buf = [0; 1024];
        let when = EventTime::default();
        assert!(text_line(&mut Out::new(&mut buf), &EndedFlow::new(&flow), &WHEN, &ctx()).is_err());
        assert!(json_line(&mut Out::new(&mut buf), &EndedFlow::new(&flow), when, &ctx()).is_err());
    }
}
