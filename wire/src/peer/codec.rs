//! The bytes of a flow in a peer message: attributes 0 to 32 (sync-protocol.md §3.1, §3.2, §3.4).

use crate::build::Full;
use crate::consts::ipproto;
use crate::error::WireError;
use crate::event::Event;
use crate::flow::{SeqAdj, Synproxy};
use crate::peer::attr::{PeerAttr, PeerAttrs, ct, exact, pair};
use crate::peer::build::FrameBuilder;
use crate::peer::flow::{Flow, has_ports, is_icmp};
use crate::peer::header::Kind;
use crate::peer::name::Name;
use crate::proto::{DccpInfo, ProtoInfo, SctpInfo, TcpInfo};
use crate::tuple::{Addr, Tuple};

/// The longest helper name the original accepts: it refuses a whole message over one character more, although
/// it sends up to 15 itself (sync-protocol.md §3.4). We read 15 and write 11.
pub const HELPER_SENT_MAX: usize = 11;
/// The longest LABELS attribute the original accepts, header included.
const LABELS_LEN_MAX: usize = 1028;

/// What the sender leaves out by configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encode {
    /// Send TIMEOUT. A sender with CommitTimeout leaves it out.
    pub timeout: bool,
    /// Send the window scales, as a sender with TCPWindowTracking does.
    pub wscale: bool,
}

impl Default for Encode {
    fn default() -> Self {
        Encode { timeout: true, wscale: false }
    }
}

/// A value that the original converts to network order twice (sync-protocol.md §3.2): on the wire it stands
/// in the sender's own byte order.
fn host16(what: &'static str, value: &[u8]) -> Result<u16, WireError> {
    exact(what, value).map(u16::from_ne_bytes)
}

/// A verification tag: bytes as they are, which [`SctpInfo`] holds in host byte order.
fn raw32(what: &'static str, value: &[u8]) -> Result<u32, WireError> {
    exact(what, value).map(u32::from_ne_bytes)
}

pub(super) fn be32(what: &'static str, value: &[u8]) -> Result<u32, WireError> {
    exact(what, value).map(u32::from_be_bytes)
}

pub(super) fn byte(what: &'static str, value: &[u8]) -> Result<u8, WireError> {
    exact(what, value).map(|[b]: [u8; 1]| b)
}

pub(super) fn addrs4(what: &'static str, value: &[u8], t: &mut Tuple) -> Result<(), WireError> {
    let (src, dst) = pair::<4>(what, value)?;
    (t.src, t.dst) = (Some(Addr::V4(src)), Some(Addr::V4(dst)));
    Ok(())
}

pub(super) fn addrs6(what: &'static str, value: &[u8], t: &mut Tuple) -> Result<(), WireError> {
    let (src, dst) = pair::<16>(what, value)?;
    (t.src, t.dst) = (Some(Addr::V6(src)), Some(Addr::V6(dst)));
    Ok(())
}

pub(super) fn ports(what: &'static str, value: &[u8], t: &mut Tuple) -> Result<(), WireError> {
    let (src, dst) = pair::<2>(what, value)?;
    (t.src_port, t.dst_port) = (Some(u16::from_be_bytes(src)), Some(u16::from_be_bytes(dst)));
    Ok(())
}

/// Six big-endian words, original direction first.
fn seq_adj(value: &[u8]) -> Result<[SeqAdj; 2], WireError> {
    let (orig, reply) = pair::<12>("NAT_SEQ_ADJ", value)?;
    let one = |[a, b, c, d, e, f, g, h, i, j, k, l]: [u8; 12]| SeqAdj {
        correction_pos: u32::from_be_bytes([a, b, c, d]),
        offset_before: i32::from_be_bytes([e, f, g, h]),
        offset_after: i32::from_be_bytes([i, j, k, l]),
    };
    Ok([one(orig), one(reply)])
}

/// Three big-endian words in the order its, isn, tsoff.
fn synproxy(value: &[u8]) -> Result<Synproxy, WireError> {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = exact("SYNPROXY", value)?;
    Ok(Synproxy {
        its: u32::from_be_bytes([a, b, c, d]),
        isn: u32::from_be_bytes([e, f, g, h]),
        tsoff: u32::from_be_bytes([i, j, k, l]),
    })
}

/// Converts label words between host and network order, either way. Missing words become zero; words after
/// the fourth are dropped because the kernel has no place for them.
fn label_words(words: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.chunks_exact_mut(4).zip(words.chunks_exact(4)) {
        let word = from.first_chunk().copied().map_or(0, u32::from_be_bytes);
        to.copy_from_slice(&word.to_ne_bytes());
    }
    out
}

impl Flow {
    /// Reads the body of a flow message by the receiver's rules (sync-protocol.md §3.4): an unknown number,
    /// a wrong size or a lying length is an error for the whole message; of duplicates, the last one counts.
    ///
    /// Wider than the original in two ways: helper names of up to 15 characters are read, and labels beyond
    /// the kernel's 128 are dropped. Translated ports of ICMP, which original peers send with value 0, are
    /// ignored, and so are translations to the other address family.
    ///
    /// # Errors
    /// [`WireError::BadLength`] for an attribute that is shorter than its header or ends after the message.
    /// [`WireError::BadValue`] for a value that is not of its attribute's size, and for a number above
    /// [`ct::MAX`], which is then in `have`.
    pub fn decode(body: &[u8]) -> Result<Flow, WireError> {
        let mut f = Flow::default();
        for a in PeerAttrs::new(body) {
            f.attribute(a?)?;
        }
        if is_icmp(f.orig.proto.unwrap_or(0)) {
            (f.spat, f.dpat) = (None, None);
        }
        let family = f.family();
        f.snat = f.snat.filter(|a| Some(a.family()) == family);
        f.dnat = f.dnat.filter(|a| Some(a.family()) == family);
        Ok(f)
    }

    #[inline]
    fn attribute(&mut self, a: PeerAttr<'_>) -> Result<(), WireError> {
        let v = a.value;
        match a.kind {
            ct::IPV4 => addrs4("IPV4", v, &mut self.orig)?,
            ct::IPV6 => addrs6("IPV6", v, &mut self.orig)?,
            ct::L4PROTO => self.orig.proto = Some(byte("L4PROTO", v)?),
            ct::PORT => ports("PORT", v, &mut self.orig)?,
            ct::STATUS => self.status = Some(be32("STATUS", v)?),
            ct::TIMEOUT => self.timeout_s = Some(be32("TIMEOUT", v)?),
            ct::MARK => self.mark = Some(be32("MARK", v)?),
            ct::TCP_STATE => {
                let state = byte("TCP_STATE", v)?;
                self.tcp(|i| i.state = Some(state));
            }
            ct::TCP_WSCALE_ORIG => {
                let scale = byte("TCP_WSCALE_ORIG", v)?;
                self.tcp(|TcpInfo { wscale: [orig, _], .. }| *orig = Some(scale));
            }
            ct::TCP_WSCALE_REPL => {
                let scale = byte("TCP_WSCALE_REPL", v)?;
                self.tcp(|TcpInfo { wscale: [_, reply], .. }| *reply = Some(scale));
            }
            ct::ICMP_TYPE => self.orig.icmp_type = Some(byte("ICMP_TYPE", v)?),
            ct::ICMP_CODE => self.orig.icmp_code = Some(byte("ICMP_CODE", v)?),
            ct::ICMP_ID => self.orig.icmp_id = Some(host16("ICMP_ID", v)?),
            ct::SNAT_IPV4 => self.snat = Some(Addr::V4(exact("SNAT_IPV4", v)?)),
            ct::DNAT_IPV4 => self.dnat = Some(Addr::V4(exact("DNAT_IPV4", v)?)),
            ct::SNAT_IPV6 => self.snat = Some(Addr::V6(exact("SNAT_IPV6", v)?)),
            ct::DNAT_IPV6 => self.dnat = Some(Addr::V6(exact("DNAT_IPV6", v)?)),
            ct::SPAT_PORT => self.spat = Some(host16("SPAT_PORT", v)?),
            ct::DPAT_PORT => self.dpat = Some(host16("DPAT_PORT", v)?),
            ct::SYNPROXY => self.synproxy = Some(synproxy(v)?),
            ct::ZONE => self.zone = Some(u16::from_be_bytes(exact("ZONE", v)?)),
            _ => return self.rare_attribute(a),
        }
        Ok(())
    }

    fn rare_attribute(&mut self, a: PeerAttr<'_>) -> Result<(), WireError> {
        let v = a.value;
        match a.kind {
            ct::MASTER_IPV4 => addrs4("MASTER_IPV4", v, self.master_mut())?,
            ct::MASTER_IPV6 => addrs6("MASTER_IPV6", v, self.master_mut())?,
            ct::MASTER_L4PROTO => self.master_mut().proto = Some(byte("MASTER_L4PROTO", v)?),
            ct::MASTER_PORT => ports("MASTER_PORT", v, self.master_mut())?,
            ct::NAT_SEQ_ADJ => self.seq_adj = Some(seq_adj(v)?),
            ct::SCTP_STATE => {
                let state = byte("SCTP_STATE", v)?;
                self.sctp(|i| i.state = Some(state));
            }
            ct::SCTP_VTAG_ORIG => {
                let tag = raw32("SCTP_VTAG_ORIG", v)?;
                self.sctp(|SctpInfo { vtag: [orig, _], .. }| *orig = Some(tag));
            }
            ct::SCTP_VTAG_REPL => {
                let tag = raw32("SCTP_VTAG_REPL", v)?;
                self.sctp(|SctpInfo { vtag: [_, reply], .. }| *reply = Some(tag));
            }
            ct::DCCP_STATE => {
                let state = byte("DCCP_STATE", v)?;
                self.dccp(|i| i.state = Some(state));
            }
            ct::DCCP_ROLE => {
                let role = byte("DCCP_ROLE", v)?;
                self.dccp(|i| i.role = Some(role));
            }
            ct::HELPER_NAME => {
                if v.len() > 16 {
                    return Err(WireError::BadValue { what: "HELPER_NAME", want: 16, have: v.len() });
                }
                self.helper = Name::new(v);
            }
            ct::LABELS => {
                if v.len() > LABELS_LEN_MAX - 4 {
                    let want = LABELS_LEN_MAX - 4;
                    return Err(WireError::BadValue { what: "LABELS", want, have: v.len() });
                }
                if !v.is_empty() && v.len() % 4 == 0 {
                    self.labels = Some(label_words(v));
                }
            }
            unknown => {
                let (want, have) = (usize::from(ct::MAX), usize::from(unknown));
                return Err(WireError::BadValue { what: "peer attribute number", want, have });
            }
        }
        Ok(())
    }

    fn master_mut(&mut self) -> &mut Tuple {
        self.master.get_or_insert_default()
    }

    // The state of another protocol, if it came earlier in the message, is replaced.

    fn tcp(&mut self, set: impl FnOnce(&mut TcpInfo)) {
        let mut info = match self.proto {
            Some(ProtoInfo::Tcp(i)) => i,
            _ => TcpInfo::default(),
        };
        set(&mut info);
        self.proto = Some(ProtoInfo::Tcp(info));
    }

    fn sctp(&mut self, set: impl FnOnce(&mut SctpInfo)) {
        let mut info = match self.proto {
            Some(ProtoInfo::Sctp(i)) => i,
            _ => SctpInfo::default(),
        };
        set(&mut info);
        self.proto = Some(ProtoInfo::Sctp(info));
    }

    fn dccp(&mut self, set: impl FnOnce(&mut DccpInfo)) {
        let mut info = match self.proto {
            Some(ProtoInfo::Dccp(i)) => i,
            _ => DccpInfo::default(),
        };
        set(&mut info);
        self.proto = Some(ProtoInfo::Dccp(info));
    }

    /// Writes the message into the start of `buf` and returns its length;
    /// [`MESSAGE_MAX`](crate::peer::MESSAGE_MAX) bytes always suffice.
    ///
    /// Attributes come in the original's order, so that the same flow gives the same bytes. A helper name
    /// longer than [`HELPER_SENT_MAX`] is left out: with it the original would refuse the whole flow.
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
        let mut b = FrameBuilder::new(buf, Kind::Flow(event), flags, seq);
        put_addrs(&mut b, &self.orig, ct::IPV4, ct::IPV6);
        b.put_be32(ct::STATUS, self.status.unwrap_or(0));
        let proto = self.orig.proto.unwrap_or(0);
        b.put_u8(ct::L4PROTO, proto);
        if has_ports(proto) {
            put_ports(&mut b, &self.orig, ct::PORT);
        }
        self.put_state(&mut b, proto, what);
        if let Some(t) = self.timeout_s.filter(|_| what.timeout) {
            b.put_be32(ct::TIMEOUT, t);
        }
        if let Some(m) = self.mark {
            b.put_be32(ct::MARK, m);
        }
        if let Some(m) = &self.master {
            put_addrs(&mut b, m, ct::MASTER_IPV4, ct::MASTER_IPV6);
            if let Some(p) = m.proto {
                b.put_u8(ct::MASTER_L4PROTO, p);
            }
            put_ports(&mut b, m, ct::MASTER_PORT);
        }
        for (addr, v4, v6) in
            [(self.snat, ct::SNAT_IPV4, ct::SNAT_IPV6), (self.dnat, ct::DNAT_IPV4, ct::DNAT_IPV6)]
        {
            match addr {
                Some(Addr::V4(a)) => _ = b.put(v4, &a),
                Some(Addr::V6(a)) => _ = b.put(v6, &a),
                None => {}
            }
        }
        for (port, kind) in [(self.spat, ct::SPAT_PORT), (self.dpat, ct::DPAT_PORT)] {
            if let Some(p) = port {
                b.put(kind, &p.to_ne_bytes());
            }
        }
        if self.seq_adj.is_some() || self.helper.is_some() || self.labels.is_some() {
            self.put_rare(&mut b);
        }
        if let Some(s) = self.synproxy {
            let words = [s.its.to_be_bytes(), s.isn.to_be_bytes(), s.tsoff.to_be_bytes()];
            b.put_parts(ct::SYNPROXY, &words.each_ref().map(|w| w.as_slice()));
        }
        if let Some(z) = self.zone {
            b.put(ct::ZONE, &z.to_be_bytes());
        }
        b.finish()
    }

    fn put_state(&self, b: &mut FrameBuilder<'_>, proto: u8, what: Encode) {
        match self.proto {
            Some(ProtoInfo::Tcp(info)) if proto == ipproto::TCP => {
                let Some(state) = info.state else { return };
                b.put_u8(ct::TCP_STATE, state);
                let [orig, reply] = info.wscale.map(|w| w.filter(|_| what.wscale));
                for (scale, kind) in [(orig, ct::TCP_WSCALE_ORIG), (reply, ct::TCP_WSCALE_REPL)] {
                    if let Some(s) = scale {
                        b.put_u8(kind, s);
                    }
                }
            }
            Some(ProtoInfo::Sctp(info)) if proto == ipproto::SCTP => {
                let Some(state) = info.state else { return };
                b.put_u8(ct::SCTP_STATE, state);
                let [orig, reply] = info.vtag;
                for (tag, kind) in [(orig, ct::SCTP_VTAG_ORIG), (reply, ct::SCTP_VTAG_REPL)] {
                    if let Some(t) = tag {
                        b.put(kind, &t.to_ne_bytes());
                    }
                }
            }
            Some(ProtoInfo::Dccp(info)) if proto == ipproto::DCCP => {
                let Some(state) = info.state else { return };
                b.put_u8(ct::DCCP_STATE, state);
                if let Some(role) = info.role {
                    b.put_u8(ct::DCCP_ROLE, role);
                }
            }
            _ if is_icmp(proto) => {
                if let Some(t) = self.orig.icmp_type {
                    b.put_u8(ct::ICMP_TYPE, t);
                }
                if let Some(c) = self.orig.icmp_code {
                    b.put_u8(ct::ICMP_CODE, c);
                }
                if let Some(id) = self.orig.icmp_id {
                    b.put(ct::ICMP_ID, &id.to_ne_bytes());
                }
            }
            _ => {}
        }
    }

    fn put_rare(&self, b: &mut FrameBuilder<'_>) {
        if let Some([orig, reply]) = self.seq_adj {
            let words = |s: SeqAdj| {
                [s.correction_pos.to_be_bytes(), s.offset_before.to_be_bytes(), s.offset_after.to_be_bytes()]
            };
            let ([a, x, y], [d, e, f]) = (words(orig), words(reply));
            b.put_parts(ct::NAT_SEQ_ADJ, &[&a, &x, &y, &d, &e, &f]);
        }
        if let Some(h) = self.helper.as_ref().filter(|h| h.as_bytes().len() <= HELPER_SENT_MAX) {
            b.put_name(ct::HELPER_NAME, h.as_bytes());
        }
        if let Some(l) = &self.labels {
            // Swapping bytes is its own inverse, so this turns host words into network words as well.
            b.put(ct::LABELS, &label_words(l));
        }
    }
}

pub(super) fn put_addrs(b: &mut FrameBuilder<'_>, t: &Tuple, v4: u16, v6: u16) {
    match (t.src, t.dst) {
        (Some(Addr::V4(src)), Some(Addr::V4(dst))) => _ = b.put_parts(v4, &[&src, &dst]),
        (Some(Addr::V6(src)), Some(Addr::V6(dst))) => _ = b.put_parts(v6, &[&src, &dst]),
        _ => {}
    }
}

pub(super) fn put_ports(b: &mut FrameBuilder<'_>, t: &Tuple, kind: u16) {
    if let (Some(src), Some(dst)) = (t.src_port, t.dst_port) {
        b.put_parts(kind, &[&src.to_be_bytes(), &dst.to_be_bytes()]);
    }
}

#[cfg(test)]
mod tests;
