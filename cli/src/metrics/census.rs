//! The flows of the table, counted by what they are.

use super::question::{By, incomplete};
use crate::dump_plan::Plan;
use crate::fail::{Doing, Fail, operation_failed};
use crate::filter::Filter;
use crate::reader::{self, Reader};
use crate::values::list::Output;
use std::collections::HashMap;
use std::ops::ControlFlow;
use zct_engine::{Lost, Sink};
use zct_wire::WireError;
use zct_wire::consts::ips;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::proto::StateOf;
use zct_wire::request;
use zct_wire::text::metrics::Family;
use zct_wire::text::{Out, family_name};
use zct_wire::tracked;

const ENTRIES_BY: Family = Family::gauge("zct_entries_by", "Flows in the table by what the labels name.");

/// Zones that are shown by their number.
const ZONES: usize = 64;
/// Kinds that are told apart. It bounds the memory, whatever zones there are; each of their flows is counted
/// in any case.
const KINDS: usize = 1 << 16;
/// Labels of a sample.
const LABELS: usize = 5;

/// The state of a flow: that of its protocol, or what the kernel knows of any flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum State {
    Tcp(u8),
    Sctp(u8),
    Dccp(u8),
    Unreplied,
    Replied,
}

impl State {
    fn of(f: &FlowView<'_>, status: u32) -> Result<State, WireError> {
        Ok(match f.state()? {
            Some((StateOf::Tcp, state)) => State::Tcp(state),
            Some((StateOf::Sctp, state)) => State::Sctp(state),
            Some((StateOf::Dccp, state)) => State::Dccp(state),
            None if status & ips::SEEN_REPLY == 0 => State::Unreplied,
            None => State::Replied,
        })
    }

    fn name(self) -> &'static [u8] {
        let known = match self {
            State::Tcp(s) => StateOf::Tcp.name(s),
            State::Sctp(s) => StateOf::Sctp.name(s),
            State::Dccp(s) => StateOf::Dccp.name(s),
            State::Unreplied => Some(&b"UNREPLIED"[..]),
            State::Replied => Some(&b"REPLIED"[..]),
        };
        known.unwrap_or(b"UNKNOWN")
    }
}

/// Who forwards the packets of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Offload {
    None,
    Software,
    Hardware,
}

impl Offload {
    fn of(status: u32) -> Offload {
        match status {
            s if s & ips::HW_OFFLOAD != 0 => Offload::Hardware,
            s if s & ips::OFFLOAD != 0 => Offload::Software,
            _ => Offload::None,
        }
    }

    fn name(self) -> &'static [u8] {
        match self {
            Offload::None => b"none",
            Offload::Software => b"software",
            Offload::Hardware => b"hardware",
        }
    }
}

/// What is counted by protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct CountedProtocol {
    family: u8,
    l4proto: u8,
    state: State,
    offload: Offload,
}

/// The zone of a flow, or that of all zones that are not told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum CountedZone {
    Number(u16),
    Other,
}

/// What is counted together. Members that nobody asked for are the same in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct CountedKind {
    protocol: Option<CountedProtocol>,
    zone: Option<CountedZone>,
}

/// How many flows there are of each kind.
#[derive(Debug)]
pub(super) struct Census {
    by: By,
    counts: HashMap<CountedKind, u64>,
    lost: Option<Lost>,
}

impl Census {
    /// Reads the whole table, as `-L` does.
    pub(super) fn take(by: By) -> Result<Census, Fail> {
        let mut census = Census { by, counts: HashMap::new(), lost: None };
        let (table, all) = (request::Table::Conntrack, Filter::default());
        let opened = reader::open(Reader::Auto, table, &Output::default(), &all);
        let sinks = std::slice::from_mut(&mut census);
        reader::read(Reader::Auto, opened, &Plan::plain(&all), &all, table, sinks)
            .map_err(|e| operation_failed(Doing::List, &e))?;
        if let Some(why) = census.lost {
            return Err(incomplete(why));
        }
        census.gather_small_zones();
        Ok(census)
    }

    fn kind(&self, f: &FlowView<'_>) -> Result<CountedKind, WireError> {
        let status = f.status()?.unwrap_or(0);
        let protocol = match self.by.protocol {
            true => Some(CountedProtocol {
                family: f.family(),
                l4proto: f.orig_shape()?.proto(),
                state: State::of(f, status)?,
                offload: Offload::of(status),
            }),
            false => None,
        };
        let zone = if self.by.zone { Some(CountedZone::Number(f.zone()?.unwrap_or(0))) } else { None };
        Ok(CountedKind { protocol, zone })
    }

    fn add(&mut self, mut kind: CountedKind) {
        if self.counts.len() >= KINDS && !self.counts.contains_key(&kind) {
            kind.zone = kind.zone.map(|_| CountedZone::Other);
        }
        *self.counts.entry(kind).or_default() += 1;
    }

    /// Counts all but the zones with the most flows as one. Of zones with equally many flows, those with the
    /// lower numbers stay.
    fn gather_small_zones(&mut self) {
        let mut zones: HashMap<CountedZone, u64> = HashMap::new();
        for (kind, count) in &self.counts {
            if let Some(zone @ CountedZone::Number(_)) = kind.zone {
                *zones.entry(zone).or_default() += count;
            }
        }
        let mut zones: Vec<(CountedZone, u64)> = zones.into_iter().collect();
        zones.sort_unstable_by_key(|(zone, count)| (u64::MAX - count, *zone));
        let shown: Vec<CountedZone> = zones.iter().take(ZONES).map(|(zone, _)| *zone).collect();
        for (mut kind, count) in std::mem::take(&mut self.counts) {
            kind.zone = kind.zone.map(|z| if shown.contains(&z) { z } else { CountedZone::Other });
            *self.counts.entry(kind).or_default() += count;
        }
    }

    /// Writes one sample for each kind, always in the same order.
    pub(super) fn write(&self, out: &mut Out<'_>) {
        let mut kinds: Vec<(&CountedKind, &u64)> = self.counts.iter().collect();
        kinds.sort_unstable();
        let mut samples = ENTRIES_BY.write(out);
        for (kind, count) in kinds {
            let mut labels: Vec<(&str, &[u8])> = Vec::with_capacity(LABELS);
            let (number, zone);
            if let Some(p) = kind.protocol {
                number = p.l4proto.to_string();
                labels.push(("family", family_name(p.family)));
                labels.push(("l4proto", tracked::name(p.l4proto).unwrap_or(&number).as_bytes()));
                labels.push(("state", p.state.name()));
                labels.push(("offload", p.offload.name()));
            }
            if let Some(z) = kind.zone {
                zone = match z {
                    CountedZone::Number(n) => n.to_string(),
                    CountedZone::Other => "other".to_owned(),
                };
                labels.push(("zone", zone.as_bytes()));
            }
            samples.sample(&labels, *count);
        }
    }
}

impl Sink for Census {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        match FlowView::index(msg).and_then(|f| self.kind(&f)) {
            Ok(kind) => self.add(kind),
            Err(e) => self.lost(Lost::Damaged(e)),
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.lost.get_or_insert(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(flows: impl IntoIterator<Item = u16>) -> Census {
        let mut census =
            Census { by: By { protocol: false, zone: true }, counts: HashMap::new(), lost: None };
        for zone in flows {
            census.add(CountedKind { protocol: None, zone: Some(CountedZone::Number(zone)) });
        }
        census.gather_small_zones();
        census
    }

    fn of(census: &Census, zone: CountedZone) -> u64 {
        census.counts.get(&CountedKind { protocol: None, zone: Some(zone) }).copied().unwrap_or(0)
    }

    #[test]
    fn the_largest_zones_are_shown_and_no_flow_is_left_out() {
        // Zones 0 to 99 with one flow, and three more in the last ones.
        let c = census((0..100).chain([97, 98, 99]));
        assert_eq!(c.counts.len(), ZONES + 1);
        assert_eq!(
            (
                of(&c, CountedZone::Number(99)),
                of(&c, CountedZone::Number(0)),
                of(&c, CountedZone::Number(60))
            ),
            (2, 1, 1)
        );
        // Three large ones and the 61 lowest.
        assert_eq!((of(&c, CountedZone::Number(61)), of(&c, CountedZone::Other)), (0, 36));
        assert_eq!(c.counts.values().sum::<u64>(), 103);
    }

    #[test]
    fn a_table_with_every_zone_is_counted_in_bounded_memory() {
        let all = || (0..=u16::MAX).chain(0..=u16::MAX);
        let c = census(all());
        assert_eq!((c.counts.len(), c.counts.values().sum::<u64>()), (ZONES + 1, 1 << 17));
        let mut room = vec![0; 1 << 16];
        let mut out = Out::new(&mut room);
        c.write(&mut out);
        let text = String::from_utf8(out.written().to_vec()).unwrap();
        assert!(text.contains("zct_entries_by{zone=\"0\"} 2\n"), "{text}");
        assert!(text.ends_with("zct_entries_by{zone=\"other\"} 130944\n"), "{text}");
    }

    #[test]
    fn states_and_offload_have_names() {
        assert_eq!(State::Tcp(3).name(), b"ESTABLISHED");
        assert_eq!(State::Tcp(200).name(), b"UNKNOWN");
        let of = |status| Offload::of(status).name();
        assert_eq!(
            [of(0), of(ips::OFFLOAD), of(ips::OFFLOAD | ips::HW_OFFLOAD)],
            [&b"none"[..], b"software", b"hardware"]
        );
    }
}
