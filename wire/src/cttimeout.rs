//! Timeout policies: named sets of timeouts that rules attach to flows, and the defaults of each protocol
//! (linux/netfilter/nfnetlink_cttimeout.h, ctnetlink.md §9).

use crate::attr::{self, Attrs};
use crate::build::{Builder, Full, Head};
use crate::consts::{
    Named, af, cta_timeout, cta_timeout_dccp as dccp, cta_timeout_generic as generic, cta_timeout_gre as gre,
    cta_timeout_icmp as icmp, cta_timeout_icmpv6 as icmpv6, cta_timeout_sctp as sctp, cta_timeout_tcp as tcp,
    cta_timeout_udp as udp, cta_timeout_udplite as udplite, group::highest, ipctnl_timeout, ipproto, nlm_f,
};
use crate::error::WireError;
use crate::header::CtMsg;

/// A timeout's name, as nfct(8) writes it, and its number within CTA_TIMEOUT_DATA.
pub type State = (&'static str, u16);

/// The timeouts of a protocol in the order they are shown; `None` for a protocol that has none of its own.
///
/// HEARTBEAT_SENT of SCTP is left out: nfct(8) neither sets nor shows it.
pub fn states(l4: u8) -> Option<&'static [State]> {
    Some(match l4 {
        ipproto::TCP => &[
            ("SYN_SENT", tcp::SYN_SENT),
            ("SYN_RECV", tcp::SYN_RECV),
            ("ESTABLISHED", tcp::ESTABLISHED),
            ("FIN_WAIT", tcp::FIN_WAIT),
            ("CLOSE_WAIT", tcp::CLOSE_WAIT),
            ("LAST_ACK", tcp::LAST_ACK),
            ("TIME_WAIT", tcp::TIME_WAIT),
            ("CLOSE", tcp::CLOSE),
            ("SYN_SENT2", tcp::SYN_SENT2),
            ("RETRANS", tcp::RETRANS),
            ("UNACKNOWLEDGED", tcp::UNACK),
        ],
        ipproto::UDP => &[("UNREPLIED", udp::UNREPLIED), ("REPLIED", udp::REPLIED)],
        ipproto::UDPLITE => &[("UNREPLIED", udplite::UNREPLIED), ("REPLIED", udplite::REPLIED)],
        ipproto::ICMP => &[("TIMEOUT", icmp::TIMEOUT)],
        ipproto::ICMPV6 => &[("TIMEOUT", icmpv6::TIMEOUT)],
        ipproto::SCTP => &[
            ("CLOSED", sctp::CLOSED),
            ("COOKIE_WAIT", sctp::COOKIE_WAIT),
            ("COOKIE_ECHOED", sctp::COOKIE_ECHOED),
            ("ESTABLISHED", sctp::ESTABLISHED),
            ("SHUTDOWN_SENT", sctp::SHUTDOWN_SENT),
            ("SHUTDOWN_RECD", sctp::SHUTDOWN_RECD),
            ("SHUTDOWN_ACK_SENT", sctp::SHUTDOWN_ACK_SENT),
        ],
        ipproto::DCCP => &[
            ("REQUEST", dccp::REQUEST),
            ("RESPOND", dccp::RESPOND),
            ("PARTOPEN", dccp::PARTOPEN),
            ("OPEN", dccp::OPEN),
            ("CLOSEREQ", dccp::CLOSEREQ),
            ("CLOSING", dccp::CLOSING),
            ("TIMEWAIT", dccp::TIMEWAIT),
        ],
        ipproto::GRE => &[("UNREPLIED", gre::UNREPLIED), ("REPLIED", gre::REPLIED)],
        GENERIC => &[("TIMEOUT", generic::TIMEOUT)],
        _ => return None,
    })
}

/// The protocol number that stands for every protocol without a tracker of its own.
pub const GENERIC: u8 = ipproto::RAW;

/// One more than the highest number of a timeout in any protocol.
const MEMBERS: usize = {
    let groups: [&[Named]; 9] = [
        generic::NAMED,
        tcp::NAMED,
        udp::NAMED,
        udplite::NAMED,
        icmp::NAMED,
        icmpv6::NAMED,
        dccp::NAMED,
        sctp::NAMED,
        gre::NAMED,
    ];
    let (mut members, mut rest) = (0, groups.as_slice());
    while let [group, more @ ..] = rest {
        let highest = highest(group);
        if highest >= members {
            members = highest.saturating_add(1);
        }
        rest = more;
    }
    members
};

/// Timeouts to set, in seconds; those not given keep the default of the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    seconds: [Option<u32>; MEMBERS],
}

impl Timeouts {
    /// Sets one timeout; `member` is a number from [`states`]. Setting it again replaces it.
    pub fn set(&mut self, member: u16, seconds: u32) {
        if let Some(slot) = self.seconds.get_mut(usize::from(member)) {
            *slot = Some(seconds);
        }
    }

    /// True when none has been set.
    pub fn is_empty(&self) -> bool {
        self.seconds.iter().all(Option::is_none)
    }

    /// Adds CTA_TIMEOUT_DATA, or nothing when nothing is set: the kernel refuses a policy without the nest,
    /// which is right, but would take an empty nest to mean "all defaults".
    fn build(&self, b: &mut Builder<'_>) {
        if self.is_empty() {
            return;
        }
        b.nest(cta_timeout::DATA, |b| {
            for (member, seconds) in (0u16..).zip(self.seconds) {
                if let Some(s) = seconds {
                    b.put_be32(member, s);
                }
            }
        });
    }
}

/// A policy, or the defaults of a protocol, as the kernel sends them.
#[derive(Clone, Copy, Debug, Default)]
pub struct PolicyView<'a> {
    /// Its name; the defaults have none.
    pub name: Option<&'a [u8]>,
    /// Address family. The kernel stores whatever it was given.
    pub l3: Option<u16>,
    /// Layer 4 protocol; [`GENERIC`] for all others.
    pub l4: Option<u8>,
    /// References to it; 1 when no rule uses it. The defaults have none.
    pub used: Option<u32>,
    data: &'a [u8],
}

impl<'a> PolicyView<'a> {
    /// Reads a message of type [`ipctnl_timeout::NEW`] or, for defaults, [`ipctnl_timeout::DEFAULT_SET`].
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies; [`WireError::BadValue`] for a number that is shorter than its type.
    pub fn parse(msg: CtMsg<'a>) -> Result<Self, WireError> {
        let mut out = PolicyView::default();
        for a in msg.attrs() {
            let a = a?;
            match a.kind {
                cta_timeout::NAME => out.name = Some(attr::text(a.value)),
                cta_timeout::L3PROTO => out.l3 = Some(attr::be16("CTA_TIMEOUT_L3PROTO", a.value)?),
                cta_timeout::L4PROTO => out.l4 = Some(attr::u8("CTA_TIMEOUT_L4PROTO", a.value)?),
                cta_timeout::USE => out.used = Some(attr::be32("CTA_TIMEOUT_USE", a.value)?),
                cta_timeout::DATA => out.data = a.value,
                _ => {}
            }
        }
        Ok(out)
    }

    /// The timeout with this number from [`states`], in seconds; `None` when the kernel did not send it.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies; [`WireError::BadValue`] when the timeout has fewer than four bytes.
    pub fn timeout_s(&self, member: u16) -> Result<Option<u32>, WireError> {
        for a in Attrs::new(self.data) {
            let a = a?;
            if a.kind == member {
                return attr::be32("CTA_TIMEOUT_DATA", a.value).map(Some);
            }
        }
        Ok(None)
    }
}

fn start(buf: &mut [u8], kind: u16, flags: u16, seq: u32) -> Builder<'_> {
    Builder::new(buf, Head::new(kind, seq).flags(nlm_f::REQUEST | flags).family(af::UNSPEC))
}

/// Creates a policy; one of that name must not exist. A name of [`cta_timeout::NAME_MAX`] bytes or more is
/// refused by the kernel.
///
/// # Errors
/// [`Full`] when `buf` is too small for the message with its name.
pub fn add<'b>(
    buf: &'b mut [u8],
    seq: u32,
    name: &[u8],
    l3: u16,
    l4: u8,
    timeouts: &Timeouts,
) -> Result<&'b [u8], Full> {
    let mut b = start(buf, ipctnl_timeout::NEW, nlm_f::CREATE | nlm_f::ACK, seq);
    b.put_str(cta_timeout::NAME, name).put_be16(cta_timeout::L3PROTO, l3).put_u8(cta_timeout::L4PROTO, l4);
    timeouts.build(&mut b);
    b.finish()
}

/// Asks for one policy; the answer is the policy, then the acknowledgement.
///
/// # Errors
/// [`Full`] when `buf` is too small for the message with its name.
pub fn get<'b>(buf: &'b mut [u8], seq: u32, name: &[u8]) -> Result<&'b [u8], Full> {
    let mut b = start(buf, ipctnl_timeout::GET, nlm_f::ACK, seq);
    b.put_str(cta_timeout::NAME, name);
    b.finish()
}

/// Asks for a dump of all policies of the namespace.
///
/// # Errors
/// [`Full`] when `buf` is too small.
pub fn list(buf: &mut [u8], seq: u32) -> Result<&[u8], Full> {
    start(buf, ipctnl_timeout::GET, nlm_f::DUMP, seq).finish()
}

/// Deletes one policy. The request always has a name, even if it is empty: without the attribute the kernel
/// would delete all policies that are unused.
///
/// # Errors
/// [`Full`] when `buf` is too small for the message with its name.
pub fn delete<'b>(buf: &'b mut [u8], seq: u32, name: &[u8]) -> Result<&'b [u8], Full> {
    let mut b = start(buf, ipctnl_timeout::DELETE, nlm_f::ACK, seq);
    b.put_str(cta_timeout::NAME, name);
    b.finish()
}

/// Deletes every policy that no rule uses.
///
/// # Errors
/// [`Full`] when `buf` is too small.
pub fn flush(buf: &mut [u8], seq: u32) -> Result<&[u8], Full> {
    start(buf, ipctnl_timeout::DELETE, nlm_f::ACK, seq).finish()
}

/// Changes the given defaults of a protocol in this namespace, and no others.
///
/// # Errors
/// [`Full`] when `buf` is too small.
pub fn default_set<'b>(
    buf: &'b mut [u8],
    seq: u32,
    l3: u16,
    l4: u8,
    timeouts: &Timeouts,
) -> Result<&'b [u8], Full> {
    let mut b = start(buf, ipctnl_timeout::DEFAULT_SET, nlm_f::ACK, seq);
    b.put_be16(cta_timeout::L3PROTO, l3).put_u8(cta_timeout::L4PROTO, l4);
    timeouts.build(&mut b);
    b.finish()
}

/// Asks for the defaults of a protocol; the answer has the type [`ipctnl_timeout::DEFAULT_SET`].
///
/// # Errors
/// [`Full`] when `buf` is too small.
pub fn default_get(buf: &mut [u8], seq: u32, l3: u16, l4: u8) -> Result<&[u8], Full> {
    let mut b = start(buf, ipctnl_timeout::DEFAULT_GET, nlm_f::ACK, seq);
    b.put_be16(cta_timeout::L3PROTO, l3).put_u8(cta_timeout::L4PROTO, l4);
    b.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::tests::recorded;
    use crate::header::Frames;
    use std::vec::Vec;

    fn msg(bytes: &[u8]) -> CtMsg<'_> {
        CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap()
    }

    fn closed() -> Timeouts {
        let mut t = Timeouts::default();
        t.set(tcp::CLOSE, 1);
        t.set(tcp::ESTABLISHED, 9);
        t.set(tcp::CLOSE, 7);
        t
    }

    /// Bytes in host byte order, as strace shows them for `nfct add timeout abc inet tcp close 7
    /// established 9` of 1.4.7, except for flags and sequence number.
    const ADD: &[u8] = &[
        8, 0, 1, 0, b'a', b'b', b'c', 0, // CTA_TIMEOUT_NAME
        6, 0, 2, 0, 0, 2, 0, 0, // CTA_TIMEOUT_L3PROTO
        5, 0, 3, 0, 6, 0, 0, 0, // CTA_TIMEOUT_L4PROTO
        20, 0, 4, 0x80, // CTA_TIMEOUT_DATA
        8, 0, 3, 0, 0, 0, 0, 9, // ESTABLISHED
        8, 0, 8, 0, 0, 0, 0, 7, // CLOSE
    ];

    #[test]
    fn a_policy_is_sent_as_the_original_sends_it() {
        let mut buf = [0xa5; 256];
        let bytes = add(&mut buf, 1, b"abc", 2, 6, &closed()).unwrap();
        assert_eq!(bytes[20..], recorded(ADD));
        let m = msg(bytes);
        assert_eq!((m.kind(), m.flags(), m.family()), (0x800, 0x405, 0));
    }

    #[test]
    fn what_is_sent_is_read_back() {
        let mut buf = [0xa5; 256];
        let p = PolicyView::parse(msg(add(&mut buf, 1, b"abc", 10, 6, &closed()).unwrap())).unwrap();
        assert_eq!((p.name, p.l3, p.l4, p.used), (Some(&b"abc"[..]), Some(10), Some(6), None));
        assert_eq!(p.timeout_s(tcp::ESTABLISHED), Ok(Some(9)));
        assert_eq!(p.timeout_s(tcp::CLOSE), Ok(Some(7)));
        assert_eq!(p.timeout_s(tcp::SYN_SENT), Ok(None));
    }

    #[test]
    fn every_truncation_is_an_error_or_less_of_the_policy() {
        let mut buf = [0; 256];
        let bytes = add(&mut buf, 1, b"abc", 2, 6, &closed()).unwrap().to_vec();
        for n in 20..bytes.len() {
            let mut cut = bytes[..n].to_vec();
            cut[..4].copy_from_slice(&(n as u32).to_ne_bytes());
            // The ends of attributes and their padding; at any other length something is cut in two.
            let at_an_end = [20, 28, 34, 35, 36, 41, 42, 43, 44].contains(&n);
            assert_eq!(PolicyView::parse(msg(&cut)).is_ok(), at_an_end, "{n} bytes");
        }
        for short in [3u16, 4, 7, 0, 200] {
            let mut bad = bytes.clone();
            bad[44 + 4..][..2].copy_from_slice(&short.to_ne_bytes());
            let p = PolicyView::parse(msg(&bad)).unwrap();
            assert!(p.timeout_s(tcp::ESTABLISHED).is_err(), "length {short}");
        }
        let mut short = Vec::from(&bytes[..44]);
        short[36..38].copy_from_slice(&4u16.to_ne_bytes());
        short[..4].copy_from_slice(&40u32.to_ne_bytes());
        let want = WireError::BadValue { what: "CTA_TIMEOUT_L4PROTO", want: 1, have: 0 };
        assert_eq!(PolicyView::parse(msg(&short)).err(), Some(want));
    }

    #[test]
    fn no_timeouts_no_nest() {
        let mut buf = [0; 256];
        let bytes = add(&mut buf, 1, b"abc", 2, 6, &Timeouts::default()).unwrap();
        assert!(msg(bytes).attrs().all(|a| a.unwrap().kind != cta_timeout::DATA));
        let mut t = Timeouts::default();
        t.set(12, 1);
        t.set(u16::MAX, 1);
        assert!(t.is_empty(), "a number no protocol has is not kept");
    }

    #[test]
    fn only_a_flush_comes_without_a_name() {
        let mut buf = [0; 256];
        let has_name = |bytes: &[u8]| msg(bytes).attrs().any(|a| a.unwrap().kind == cta_timeout::NAME);
        assert!(has_name(delete(&mut buf, 1, b"").unwrap()));
        assert!(has_name(get(&mut buf, 1, b"x").unwrap()));
        assert!(!has_name(flush(&mut buf, 1).unwrap()));
        let m = msg(list(&mut buf, 1).unwrap());
        assert_eq!((m.kind(), m.flags()), (0x801, 0x301));
    }

    #[test]
    fn defaults_are_asked_for_and_set() {
        let mut buf = [0; 256];
        let m = msg(default_get(&mut buf, 1, 2, 47).unwrap());
        assert_eq!((m.kind(), m.flags(), m.attrs().count()), (0x804, 5, 2));
        let m = msg(default_set(&mut buf, 1, 2, 6, &closed()).unwrap());
        let p = PolicyView::parse(m).unwrap();
        assert_eq!((m.kind(), p.name, p.l4, p.timeout_s(8)), (0x803, None, Some(6), Ok(Some(7))));
    }

    #[test]
    fn the_tables_are_sound() {
        let known: Vec<u8> = (0..=255).filter(|n| states(*n).is_some()).collect();
        assert_eq!(known, [1, 6, 17, 33, 47, 58, 132, 136, 255]);
        for l4 in known {
            let table = states(l4).unwrap();
            for (i, (name, member)) in table.iter().enumerate() {
                assert_eq!(usize::from(*member), i + 1, "{l4} {name}");
                assert!(i + 1 < MEMBERS);
            }
        }
    }
}
