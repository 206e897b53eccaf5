//! A flow as the kernel sends it: indexed once, decoded on demand (ctnetlink.md §3.1).

use crate::attr::{self, ATTR_HDR, Attrs, NLA_TYPE_MASK};
use crate::consts::{cta, cta_counters, cta_help, cta_secctx, cta_seqadj, cta_synproxy, cta_timestamp};
use crate::error::WireError;
use crate::header::{ATTRS_AT, CtMsg};
use crate::key::FlowKey;
use crate::proto::{ProtoInfo, StateOf};
use crate::tuple::{Shape, Tuple};

/// The two directions of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dir {
    /// The direction of the first packet.
    Orig,
    /// The direction of the answers.
    Reply,
}

/// CTA_COUNTERS_*: what one direction has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets counted.
    pub packets: u64,
    /// Bytes, layer 3 headers included.
    pub bytes: u64,
}

/// CTA_TIMESTAMP, nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// When the flow began.
    pub start_ns: Option<u64>,
    /// When it ended; only for ended flows.
    pub stop_ns: Option<u64>,
}

/// CTA_SEQ_ADJ_*: TCP sequence adjustment of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqAdj {
    /// Sequence number of the last correction.
    pub correction_pos: u32,
    /// Offset before that position, signed.
    pub offset_before: i32,
    /// Offset after it, signed.
    pub offset_after: i32,
}

/// CTA_SYNPROXY: what the SYN proxy keeps of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synproxy {
    /// Initial sequence number.
    pub isn: u32,
    /// Initial timestamp.
    pub its: u32,
    /// Timestamp offset.
    pub tsoff: u32,
}

/// Where the value of a top-level attribute lies in the message; all zero when it is absent.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    at: u16,
    len: u16,
}

/// One flow of a dump, a reply or an event, borrowed from the message.
///
/// Absent is `None` everywhere, which is not zero: an event without a mark says nothing of the mark.
/// Indexing costs one pass over the top-level attributes; accessors decode only what is asked for and
/// fail with the kernel's name of the attribute that is too short. Allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct FlowView<'a> {
    msg: CtMsg<'a>,
    places: [Place; cta::MAX + 1],
}

impl<'a> FlowView<'a> {
    /// Indexes the attributes. A duplicate counts with its last value, as in the kernel; unknown ones are
    /// skipped. A length that lies is an error.
    ///
    /// # Errors
    /// [`WireError::BadLength`] for a message of more than 65,535 bytes, or for an attribute that is shorter
    /// than its header or ends after the message; [`WireError::Short`] when one to three bytes are left over.
    pub fn index(msg: CtMsg<'a>) -> Result<Self, WireError> {
        let mut places = [Place::default(); cta::MAX + 1];
        // The kernel never sends a flow of 64 KiB; one that claims to is not a flow. Every offset fits u16.
        if msg.bytes.len() > usize::from(u16::MAX) {
            let (claimed, room) = (msg.bytes.len(), usize::from(u16::MAX));
            return Err(WireError::BadLength { what: "nlmsghdr", claimed, room });
        }
        let mut off = ATTRS_AT;
        while let Some(rest) = msg.bytes.get(off..) {
            // Without AttrHdr::ref_from_prefix, which costs three more instructions per attribute.
            let Some([l0, l1, k0, k1]) = rest.first_chunk::<ATTR_HDR>().copied() else {
                if rest.is_empty() {
                    break;
                }
                return Err(WireError::Short { what: "nlattr", need: ATTR_HDR, have: rest.len() });
            };
            let len = u16::from_ne_bytes([l0, l1]);
            let claimed = usize::from(len);
            if claimed < ATTR_HDR || claimed > rest.len() {
                return Err(WireError::BadLength { what: "nlattr", claimed, room: rest.len() });
            }
            let kind = u16::from_ne_bytes([k0, k1]) & NLA_TYPE_MASK;
            if let Some(place) = places.get_mut(usize::from(kind)) {
                *place =
                    Place { at: off.wrapping_add(ATTR_HDR) as u16, len: len.wrapping_sub(ATTR_HDR as u16) };
            }
            // Advances by at most 64 KiB and three bytes, so it cannot wrap; past the end, the loop ends.
            off = off.wrapping_add(claimed.wrapping_add(3) & !3);
        }
        Ok(FlowView { msg, places })
    }

    /// The message it was read from.
    #[inline]
    pub fn msg(&self) -> &CtMsg<'a> {
        &self.msg
    }

    /// AF_INET or AF_INET6, from the message header.
    #[inline]
    pub fn family(&self) -> u8 {
        self.msg.family()
    }

    /// The value of a top-level attribute, undecoded.
    #[inline]
    pub fn raw(&self, kind: u16) -> Option<&'a [u8]> {
        let place = self.places.get(usize::from(kind))?;
        if place.at == 0 {
            return None;
        }
        let at = usize::from(place.at);
        self.msg.bytes.get(at..at.wrapping_add(usize::from(place.len)))
    }

    /// True when the message carries the attribute.
    #[inline]
    pub fn has(&self, kind: u16) -> bool {
        self.places.get(usize::from(kind)).is_some_and(|p| p.at != 0)
    }

    /// The same flow without one attribute, as if the message did not carry it: renderers then leave it out.
    #[must_use]
    pub fn without(mut self, kind: u16) -> Self {
        if let Some(place) = self.places.get_mut(usize::from(kind)) {
            *place = Place::default();
        }
        self
    }

    #[inline]
    fn be32(&self, kind: u16, what: &'static str) -> Result<Option<u32>, WireError> {
        self.raw(kind).map(|v| attr::be32(what, v)).transpose()
    }

    fn tuple(&self, kind: u16) -> Result<Option<Tuple>, WireError> {
        self.raw(kind).map(Tuple::parse).transpose()
    }

    /// The key that finds this flow again in the kernel's table.
    ///
    /// # Errors
    /// [`WireError::Missing`] when there is no original tuple with both addresses and a protocol: no request
    /// about such a flow may be made, a delete least of all. As [`Tuple::parse`],
    /// [`FlowView::zone`] and [`FlowView::id`] for what cannot be read.
    pub fn key(&self) -> Result<FlowKey<'a>, WireError> {
        let missing = WireError::Missing { what: "CTA_TUPLE_ORIG" };
        let orig = self.raw(cta::TUPLE_ORIG).ok_or(missing)?;
        let tuple = Shape::parse(orig)?;
        if let Shape::Other(t) = tuple {
            if t.src.is_none() || t.dst.is_none() || t.proto.is_none() {
                return Err(missing);
            }
        }
        Ok(FlowKey { family: self.family(), orig, zone: self.zone()?, id: self.id()? })
    }

    /// CTA_TUPLE_ORIG as it lies in the message.
    ///
    /// # Errors
    /// As [`Tuple::parse`] of the nest.
    #[inline]
    pub fn orig_shape(&self) -> Result<Shape<'a>, WireError> {
        self.raw(cta::TUPLE_ORIG).map_or(Ok(Shape::Other(Tuple::default())), Shape::parse)
    }

    /// CTA_TUPLE_REPLY as it lies in the message.
    ///
    /// # Errors
    /// As [`Tuple::parse`] of the nest.
    #[inline]
    pub fn reply_shape(&self) -> Result<Shape<'a>, WireError> {
        self.raw(cta::TUPLE_REPLY).map_or(Ok(Shape::Other(Tuple::default())), Shape::parse)
    }

    /// CTA_TUPLE_ORIG, decoded.
    ///
    /// # Errors
    /// As [`Tuple::parse`] of the nest.
    pub fn orig(&self) -> Result<Option<Tuple>, WireError> {
        self.tuple(cta::TUPLE_ORIG)
    }

    /// CTA_TUPLE_REPLY, decoded.
    ///
    /// # Errors
    /// As [`Tuple::parse`] of the nest.
    pub fn reply(&self) -> Result<Option<Tuple>, WireError> {
        self.tuple(cta::TUPLE_REPLY)
    }

    /// CTA_TUPLE_MASTER: the original tuple of the flow that expected this one.
    ///
    /// # Errors
    /// As [`Tuple::parse`] of the nest.
    pub fn master(&self) -> Result<Option<Tuple>, WireError> {
        self.tuple(cta::TUPLE_MASTER)
    }

    /// CTA_STATUS: IPS_* bits.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than four bytes.
    #[inline]
    pub fn status(&self) -> Result<Option<u32>, WireError> {
        self.be32(cta::STATUS, "CTA_STATUS")
    }

    /// CTA_TIMEOUT: seconds left. Absent for offloaded flows.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than four bytes.
    #[inline]
    pub fn timeout_s(&self) -> Result<Option<u32>, WireError> {
        self.be32(cta::TIMEOUT, "CTA_TIMEOUT")
    }

    /// CTA_MARK. Dumps always carry it; events only when it is not zero or has changed.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than four bytes.
    #[inline]
    pub fn mark(&self) -> Result<Option<u32>, WireError> {
        self.be32(cta::MARK, "CTA_MARK")
    }

    /// CTA_SECMARK, from very old kernels only.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than four bytes.
    pub fn secmark(&self) -> Result<Option<u32>, WireError> {
        self.be32(cta::SECMARK, "CTA_SECMARK")
    }

    /// CTA_USE: reference count. Absent in events.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than four bytes.
    #[inline]
    pub fn use_count(&self) -> Result<Option<u32>, WireError> {
        self.be32(cta::USE, "CTA_USE")
    }

    /// CTA_ID: opaque, stable for the life of the flow.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than four bytes.
    #[inline]
    pub fn id(&self) -> Result<Option<u32>, WireError> {
        self.be32(cta::ID, "CTA_ID")
    }

    /// CTA_ZONE: the zone of both directions, when it is not 0.
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than two bytes.
    #[inline]
    pub fn zone(&self) -> Result<Option<u16>, WireError> {
        self.raw(cta::ZONE).map(|v| attr::be16("CTA_ZONE", v)).transpose()
    }

    /// CTA_PROTOINFO: TCP, SCTP or DCCP state. Absent in an UPDATE means unchanged.
    ///
    /// # Errors
    /// As [`ProtoInfo::parse`].
    #[inline]
    pub fn protoinfo(&self) -> Result<Option<ProtoInfo>, WireError> {
        self.raw(cta::PROTOINFO).map_or(Ok(None), ProtoInfo::parse)
    }

    /// The state number alone, and the protocol it belongs to: cheaper than [`FlowView::protoinfo`], and
    /// all that a line needs. Looks no further than the state.
    ///
    /// # Errors
    /// As [`ProtoInfo::parse`], but only of what lies before the state.
    #[inline]
    pub fn state(&self) -> Result<Option<(StateOf, u8)>, WireError> {
        self.raw(cta::PROTOINFO).map_or(Ok(None), StateOf::parse)
    }

    /// CTA_COUNTERS_ORIG or CTA_COUNTERS_REPLY, when accounting is on.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies; [`WireError::BadValue`] when a counter has fewer than eight bytes.
    pub fn counters(&self, dir: Dir) -> Result<Option<Counters>, WireError> {
        let kind = match dir {
            Dir::Orig => cta::COUNTERS_ORIG,
            Dir::Reply => cta::COUNTERS_REPLY,
        };
        let Some(nest) = self.raw(kind) else { return Ok(None) };
        let mut out = Counters::default();
        for a in Attrs::new(nest) {
            let a = a?;
            match a.kind {
                cta_counters::PACKETS => out.packets = attr::be64("CTA_COUNTERS_PACKETS", a.value)?,
                cta_counters::BYTES => out.bytes = attr::be64("CTA_COUNTERS_BYTES", a.value)?,
                _ => {}
            }
        }
        Ok(Some(out))
    }

    /// CTA_TIMESTAMP, when timestamping is on.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies; [`WireError::BadValue`] when a time has fewer than eight bytes.
    pub fn timestamps(&self) -> Result<Option<Timestamps>, WireError> {
        let Some(nest) = self.raw(cta::TIMESTAMP) else { return Ok(None) };
        let mut out = Timestamps::default();
        for a in Attrs::new(nest) {
            let a = a?;
            match a.kind {
                cta_timestamp::START => out.start_ns = Some(attr::be64("CTA_TIMESTAMP_START", a.value)?),
                cta_timestamp::STOP => out.stop_ns = Some(attr::be64("CTA_TIMESTAMP_STOP", a.value)?),
                _ => {}
            }
        }
        Ok(Some(out))
    }

    /// CTA_TIMESTAMP_EVENT: when the kernel reported this event, nanoseconds since the epoch (Linux 6.14+).
    ///
    /// # Errors
    /// [`WireError::BadValue`] when the attribute has fewer than eight bytes.
    pub fn event_time_ns(&self) -> Result<Option<u64>, WireError> {
        self.raw(cta::TIMESTAMP_EVENT).map(|v| attr::be64("CTA_TIMESTAMP_EVENT", v)).transpose()
    }

    /// CTA_HELP_NAME without its NUL.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies.
    #[inline]
    pub fn helper(&self) -> Result<Option<&'a [u8]>, WireError> {
        self.string(cta::HELP, cta_help::NAME)
    }

    /// CTA_SECCTX_NAME without its NUL.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies.
    #[inline]
    pub fn secctx(&self) -> Result<Option<&'a [u8]>, WireError> {
        self.string(cta::SECCTX, cta_secctx::NAME)
    }

    #[inline]
    fn string(&self, nest: u16, member: u16) -> Result<Option<&'a [u8]>, WireError> {
        let Some(nest) = self.raw(nest) else { return Ok(None) };
        let mut out = None;
        for a in Attrs::new(nest) {
            let a = a?;
            if a.kind == member {
                out = Some(attr::text(a.value));
            }
        }
        Ok(out)
    }

    /// CTA_LABELS: up to 16 bytes in host word order; [`LabelBits`] reads them.
    #[inline]
    pub fn labels(&self) -> Option<LabelBits<'a>> {
        self.raw(cta::LABELS).map(LabelBits::new)
    }

    /// CTA_SEQ_ADJ_ORIG or CTA_SEQ_ADJ_REPLY.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies; [`WireError::BadValue`] when a number has fewer than four bytes.
    pub fn seq_adj(&self, dir: Dir) -> Result<Option<SeqAdj>, WireError> {
        let kind = match dir {
            Dir::Orig => cta::SEQ_ADJ_ORIG,
            Dir::Reply => cta::SEQ_ADJ_REPLY,
        };
        let Some(nest) = self.raw(kind) else { return Ok(None) };
        let mut out = SeqAdj::default();
        for a in Attrs::new(nest) {
            let a = a?;
            let signed = |what| attr::fixed(what, a.value).map(i32::from_be_bytes);
            match a.kind {
                cta_seqadj::CORRECTION_POS => {
                    out.correction_pos = attr::be32("CTA_SEQADJ_CORRECTION_POS", a.value)?;
                }
                cta_seqadj::OFFSET_BEFORE => out.offset_before = signed("CTA_SEQADJ_OFFSET_BEFORE")?,
                cta_seqadj::OFFSET_AFTER => out.offset_after = signed("CTA_SEQADJ_OFFSET_AFTER")?,
                _ => {}
            }
        }
        Ok(Some(out))
    }

    /// CTA_SYNPROXY. Every flow made through ctnetlink has one, all zero.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies; [`WireError::BadValue`] when a number has fewer than four bytes.
    pub fn synproxy(&self) -> Result<Option<Synproxy>, WireError> {
        let Some(nest) = self.raw(cta::SYNPROXY) else { return Ok(None) };
        let mut out = Synproxy::default();
        for a in Attrs::new(nest) {
            let a = a?;
            match a.kind {
                cta_synproxy::ISN => out.isn = attr::be32("CTA_SYNPROXY_ISN", a.value)?,
                cta_synproxy::ITS => out.its = attr::be32("CTA_SYNPROXY_ITS", a.value)?,
                cta_synproxy::TSOFF => out.tsoff = attr::be32("CTA_SYNPROXY_TSOFF", a.value)?,
                _ => {}
            }
        }
        Ok(Some(out))
    }
}

/// The label bits of a flow: an array of 32-bit words in host order (linux/netfilter/nf_conntrack_labels).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelBits<'a>(&'a [u8]);

/// Bytes of all labels, XT_CONNLABEL_MAXBIT / 8 rounded up (linux/netfilter/xt_connlabel.h).
const LABEL_BYTES: usize = 16;

impl<'a> LabelBits<'a> {
    /// Reads label words as they come from the kernel. Bits past the 128th and bytes of an incomplete word
    /// are ignored.
    pub fn new(words: &'a [u8]) -> Self {
        let whole = words.len().min(LABEL_BYTES) & !3;
        LabelBits(words.get(..whole).unwrap_or_default())
    }

    /// True when bit `n` is set; bits past the end are clear.
    pub fn has(&self, n: u16) -> bool {
        let word = usize::from(n / 32).saturating_mul(4);
        let bytes = self.0.get(word..).and_then(|w| w.first_chunk::<4>());
        bytes.is_some_and(|w| u32::from_ne_bytes(*w) >> (n % 32) & 1 == 1)
    }

    /// The set bits, ascending.
    pub fn iter(self) -> impl Iterator<Item = u16> + use<'a> {
        let words = self.0.chunks_exact(4).map(|w| w.first_chunk().copied().map_or(0, u32::from_ne_bytes));
        words.zip(0u16..).flat_map(|(word, i)| {
            let base = i.saturating_mul(32);
            (0u16..32).filter(move |b| word >> b & 1 == 1).map(move |b| base.saturating_add(b))
        })
    }

    /// True when no bit is set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|b| *b == 0)
    }
}

#[cfg(test)]
mod tests;
