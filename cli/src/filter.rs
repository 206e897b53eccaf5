//! Which flows a command selects. The whole selection is applied to what the kernel sends.
//!
//! The kernel may have been asked to leave flows out, and may have ignored that, so nothing here relies on
//! it (command-line.md §5.2, ctnetlink.md §4.5).

use crate::address_set::AddressSet;
use crate::values::list::Status;
use smallvec::SmallVec;
use std::sync::Arc;
use zct_wire::WireError;
use zct_wire::consts::{ipproto, ips};
use zct_wire::filter::{DumpFilter, Masked};
use zct_wire::flow::FlowView;
use zct_wire::proto::ProtoInfo;
use zct_wire::tuple::{Addr, Tuple};

/// An address with the bits of it that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address; bits outside the mask are ignored.
    pub addr: Addr,
    /// The mask, which has as many bytes as the address.
    pub mask: Addr,
}

impl Network {
    /// True when `addr` is of the same family and agrees in all bits of the mask.
    pub fn contains(&self, addr: &Addr) -> bool {
        addr.family() == self.addr.family()
            && addr
                .bytes()
                .iter()
                .zip(self.addr.bytes())
                .zip(self.mask.bytes())
                .all(|((have, want), mask)| (have ^ want) & mask == 0)
    }
}

/// Ports from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}

impl PortRange {
    /// A range of this one port.
    pub fn one(port: u16) -> PortRange {
        PortRange { first: port, last: port }
    }

    fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// Networks and addresses, one of which must contain the address. A single one, as nearly always, allocates
/// nothing. Without any, every address is admitted, and so is an absent one; a set that is empty admits
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Choice);

/// What there is to choose from. That there is nothing is a case of its own, which costs one comparison for
/// each address of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Choice {
    #[default]
    Any,
    /// One or more.
    Listed(SmallVec<[Network; 1]>),
    /// Those in the set, and perhaps others.
    Set(SmallVec<[Network; 1]>, Arc<AddressSet>),
}

impl FromIterator<Network> for Networks {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Networks {
        let listed: SmallVec<[Network; 1]> = networks.into_iter().collect();
        Networks(if listed.is_empty() { Choice::Any } else { Choice::Listed(listed) })
    }
}

impl Networks {
    /// The same, or in this set.
    #[must_use]
    pub fn or_in(self, set: Arc<AddressSet>) -> Networks {
        let listed = match self.0 {
            Choice::Any => SmallVec::new(),
            Choice::Listed(listed) | Choice::Set(listed, _) => listed,
        };
        Networks(Choice::Set(listed, set))
    }

    /// True when nothing is asked for.
    pub fn is_any(&self) -> bool {
        matches!(self.0, Choice::Any)
    }

    /// The networks that were listed one by one.
    pub fn listed(&self) -> &[Network] {
        match &self.0 {
            Choice::Any => &[],
            Choice::Listed(listed) | Choice::Set(listed, _) => listed,
        }
    }

    /// The set, which the address may be in instead of a listed network.
    pub fn set(&self) -> Option<&AddressSet> {
        if let Choice::Set(_, set) = &self.0 { Some(set) } else { None }
    }

    /// The only network, where there is no choice.
    pub fn only(&self) -> Option<&Network> {
        match &self.0 {
            Choice::Listed(listed) => {
                if let [one] = listed.as_slice() {
                    Some(one)
                } else {
                    None
                }
            }
            Choice::Any | Choice::Set(..) => None,
        }
    }

    #[inline]
    fn admits(&self, have: Option<Addr>) -> bool {
        match (&self.0, have) {
            (Choice::Any, _) => true,
            (_, None) => false,
            (Choice::Listed(listed), Some(a)) => listed.iter().any(|n| n.contains(&a)),
            (Choice::Set(listed, set), Some(a)) => set.contains(&a) || listed.iter().any(|n| n.contains(&a)),
        }
    }
}

/// Ranges, one of which must contain the port.
pub type PortRanges = SmallVec<[PortRange; 1]>;

/// States, one of which the flow must have; an empty list admits everything.
pub type States = SmallVec<[u8; 4]>;

/// Which label bits the flow must and must not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Those that must all be set.
    pub set: Vec<u16>,
    /// Those of which none may be set.
    pub clear: Vec<u16>,
}

/// What one direction must have. A given member must be present and match; an empty list admits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    /// Source, exact, by mask, or one of a set.
    pub src: Networks,
    /// Destination, likewise.
    pub dst: Networks,
    /// Source port or GRE source key.
    pub src_port: PortRanges,
    /// Destination port or GRE destination key.
    pub dst_port: PortRanges,
    /// Zone of this direction alone; 0 means no zone, neither its own nor one of both directions.
    pub zone: Option<u16>,
}

impl Direction {
    fn is_any(&self) -> bool {
        self.zone.is_none()
            && self.src.is_any()
            && self.dst.is_any()
            && self.src_port.is_empty()
            && self.dst_port.is_empty()
    }

    /// `both` is the flow's zone for both directions; a flow that has one has no zones of single directions.
    fn matches(&self, t: &Tuple, both: Option<u16>) -> bool {
        let port = |want: &PortRanges, have: Option<u16>| {
            want.is_empty() || have.is_some_and(|p| want.iter().any(|r| r.contains(p)))
        };
        self.src.admits(t.src)
            && self.dst.admits(t.dst)
            && port(&self.src_port, t.src_port)
            && port(&self.dst_port, t.dst_port)
            && self.zone.is_none_or(|z| t.zone.unwrap_or(0) == z && (z != 0 || both.unwrap_or(0) == 0))
    }
}

/// What a NAT option requires of the translated side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatMatch {
    /// The address it was translated to; `None` matches any translation.
    pub addr: Option<Addr>,
    /// The port it was translated to, which can be given only with an address.
    pub port: Option<u16>,
}

/// The ICMP members of the original tuple.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Icmp {
    /// ICMP type.
    pub kind: Option<u8>,
    /// ICMP code.
    pub code: Option<u8>,
    /// ICMP identifier.
    pub id: Option<u16>,
}

/// The whole selection; an absent member admits every flow. All members must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// AF_INET or AF_INET6.
    pub family: Option<u8>,
    /// Layer 4 protocol of the original tuple.
    pub proto: Option<u8>,
    /// Original direction.
    pub orig: Direction,
    /// Reply direction.
    pub reply: Direction,
    /// ICMP or ICMPv6 members.
    pub icmp: Icmp,
    /// State numbers of the protocol.
    pub states: States,
    /// SCTP verification tags, original and reply.
    pub vtag: [Option<u32>; 2],
    /// DCCP role: 0 client, 1 server.
    pub dccp_role: Option<u8>,
    /// `(mark & mask) == value`, where the value is not masked: if it has bits outside the mask, nothing
    /// matches (W11). A flow without a mark never matches, not even mark 0.
    pub mark: Option<Masked>,
    /// Bits that must be set, and bits that must be clear.
    pub status: Status,
    /// Zone of both directions; 0 means that no direction has one.
    pub zone: Option<u16>,
    /// Requires that the source is translated.
    pub src_nat: Option<NatMatch>,
    /// Requires that the destination is translated.
    pub dst_nat: Option<NatMatch>,
    /// Requires that source or destination is translated.
    pub any_nat: Option<NatMatch>,
    /// Labels that must be set, and those that must not.
    pub labels: Labels,
    /// Security mark, compared if the kernel sends one, which only very old kernels do.
    pub secmark: Option<u32>,
    /// The flow's id.
    pub id: Option<u32>,
    /// The exact number of seconds the flow has left.
    pub timeout: Option<u32>,
    /// What is left out: none of these may match. They are applied here only. A request to the kernel is
    /// made from the other members, so it may return more flows than are selected.
    pub not: Vec<Filter>,
}

impl Filter {
    /// The filters that the original passes to the kernel too: family, mark and status. We do the rest.
    pub fn for_kernel(&self) -> DumpFilter {
        let Status { set, clear, .. } = self.status;
        DumpFilter::default().with(|it| {
            it.family = self.family.unwrap_or(0);
            it.mark = self.mark;
            // If no bit is asked for there is no filter, because the kernel refuses an empty one.
            it.status = (set | clear != 0).then_some(Masked { value: set, mask: set | clear });
        })
    }

    /// True when the flow is selected.
    ///
    /// # Errors
    /// The first attribute that is needed and cannot be read. Allocates nothing.
    pub fn matches(&self, f: &FlowView<'_>) -> Result<bool, WireError> {
        let mark = f.mark()?;
        if !self.admits(f, mark)? {
            return Ok(false);
        }
        for not in &self.not {
            // An event does not carry a mark of 0, so an absent one counts as 0 here.
            if not.admits(f, Some(mark.unwrap_or(0)))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The same without `not`, and with this mark.
    fn admits(&self, f: &FlowView<'_>, mark: Option<u32>) -> Result<bool, WireError> {
        if self.family.is_some_and(|want| f.family() != want) {
            return Ok(false);
        }
        if let Some(m) = self.mark {
            if mark.is_none_or(|have| have & m.mask != m.value) {
                return Ok(false);
            }
        }
        if self.status != Status::default() {
            let Status { set, clear, .. } = self.status;
            if f.status()?.is_none_or(|have| have & set != set || have & clear != 0) {
                return Ok(false);
            }
        }
        let both = f.zone()?;
        if self.zone.is_some_and(|want| both.unwrap_or(0) != want) {
            return Ok(false);
        }
        if self.id.is_some() && f.id()? != self.id || self.timeout.is_some() && f.timeout_s()? != self.timeout
        {
            return Ok(false);
        }
        if let (Some(want), Some(have)) = (self.secmark, f.secmark()?) {
            if want != have {
                return Ok(false);
            }
        }
        Ok(self.matches_tuples(f, both)? && self.matches_labels(f) && self.matches_protoinfo(f)?)
    }

    fn matches_tuples(&self, f: &FlowView<'_>, both: Option<u16>) -> Result<bool, WireError> {
        let nat = [self.src_nat, self.dst_nat, self.any_nat].iter().any(Option::is_some);
        let no_zone = self.zone == Some(0);
        let any_orig = no_zone || self.proto.is_some() || !self.orig.is_any() || self.icmp != Icmp::default();
        let any_reply = no_zone || !self.reply.is_any();
        if !(nat || any_orig || any_reply) {
            return Ok(true);
        }
        let orig = f.orig()?.unwrap_or_default();
        let t = &orig;
        if self.proto.is_some() && t.proto != self.proto
            || !self.orig.matches(t, both)
            || no_zone && t.zone.is_some_and(|z| z != 0)
            || self.icmp.kind.is_some() && t.icmp_type != self.icmp.kind
            || self.icmp.code.is_some() && t.icmp_code != self.icmp.code
            || self.icmp.id.is_some() && t.icmp_id != self.icmp.id
        {
            return Ok(false);
        }
        if !(nat || any_reply) {
            return Ok(true);
        }
        let reply = f.reply()?.unwrap_or_default();
        let zoned = no_zone && reply.zone.is_some_and(|z| z != 0);
        Ok(!zoned
            && self.reply.matches(&reply, both)
            && (!nat || self.matches_nat(f.status()?, &orig, &reply)))
    }

    fn matches_nat(&self, status: Option<u32>, orig: &Tuple, reply: &Tuple) -> bool {
        let [src, dst] = Translation::both(status, orig, reply);
        self.src_nat.is_none_or(|want| src.matches(&want))
            && self.dst_nat.is_none_or(|want| dst.matches(&want))
            && self.any_nat.is_none_or(|want| src.matches(&want) || dst.matches(&want))
    }

    fn matches_labels(&self, f: &FlowView<'_>) -> bool {
        let Labels { set, clear } = &self.labels;
        match f.labels() {
            Some(bits) => set.iter().all(|l| bits.has(*l)) && !clear.iter().any(|l| bits.has(*l)),
            None => set.is_empty(),
        }
    }

    fn matches_protoinfo(&self, f: &FlowView<'_>) -> Result<bool, WireError> {
        let [orig_tag, reply_tag] = self.vtag;
        if self.states.is_empty() && orig_tag.is_none() && reply_tag.is_none() && self.dccp_role.is_none() {
            return Ok(true);
        }
        let Some(info) = f.protoinfo()? else { return Ok(false) };
        if !self.states.is_empty() && !info.state().is_some_and(|s| self.states.contains(&s)) {
            return Ok(false);
        }
        Ok(match info {
            ProtoInfo::Tcp(_) => true,
            ProtoInfo::Sctp(i) => {
                let [orig, reply] = i.vtag;
                (orig_tag.is_none() || orig == orig_tag) && (reply_tag.is_none() || reply == reply_tag)
            }
            ProtoInfo::Dccp(i) => self.dccp_role.is_none() || i.role == self.dccp_role,
        })
    }
}

/// One side of a flow before and after translation.
struct Translation {
    addr: Option<Addr>,
    port: Option<u16>,
    addr_changed: bool,
    port_changed: bool,
}

impl Translation {
    /// That of the source, and that of the destination.
    fn both(status: Option<u32>, orig: &Tuple, reply: &Tuple) -> [Translation; 2] {
        let (src, to_src) = ((orig.src, orig.src_port), (reply.dst, reply.dst_port));
        let (dst, to_dst) = ((orig.dst, orig.dst_port), (reply.src, reply.src_port));
        [
            Translation::of(status, ips::SRC_NAT_DONE, orig, src, to_src),
            Translation::of(status, ips::DST_NAT_DONE, orig, dst, to_dst),
        ]
    }

    fn of(
        status: Option<u32>,
        done: u32,
        orig: &Tuple,
        before: (Option<Addr>, Option<u16>),
        after: (Option<Addr>, Option<u16>),
    ) -> Translation {
        let done = status.is_none_or(|s| s & done != 0);
        // ICMP has no ports: comparing its id with type and code would find every ping translated (W33).
        let ports = !matches!(orig.proto, Some(ipproto::ICMP | ipproto::ICMPV6));
        Translation {
            addr: after.0,
            port: after.1,
            addr_changed: done && before.0 != after.0,
            port_changed: done && ports && before.1 != after.1,
        }
    }

    fn matches(&self, want: &NatMatch) -> bool {
        match (want.addr, want.port) {
            (None, _) => self.addr_changed || self.port_changed,
            (Some(a), None) => self.addr_changed && self.addr == Some(a),
            (Some(a), Some(p)) => {
                self.addr_changed && self.addr == Some(a) && self.port_changed && self.port == Some(p)
            }
        }
    }
}

/// The address that the source of a flow is translated to or, if it is not, its destination.
///
/// # Errors
/// The first attribute that is needed and cannot be read. Allocates nothing.
pub fn translated_to(f: &FlowView<'_>) -> Result<Option<Addr>, WireError> {
    let status = f.status()?;
    if status.is_some_and(|s| s & (ips::SRC_NAT_DONE | ips::DST_NAT_DONE) == 0) {
        return Ok(None);
    }
    let (orig, reply) = (f.orig()?.unwrap_or_default(), f.reply()?.unwrap_or_default());
    let sides = Translation::both(status, &orig, &reply);
    Ok(sides.iter().find(|t| t.addr_changed || t.port_changed).and_then(|t| t.addr))
}

#[cfg(test)]
mod tests;
