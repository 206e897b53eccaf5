//! Expectations that a helper in user space asks for: inside a verdict (NFQA_EXP) or as a request of their
//! own.
//!
//! An expectation inside a verdict that has no mask crashes kernels (6.1.192 and 6.12.117 among them: the
//! mask is read before anything is checked). So the nest is built in one place, [`Expected::members`], from a
//! type that has no way to leave the mask out, and that has both addresses of one family.

use crate::build::{Builder, Full, Head};
use crate::consts::{cta_expect, cta_expect_nat, ipctnl_exp, nf_ct_expect, nlm_f};
use crate::error::WireError;
use crate::tuple::{Addr, Tuple};

/// What sets up an expected flow as its master was translated: the one function that ordinary helpers need.
pub const NAT_FOLLOW_MASTER: &[u8] = b"nat-follow-master";

/// A pair of addresses of one family, and two ports: one direction of a TCP or UDP flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    src: Addr,
    dst: Addr,
    /// Layer 4 protocol number.
    pub protocol: u8,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
}

impl Ends {
    /// `None` when the addresses are of two families.
    pub fn new(protocol: u8, src: (Addr, u16), dst: (Addr, u16)) -> Option<Ends> {
        let ((src, src_port), (dst, dst_port)) = (src, dst);
        (src.family() == dst.family()).then_some(Ends { src, dst, protocol, src_port, dst_port })
    }

    /// Source address.
    pub fn src(&self) -> Addr {
        self.src
    }

    /// Destination address.
    pub fn dst(&self) -> Addr {
        self.dst
    }

    /// The same with all members of a tuple.
    pub fn tuple(&self) -> Tuple {
        Tuple {
            src: Some(self.src),
            dst: Some(self.dst),
            proto: Some(self.protocol),
            src_port: Some(self.src_port),
            dst_port: Some(self.dst_port),
            ..Tuple::default()
        }
    }
}

impl TryFrom<&Tuple> for Ends {
    type Error = WireError;

    /// Fails with [`WireError::Missing`] when an address, the protocol or a port is missing, or when the
    /// addresses are of two families.
    fn try_from(t: &Tuple) -> Result<Ends, WireError> {
        const MISSING: WireError = WireError::Missing { what: "CTA_TUPLE" };
        let (Some(src), Some(dst), Some(protocol)) = (t.src, t.dst, t.proto) else { return Err(MISSING) };
        let (Some(src_port), Some(dst_port)) = (t.src_port, t.dst_port) else { return Err(MISSING) };
        Ends::new(protocol, (src, src_port), (dst, dst_port)).ok_or(MISSING)
    }
}

/// From where the expected flow may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Exactly(Addr),
    Anyone,
}

/// How the expected flow follows the translation of its master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Direction of the master whose translation counts, 0 original or 1 reply: the one opposite to the
    /// packet that announced the port.
    pub dir: u32,
    /// The port as it was announced, to which the expected flow's destination port is translated.
    pub port: u16,
}

/// A flow that a helper foresees. It always has a mask, and its destination is always exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    source: Source,
    source_port: Option<u16>,
    destination: Addr,
    port: u16,
    protocol: u8,
    permanent: bool,
    class: u32,
    helper: Option<&'static str>,
    follow: Option<Follow>,
}

impl Expected {
    /// A flow from any port of `source` to `port` at `destination`; from anybody when `source` is `None`. It
    /// is used up by the first flow that fits. `None` when the addresses are of two families.
    pub fn new(protocol: u8, source: Option<Addr>, destination: Addr, port: u16) -> Option<Expected> {
        let source = match source {
            Some(addr) if addr.family() != destination.family() => return None,
            Some(addr) => Source::Exactly(addr),
            None => Source::Anyone,
        };
        Some(Expected {
            source,
            source_port: None,
            destination,
            port,
            protocol,
            permanent: false,
            class: 0,
            helper: None,
            follow: None,
        })
    }

    /// A flow from the source of `ends`, from any port of it, to their destination at `port`.
    #[must_use]
    pub fn along(ends: &Ends, protocol: u8, port: u16) -> Expected {
        Expected {
            source: Source::Exactly(ends.src),
            source_port: None,
            destination: ends.dst,
            port,
            protocol,
            permanent: false,
            class: 0,
            helper: None,
            follow: None,
        }
    }

    /// The same, from any address of the family.
    #[must_use]
    pub fn from_anyone(self) -> Expected {
        Expected { source: Source::Anyone, ..self }
    }

    /// The same, from this source port only.
    #[must_use]
    pub fn from_port(self, port: u16) -> Expected {
        Expected { source_port: Some(port), ..self }
    }

    /// The same, to another destination port.
    #[must_use]
    pub fn to_port(self, port: u16) -> Expected {
        Expected { port, ..self }
    }

    /// The same, not used up by the first flow (NF_CT_EXPECT_PERMANENT).
    #[must_use]
    pub fn permanent(self) -> Expected {
        Expected { permanent: true, ..self }
    }

    /// The same, in another class of the helper's policy: 0 to 3.
    #[must_use]
    pub fn class(self, class: u32) -> Expected {
        Expected { class, ..self }
    }

    /// The same; the expected flow gets this helper. Only inside a verdict.
    #[must_use]
    pub fn helper(self, name: &'static str) -> Expected {
        Expected { helper: Some(name), ..self }
    }

    /// The same; the expected flow gets no helper.
    #[must_use]
    pub fn without_helper(self) -> Expected {
        Expected { helper: None, ..self }
    }

    /// The same, translated as its master is; `None` takes that back.
    #[must_use]
    pub fn follow(self, follow: Option<Follow>) -> Expected {
        Expected { follow, ..self }
    }

    /// AF_INET or AF_INET6.
    pub fn family(&self) -> u8 {
        self.destination.family()
    }

    /// The only address from which the flow may come; `None` for any.
    pub fn source(&self) -> Option<Addr> {
        match self.source {
            Source::Exactly(addr) => Some(addr),
            Source::Anyone => None,
        }
    }

    /// The destination address.
    pub fn destination(&self) -> Addr {
        self.destination
    }

    /// The destination port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The layer 4 protocol number.
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Whether more than one flow may use it.
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// Name of the helper that the expected flow gets.
    pub fn helper_name(&self) -> Option<&'static str> {
        self.helper
    }

    /// How it follows the translation of its master, if it does.
    pub fn followed(&self) -> Option<Follow> {
        self.follow
    }

    /// CTA_EXPECT_TUPLE: what is expected.
    pub fn tuple(&self) -> Tuple {
        Tuple {
            src: Some(self.source().unwrap_or(same(self.destination, 0))),
            dst: Some(self.destination),
            proto: Some(self.protocol),
            src_port: Some(self.source_port.unwrap_or(0)),
            dst_port: Some(self.port),
            ..Tuple::default()
        }
    }

    /// CTA_EXPECT_MASK: the source address and port, each whole or not at all; the destination exactly.
    pub fn mask(&self) -> Tuple {
        let exact = same(self.destination, 0xff);
        let source = match self.source {
            Source::Exactly(_) => exact,
            Source::Anyone => same(self.destination, 0),
        };
        Tuple {
            src: Some(source),
            dst: Some(exact),
            proto: Some(self.protocol),
            src_port: Some(if self.source_port.is_some() { 0xffff } else { 0 }),
            dst_port: Some(0xffff),
            ..Tuple::default()
        }
    }

    /// Appends all members: the content of NFQA_EXP, and of a request but for the master.
    pub fn members(&self, b: &mut Builder<'_>) {
        self.tuple().build(b, cta_expect::TUPLE);
        self.mask().build(b, cta_expect::MASK);
        let flags = if self.permanent { nf_ct_expect::PERMANENT } else { 0 };
        b.put_be32(cta_expect::FLAGS, flags).put_be32(cta_expect::CLASS, self.class);
        if let Some(name) = self.helper {
            b.put_str(cta_expect::HELP_NAME, name.as_bytes());
        }
        let Some(follow) = self.follow else { return };
        let nothing = same(self.destination, 0);
        let saved = Tuple {
            src: Some(nothing),
            dst: Some(nothing),
            proto: Some(self.protocol),
            src_port: Some(follow.port),
            dst_port: Some(0),
            ..Tuple::default()
        };
        b.nest(cta_expect::NAT, |b| {
            b.put_be32(cta_expect_nat::DIR, follow.dir);
            saved.build(b, cta_expect_nat::TUPLE);
        });
        b.put_str(cta_expect::FN, NAT_FOLLOW_MASTER);
    }

    /// Asks for this expectation of the flow `master` (its original direction), which has to be confirmed, in
    /// the zone of this direction; without the zone the kernel answers ENOENT. It answers EEXIST when there is
    /// one for the same destination in the zone already, whoever made it.
    ///
    /// # Errors
    /// [`Full`] when `buf` is too small; [`crate::request::REQUEST_MAX`] is enough.
    pub fn add<'b>(
        &self,
        buf: &'b mut [u8],
        seq: u32,
        master: &Ends,
        zone: Option<u16>,
    ) -> Result<&'b [u8], Full> {
        let flags = nlm_f::REQUEST | nlm_f::ACK | nlm_f::CREATE | nlm_f::EXCL;
        let head = Head::new(ipctnl_exp::NEW, seq).flags(flags).family(self.family());
        let mut b = Builder::new(buf, head);
        master.tuple().build(&mut b, cta_expect::MASTER);
        if let Some(z) = zone {
            b.put_be16(cta_expect::ZONE, z);
        }
        self.members(&mut b);
        b.finish()
    }
}

/// The address of the same family whose bytes are all `byte`.
fn same(addr: Addr, byte: u8) -> Addr {
    match addr {
        Addr::V4(_) => Addr::V4([byte; 4]),
        Addr::V6(_) => Addr::V6([byte; 16]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::tests::recorded;
    use crate::expect::ExpectView;
    use crate::header::{CtMsg, Frames};

    const CLIENT: Addr = Addr::V4([10, 1, 0, 2]);
    const SERVER: Addr = Addr::V4([10, 2, 0, 2]);
    const V6: Addr = Addr::V6([0xfd; 16]);

    fn ends() -> Ends {
        Ends::new(6, (CLIENT, 40_000), (SERVER, 21)).unwrap()
    }

    fn read(bytes: &[u8]) -> ExpectView<'_> {
        let msg = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
        ExpectView::index(msg).unwrap()
    }

    #[test]
    fn every_expectation_has_a_tuple_and_a_mask_of_one_family() {
        assert_eq!(Expected::new(6, Some(V6), SERVER, 1), None);
        assert_eq!(Ends::new(6, (CLIENT, 1), (V6, 2)), None);
        let mut buf = [0xa5; 1024];
        let mut seen = 0;
        for (source, dst) in [(Some(CLIENT), SERVER), (None, SERVER), (Some(V6), V6), (None, V6)] {
            for port in [None, Some(547)] {
                for follow in [None, Some(Follow { dir: 1, port: 7 })] {
                    for helper in [None, Some("ssdp")] {
                        let mut e = Expected::new(17, source, dst, 546).unwrap().follow(follow).permanent();
                        (e.source_port, e.helper) = (port, helper);
                        let zone = follow.map(|_| 5);
                        let view = read(e.add(&mut buf, 1, &ends(), zone).unwrap());
                        assert_eq!((view.zone(), view.master()), (Ok(zone), Ok(Some(ends().tuple()))));
                        let (t, m) = (view.tuple_expected().unwrap().unwrap(), view.mask().unwrap().unwrap());
                        assert_eq!((t, m), (e.tuple(), e.mask()));
                        let families = [t.src, t.dst, m.src, m.dst].map(|a| a.unwrap().family());
                        assert_eq!(families, [dst.family(); 4]);
                        assert_eq!(m.src, Some(same(dst, if source.is_some() { 0xff } else { 0 })));
                        assert_eq!(m.dst, Some(same(dst, 0xff)));
                        assert_eq!(
                            (m.src_port, m.dst_port),
                            (Some(port.map_or(0, |_| 0xffff)), Some(0xffff))
                        );
                        assert_eq!(view.nat().unwrap().is_some(), follow.is_some());
                        assert_eq!(view.helper(), helper.map(str::as_bytes));
                        seen += 1;
                    }
                }
            }
        }
        assert_eq!(seen, 32);
    }

    /// The nests of a PORT command behind source NAT, as a transfer that completed had them on 6.1 and 6.12.
    #[test]
    fn a_translated_expectation_is_what_the_kernel_follows() {
        #[rustfmt::skip]
        const NAT_AND_FN: &[u8] = &[
            0x40, 0, 0x0a, 0x80, 8, 0, 1, 0, 0, 0, 0, 1,
            0x34, 0, 2, 0x80, 0x14, 0, 1, 0x80, 8, 0, 1, 0, 0, 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 0,
            0x1c, 0, 2, 0x80, 5, 0, 1, 0, 6, 0, 0, 0, 6, 0, 2, 0, 0x98, 0x87, 0, 0, 6, 0, 3, 0, 0, 0, 0, 0,
            0x16, 0, 0x0b, 0, 0x6e, 0x61, 0x74, 0x2d, 0x66, 0x6f, 0x6c, 0x6c, 0x6f, 0x77, 0x2d, 0x6d, 0x61,
            0x73, 0x74, 0x65, 0x72, 0, 0, 0,
        ];
        let public = Addr::V4([10, 222, 111, 133]);
        let e = Expected::new(6, Some(SERVER), public, 39_047).unwrap();
        let e = e.follow(Some(Follow { dir: 1, port: 39_047 }));
        let mut buf = [0xa5; 1024];
        let bytes = e.add(&mut buf, 1, &ends(), None).unwrap();
        assert!(bytes.ends_with(&recorded(NAT_AND_FN)), "{bytes:02x?}");
        let view = read(bytes);
        assert_eq!((view.msg().kind(), view.msg().flags(), view.family()), (0x200, 0x605, 2));
        assert_eq!(view.master().unwrap(), Some(ends().tuple()));
        assert_eq!((view.flags().unwrap(), view.class().unwrap()), (Some(0), Some(0)));
    }

    #[test]
    fn ends_are_complete_or_an_error() {
        let whole = ends().tuple();
        assert_eq!(Ends::try_from(&whole), Ok(ends()));
        for cut in [
            Tuple { src: None, ..whole },
            Tuple { dst: None, ..whole },
            Tuple { proto: None, ..whole },
            Tuple { src_port: None, ..whole },
            Tuple { dst_port: None, ..whole },
            Tuple { dst: Some(V6), ..whole },
        ] {
            assert_eq!(Ends::try_from(&cut), Err(WireError::Missing { what: "CTA_TUPLE" }));
        }
    }
}
