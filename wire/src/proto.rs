//! Protocol state: CTA_PROTOINFO and the names of the states (ctnetlink.md §3.4, command-line.md §2.2).

use crate::attr::{self, Attrs, NLA_F_NESTED, hdr};
use crate::build::Builder;
use crate::consts::{
    cta_protoinfo, cta_protoinfo_dccp, cta_protoinfo_sctp, cta_protoinfo_tcp, ip_ct_tcp_flag,
};
use crate::error::WireError;

/// Flags and mask of one TCP direction; mask bits say which flags to change. The kernel sends mask 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags {
    /// IP_CT_TCP_FLAG_* bits.
    pub flags: u8,
    /// Bits of `flags` that count on input.
    pub mask: u8,
}

/// CTA_PROTOINFO_TCP: what the kernel keeps of a TCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// State number; [`TCP_STATES`] has the names.
    pub state: Option<u8>,
    /// Window scale exponents, original and reply.
    pub wscale: [Option<u8>; 2],
    /// Tracking flags, original and reply.
    pub flags: [Option<TcpFlags>; 2],
}

/// CTA_PROTOINFO_SCTP: what the kernel keeps of an SCTP association.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SctpInfo {
    /// State number; [`SCTP_STATES`] has the names.
    pub state: Option<u8>,
    /// Verification tags, original and reply. The kernel hands over the four bytes of the packet; the
    /// original reads and writes them in host byte order, and so does everything here, because that is
    /// the number scripts give and get.
    pub vtag: [Option<u32>; 2],
}

/// CTA_PROTOINFO_DCCP. Linux 6.18 no longer tracks DCCP; older kernels do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DccpInfo {
    /// State number; [`DCCP_STATES`] has the names.
    pub state: Option<u8>,
    /// 0 when the original direction is the client, 1 when it is the server.
    pub role: Option<u8>,
    /// Sequence number of the handshake.
    pub handshake_seq: Option<u64>,
}

/// The protocol part of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtoInfo {
    /// TCP.
    Tcp(TcpInfo),
    /// SCTP.
    Sctp(SctpInfo),
    /// DCCP.
    Dccp(DccpInfo),
}

/// TCP states in numeric order from 0.
pub const TCP_STATES: &[&[u8]] = &[
    b"NONE",
    b"SYN_SENT",
    b"SYN_RECV",
    b"ESTABLISHED",
    b"FIN_WAIT",
    b"CLOSE_WAIT",
    b"LAST_ACK",
    b"TIME_WAIT",
    b"CLOSE",
    b"SYN_SENT2",
];
/// SCTP states in numeric order from 0.
pub const SCTP_STATES: &[&[u8]] = &[
    b"NONE",
    b"CLOSED",
    b"COOKIE_WAIT",
    b"COOKIE_ECHOED",
    b"ESTABLISHED",
    b"SHUTDOWN_SENT",
    b"SHUTDOWN_RECD",
    b"SHUTDOWN_ACK_SENT",
    b"HEARTBEAT_SENT",
    b"HEARTBEAT_ACKED",
];
/// DCCP states in numeric order from 0.
pub const DCCP_STATES: &[&[u8]] = &[
    b"NONE",
    b"REQUEST",
    b"RESPOND",
    b"PARTOPEN",
    b"OPEN",
    b"CLOSEREQ",
    b"CLOSING",
    b"TIMEWAIT",
    b"IGNORE",
    b"INVALID",
];

impl ProtoInfo {
    /// Reads the value of CTA_PROTOINFO; `None` when no known protocol is in it.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies, at any depth; [`WireError::BadValue`] for a member that is shorter than its type.
    pub fn parse(nest: &[u8]) -> Result<Option<ProtoInfo>, WireError> {
        let mut out = None;
        for a in Attrs::new(nest) {
            let a = a?;
            match a.kind {
                cta_protoinfo::TCP => out = Some(ProtoInfo::Tcp(TcpInfo::parse(a.value)?)),
                cta_protoinfo::SCTP => out = Some(ProtoInfo::Sctp(SctpInfo::parse(a.value)?)),
                cta_protoinfo::DCCP => out = Some(ProtoInfo::Dccp(DccpInfo::parse(a.value)?)),
                _ => {}
            }
        }
        Ok(out)
    }

    /// The state number, whatever the protocol.
    pub fn state(&self) -> Option<u8> {
        match self {
            ProtoInfo::Tcp(i) => i.state,
            ProtoInfo::Sctp(i) => i.state,
            ProtoInfo::Dccp(i) => i.state,
        }
    }

    /// The state's name, if there is a state and its number is known.
    pub fn state_name(&self) -> Option<&'static [u8]> {
        let (of, state) = self.state_of()?;
        of.name(state)
    }

    /// The state's number, and the protocol it belongs to.
    pub fn state_of(&self) -> Option<(StateOf, u8)> {
        let of = match self {
            ProtoInfo::Tcp(_) => StateOf::Tcp,
            ProtoInfo::Sctp(_) => StateOf::Sctp,
            ProtoInfo::Dccp(_) => StateOf::Dccp,
        };
        Some((of, self.state()?))
    }

    /// Appends it to the message as the nest `kind`, which is CTA_PROTOINFO.
    pub fn build(&self, b: &mut Builder<'_>, kind: u16) {
        b.nest(kind, |b| match self {
            ProtoInfo::Tcp(i) => _ = b.nest(cta_protoinfo::TCP, |b| i.build(b)),
            ProtoInfo::Sctp(i) => _ = b.nest(cta_protoinfo::SCTP, |b| i.build(b)),
            ProtoInfo::Dccp(i) => _ = b.nest(cta_protoinfo::DCCP, |b| i.build(b)),
        });
    }
}

/// Which protocol a state number belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateOf {
    /// TCP.
    Tcp,
    /// SCTP.
    Sctp,
    /// DCCP.
    Dccp,
}

impl StateOf {
    /// Reads the value of CTA_PROTOINFO up to the state and no further.
    #[inline]
    pub(crate) fn parse(nest: &[u8]) -> Result<Option<(StateOf, u8)>, WireError> {
        // Every kernel sends TCP with the state first: three compares instead of two walks.
        if let Some([l0, l1, k0, k1, state_hdr @ .., state]) = nest.first_chunk::<9>() {
            let len = usize::from(u16::from_ne_bytes([*l0, *l1]));
            let tcp = [*k0, *k1] == const { (cta_protoinfo::TCP | NLA_F_NESTED).to_ne_bytes() };
            if tcp
                && *state_hdr == const { hdr(5, cta_protoinfo_tcp::STATE) }
                && (9..=nest.len()).contains(&len)
            {
                return Ok(Some((StateOf::Tcp, *state)));
            }
        }
        StateOf::parse_any(nest)
    }

    fn parse_any(nest: &[u8]) -> Result<Option<(StateOf, u8)>, WireError> {
        for a in Attrs::new(nest) {
            let a = a?;
            let of = match a.kind {
                cta_protoinfo::TCP => StateOf::Tcp,
                cta_protoinfo::SCTP => StateOf::Sctp,
                cta_protoinfo::DCCP => StateOf::Dccp,
                _ => continue,
            };
            // The three nests have their state under the same number.
            for member in Attrs::new(a.value) {
                let member = member?;
                if member.kind == cta_protoinfo_tcp::STATE {
                    return Ok(Some((of, attr::u8("CTA_PROTOINFO_*_STATE", member.value)?)));
                }
            }
        }
        Ok(None)
    }

    /// The name of a state, if it has one.
    pub fn name(self, state: u8) -> Option<&'static [u8]> {
        let names = match self {
            StateOf::Tcp => TCP_STATES,
            StateOf::Sctp => SCTP_STATES,
            StateOf::Dccp => DCCP_STATES,
        };
        names.get(usize::from(state)).copied()
    }
}

// StateOf::parse relies on it.
const _: () = assert!(
    cta_protoinfo_tcp::STATE == cta_protoinfo_sctp::STATE
        && cta_protoinfo_tcp::STATE == cta_protoinfo_dccp::STATE
);

impl TcpInfo {
    /// A state with window checks relaxed in both directions, as flows made by hand need it: liberal and
    /// SACK, and CLOSE_INIT from TIME_WAIT on (command-line.md §5.4).
    pub fn created(state: u8) -> TcpInfo {
        let mut bits = ip_ct_tcp_flag::BE_LIBERAL | ip_ct_tcp_flag::SACK_PERM;
        if state >= 7 {
            bits |= ip_ct_tcp_flag::CLOSE_INIT;
        }
        let flags = Some(TcpFlags { flags: bits, mask: bits });
        TcpInfo { state: Some(state), wscale: [None; 2], flags: [flags; 2] }
    }

    fn parse(nest: &[u8]) -> Result<TcpInfo, WireError> {
        let mut out = TcpInfo::default();
        for a in Attrs::new(nest) {
            let a = a?;
            let flags = |what| {
                attr::fixed(what, a.value).map(|[flags, mask]: [u8; 2]| Some(TcpFlags { flags, mask }))
            };
            let [wscale_orig, wscale_reply] = &mut out.wscale;
            let [flags_orig, flags_reply] = &mut out.flags;
            match a.kind {
                cta_protoinfo_tcp::STATE => out.state = Some(attr::u8("CTA_PROTOINFO_TCP_STATE", a.value)?),
                cta_protoinfo_tcp::WSCALE_ORIGINAL => {
                    *wscale_orig = Some(attr::u8("CTA_PROTOINFO_TCP_WSCALE_ORIGINAL", a.value)?);
                }
                cta_protoinfo_tcp::WSCALE_REPLY => {
                    *wscale_reply = Some(attr::u8("CTA_PROTOINFO_TCP_WSCALE_REPLY", a.value)?);
                }
                cta_protoinfo_tcp::FLAGS_ORIGINAL => *flags_orig = flags("CTA_PROTOINFO_TCP_FLAGS_ORIGINAL")?,
                cta_protoinfo_tcp::FLAGS_REPLY => *flags_reply = flags("CTA_PROTOINFO_TCP_FLAGS_REPLY")?,
                _ => {}
            }
        }
        Ok(out)
    }

    fn build(&self, b: &mut Builder<'_>) {
        if let Some(s) = self.state {
            b.put_u8(cta_protoinfo_tcp::STATE, s);
        }
        // No loop over the two directions: LLVM 22 makes of one here now this and now that, and a release has to
        // come out the same each time it is built.
        let ([orig, reply], [orig_flags, reply_flags]) = (self.wscale, self.flags);
        if let Some(s) = orig {
            b.put_u8(cta_protoinfo_tcp::WSCALE_ORIGINAL, s);
        }
        if let Some(s) = reply {
            b.put_u8(cta_protoinfo_tcp::WSCALE_REPLY, s);
        }
        if let Some(f) = orig_flags {
            b.put(cta_protoinfo_tcp::FLAGS_ORIGINAL, &[f.flags, f.mask]);
        }
        if let Some(f) = reply_flags {
            b.put(cta_protoinfo_tcp::FLAGS_REPLY, &[f.flags, f.mask]);
        }
    }
}

impl SctpInfo {
    fn parse(nest: &[u8]) -> Result<SctpInfo, WireError> {
        let mut out = SctpInfo::default();
        for a in Attrs::new(nest) {
            let a = a?;
            let [orig, reply] = &mut out.vtag;
            match a.kind {
                cta_protoinfo_sctp::STATE => out.state = Some(attr::u8("CTA_PROTOINFO_SCTP_STATE", a.value)?),
                cta_protoinfo_sctp::VTAG_ORIGINAL => {
                    let tag = attr::fixed("CTA_PROTOINFO_SCTP_VTAG_ORIGINAL", a.value)?;
                    *orig = Some(u32::from_ne_bytes(tag));
                }
                cta_protoinfo_sctp::VTAG_REPLY => {
                    let tag = attr::fixed("CTA_PROTOINFO_SCTP_VTAG_REPLY", a.value)?;
                    *reply = Some(u32::from_ne_bytes(tag));
                }
                _ => {}
            }
        }
        Ok(out)
    }

    fn build(&self, b: &mut Builder<'_>) {
        if let Some(s) = self.state {
            b.put_u8(cta_protoinfo_sctp::STATE, s);
        }
        let kinds = [cta_protoinfo_sctp::VTAG_ORIGINAL, cta_protoinfo_sctp::VTAG_REPLY];
        for (kind, tag) in kinds.into_iter().zip(self.vtag) {
            if let Some(t) = tag {
                b.put(kind, &t.to_ne_bytes());
            }
        }
    }
}

impl DccpInfo {
    fn parse(nest: &[u8]) -> Result<DccpInfo, WireError> {
        let mut out = DccpInfo::default();
        for a in Attrs::new(nest) {
            let a = a?;
            match a.kind {
                cta_protoinfo_dccp::STATE => out.state = Some(attr::u8("CTA_PROTOINFO_DCCP_STATE", a.value)?),
                cta_protoinfo_dccp::ROLE => out.role = Some(attr::u8("CTA_PROTOINFO_DCCP_ROLE", a.value)?),
                cta_protoinfo_dccp::HANDSHAKE_SEQ => {
                    out.handshake_seq = Some(attr::be64("CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ", a.value)?);
                }
                _ => {}
            }
        }
        Ok(out)
    }

    fn build(&self, b: &mut Builder<'_>) {
        if let Some(s) = self.state {
            b.put_u8(cta_protoinfo_dccp::STATE, s);
        }
        if let Some(r) = self.role {
            b.put_u8(cta_protoinfo_dccp::ROLE, r);
        }
        if let Some(s) = self.handshake_seq {
            b.put(cta_protoinfo_dccp::HANDSHAKE_SEQ, &s.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Head;
    use crate::consts::cta;
    use crate::header::{CtMsg, Frames};

    #[test]
    fn what_is_built_is_read_back_and_truncation_never_invents() {
        let all = [
            ProtoInfo::Tcp(TcpInfo { wscale: [Some(7), Some(9)], ..TcpInfo::created(7) }),
            ProtoInfo::Sctp(SctpInfo { state: Some(4), vtag: [Some(1), Some(0xffff_ffff)] }),
            ProtoInfo::Dccp(DccpInfo { state: Some(4), role: Some(1), handshake_seq: Some(1 << 40) }),
        ];
        for info in all {
            let mut buf = [0xa5; 128];
            let mut b = Builder::new(&mut buf, Head::new(0x100, 0).family(2));
            info.build(&mut b, cta::PROTOINFO);
            let m = CtMsg::parse(Frames::new(b.finish().unwrap()).next().unwrap().unwrap()).unwrap();
            let value = m.attrs().next().unwrap().unwrap().value;
            assert_eq!(ProtoInfo::parse(value), Ok(Some(info)));
            let quick = StateOf::parse(value).unwrap();
            assert_eq!(quick.map(|(_, state)| state), info.state());
            assert_eq!(quick.and_then(|(of, state)| of.name(state)), info.state_name());
            for n in 0..value.len() {
                if let Ok(Some(p)) = ProtoInfo::parse(&value[..n]) {
                    assert!(p.state().is_none() || p.state() == info.state());
                }
                assert_eq!(StateOf::parse(&value[..n]), StateOf::parse_any(&value[..n]), "{n} bytes");
                for flip in [1u8, 4, 0x80, 0xff] {
                    let mut other = value.to_vec();
                    other[n] ^= flip;
                    assert_eq!(StateOf::parse(&other), StateOf::parse_any(&other), "byte {n}");
                }
            }
        }
        assert_eq!(ProtoInfo::parse(&[]), Ok(None));
    }

    #[test]
    fn names_follow_the_numbers() {
        let name = |i: ProtoInfo| i.state_name();
        assert_eq!(name(ProtoInfo::Tcp(TcpInfo::created(3))), Some(&b"ESTABLISHED"[..]));
        assert_eq!(name(ProtoInfo::Tcp(TcpInfo::created(10))), None);
        assert_eq!(TcpInfo::created(6).flags[0], Some(TcpFlags { flags: 0x0a, mask: 0x0a }));
        assert_eq!(TcpInfo::created(7).flags[1], Some(TcpFlags { flags: 0x0e, mask: 0x0e }));
    }
}
