//! What the kernel can be asked to leave out of a dump (ctnetlink.md §4).
//!
//! Every filter here may be ignored by an older kernel: the answer is then larger, never wrong, so the
//! caller always checks what comes back. IPv6 addresses have no place here: kernels invert that match
//! (ctnetlink.md §4.3), and a [`TupleFilter`] cannot express it.

use crate::attr::NLA_F_NESTED;
use crate::build::Builder;
use crate::consts::{af, cta, cta_filter, ctnetlink_filter, ipproto};
use crate::tuple::{Addr, Tuple};

/// A value with the mask that says which of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masked {
    /// What these bits have to be.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

/// The filters of a dump. A flow has to match all that are given.
///
/// [`DumpFilter::with`] makes one: kernels learn to filter by more, and this gets new members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DumpFilter {
    /// AF_INET, AF_INET6, or 0 for both.
    pub family: u8,
    /// `(mark & mask) == value`; a value outside the mask matches nothing.
    pub mark: Option<Masked>,
    /// `(status & mask) == value`. Value and mask both 0 is refused by the kernel.
    pub status: Option<Masked>,
    /// Zone in any direction. Ignored before Linux 6.8.
    pub zone: Option<u16>,
    /// Exact members of the original tuple.
    pub orig: TupleFilter,
    /// Exact members of the reply tuple.
    pub reply: TupleFilter,
}

/// Members of one tuple that have to be equal. IPv4 addresses only; ports for TCP and UDP only: for other
/// protocols the kernel accepts and ignores them.
///
/// [`TupleFilter::with`] makes one: kernels learn to filter by more, and this gets new members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TupleFilter {
    /// Source address, IPv4.
    pub src: Option<[u8; 4]>,
    /// Destination address, IPv4.
    pub dst: Option<[u8; 4]>,
    /// Layer 4 protocol; required by the port members.
    pub proto: Option<u8>,
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
}

impl TupleFilter {
    /// The same, after `set` has filled in what is wanted.
    #[must_use]
    pub fn with(mut self, set: impl FnOnce(&mut Self)) -> Self {
        set(&mut self);
        self
    }

    /// True when it asks for nothing, so that every tuple matches.
    pub fn is_empty(&self) -> bool {
        *self == TupleFilter::default()
    }

    fn has_addresses(&self) -> bool {
        self.src.is_some() || self.dst.is_some()
    }

    /// CTA_FILTER_*_FLAGS for the members that are there.
    pub(crate) fn flags(&self) -> u32 {
        let ports = matches!(self.proto, Some(ipproto::TCP | ipproto::UDP));
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        bit(self.src.is_some(), ctnetlink_filter::IP_SRC)
            | bit(self.dst.is_some(), ctnetlink_filter::IP_DST)
            | bit(self.proto.is_some(), ctnetlink_filter::PROTO_NUM)
            | bit(ports && self.src_port.is_some(), ctnetlink_filter::PROTO_SRC_PORT)
            | bit(ports && self.dst_port.is_some(), ctnetlink_filter::PROTO_DST_PORT)
    }

    fn build(&self, b: &mut Builder<'_>, kind: u16) {
        let t = Tuple {
            src: self.src.map(Addr::V4),
            dst: self.dst.map(Addr::V4),
            proto: self.proto,
            src_port: self.src_port,
            dst_port: self.dst_port,
            ..Tuple::default()
        };
        t.build(b, kind);
    }
}

impl DumpFilter {
    /// The same, after `set` has filled in what is wanted.
    #[must_use]
    pub fn with(mut self, set: impl FnOnce(&mut Self)) -> Self {
        set(&mut self);
        self
    }

    /// True when members of a tuple are asked for (CTA_FILTER, Linux 5.8).
    pub fn has_tuple_filter(&self) -> bool {
        !self.orig.is_empty() || !self.reply.is_empty()
    }

    /// Appends the attributes; the family is in the message header already.
    pub(crate) fn build(&self, b: &mut Builder<'_>) {
        if let Some(m) = self.mark {
            b.put_be32(cta::MARK, m.value).put_be32(cta::MARK_MASK, m.mask);
        }
        if let Some(s) = self.status {
            b.put_be32(cta::STATUS, s.value).put_be32(cta::STATUS_MASK, s.mask);
        }
        if let Some(z) = self.zone {
            b.put_be16(cta::ZONE, z);
        }
        // CTA_FILTER needs a family, and IPv4 addresses would be misread under another one.
        let addresses = self.orig.has_addresses() || self.reply.has_addresses();
        let family = self.family == af::INET || (self.family == af::INET6 && !addresses);
        if !family || !self.has_tuple_filter() {
            return;
        }
        if !self.orig.is_empty() {
            self.orig.build(b, cta::TUPLE_ORIG);
        }
        if !self.reply.is_empty() {
            self.reply.build(b, cta::TUPLE_REPLY);
        }
        // The one nest whose NESTED bit the kernel insists on, and the one place with host byte order.
        b.nest(cta::FILTER | NLA_F_NESTED, |b| {
            if !self.orig.is_empty() {
                b.put(cta_filter::ORIG_FLAGS, &self.orig.flags().to_ne_bytes());
            }
            if !self.reply.is_empty() {
                b.put(cta_filter::REPLY_FLAGS, &self.reply.flags().to_ne_bytes());
            }
        });
    }
}
