//! Expectations as replicated: attributes 0 to 20 of a numbering of their own (sync-protocol.md §3.3).

use crate::build::Full;
use crate::error::WireError;
use crate::event::Event;
use crate::expect::{ExpectNat, ExpectView};
use crate::peer::attr::{PeerAttr, PeerAttrs, exp};
use crate::peer::build::FrameBuilder;
use crate::peer::codec::{Encode, HELPER_SENT_MAX, addrs4, addrs6, be32, byte, ports, put_addrs, put_ports};
use crate::peer::flow::has_ports;
use crate::peer::header::Kind;
use crate::peer::name::Name;
use crate::tuple::{Addr, Tuple};

/// The longest function name the original accepts.
pub const FUNCTION_SENT_MAX: usize = 27;

/// An expectation as replicated. Owned and `Copy`, never allocated. Its zone and the kernel's id do not
/// travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Original direction of the flow whose helper made it.
    pub master: Tuple,
    /// What is expected.
    pub tuple: Tuple,
    /// Which bits of it count.
    pub mask: Tuple,
    /// Seconds left when it was last reported.
    pub timeout_s: Option<u32>,
    /// NF_CT_EXPECT_* bits.
    pub flags: Option<u32>,
    /// Policy class of the helper.
    pub class: Option<u32>,
    /// The translation the expected flow will get.
    pub nat: Option<ExpectNat>,
    /// Name of the helper.
    pub helper: Option<Name<15>>,
    /// Function that sets up the expected flow.
    pub function: Option<Name<FUNCTION_SENT_MAX>>,
}

impl Expect {
    /// Takes what is replicated out of a kernel message. A function whose name is too long to travel is
    /// left out; the kernel has none of that length.
    ///
    /// # Errors
    /// As the accessors of [`ExpectView`], for the first attribute that cannot be read.
    pub fn from_kernel(view: &ExpectView<'_>) -> Result<Expect, WireError> {
        Ok(Expect {
            master: view.master()?.unwrap_or_default(),
            tuple: view.tuple_expected()?.unwrap_or_default(),
            mask: view.mask()?.unwrap_or_default(),
            timeout_s: view.timeout_s()?,
            flags: view.flags()?,
            class: view.class()?,
            nat: view.nat()?,
            helper: view.helper().and_then(Name::new),
            function: view.function().and_then(Name::new),
        })
    }

    /// AF_INET or AF_INET6; `None` without addresses.
    pub fn family(&self) -> Option<u8> {
        self.tuple.src.map(|a| a.family())
    }

    /// Reads the body of an expectation message by the rules of sync-protocol.md §3.4; see
    /// [`Flow::decode`](crate::peer::Flow::decode). Helper names of up to 15 characters are read.
    ///
    /// # Errors
    /// [`WireError::BadLength`] for an attribute that is shorter than its header or ends after the message.
    /// [`WireError::BadValue`] for a value that is not of its attribute's size, and for a number above
    /// [`exp::MAX`], which is then in `have`.
    pub fn decode(body: &[u8]) -> Result<Expect, WireError> {
        let mut e = Expect::default();
        for a in PeerAttrs::new(body) {
            e.attribute(a?)?;
        }
        Ok(e)
    }

    fn attribute(&mut self, a: PeerAttr<'_>) -> Result<(), WireError> {
        let v = a.value;
        match a.kind {
            exp::MASTER_IPV4 => addrs4("EXP_MASTER_IPV4", v, &mut self.master)?,
            exp::MASTER_IPV6 => addrs6("EXP_MASTER_IPV6", v, &mut self.master)?,
            exp::MASTER_L4PROTO => self.master.proto = Some(byte("EXP_MASTER_L4PROTO", v)?),
            exp::MASTER_PORT => ports("EXP_MASTER_PORT", v, &mut self.master)?,
            exp::EXPECT_IPV4 => addrs4("EXP_EXPECT_IPV4", v, &mut self.tuple)?,
            exp::EXPECT_IPV6 => addrs6("EXP_EXPECT_IPV6", v, &mut self.tuple)?,
            exp::EXPECT_L4PROTO => self.tuple.proto = Some(byte("EXP_EXPECT_L4PROTO", v)?),
            exp::EXPECT_PORT => ports("EXP_EXPECT_PORT", v, &mut self.tuple)?,
            exp::MASK_IPV4 => addrs4("EXP_MASK_IPV4", v, &mut self.mask)?,
            exp::MASK_IPV6 => addrs6("EXP_MASK_IPV6", v, &mut self.mask)?,
            exp::MASK_L4PROTO => self.mask.proto = Some(byte("EXP_MASK_L4PROTO", v)?),
            exp::MASK_PORT => ports("EXP_MASK_PORT", v, &mut self.mask)?,
            exp::TIMEOUT => self.timeout_s = Some(be32("EXP_TIMEOUT", v)?),
            exp::FLAGS => self.flags = Some(be32("EXP_FLAGS", v)?),
            exp::CLASS => self.class = Some(be32("EXP_CLASS", v)?),
            exp::NAT_IPV4 => addrs4("EXP_NAT_IPV4", v, &mut self.nat_mut().tuple)?,
            exp::NAT_PORT => ports("EXP_NAT_PORT", v, &mut self.nat_mut().tuple)?,
            exp::NAT_L4PROTO => self.nat_mut().tuple.proto = Some(byte("EXP_NAT_L4PROTO", v)?),
            exp::NAT_DIR => self.nat_mut().dir = be32("EXP_NAT_DIR", v)?,
            exp::HELPER_NAME => self.helper = name("EXP_HELPER_NAME", v)?,
            exp::FN => self.function = name("EXP_FN", v)?,
            unknown => {
                let (want, have) = (usize::from(exp::MAX), usize::from(unknown));
                return Err(WireError::BadValue { what: "peer attribute number", want, have });
            }
        }
        Ok(())
    }

    fn nat_mut(&mut self) -> &mut ExpectNat {
        self.nat.get_or_insert(ExpectNat { dir: 0, tuple: Tuple::default() })
    }

    /// Writes the message into the start of `buf` and returns its length;
    /// [`MESSAGE_MAX`](crate::peer::MESSAGE_MAX) bytes always suffice.
    ///
    /// As in the original, the protocol of the master decides whether any tuple has ports, and
    /// translations to IPv6 addresses are left out.
    ///
    /// # Errors
    /// [`Full`] when `buf` is too small.
    pub fn encode(
        &self,
        buf: &mut [u8],
        event: Event,
        flags: u8,
        seq: u32,
        what: Encode,
    ) -> Result<usize, Full> {
        let mut b = FrameBuilder::new(buf, Kind::Expect(event), flags, seq);
        let with_ports = has_ports(self.master.proto.unwrap_or(0));
        let tuples = [
            (&self.master, exp::MASTER_IPV4, exp::MASTER_IPV6, exp::MASTER_L4PROTO, exp::MASTER_PORT),
            (&self.tuple, exp::EXPECT_IPV4, exp::EXPECT_IPV6, exp::EXPECT_L4PROTO, exp::EXPECT_PORT),
            (&self.mask, exp::MASK_IPV4, exp::MASK_IPV6, exp::MASK_L4PROTO, exp::MASK_PORT),
        ];
        for (t, v4, v6, l4proto, port) in tuples {
            put_addrs(&mut b, t, v4, v6);
            if let Some(p) = t.proto {
                b.put_u8(l4proto, p);
            }
            if with_ports {
                put_ports(&mut b, t, port);
            }
        }
        if let Some(t) = self.timeout_s.filter(|_| what.timeout) {
            b.put_be32(exp::TIMEOUT, t);
        }
        b.put_be32(exp::FLAGS, self.flags.unwrap_or(0));
        if let Some(c) = self.class {
            b.put_be32(exp::CLASS, c);
        }
        if let Some(nat) = &self.nat {
            if let (Some(Addr::V4(src)), Some(Addr::V4(dst))) = (nat.tuple.src, nat.tuple.dst) {
                b.put_parts(exp::NAT_IPV4, &[&src, &dst]);
                if let Some(p) = nat.tuple.proto {
                    b.put_u8(exp::NAT_L4PROTO, p);
                }
                if with_ports {
                    put_ports(&mut b, &nat.tuple, exp::NAT_PORT);
                }
            }
            b.put_be32(exp::NAT_DIR, nat.dir);
        }
        if let Some(h) = self.helper.as_ref().filter(|h| h.as_bytes().len() <= HELPER_SENT_MAX) {
            b.put_name(exp::HELPER_NAME, h.as_bytes());
        }
        if let Some(f) = &self.function {
            b.put_name(exp::FN, f.as_bytes());
        }
        b.finish()
    }
}

/// A name of at most `N` characters and its NUL; an empty one counts as absent.
fn name<const N: usize>(what: &'static str, value: &[u8]) -> Result<Option<Name<N>>, WireError> {
    let max = N.saturating_add(1);
    if value.len() > max {
        return Err(WireError::BadValue { what, want: max, have: value.len() });
    }
    Ok(Name::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::header::Messages;
    use crate::peer::{MESSAGE_MAX, captures};
    use std::vec::Vec;

    fn full(v6: bool) -> Expect {
        let tuple = |n: u8| Tuple {
            src: Some(if v6 { Addr::V6([n; 16]) } else { Addr::V4([n; 4]) }),
            dst: Some(if v6 { Addr::V6([n + 1; 16]) } else { Addr::V4([n + 1; 4]) }),
            proto: Some(6),
            src_port: Some(0x0102),
            dst_port: Some(0xff00),
            ..Tuple::default()
        };
        // Translations to IPv6 do not travel.
        let nat = if v6 { Tuple::default() } else { tuple(7) };
        Expect {
            master: tuple(1),
            tuple: tuple(3),
            mask: tuple(5),
            timeout_s: Some(300),
            flags: Some(5),
            class: Some(2),
            nat: Some(ExpectNat { dir: 1, tuple: nat }),
            helper: Name::new(b"elevenchars"),
            function: Name::new(b"twenty-seven-characters-fn!"),
        }
    }

    fn round(e: &Expect) -> Vec<u8> {
        let mut buf = [0xa5; MESSAGE_MAX];
        let n = e.encode(&mut buf, Event::New, 0, 7, Encode::default()).unwrap();
        buf[..n].to_vec()
    }

    #[test]
    fn captured_expectations_are_read_and_written_byte_for_byte() {
        let mut seen = 0;
        for whole in [captures::EXPECT_NEW, captures::EXPECT_DELETE_AND_RELATED] {
            let m = Messages::new(whole).next().unwrap().unwrap();
            let e = Expect::decode(m.body()).unwrap();
            assert_eq!((e.tuple.dst_port, e.mask.dst_port), (Some(50_000), Some(0xffff)));
            assert_eq!((e.timeout_s, e.flags, e.class), (Some(300), Some(0), Some(0)));
            assert_eq!((e.helper, e.function, e.nat), (Name::new(b"ftp"), None, None));
            let mut buf = [0xa5; MESSAGE_MAX];
            let Some(Kind::Expect(event)) = m.kind() else { panic!("{m:?}") };
            let n = e.encode(&mut buf, event, m.flags, m.seq, Encode::default()).unwrap();
            assert_eq!(&buf[..n], m.bytes);
            seen += 1;
        }
        assert_eq!(seen, 2);
    }

    /// The tail of the message in sync-protocol.md §3.3: active FTP behind source NAT.
    #[test]
    fn a_translated_expectation_is_laid_out_as_captured() {
        let mut e = full(false);
        e.nat = Some(ExpectNat {
            dir: 1,
            tuple: Tuple {
                src: Some(Addr::V4([0; 4])),
                dst: Some(Addr::V4([0; 4])),
                proto: Some(6),
                src_port: Some(51_210),
                dst_port: Some(0),
                ..Tuple::default()
            },
        });
        e.helper = Name::new(b"ftp");
        e.function = Name::new(b"nat-follow-master");
        let bytes = round(&e);
        #[rustfmt::skip]
        let tail: &[u8] = &[
            0x00, 0x08, 0x00, 0x0e, 0x00, 0x00, 0x00, 0x02, // CLASS
            0x00, 0x0c, 0x00, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0, // NAT_IPV4
            0x00, 0x05, 0x00, 0x11, 0x06, 0, 0, 0, // NAT_L4PROTO
            0x00, 0x08, 0x00, 0x10, 0xc8, 0x0a, 0x00, 0x00, // NAT_PORT 51210 -> 0
            0x00, 0x08, 0x00, 0x12, 0x00, 0x00, 0x00, 0x01, // NAT_DIR
            0x00, 0x08, 0x00, 0x13, b'f', b't', b'p', 0, // HELPER_NAME
            0x00, 0x16, 0x00, 0x14, b'n', b'a', b't', b'-', b'f', b'o', b'l', b'l', b'o', b'w', b'-', b'm',
            b'a', b's', b't', b'e', b'r', 0, 0, 0, // FN
        ];
        assert!(bytes.ends_with(tail), "{bytes:02x?}");
        assert_eq!(bytes.len(), 184);
    }

    #[test]
    fn everything_at_once_goes_round_and_fits() {
        for e in [full(false), full(true)] {
            let bytes = round(&e);
            assert_eq!(Expect::decode(&bytes[8..]), Ok(e));
            for n in 0..bytes.len() {
                let mut small = [0u8; MESSAGE_MAX];
                let r = e.encode(&mut small[..n], Event::New, 0, 0, Encode::default());
                assert_eq!(r, Err(Full));
                if n >= 8 {
                    // Cut anywhere: an error, or an expectation that lacks something.
                    assert_ne!(Expect::decode(&bytes[8..n]), Ok(e));
                }
            }
        }
    }

    #[test]
    fn wrong_sizes_and_numbers_refuse_the_message() {
        let bytes = round(&full(false));
        let mut at = 8;
        while at < bytes.len() {
            let len = usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
            let kind = u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]);
            let fixed = !matches!(kind, exp::HELPER_NAME | exp::FN);
            for claimed in [0, 3, len - 1, len + 1, 0xffff] {
                if fixed || claimed.abs_diff(len) > 1 {
                    let mut bad = bytes.clone();
                    bad[at..at + 2].copy_from_slice(&(claimed as u16).to_be_bytes());
                    assert!(Expect::decode(&bad[8..]).is_err(), "attribute {kind} of length {claimed}");
                }
            }
            let mut bad = bytes.clone();
            bad[at + 2..at + 4].copy_from_slice(&21u16.to_be_bytes());
            assert!(Expect::decode(&bad[8..]).is_err());
            at += len.next_multiple_of(4);
        }
        let too_long = |kind: u8, len: usize| {
            let mut b = std::vec![0, len as u8 + 4, 0, kind];
            b.extend(std::vec![b'x'; len.next_multiple_of(4)]);
            Expect::decode(&b)
        };
        // Sixteen bytes without a NUL are no name; seventeen are too many whatever they hold.
        assert_eq!(too_long(19, 16).unwrap().helper, None);
        assert!(too_long(19, 17).is_err() && too_long(20, 29).is_err());
    }

    #[test]
    fn the_master_decides_about_ports() {
        let mut e = full(false);
        e.tuple.proto = Some(17);
        let got = Expect::decode(&round(&e)[8..]).unwrap();
        assert_eq!(got.tuple.src_port, e.tuple.src_port);
        e.master.proto = Some(47);
        let got = Expect::decode(&round(&e)[8..]).unwrap();
        assert_eq!((got.tuple.src_port, got.mask.dst_port, got.master.src_port), (None, None, None));
    }
}
