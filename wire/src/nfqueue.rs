//! Packets that the kernel queues for user space, and verdicts about them
//! (linux/netfilter/nfnetlink_queue.h).
//!
//! Only what a connection tracking helper needs: a packet with the flow it belongs to, and verdicts that
//! always let it go on. A verdict cannot drop, and an expectation in it always has its mask ([`Expected`]).

use crate::attr::{self, Attrs};
use crate::build::{Builder, Full, Head};
use crate::consts::{cta, cta_help, nf, nfqa, nfqa_cfg, nfqa_cfg_f, nfqnl_cfg_cmd, nfqnl_msg, nlm_f};
use crate::error::WireError;
use crate::expected::{Ends, Expected};
use crate::header::CtMsg;
use crate::tuple::Tuple;

/// The most bytes of a packet that the kernel copies into a message: what an attribute of 16 bits of length
/// holds.
pub const COPY_MAX: u32 = 0xffff;
/// Room for a message with the largest packet, everything around it included.
pub const MESSAGE_MAX: usize = 65_536 + 4096;
/// Room for a verdict without a packet: private data, a timeout and an expectation between IPv6 addresses.
pub const VERDICT_MAX: usize = 512;

fn config(buf: &mut [u8], seq: u32, queue: u16) -> Builder<'_> {
    Builder::new(buf, Head::new(nfqnl_msg::CONFIG, seq).flags(nlm_f::REQUEST | nlm_f::ACK).resource(queue))
}

/// Takes over a queue: packets come whole, with their flow, and go on without a verdict when the queue is
/// full. All in one message, so that no packet is queued to a socket that is not ready for it.
///
/// # Errors
/// [`Full`] when `buf` is too small.
pub fn bind(buf: &mut [u8], seq: u32, queue: u16, max_packets: Option<u32>) -> Result<&[u8], Full> {
    const FLAGS: u32 = nfqa_cfg_f::FAIL_OPEN | nfqa_cfg_f::CONNTRACK;
    let mut b = config(buf, seq, queue);
    let [a, b1, c, d] = COPY_MAX.to_be_bytes();
    b.put(nfqa_cfg::CMD, &[nfqnl_cfg_cmd::BIND, 0, 0, 0])
        .put(nfqa_cfg::PARAMS, &[a, b1, c, d, nfqa_cfg_f::COPY_PACKET])
        .put_be32(nfqa_cfg::FLAGS, FLAGS)
        .put_be32(nfqa_cfg::MASK, FLAGS);
    if let Some(max) = max_packets {
        b.put_be32(nfqa_cfg::QUEUE_MAXLEN, max);
    }
    b.finish()
}

/// Gives a queue up; what waits in it is dropped.
///
/// # Errors
/// [`Full`] when `buf` is too small.
pub fn unbind(buf: &mut [u8], seq: u32, queue: u16) -> Result<&[u8], Full> {
    let mut b = config(buf, seq, queue);
    b.put(nfqa_cfg::CMD, &[nfqnl_cfg_cmd::UNBIND, 0, 0, 0]);
    b.finish()
}

/// A packet in a queue. Members are `None` when the message does not have them.
#[derive(Clone, Copy, Debug)]
pub struct Queued<'a> {
    /// The queue.
    pub queue: u16,
    /// AF_INET or AF_INET6.
    pub family: u8,
    /// Its number, for the verdict.
    pub id: u32,
    /// The packet from its IP header on.
    pub payload: &'a [u8],
    /// [`ip_ct`](crate::consts::ip_ct).
    pub info: Option<u32>,
    /// The packet's real length in bytes, when it was cut.
    pub cut_from: Option<u32>,
    flow: Option<&'a [u8]>,
}

/// The flow of a queued packet, as far as helpers need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedFlow<'a> {
    /// The kernel's number for it (CTA_ID); 0 if it has none.
    pub id: u32,
    /// The original direction.
    pub original: Ends,
    /// The reply direction.
    pub reply: Ends,
    /// The original direction of the flow that expected it.
    pub master: Option<Ends>,
    /// The zone that the original direction is looked up in (CTA_ZONE, or CTA_TUPLE_ZONE of this direction);
    /// `None` for 0.
    pub zone: Option<u16>,
    /// IPS_* bits.
    pub status: u32,
    /// The name of its helper.
    pub helper: Option<&'a [u8]>,
    /// The helper's private data, which the kernel keeps with the flow.
    pub private: Option<&'a [u8]>,
}

impl<'a> Queued<'a> {
    /// Reads a message of type [`nfqnl_msg::PACKET`].
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies; [`WireError::BadValue`] for a number that is shorter than its type;
    /// [`WireError::Missing`] when there is no number to answer to.
    pub fn parse(msg: CtMsg<'a>) -> Result<Queued<'a>, WireError> {
        let (mut id, mut info, mut cut_from, mut flow) = (None, None, None, None);
        let mut payload: &[u8] = &[];
        for a in msg.attrs() {
            let a = a?;
            match a.kind {
                nfqa::PACKET_HDR => id = Some(attr::be32("NFQA_PACKET_HDR", a.value)?),
                nfqa::PAYLOAD => payload = a.value,
                nfqa::CT => flow = Some(a.value),
                nfqa::CT_INFO => info = Some(attr::be32("NFQA_CT_INFO", a.value)?),
                nfqa::CAP_LEN => cut_from = Some(attr::be32("NFQA_CAP_LEN", a.value)?),
                _ => {}
            }
        }
        let id = id.ok_or(WireError::Missing { what: "NFQA_PACKET_HDR" })?;
        Ok(Queued { queue: msg.resource(), family: msg.family(), id, payload, info, cut_from, flow })
    }

    /// Its flow; `None` when the message has none, because the kernel was built without the glue between
    /// queues and flows.
    ///
    /// # Errors
    /// As [`Queued::parse`], and [`WireError::Missing`] for a tuple that is not complete.
    pub fn flow(&self) -> Result<Option<QueuedFlow<'a>>, WireError> {
        let Some(nest) = self.flow else { return Ok(None) };
        let (mut original, mut reply, mut master, mut status) = (None, None, None, 0);
        let (mut id, mut zone, mut helper, mut private) = (0, None, None, None);
        for a in Attrs::new(nest) {
            let a = a?;
            match a.kind {
                cta::ID => id = attr::be32("CTA_ID", a.value)?,
                cta::TUPLE_ORIG => {
                    let tuple = Tuple::parse(a.value)?;
                    (original, zone) = (Some(Ends::try_from(&tuple)?), zone.or(tuple.zone));
                }
                cta::TUPLE_REPLY => reply = Some(Ends::try_from(&Tuple::parse(a.value)?)?),
                // The master of a flow that a helper expected always has ports; any other counts as absent.
                cta::TUPLE_MASTER => master = Ends::try_from(&Tuple::parse(a.value)?).ok(),
                cta::ZONE => zone = Some(attr::be16("CTA_ZONE", a.value)?),
                cta::STATUS => status = attr::be32("CTA_STATUS", a.value)?,
                cta::HELP => {
                    for a in Attrs::new(a.value) {
                        let a = a?;
                        match a.kind {
                            cta_help::NAME => helper = Some(attr::text(a.value)),
                            cta_help::INFO => private = Some(a.value),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        let (Some(original), Some(reply)) = (original, reply) else {
            return Err(WireError::Missing { what: "CTA_TUPLE" });
        };
        Ok(Some(QueuedFlow { id, original, reply, master, zone, status, helper, private }))
    }
}

/// What a verdict does besides letting the packet go on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// The name of the flow's helper, and the private data to store with the flow; `None` leaves the data
    /// alone.
    pub private: Option<(&'a [u8], &'a [u8])>,
    /// Seconds that the flow lives until its next packet.
    pub timeout_s: Option<u32>,
    /// A flow to expect. The kernel does not say whether it took it.
    pub expected: Option<&'a Expected>,
    /// The packet, from its IP header on, to go on in place of the queued one.
    pub packet: Option<&'a [u8]>,
}

fn verdict_start(buf: &mut [u8], kind: u16, queue: u16, id: u32) -> Builder<'_> {
    let mut b = Builder::new(buf, Head::new(kind, 0).flags(nlm_f::REQUEST).resource(queue));
    let ([a, b1, c, d], [e, f, g, h]) = (nf::ACCEPT.to_be_bytes(), id.to_be_bytes());
    b.put(nfqa::VERDICT_HDR, &[a, b1, c, d, e, f, g, h]);
    b
}

/// Lets one packet go on, with changes.
///
/// Never sends IPS_* bits, marks or labels: they would overwrite what another program has set in the
/// meantime. The nest for the flow is sent with every change, because without it the kernel adjusts no
/// sequence numbers and takes no expectation.
///
/// # Errors
/// [`Full`] when `buf` is too small: [`VERDICT_MAX`], and as many bytes as the packet has.
pub fn accept<'b>(buf: &'b mut [u8], queue: u16, id: u32, change: &Change<'_>) -> Result<&'b [u8], Full> {
    let mut b = verdict_start(buf, nfqnl_msg::VERDICT, queue, id);
    let Change { private, timeout_s, expected, packet } = change;
    if private.is_some() || timeout_s.is_some() || expected.is_some() || packet.is_some() {
        b.nest(nfqa::CT, |b| {
            if let Some(s) = timeout_s {
                b.put_be32(cta::TIMEOUT, *s);
            }
            if let Some((name, info)) = private {
                b.nest(cta::HELP, |b| {
                    b.put_str(cta_help::NAME, name).put(cta_help::INFO, info);
                });
            }
        });
    }
    if let Some(expected) = expected {
        b.nest(nfqa::EXP, |b| expected.members(b));
    }
    if let Some(packet) = packet {
        b.put(nfqa::PAYLOAD, packet);
    }
    b.finish()
}

/// Lets all packets up to this number go on that have had no verdict yet.
///
/// # Errors
/// [`Full`] when `buf` is too small.
pub fn accept_up_to(buf: &mut [u8], queue: u16, id: u32) -> Result<&[u8], Full> {
    verdict_start(buf, nfqnl_msg::VERDICT_BATCH, queue, id).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::hdr;
    use crate::attr::tests::recorded;
    use crate::consts::{ip_ct, ips};
    use crate::expect::ExpectView;
    use crate::header::Frames;
    use crate::tuple::Addr;
    use std::vec::Vec;

    const CLIENT: Addr = Addr::V4([10, 1, 0, 2]);
    const SERVER: Addr = Addr::V4([10, 2, 0, 2]);

    fn msg(bytes: &[u8]) -> CtMsg<'_> {
        CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap()
    }

    /// A TFTP request as 6.12 queues it; everything after the netlink header.
    #[rustfmt::skip]
    const REQUEST: &[u8] = &[
        0x02, 0, 0, 0x15, 0x0b, 0, 1, 0, 0, 0, 0, 1, 0x08, 0, 4, 0,
        8, 0, 5, 0, 0, 0, 0, 3, 8, 0, 6, 0, 0, 0, 0, 4,
        0x10, 0, 9, 0, 0, 6, 0, 0, 0x22, 0x66, 0x13, 0x13, 0x10, 0x0b, 0, 0,
        0x9c, 0, 0x0b, 0x80, 0x34, 0, 1, 0x80, 0x14, 0, 1, 0x80, 8, 0, 1, 0,
        0x0a, 1, 0, 2, 8, 0, 2, 0, 0x0a, 2, 0, 2, 0x1c, 0, 2, 0x80,
        5, 0, 1, 0, 0x11, 0, 0, 0, 6, 0, 2, 0, 0x0f, 0xa0, 0, 0,
        6, 0, 3, 0, 0, 0x45, 0, 0, 0x34, 0, 2, 0x80, 0x14, 0, 1, 0x80,
        8, 0, 1, 0, 0x0a, 2, 0, 2, 8, 0, 2, 0, 0x0a, 1, 0, 2,
        0x1c, 0, 2, 0x80, 5, 0, 1, 0, 0x11, 0, 0, 0, 6, 0, 2, 0,
        0, 0x45, 0, 0, 6, 0, 3, 0, 0x0f, 0xa0, 0, 0, 8, 0, 0x0c, 0,
        0x92, 0x40, 0x30, 0x52, 8, 0, 3, 0, 0, 0, 0x20, 0, 8, 0, 7, 0,
        0, 0, 0, 0x1e, 0x10, 0, 5, 0x80, 9, 0, 1, 0, 0x74, 0x66, 0x74, 0x70,
        0, 0, 0, 0, 8, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0x0c, 0,
        0, 0, 0, 2, 0x2d, 0, 0x0a, 0, 0x45, 0, 0, 0x29, 0xec, 0, 0x40, 0,
        0x3f, 0x11, 0x3b, 0xbd, 0x0a, 1, 0, 2, 0x0a, 2, 0, 2, 0x0f, 0xa0, 0, 0x45,
        0, 0x15, 0x3f, 0xb1, 0, 1, 0x66, 0x69, 0x6c, 0x65, 0, 0x6f, 0x63, 0x74, 0x65, 0x74,
        0,
    ];

    fn request() -> Vec<u8> {
        let length = u32::try_from(REQUEST.len() + 16).unwrap();
        let head = [&length.to_ne_bytes()[..], &0x300_u16.to_ne_bytes(), &[0; 10]].concat();
        [&head[..], &REQUEST[..4], &recorded(&REQUEST[4..])].concat()
    }

    #[test]
    fn a_queued_packet_is_read_with_its_flow() {
        let bytes = request();
        assert_eq!(bytes.len(), 273);
        let q = Queued::parse(msg(&bytes)).unwrap();
        assert_eq!((q.queue, q.family, q.id, q.info, q.cut_from), (0x15, 2, 1, Some(ip_ct::NEW), None));
        assert_eq!(
            (q.payload.len(), q.payload[0], &q.payload[28..]),
            (41, 0x45, &b"\0\x01file\0octet\0"[..])
        );
        let original = Ends::new(17, (CLIENT, 4000), (SERVER, 69)).unwrap();
        let reply = Ends::new(17, (SERVER, 69), (CLIENT, 4000)).unwrap();
        let helper = Some(&b"tftp"[..]);
        let (id, status) = (0x9240_3052, ips::HELPER);
        let (master, zone, private) = (None, None, None);
        let flow = QueuedFlow { id, original, reply, master, zone, status, helper, private };
        assert_eq!(q.flow().unwrap(), Some(flow));
    }

    /// A zone of both directions is a member of the flow, one of a single direction a member of its tuple.
    #[test]
    fn the_zone_is_that_of_the_original_direction() {
        let tuples = [(SERVER, 21), (CLIENT, 4000)].map(|(addr, port)| {
            let other = if addr == SERVER { (CLIENT, 4000) } else { (SERVER, 21) };
            Ends::new(6, other, (addr, port)).unwrap().tuple()
        });
        let zone_of = |orig: Option<u16>, reply: Option<u16>, both: Option<u16>| {
            let mut buf = [0; 512];
            let mut b = Builder::new(&mut buf, Head::new(nfqnl_msg::PACKET, 0));
            b.put(nfqa::PACKET_HDR, &[0, 0, 0, 1, 8, 0, 4]);
            b.nest(nfqa::CT, |b| {
                Tuple { zone: orig, ..tuples[0] }.build(b, cta::TUPLE_ORIG);
                Tuple { zone: reply, ..tuples[1] }.build(b, cta::TUPLE_REPLY);
                if let Some(z) = both {
                    b.put_be16(cta::ZONE, z);
                }
            });
            Queued::parse(msg(b.finish().unwrap())).unwrap().flow().unwrap().unwrap().zone
        };
        assert_eq!(zone_of(None, None, None), None);
        assert_eq!(zone_of(None, None, Some(5)), Some(5));
        assert_eq!(zone_of(Some(6), None, None), Some(6));
        assert_eq!(zone_of(None, Some(7), None), None);
    }

    #[test]
    fn what_is_cut_anywhere_is_an_error_or_less() {
        let whole = request();
        for len in 20..whole.len() {
            let mut cut = whole[..len].to_vec();
            cut[..4].copy_from_slice(&u32::try_from(len).unwrap().to_ne_bytes());
            if let Ok(q) = Queued::parse(msg(&cut)) {
                _ = q.flow();
                assert!(q.payload.is_empty(), "{len}");
            }
        }
    }

    /// The message that binds queue 51 with a length of 100, as a prototype sent it to 6.1 and 6.12.
    #[test]
    fn a_queue_is_bound_in_one_message() {
        #[rustfmt::skip]
        const BIND: &[u8] = &[
            8, 0, 1, 0, 1, 0, 0, 0, 9, 0, 2, 0, 0, 0, 0xff, 0xff, 2, 0, 0, 0,
            8, 0, 5, 0, 0, 0, 0, 3, 8, 0, 4, 0, 0, 0, 0, 3, 8, 0, 3, 0, 0, 0, 0, 0x64,
        ];
        let mut buf = [0xa5; 128];
        let bytes = bind(&mut buf, 7, 51, Some(100)).unwrap();
        let whole = recorded(BIND);
        assert_eq!((&bytes[16..20], &bytes[20..]), (&[0, 0, 0, 0x33][..], &whole[..]));
        assert_eq!((msg(bytes).kind(), msg(bytes).flags(), msg(bytes).seq()), (0x302, 5, 7));
        assert_eq!(bind(&mut buf, 7, 51, None).unwrap()[20..], whole[..36]);
        let unbound = unbind(&mut buf, 7, 51).unwrap();
        assert_eq!(unbound[16..], [&[0, 0, 0, 0x33][..], &hdr(8, 1), &[2, 0, 0, 0]].concat());
    }

    /// As the original answers the request above, but without what it echoes.
    #[test]
    fn a_verdict_has_an_expectation_with_its_mask() {
        #[rustfmt::skip]
        const EXP: &[u8] = &[
            0x34, 0, 2, 0x80, 0x14, 0, 1, 0x80, 8, 0, 1, 0, 0x0a, 2, 0, 2, 8, 0, 2, 0, 0x0a, 1, 0, 2,
            0x1c, 0, 2, 0x80, 5, 0, 1, 0, 0x11, 0, 0, 0, 6, 0, 2, 0, 0, 0, 0, 0, 6, 0, 3, 0, 0x0f, 0xa0, 0, 0,
            0x34, 0, 3, 0x80, 0x14, 0, 1, 0x80, 8, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 8, 0, 2, 0, 0xff, 0xff, 0xff, 0xff,
            0x1c, 0, 2, 0x80, 5, 0, 1, 0, 0x11, 0, 0, 0, 6, 0, 2, 0, 0, 0, 0, 0, 6, 0, 3, 0, 0xff, 0xff, 0, 0,
            8, 0, 8, 0, 0, 0, 0, 0, 8, 0, 9, 0, 0, 0, 0, 0,
        ];
        let e = Expected::new(17, Some(SERVER), CLIENT, 4000).unwrap();
        let mut buf = [0xa5; VERDICT_MAX];
        let bytes = accept(&mut buf, 21, 1, &Change { expected: Some(&e), ..Change::default() }).unwrap();
        let head = [&[0, 0, 0, 0x15][..], &hdr(0x0c, 2), &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        assert_eq!(bytes[16..32], head);
        // An empty nest for the flow, then the expectation.
        assert_eq!(bytes[32..40], [hdr(4, 0x800b), hdr(0x7c, 0x800f)].concat());
        assert_eq!(bytes[40..], recorded(EXP));
        let bytes = accept_up_to(&mut buf, 21, 1).unwrap();
        assert_eq!((msg(bytes).kind(), &bytes[16..]), (0x303, &head[..]));
    }

    #[test]
    fn a_verdict_says_what_changes_and_nothing_else() {
        let kinds = |change: &Change<'_>| {
            let mut buf = [0xa5; 1024];
            let bytes = accept(&mut buf, 1, 2, change).unwrap();
            msg(bytes).attrs().map(|a| a.unwrap().kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&Change::default()), [nfqa::VERDICT_HDR]);
        let private = Some((&b"ftp"[..], &[1, 2, 3][..]));
        assert_eq!(kinds(&Change { private, ..Change::default() }), [2, 11]);
        assert_eq!(kinds(&Change { packet: Some(b"packet"), ..Change::default() }), [2, 11, 10]);
        let mut buf = [0xa5; 1024];
        let change = Change { private, timeout_s: Some(300), ..Change::default() };
        let bytes = accept(&mut buf, 1, 2, &change).unwrap();
        let nest = msg(bytes).attrs().nth(1).unwrap().unwrap().value;
        let members: Vec<_> = Attrs::new(nest).map(|a| a.unwrap().kind).collect();
        assert_eq!(members, [cta::TIMEOUT, cta::HELP]);
    }

    /// The largest verdict that a helper can ask for.
    #[test]
    fn there_is_room_for_every_verdict() {
        let v6 = Addr::V6([0xff; 16]);
        let e = Expected::new(6, None, v6, 1).unwrap().from_port(2).helper("fifteen-letters");
        let e = e.follow(Some(crate::expected::Follow { dir: 1, port: 3 }));
        let private = Some((&b"fifteen-letters"[..], &[0xff; 32][..]));
        let change = Change { private, timeout_s: Some(1), expected: Some(&e), packet: None };
        let mut buf = [0xa5; VERDICT_MAX];
        let bytes = accept(&mut buf, 1, 2, &change).unwrap();
        let nest = msg(bytes).attrs().last().unwrap().unwrap();
        assert_eq!(nest.kind, nfqa::EXP);
        assert!(accept(&mut [0; 64], 1, 2, &change).is_err());
        _ = ExpectView::index(msg(bytes));
    }
}
