//! Network interfaces as NETLINK_ROUTE reports them: `struct ifinfomsg` and the few attributes of it that a
//! link between daemons depends on (linux/rtnetlink.h, linux/if_link.h, rtnetlink(7)).

use crate::attr::{self, Attrs};
use crate::build::Full;
use crate::error::WireError;
use crate::header::{Frame, NL_HDR};
use zerocopy::byteorder::native_endian;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// RTM_NEWLINK: an interface exists, or has changed.
pub const RTM_NEWLINK: u16 = 16;
/// RTM_DELLINK: an interface is gone.
pub const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
/// RTNLGRP_LINK: the multicast group of these two messages.
pub const RTNLGRP_LINK: u32 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
/// IFF_UP: switched on.
pub const IFF_UP: u32 = 0x1;
/// IFF_RUNNING: it has a carrier.
pub const IFF_RUNNING: u32 = 0x40;

/// `struct ifinfomsg`, host byte order.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct IfInfo {
    family: u8,
    pad: u8,
    hardware: native_endian::U16,
    index: native_endian::U32,
    flags: native_endian::U32,
    change: native_endian::U32,
}

const _: () = assert!(size_of::<IfInfo>() == 16);

/// One interface. The index is positive in the kernel's signed field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// Index. An interface that is deleted and created again gets another one.
    pub index: u32,
    /// Name without its NUL.
    pub name: &'a [u8],
    /// IFF_* bits.
    pub flags: u32,
    /// Size of the largest IP packet in bytes, if the kernel says.
    pub mtu: Option<u32>,
}

impl<'a> Interface<'a> {
    /// Reads RTM_NEWLINK or RTM_DELLINK; `None` for any other message.
    ///
    /// # Errors
    /// [`WireError::Short`] for a message without `struct ifinfomsg` or an IFLA_MTU of fewer than four bytes;
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies.
    pub fn parse(frame: Frame<'a>) -> Result<Option<Interface<'a>>, WireError> {
        if !matches!(frame.kind(), RTM_NEWLINK | RTM_DELLINK) {
            return Ok(None);
        }
        let payload = frame.payload();
        let Ok((info, rest)) = IfInfo::ref_from_prefix(payload) else {
            let (need, have) = (size_of::<IfInfo>(), payload.len());
            return Err(WireError::Short { what: "ifinfomsg", need, have });
        };
        let mut out = Interface { index: info.index.get(), name: &[], flags: info.flags.get(), mtu: None };
        for a in Attrs::new(rest) {
            let a = a?;
            match a.kind {
                IFLA_IFNAME => out.name = attr::text(a.value),
                IFLA_MTU => {
                    let bytes = a.value.first_chunk().copied();
                    let (need, have) = (4, a.value.len());
                    let bytes = bytes.ok_or(WireError::Short { what: "IFLA_MTU", need, have })?;
                    out.mtu = Some(u32::from_ne_bytes(bytes));
                }
                _ => {}
            }
        }
        Ok(Some(out))
    }

    /// True when the interface is up and has a carrier.
    pub fn is_running(&self) -> bool {
        self.flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING
    }
}

/// Asks for a dump of all interfaces.
///
/// # Errors
/// [`Full`] when `buf` has fewer than 32 bytes.
pub fn dump(buf: &mut [u8], seq: u32) -> Result<&[u8], Full> {
    const LEN: usize = 32;
    const _: () = assert!(LEN == NL_HDR.saturating_add(size_of::<IfInfo>()));
    let out = buf.get_mut(..LEN).ok_or(Full)?;
    let hdr = crate::header::NlHdr {
        len: native_endian::U32::new(LEN as u32),
        kind: native_endian::U16::new(RTM_GETLINK),
        flags: native_endian::U16::new(crate::consts::nlm_f::REQUEST | crate::consts::nlm_f::DUMP),
        seq: native_endian::U32::new(seq),
        portid: native_endian::U32::new(0),
    };
    out.fill(0);
    hdr.write_to_prefix(out).map_err(|_| Full)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Frames;
    use std::vec::Vec;

    /// `len` claims what there is; the attributes are given as bytes.
    fn message(kind: u16, index: u32, flags: u32, attrs: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = vec![0; 16];
        out.extend([0, 0, 1, 0]); // family, pad, ARPHRD_ETHER
        out.extend(index.to_ne_bytes());
        out.extend(flags.to_ne_bytes());
        out.extend([0; 4]);
        for (kind, value) in attrs {
            out.extend((value.len() as u16 + 4).to_ne_bytes());
            out.extend(kind.to_ne_bytes());
            out.extend(*value);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        let len = (out.len() as u32).to_ne_bytes();
        out[..4].copy_from_slice(&len);
        out[4..6].copy_from_slice(&kind.to_ne_bytes());
        out
    }

    fn parse(bytes: &[u8]) -> Result<Option<Interface<'_>>, WireError> {
        Interface::parse(Frames::new(bytes).next().unwrap().unwrap())
    }

    #[test]
    fn name_flags_and_mtu_are_read_and_the_rest_is_passed_over() {
        let mtu = 1500u32.to_ne_bytes();
        let bytes =
            message(RTM_NEWLINK, 7, 0x1043, &[(1, &[9; 6]), (IFLA_IFNAME, b"eth1\0"), (IFLA_MTU, &mtu)]);
        let got = parse(&bytes).unwrap().unwrap();
        assert_eq!(got, Interface { index: 7, name: b"eth1", flags: 0x1043, mtu: Some(1500) });
        assert!(got.is_running());
        for (flags, running) in [(0x1, false), (0x40, false), (0x41, true)] {
            assert_eq!(parse(&message(RTM_DELLINK, 7, flags, &[])).unwrap().unwrap().is_running(), running);
        }
        assert_eq!(parse(&message(20, 7, 0, &[])), Ok(None));
    }

    #[test]
    fn short_messages_are_refused() {
        let mtu = 1500u32.to_ne_bytes();
        let whole = message(RTM_NEWLINK, 7, 0, &[(IFLA_MTU, &mtu)]);
        for len in 16..whole.len() {
            let mut cut = whole[..len].to_vec();
            cut[..4].copy_from_slice(&(len as u32).to_ne_bytes());
            // Cut right after the structure, there are simply no attributes.
            assert_eq!(parse(&cut).is_ok(), len == 32, "{len}");
        }
        assert!(parse(&message(RTM_NEWLINK, 7, 0, &[(IFLA_MTU, &[1, 2])])).is_err());
    }

    #[test]
    fn the_dump_request_is_a_message_of_its_length() {
        let mut buf = [0xa5; 64];
        let bytes = dump(&mut buf, 9).unwrap();
        let frame = Frames::new(bytes).next().unwrap().unwrap();
        assert_eq!((frame.bytes.len(), frame.kind(), frame.flags()), (32, 18, 0x301));
        assert_eq!((frame.seq(), &frame.bytes[16..]), (9, &[0; 16][..]));
        assert!(dump(&mut [0; 31], 9).is_err());
    }
}
