//! The lines of `-S` (command-line.md §3.5).

use super::Out;
use crate::error::WireError;
use crate::stats::CpuStats;

/// Names of CTA_STATS_* by number, from 1; then those for counters newer than the original.
const FLOWS: [&[u8]; 19] = [
    b"searched",
    b"found",
    b"new",
    b"invalid",
    b"ignore",
    b"delete",
    b"delete_list",
    b"insert",
    b"insert_failed",
    b"drop",
    b"early_drop",
    b"error",
    b"search_restart",
    b"clash_resolve",
    b"chaintoolong",
    b"unknown1",
    b"unknown2",
    b"unknown3",
    b"unknown4",
];

/// Names of CTA_STATS_EXP_* by number, from 1.
const EXPECTATIONS: [&[u8]; 3] = [b"expect_new", b"expect_create", b"expect_delete"];

/// Which counters a message holds. The same attribute number means something else in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterSet {
    /// Counters of flows.
    Flows,
    /// Counters of expectations.
    Expectations,
}

impl CounterSet {
    /// Names by attribute number, from 1.
    fn names(self) -> &'static [&'static [u8]] {
        match self {
            CounterSet::Flows => &FLOWS,
            CounterSet::Expectations => &EXPECTATIONS,
        }
    }

    /// Runs `write` for each counter that was sent and has a name, in the order of their numbers, which is
    /// the kernel's.
    fn each(self, stats: &CpuStats<'_>, mut write: impl FnMut(&'static [u8], u32)) -> Result<(), WireError> {
        // Everything is read before anything is written: of a counter sent twice the last value counts, as
        // with every attribute, and a JSON object must not have a member twice.
        let mut values = [None; FLOWS.len()];
        for counter in stats.counters() {
            let (kind, value) = counter?;
            if let Some(v) = usize::from(kind).checked_sub(1).and_then(|i| values.get_mut(i)) {
                *v = Some(value);
            }
        }
        for (name, value) in self.names().iter().zip(values) {
            if let Some(v) = value {
                write(name, v);
            }
        }
        Ok(())
    }
}

/// Appends the counters of one CPU without a newline; the blank at the end belongs to the format.
///
/// # Errors
/// [`WireError`] for the first counter that cannot be read: its header, or a value of fewer than four bytes.
/// The CPU's number has been written by then.
pub fn line(out: &mut Out<'_>, stats: &CpuStats<'_>, which: CounterSet) -> Result<(), WireError> {
    out.lit(b"cpu=");
    out.u32(u32::from(stats.cpu));
    for _ in stats.cpu.checked_ilog10().unwrap_or(0).saturating_add(1)..4 {
        out.byte(b' ');
    }
    out.byte(b'\t');
    which.each(stats, |name, value| {
        out.put(name);
        out.byte(b'=');
        out.u32(value);
        out.byte(b' ');
    })
}

/// Appends the counters of one CPU as a JSON object without a newline.
///
/// # Errors
/// As [`line()`]: the object is left without its end.
pub fn json(out: &mut Out<'_>, stats: &CpuStats<'_>, which: CounterSet) -> Result<(), WireError> {
    out.lit(b"{\"cpu\":");
    out.u32(u32::from(stats.cpu));
    which.each(stats, |name, value| {
        out.lit(b",\"");
        out.put(name);
        out.lit(b"\":");
        out.u32(value);
    })?;
    out.byte(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Builder, Head};
    use crate::header::{CtMsg, Frames};
    use std::string::String;

    #[test]
    fn a_line_and_an_object_with_newer_counters() {
        let mut buf = [0; 128];
        let mut b = Builder::new(&mut buf, Head::new(0x104, 0).flags(2));
        b.put_be32(2, 9).put_be32(2, 10).put_be32(15, 4_294_967_295).put_be32(16, 7).put_be32(20, 9);
        let mut bytes = b.finish().unwrap().to_vec();
        bytes[19] = 12; // res_id: the CPU, big endian
        let msg = CtMsg::parse(Frames::new(&bytes).next().unwrap().unwrap()).unwrap();
        let stats = CpuStats::new(msg);
        let mut text = [0; 256];
        let mut out = Out::new(&mut text);
        line(&mut out, &stats, CounterSet::Flows).unwrap();
        out.byte(b'\n');
        json(&mut out, &stats, CounterSet::Flows).unwrap();
        let want = "cpu=12  \tfound=10 chaintoolong=4294967295 unknown1=7 \n\
                    {\"cpu\":12,\"found\":10,\"chaintoolong\":4294967295,\"unknown1\":7}";
        assert_eq!(String::from_utf8_lossy(out.written()), want);
        let mut out = Out::new(&mut text);
        line(&mut out, &stats, CounterSet::Expectations).unwrap();
        assert_eq!(out.written(), b"cpu=12  \texpect_create=10 ");
    }
}
