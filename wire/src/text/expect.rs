//! The line of an expectation (command-line.md §3.4).

use super::{EventTime, Out, line};
use crate::consts::nf_ct_expect;
use crate::error::WireError;
use crate::expect::ExpectView;
use crate::tuple::Tuple;

/// The flags of an expectation by name, and which of them are set.
pub(super) fn flags(e: &ExpectView<'_>) -> Result<[(&'static [u8], bool); 3], WireError> {
    let flags = e.flags()?.unwrap_or(0);
    let flag = |name: &'static [u8], bit: u32| (name, flags & bit != 0);
    Ok([
        flag(b"PERMANENT", nf_ct_expect::PERMANENT),
        flag(b"INACTIVE", nf_ct_expect::INACTIVE),
        flag(b"USERSPACE", nf_ct_expect::USERSPACE),
    ])
}

/// Appends one expectation without a newline.
///
/// # Errors
/// The error of the first attribute that is shown and cannot be read; what was written before it stays in
/// `out`. Text that does not fit is not an error here: see [`Out::is_full`].
pub fn line(out: &mut Out<'_>, e: &ExpectView<'_>) -> Result<(), WireError> {
    let expected = e.tuple_expected()?.unwrap_or_default();
    if let Some(t) = e.timeout_s()? {
        out.u32(t);
        out.byte(b' ');
    }
    out.lit(b"proto=");
    out.u32(u32::from(expected.proto.unwrap_or(0)));
    out.byte(b' ');
    part(out, b"", &expected);
    part(out, b"mask-", &e.mask()?.unwrap_or_default());
    part(out, b"master-", &e.master()?.unwrap_or_default());
    if let Some(z) = e.zone()? {
        out.lit(b"zone=");
        out.u32(u32::from(z));
        out.byte(b' ');
    }
    if e.flags()?.is_some_and(|f| f != 0) {
        let mut separator: &[u8] = b"";
        for (name, _) in flags(e)?.into_iter().filter(|(_, set)| *set) {
            out.put(separator);
            out.put(name);
            separator = b",";
        }
        // The original prints this blank even when no flag has a name.
        out.byte(b' ');
    }
    if let Some(c) = e.class()? {
        out.lit(b"class=");
        out.u32(c);
        out.byte(b' ');
    }
    if let Some(name) = e.helper() {
        out.lit(b"helper=");
        out.put(name);
    }
    out.trim_blank();
    Ok(())
}

/// Addresses and ports of one tuple, with a word before the addresses. Each tuple is written by its own
/// protocol: PPTP, over TCP, expects GRE.
fn part(out: &mut Out<'_>, prefix: &[u8], t: &Tuple) {
    for (name, addr) in [(&b"src="[..], &t.src), (b"dst=", &t.dst)] {
        out.put(prefix);
        out.put(name);
        if let Some(a) = addr {
            out.addr(a);
        }
        out.byte(b' ');
    }
    line::layer4(out, t, t.proto.unwrap_or(0));
}

/// The time before an expectation (`-o timestamp`): microseconds padded with blanks on the right, unlike
/// those of flows.
pub fn timestamp(out: &mut Out<'_>, t: EventTime) {
    out.byte(b'[');
    left(out, t.sec, 8);
    out.byte(b'.');
    left(out, u64::from(t.usec), 6);
    out.lit(b"]\t");
}

/// A number, padded with blanks on the right to `width`.
fn left(out: &mut Out<'_>, v: u64, width: u32) {
    out.u64(v);
    for _ in v.checked_ilog10().unwrap_or(0).saturating_add(1)..width {
        out.byte(b' ');
    }
}
