//! Expectations: flows a helper foresees (CTA_EXPECT_*, ctnetlink.md §3.6).

use crate::attr::{self, Attrs};
use crate::consts::{cta_expect, cta_expect_nat};
use crate::error::WireError;
use crate::header::CtMsg;
use crate::tuple::Tuple;

/// One expectation, borrowed from the message; every member may be absent. Allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct ExpectView<'a> {
    msg: CtMsg<'a>,
    slot: [Option<&'a [u8]>; cta_expect::MAX + 1],
}

/// CTA_EXPECT_NAT: the translation the expected flow will get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectNat {
    /// 0 original, 1 reply.
    pub dir: u32,
    /// Only source address and source port count.
    pub tuple: Tuple,
}

impl<'a> ExpectView<'a> {
    /// Indexes the attributes; unknown ones are skipped, a length that lies is an error.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies.
    pub fn index(msg: CtMsg<'a>) -> Result<Self, WireError> {
        let mut slot = [None; cta_expect::MAX + 1];
        for a in msg.attrs() {
            let a = a?;
            if let Some(s) = slot.get_mut(usize::from(a.kind)) {
                *s = Some(a.value);
            }
        }
        Ok(ExpectView { msg, slot })
    }

    /// The message it was read from.
    pub fn msg(&self) -> &CtMsg<'a> {
        &self.msg
    }

    /// AF_INET or AF_INET6, from the message header.
    pub fn family(&self) -> u8 {
        self.msg.family()
    }

    fn raw(&self, kind: u16) -> Option<&'a [u8]> {
        self.slot.get(usize::from(kind)).copied().flatten()
    }

    fn tuple(&self, kind: u16) -> Result<Option<Tuple>, WireError> {
        self.raw(kind).map(Tuple::parse).transpose()
    }

    fn be32(&self, kind: u16, what: &'static str) -> Result<Option<u32>, WireError> {
        self.raw(kind).map(|v| attr::be32(what, v)).transpose()
    }

    /// CTA_EXPECT_MASTER: original tuple of the flow whose helper made it.
    ///
    /// # Errors
    /// As [`Tuple::parse`] of the nest.
    pub fn master(&self) -> Result<Option<Tuple>, WireError> {
        self.tuple(cta_expect::MASTER)
    }

    /// CTA_EXPECT_TUPLE: what is expected.
    ///
    /// # Errors
    /// As [`Tuple::parse`] of the nest.
    pub fn tuple_expected(&self) -> Result<Option<Tuple>, WireError> {
        self.tuple(cta_expect::TUPLE)
    }

    /// CTA_EXPECT_MASK: which bits of the tuple count.
    ///
    /// # Errors
    /// As [`Tuple::parse`] of the nest.
    pub fn mask(&self) -> Result<Option<Tuple>, WireError> {
        self.tuple(cta_expect::MASK)
    }

    /// CTA_EXPECT_TIMEOUT: seconds left.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than four bytes.
    pub fn timeout_s(&self) -> Result<Option<u32>, WireError> {
        self.be32(cta_expect::TIMEOUT, "CTA_EXPECT_TIMEOUT")
    }

    /// CTA_EXPECT_ID: an opaque number.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than four bytes.
    pub fn id(&self) -> Result<Option<u32>, WireError> {
        self.be32(cta_expect::ID, "CTA_EXPECT_ID")
    }

    /// CTA_EXPECT_HELP_NAME without its NUL.
    pub fn helper(&self) -> Option<&'a [u8]> {
        self.raw(cta_expect::HELP_NAME).map(attr::text)
    }

    /// CTA_EXPECT_ZONE; current kernels do not send it.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than two bytes.
    pub fn zone(&self) -> Result<Option<u16>, WireError> {
        self.raw(cta_expect::ZONE).map(|v| attr::be16("CTA_EXPECT_ZONE", v)).transpose()
    }

    /// CTA_EXPECT_FLAGS: NF_CT_EXPECT_* bits.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than four bytes.
    pub fn flags(&self) -> Result<Option<u32>, WireError> {
        self.be32(cta_expect::FLAGS, "CTA_EXPECT_FLAGS")
    }

    /// CTA_EXPECT_CLASS: the helper's policy class.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than four bytes.
    pub fn class(&self) -> Result<Option<u32>, WireError> {
        self.be32(cta_expect::CLASS, "CTA_EXPECT_CLASS")
    }

    /// CTA_EXPECT_FN: name of the function that sets up the expected flow.
    pub fn function(&self) -> Option<&'a [u8]> {
        self.raw(cta_expect::FN).map(attr::text)
    }

    /// CTA_EXPECT_NAT: the translation the expected flow will get.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies; [`WireError::BadValue`] for a direction or a member of the tuple that is shorter than its
    /// type.
    pub fn nat(&self) -> Result<Option<ExpectNat>, WireError> {
        let Some(nest) = self.raw(cta_expect::NAT) else { return Ok(None) };
        let mut out = ExpectNat { dir: 0, tuple: Tuple::default() };
        for a in Attrs::new(nest) {
            let a = a?;
            match a.kind {
                cta_expect_nat::DIR => out.dir = attr::be32("CTA_EXPECT_NAT_DIR", a.value)?,
                cta_expect_nat::TUPLE => out.tuple = Tuple::parse(a.value)?,
                _ => {}
            }
        }
        Ok(Some(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Builder, Head};
    use crate::header::Frames;
    use crate::tuple::Addr;

    #[test]
    fn reads_what_was_built_and_survives_every_truncation() {
        let t = Tuple { src: Some(Addr::V4([1, 2, 3, 4])), proto: Some(6), ..Tuple::default() };
        let mut buf = [0xa5; 512];
        let mut b = Builder::new(&mut buf, Head::new(0x200, 0).family(2));
        t.build(&mut b, cta_expect::TUPLE);
        t.build(&mut b, cta_expect::MASK);
        t.build(&mut b, cta_expect::MASTER);
        b.nest(cta_expect::NAT, |b| {
            b.put_be32(cta_expect_nat::DIR, 1);
            t.build(b, cta_expect_nat::TUPLE);
        });
        b.put_be32(cta_expect::TIMEOUT, 300).put_be32(cta_expect::ID, 9).put_be32(cta_expect::FLAGS, 5);
        b.put_be32(cta_expect::CLASS, 1)
            .put_str(cta_expect::HELP_NAME, b"ftp")
            .put_str(cta_expect::FN, b"nat");
        b.put_be16(cta_expect::ZONE, 3);
        let bytes = b.finish().unwrap().to_vec();
        let msg = CtMsg::parse(Frames::new(&bytes).next().unwrap().unwrap()).unwrap();
        let e = ExpectView::index(msg).unwrap();
        assert_eq!((e.tuple_expected(), e.mask(), e.master()), (Ok(Some(t)), Ok(Some(t)), Ok(Some(t))));
        assert_eq!(e.nat(), Ok(Some(ExpectNat { dir: 1, tuple: t })));
        assert_eq!((e.timeout_s(), e.id(), e.flags()), (Ok(Some(300)), Ok(Some(9)), Ok(Some(5))));
        assert_eq!((e.class(), e.zone()), (Ok(Some(1)), Ok(Some(3))));
        assert_eq!((e.helper(), e.function()), (Some(&b"ftp"[..]), Some(&b"nat"[..])));
        for n in 20..bytes.len() {
            let mut cut = bytes[..n].to_vec();
            cut[..4].copy_from_slice(&(n as u32).to_ne_bytes());
            let msg = CtMsg::parse(Frames::new(&cut).next().unwrap().unwrap()).unwrap();
            if let Ok(e) = ExpectView::index(msg) {
                assert!(matches!(e.timeout_s(), Ok(None | Some(300))));
            }
        }
    }
}
