//! Message headers (linux/netlink.h, linux/netfilter/nfnetlink.h) and the messages of a datagram.

use crate::attr::{self, Attrs};
use crate::consts::{nlm_f, nlmsg, nlmsgerr_attr};
use crate::error::WireError;
use zerocopy::byteorder::{big_endian, native_endian};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct nlmsghdr`, host byte order.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct NlHdr {
    /// Header and payload in bytes, without tail padding.
    pub(crate) len: native_endian::U32,
    /// `subsystem << 8 | message`, or a control type below 16.
    pub(crate) kind: native_endian::U16,
    /// NLM_F_* bits; their meaning depends on the kind of message.
    pub(crate) flags: native_endian::U16,
    /// Echoed in replies; 0 in events.
    pub(crate) seq: native_endian::U32,
    /// Reply: port of the requester. Event: port of the process that caused it, or 0.
    pub(crate) portid: native_endian::U32,
}

/// `struct nfgenmsg`, which follows [`NlHdr`] in every nfnetlink message.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct NfGenMsg {
    /// AF_INET, AF_INET6 or 0 for any.
    pub(crate) family: u8,
    /// 0; non-zero on a flush means "honour the family" (ctnetlink.md §4.6).
    pub(crate) version: u8,
    /// The number of a queue, or of a CPU in per-CPU statistics; 0 in all other messages. Big endian.
    pub(crate) res_id: big_endian::U16,
}

const _: () = assert!(size_of::<NlHdr>() == 16);
const _: () = assert!(size_of::<NfGenMsg>() == 4);

/// Size of `struct nlmsghdr` in bytes.
pub const NL_HDR: usize = size_of::<NlHdr>();
/// Where the attributes of an nfnetlink message start, in bytes from its beginning.
pub const ATTRS_AT: usize = NL_HDR + size_of::<NfGenMsg>();

/// One netlink message: header and the bytes after it, borrowed from the datagram.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    // In place: nothing is copied or converted before it is asked for.
    pub(crate) hdr: &'a NlHdr,
    /// The whole message, header included, without tail padding.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// `subsystem << 8 | message`, or a control type below 16 (`consts::nlmsg`).
    #[inline]
    pub fn kind(&self) -> u16 {
        self.hdr.kind.get()
    }

    /// NLM_F_* bits; their meaning depends on the kind of message.
    #[inline]
    pub fn flags(&self) -> u16 {
        self.hdr.flags.get()
    }

    /// The sequence number: that of the request in an answer, 0 in an event.
    #[inline]
    pub fn seq(&self) -> u32 {
        self.hdr.seq.get()
    }

    /// In an answer, the netlink port of the requester. In an event, that of the process behind it, or 0.
    #[inline]
    pub fn port(&self) -> u32 {
        self.hdr.portid.get()
    }

    /// The bytes after the netlink header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(NL_HDR..).unwrap_or_default()
    }

    /// The `i32` of NLMSG_ERROR and NLMSG_DONE: 0 or a negative errno.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when fewer than four bytes follow the header.
    #[inline]
    pub fn code(&self) -> Result<i32, WireError> {
        attr::fixed("nlmsgerr.error", self.payload()).map(i32::from_ne_bytes)
    }

    /// The message as an error or acknowledgement, if it is one.
    pub fn error(&self) -> Option<Result<NlError<'a>, WireError>> {
        (self.kind() == nlmsg::ERROR).then(|| NlError::parse(*self))
    }
}

/// Walks the messages of one datagram; ends after the first error.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is read before it is walked"]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// Walks `datagram` as received.
    #[inline]
    pub fn new(datagram: &'a [u8]) -> Self {
        Frames { rest: datagram }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let whole = core::mem::take(&mut self.rest);
        if whole.is_empty() {
            return None;
        }
        let Ok((hdr, _)) = NlHdr::ref_from_prefix(whole) else {
            return Some(Err(WireError::Short { what: "nlmsghdr", need: NL_HDR, have: whole.len() }));
        };
        // On 16-bit targets this would truncate; there is no Linux on those.
        let claimed = hdr.len.get() as usize;
        let bytes = whole.get(..claimed).filter(|b| b.len() >= NL_HDR);
        let Some(bytes) = bytes else {
            return Some(Err(WireError::BadLength { what: "nlmsghdr", claimed, room: whole.len() }));
        };
        self.rest = claimed.checked_next_multiple_of(4).and_then(|n| whole.get(n..)).unwrap_or_default();
        Some(Ok(Frame { hdr, bytes }))
    }
}

/// One nfnetlink message with both headers checked.
#[derive(Clone, Copy, Debug)]
pub struct CtMsg<'a> {
    hdr: &'a NlHdr,
    pub(crate) nf: &'a NfGenMsg,
    /// The whole message, headers included.
    pub bytes: &'a [u8],
}

impl<'a> CtMsg<'a> {
    /// Reads a frame as an nfnetlink message of any subsystem.
    ///
    /// # Errors
    /// [`WireError::Short`] when fewer than four bytes follow the netlink header.
    #[inline]
    pub fn parse(frame: Frame<'a>) -> Result<Self, WireError> {
        match NfGenMsg::ref_from_prefix(frame.payload()) {
            Ok((nf, _)) => Ok(CtMsg { hdr: frame.hdr, nf, bytes: frame.bytes }),
            Err(_) => Err(WireError::Short { what: "nfgenmsg", need: ATTRS_AT, have: frame.bytes.len() }),
        }
    }

    /// The attributes after the headers.
    #[inline]
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs::new(self.bytes.get(ATTRS_AT..).unwrap_or_default())
    }

    /// `subsystem << 8 | message`.
    #[inline]
    pub fn kind(&self) -> u16 {
        self.hdr.kind.get()
    }

    /// NLM_F_* bits; their meaning depends on the kind of message.
    #[inline]
    pub fn flags(&self) -> u16 {
        self.hdr.flags.get()
    }

    /// The sequence number: that of the request in an answer, 0 in an event.
    #[inline]
    pub fn seq(&self) -> u32 {
        self.hdr.seq.get()
    }

    /// In an answer, the netlink port of the requester. In an event, that of the process behind it, or 0.
    #[inline]
    pub fn port(&self) -> u32 {
        self.hdr.portid.get()
    }

    /// AF_INET, AF_INET6 or 0 for any.
    #[inline]
    pub fn family(&self) -> u8 {
        self.nf.family
    }

    /// What the message is about beside its attributes: the number of a queue, or of a CPU.
    #[inline]
    pub fn resource(&self) -> u16 {
        self.nf.res_id.get()
    }
}

/// NLMSG_ERROR: a refusal, or an acknowledgement when `code` is 0.
#[derive(Clone, Copy, Debug)]
pub struct NlError<'a> {
    /// 0 or a negative errno.
    pub code: i32,
    /// Sequence number of the request it answers.
    pub seq: u32,
    /// The kernel's explanation (NLMSGERR_ATTR_MSG), when NETLINK_EXT_ACK is on and it has one.
    pub text: Option<&'a [u8]>,
    /// Byte offset of the offending attribute in the request (NLMSGERR_ATTR_OFFS).
    pub offset: Option<u32>,
}

impl<'a> NlError<'a> {
    /// Reads an NLMSG_ERROR frame, with or without the request repeated in it.
    ///
    /// # Errors
    /// [`WireError::BadValue`] without the number, [`WireError::Short`] without the header of the request. An
    /// explanation that cannot be read is left out.
    pub fn parse(frame: Frame<'a>) -> Result<Self, WireError> {
        let code = frame.code()?;
        let rest = frame.payload().get(4..).unwrap_or_default();
        let (inner, _) = NlHdr::ref_from_prefix(rest).map_err(|_| WireError::Short {
            what: "nlmsgerr.msg",
            need: NL_HDR,
            have: rest.len(),
        })?;
        let mut out = NlError { code, seq: inner.seq.get(), text: None, offset: None };
        if frame.flags() & nlm_f::ACK_TLVS == 0 {
            return Ok(out);
        }
        // CAPPED: only the request's header is repeated, whatever length it states.
        let skip = if frame.flags() & nlm_f::CAPPED != 0 {
            NL_HDR
        } else {
            (inner.len.get() as usize).checked_next_multiple_of(4).unwrap_or(usize::MAX)
        };
        for a in Attrs::new(rest.get(skip..).unwrap_or_default()) {
            // The explanation is a help, never a reason to lose the errno.
            let Ok(a) = a else { break };
            match a.kind {
                nlmsgerr_attr::MSG => out.text = Some(attr::text(a.value)),
                nlmsgerr_attr::OFFS => {
                    out.offset = attr::fixed("NLMSGERR_ATTR_OFFS", a.value).ok().map(u32::from_ne_bytes);
                }
                _ => {}
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let mut v = Vec::new();
        v.extend(((NL_HDR + payload.len()) as u32).to_ne_bytes());
        v.extend(kind.to_ne_bytes());
        v.extend(flags.to_ne_bytes());
        v.extend(7u32.to_ne_bytes()); // seq
        v.extend(99u32.to_ne_bytes()); // portid
        v.extend(payload);
        v
    }

    #[test]
    fn two_messages_with_padding_between() {
        let mut d = message(0x100, 2, &[2, 0, 0, 0, 5]);
        d.extend([0; 3]);
        d.extend(message(nlmsg::DONE, 2, &0i32.to_ne_bytes()));
        let frames: Vec<_> = Frames::new(&d).map(Result::unwrap).collect();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].bytes.len(), 21);
        let m = CtMsg::parse(frames[0]).unwrap();
        assert_eq!((m.kind(), m.family(), m.seq()), (0x100, 2, 7));
        assert_eq!(frames[1].code(), Ok(0));
        assert!(CtMsg::parse(Frames::new(&message(3, 0, &[1, 2, 3])).next().unwrap().unwrap()).is_err());
    }

    #[test]
    fn truncated_datagrams_never_yield_a_partial_frame() {
        let d = message(0x100, 2, &[2, 0, 0, 0]);
        for n in 1..d.len() {
            let got: Vec<_> = Frames::new(&d[..n]).collect();
            assert!(got.len() == 1 && got[0].is_err(), "{n} bytes: {got:?}");
        }
        for claimed in [0u32, 1, 15, 21, u32::MAX] {
            let mut d = d.clone();
            d[..4].copy_from_slice(&claimed.to_ne_bytes());
            assert!(Frames::new(&d).next().unwrap().is_err());
            assert_eq!(Frames::new(&d).count(), 1);
        }
    }

    #[test]
    fn error_with_tlvs_capped_and_not() {
        let request = message(0x101, 1, &[2, 0, 0, 0]);
        let mut tlv = Vec::new();
        tlv.extend(9u16.to_ne_bytes());
        tlv.extend(nlmsgerr_attr::MSG.to_ne_bytes());
        tlv.extend(b"oops\0\0\0\0");
        tlv.extend(8u16.to_ne_bytes());
        tlv.extend(nlmsgerr_attr::OFFS.to_ne_bytes());
        tlv.extend(20u32.to_ne_bytes());
        for capped in [true, false] {
            let mut p = (-22i32).to_ne_bytes().to_vec();
            p.extend(if capped { &request[..NL_HDR] } else { &request[..] });
            p.extend(&tlv);
            let flags = nlm_f::ACK_TLVS | if capped { nlm_f::CAPPED } else { 0 };
            let d = message(nlmsg::ERROR, flags, &p);
            let e = Frames::new(&d).next().unwrap().unwrap().error().unwrap().unwrap();
            assert_eq!((e.code, e.seq, e.text, e.offset), (-22, 7, Some(&b"oops"[..]), Some(20)));
        }
    }
}
