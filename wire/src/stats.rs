//! Counters of conntrack itself: per CPU and global (ctnetlink.md §3.7, §8).

use crate::attr::{self, Attrs};
use crate::consts::cta_stats_global;
use crate::error::WireError;
use crate::header::CtMsg;

/// Per-CPU counters: one message for each possible CPU.
#[derive(Clone, Copy, Debug)]
pub struct CpuStats<'a> {
    /// CPU number, from the header.
    pub cpu: u16,
    attrs: Attrs<'a>,
}

impl<'a> CpuStats<'a> {
    /// Reads a reply to GET_STATS_CPU of either subsystem.
    pub fn new(msg: CtMsg<'a>) -> Self {
        CpuStats { cpu: msg.nf.res_id.get(), attrs: msg.attrs() }
    }

    /// Attribute number and value in the order sent. Values are `u32` and wrap around.
    pub fn counters(&self) -> impl Iterator<Item = Result<(u16, u32), WireError>> + use<'a> {
        self.attrs.map(|a| a.and_then(|a| Ok((a.kind, attr::be32("CTA_STATS", a.value)?))))
    }
}

/// What the reply to GET_STATS says about the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalStats {
    /// Flows in this namespace.
    pub entries: Option<u32>,
    /// The limit: nf_conntrack_max.
    pub max_entries: Option<u32>,
}

impl GlobalStats {
    /// Reads the reply to GET_STATS; counters of other numbers are skipped.
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies; [`WireError::BadValue`] when a number has fewer than four bytes.
    pub fn parse(msg: CtMsg<'_>) -> Result<Self, WireError> {
        let mut out = GlobalStats::default();
        for a in msg.attrs() {
            let a = a?;
            match a.kind {
                cta_stats_global::ENTRIES => {
                    out.entries = Some(attr::be32("CTA_STATS_GLOBAL_ENTRIES", a.value)?);
                }
                cta_stats_global::MAX_ENTRIES => {
                    out.max_entries = Some(attr::be32("CTA_STATS_GLOBAL_MAX_ENTRIES", a.value)?);
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
    use crate::build::{Builder, Head};
    use crate::header::Frames;
    use std::vec::Vec;

    #[test]
    fn counters_come_in_their_order_and_short_ones_are_errors() {
        let mut buf = [0; 128];
        let mut b = Builder::new(&mut buf, Head::new(0x104, 0).flags(2));
        b.put_be32(2, 10).put_be32(16, 7).put(4, &[1]);
        let bytes = b.finish().unwrap();
        let msg = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
        let got: Vec<_> = CpuStats::new(msg).counters().collect();
        assert_eq!(got[..2], [Ok((2, 10)), Ok((16, 7))]);
        assert!(got[2].is_err());
        let mut b = Builder::new(&mut buf, Head::new(0x105, 0).flags(2));
        b.put_be32(1, 3).put_be32(2, 99);
        let bytes = b.finish().unwrap();
        let msg = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
        assert_eq!(GlobalStats::parse(msg), Ok(GlobalStats { entries: Some(3), max_entries: Some(99) }));
    }
}
