//! How flows have ended, by protocol: `-s protocol`, which the original does not have.

use crate::peer::Millis;
use crate::store::FlowStore;
use std::fmt::Write as _;
use zct_wire::WireError;
use zct_wire::consts::ips;
use zct_wire::flow::{Counters, Dir, FlowView};
use zct_wire::tracked;

/// The counts of one protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ProtocolCounts {
    assured: u64,
    replied: u64,
    unreplied: u64,
    packets: u64,
    bytes: u64,
}

/// Counts of ended flows: how far they had got, and their traffic if the kernel counts it
/// (`net.netfilter.nf_conntrack_acct`).
///
/// # Allocation
/// 10 KiB, made once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended(Box<[ProtocolCounts; 256]>);

impl Default for Ended {
    fn default() -> Self {
        Ended(Box::new([ProtocolCounts::default(); 256]))
    }
}

impl Ended {
    /// Counts a flow by its destroy event.
    ///
    /// # Errors
    /// When an attribute cannot be read; then nothing has been counted.
    pub fn count(&mut self, view: &FlowView<'_>) -> Result<(), WireError> {
        let proto = view.orig_shape()?.proto();
        let status = view.status()?.unwrap_or(0);
        let counters = [view.counters(Dir::Orig)?, view.counters(Dir::Reply)?];
        let Some(row) = self.0.get_mut(usize::from(proto)) else { return Ok(()) };
        // Only the furthest state that it reached counts.
        let result = match status {
            s if s & ips::ASSURED != 0 => &mut row.assured,
            s if s & ips::SEEN_REPLY != 0 => &mut row.replied,
            _ => &mut row.unreplied,
        };
        *result += 1;
        for Counters { packets, bytes } in counters.into_iter().flatten() {
            row.packets = row.packets.wrapping_add(packets);
            row.bytes = row.bytes.wrapping_add(bytes);
        }
        Ok(())
    }

    /// Bytes and packets of all ended flows: "traffic processed".
    pub fn traffic(&self) -> (u64, u64) {
        self.0.iter().fold((0, 0), |(bytes, packets), r| {
            (bytes.wrapping_add(r.bytes), packets.wrapping_add(r.packets))
        })
    }

    /// One line for each protocol that `store` has flows of, or that has ended ones. `uptime` says how long
    /// has been counted.
    pub fn report(&self, out: &mut String, store: &FlowStore, uptime: Millis) {
        // Writing to a String cannot fail.
        _ = writeln!(out, "flows by protocol, ended ones of the last {} seconds:", uptime / 1000);
        _ = writeln!(
            out,
            "{:<10} {:>12} {:>12} {:>12} {:>12} {:>20} {:>20}",
            "protocol", "current", "assured", "replied", "unreplied", "packets", "bytes"
        );
        for (proto, row) in (0..=u8::MAX).zip(self.0.iter()) {
            let current = store.count_of(proto);
            if current == 0 && *row == ProtocolCounts::default() {
                continue;
            }
            let name = tracked::name(proto).map_or_else(|| proto.to_string(), str::to_owned);
            _ = writeln!(
                out,
                "{name:<10} {current:>12} {:>12} {:>12} {:>12} {:>20} {:>20}",
                row.assured, row.replied, row.unreplied, row.packets, row.bytes
            );
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::build::{Builder, Head};
    use zct_wire::consts::cta;
    use zct_wire::header::{CtMsg, Frames};
    use zct_wire::tuple::{Addr, Tuple};

    fn destroy(proto: u8, status: u32, counters: bool) -> Vec<u8> {
        let mut buf = [0; 1024];
        let mut b = Builder::new(&mut buf, Head::new(0x102, 0).family(2));
        let tuple = Tuple {
            src: Some(Addr::V4([10, 0, 0, 1])),
            dst: Some(Addr::V4([10, 0, 0, 2])),
            proto: Some(proto),
            ..Tuple::default()
        };
        tuple.build(&mut b, cta::TUPLE_ORIG);
        b.put_be32(cta::STATUS, status);
        if counters {
            for (kind, packets, bytes) in [(cta::COUNTERS_ORIG, 6u64, 300u64), (cta::COUNTERS_REPLY, 4, 200)]
            {
                b.nest(kind, |b| _ = b.put(1, &packets.to_be_bytes()).put(2, &bytes.to_be_bytes()));
            }
        }
        b.finish().unwrap().to_vec()
    }

    #[test]
    fn flows_are_counted_by_how_far_they_came() {
        let mut ended = Ended::default();
        for (proto, status, counters) in [
            (6, ips::SEEN_REPLY | ips::ASSURED, true),
            (6, ips::SEEN_REPLY, true),
            (6, 0, false),
            (99, 0, false),
        ] {
            let bytes = destroy(proto, status, counters);
            let msg = CtMsg::parse(Frames::new(&bytes).next().unwrap().unwrap()).unwrap();
            ended.count(&FlowView::index(msg).unwrap()).unwrap();
        }
        assert_eq!(ended.traffic(), (1000, 20));
        let mut out = String::new();
        ended.report(&mut out, &FlowStore::new(1, [1, 2]), 61_000);
        let lines: Vec<Vec<&str>> = out.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..4], ["flows", "by", "protocol,", "ended"]);
        assert_eq!(lines[2], ["tcp", "0", "1", "1", "1", "20", "1000"]);
        assert_eq!(lines[3], ["99", "0", "0", "0", "1", "0", "0"]);
    }
}
