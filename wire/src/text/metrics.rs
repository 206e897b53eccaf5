//! Metrics in the text format of Prometheus, version 0.0.4.
//!
//! A family is a constant with its name, its type and its help. Its head, HELP and TYPE, is written once and
//! only when it has a sample; what this program does not know is not shown, instead of being shown as 0.
//!
//! ```
//! use zct_wire::text::Out;
//! use zct_wire::text::metrics::{Family, Value};
//!
//! const SENT: Family = Family::counter("link_sent_total", "Datagrams sent.");
//! let mut room = [0; 256];
//! let mut out = Out::new(&mut room);
//! let mut family = SENT.write(&mut out);
//! family.sample(&[("link", b"eth0")], Value::Number(3));
//! family.sample(&[("link", b"eth1")], Value::Number(5));
//! assert_eq!(
//!     out.written(),
//!     b"# HELP link_sent_total Datagrams sent.\n# TYPE link_sent_total counter\n\
//!       link_sent_total{link=\"eth0\"} 3\nlink_sent_total{link=\"eth1\"} 5\n"
//! );
//! ```

use super::Out;
use core::time::Duration;

/// The media type of the text, for a header `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the values of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only ever goes up, except when the program restarts. Its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// Samples of one name that differ in their labels.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name, in letters, digits and underscores.
    pub name: &'static str,
    /// What its values mean.
    pub kind: FamilyKind,
    /// One sentence for people.
    pub help: &'static str,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number. Prometheus keeps it as a double, so above 2^53 it loses its lowest bits there.
    Number(u64),
    /// A time or a length of time in seconds, written down to the microsecond.
    Seconds(Duration),
}

impl From<u32> for Value {
    fn from(v: u32) -> Value {
        Value::Number(u64::from(v))
    }
}

impl From<u64> for Value {
    fn from(v: u64) -> Value {
        Value::Number(v)
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Value {
        Value::Number(u64::from(v))
    }
}

impl From<Duration> for Value {
    fn from(v: Duration) -> Value {
        Value::Seconds(v)
    }
}

impl Family {
    /// A family of counters.
    pub const fn counter(name: &'static str, help: &'static str) -> Family {
        Family { name, kind: FamilyKind::Counter, help }
    }

    /// A family of gauges.
    pub const fn gauge(name: &'static str, help: &'static str) -> Family {
        Family { name, kind: FamilyKind::Gauge, help }
    }

    /// Begins the family; nothing is written before its first sample. All its samples have to follow one
    /// another, since the format allows only one head for each family.
    pub fn write<'o, 'b>(&'static self, out: &'o mut Out<'b>) -> Samples<'o, 'b> {
        Samples { family: self, out, begun: false }
    }

    /// Writes a family that has one sample, without labels.
    pub fn single(&'static self, out: &mut Out<'_>, value: impl Into<Value>) {
        self.write(out).sample(&[], value);
    }

    fn head(&self, out: &mut Out<'_>) {
        out.lit(b"# HELP ");
        out.put(self.name.as_bytes());
        out.byte(b' ');
        escaped(out, self.help, false);
        out.lit(b"\n# TYPE ");
        out.put(self.name.as_bytes());
        out.put(match self.kind {
            FamilyKind::Counter => b" counter\n",
            FamilyKind::Gauge => b" gauge\n",
        });
    }
}

/// The samples of one family on their way out.
#[derive(Debug)]
pub struct Samples<'o, 'b> {
    family: &'static Family,
    out: &'o mut Out<'b>,
    begun: bool,
}

impl Samples<'_, '_> {
    /// Appends a sample with these labels, whose values may be any bytes: what is not UTF-8 becomes the
    /// replacement character. Two samples of a family must not have the same labels.
    pub fn sample(&mut self, labels: &[(&str, &[u8])], value: impl Into<Value>) {
        if !self.begun {
            self.begun = true;
            self.family.head(self.out);
        }
        let out = &mut *self.out;
        out.put(self.family.name.as_bytes());
        for (i, (name, value)) in labels.iter().enumerate() {
            out.byte(if i == 0 { b'{' } else { b',' });
            out.put(name.as_bytes());
            out.lit(b"=\"");
            for chunk in value.utf8_chunks() {
                escaped(out, chunk.valid(), true);
                if !chunk.invalid().is_empty() {
                    out.put("\u{fffd}".as_bytes());
                }
            }
            out.byte(b'"');
        }
        if !labels.is_empty() {
            out.byte(b'}');
        }
        out.byte(b' ');
        match value.into() {
            Value::Number(n) => out.u64(n),
            Value::Seconds(d) => {
                out.u64(d.as_secs());
                out.byte(b'.');
                out.padded(u64::from(d.subsec_micros()), 6);
            }
        }
        out.byte(b'\n');
    }
}

/// Writes text so that it stays on its line, and within its quotes if it has some.
fn escaped(out: &mut Out<'_>, text: &str, quoted: bool) {
    for byte in text.bytes() {
        match byte {
            b'\n' => out.lit(b"\\n"),
            b'\\' => out.lit(b"\\\\"),
            b'"' if quoted => out.lit(b"\\\""),
            other => out.byte(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::ToOwned as _;
    use std::string::String;

    fn text(write: impl FnOnce(&mut Out<'_>)) -> String {
        let mut room = [0; 512];
        let mut out = Out::new(&mut room);
        write(&mut out);
        assert!(!out.is_full());
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    const ODD: Family = Family::gauge("odd", "Both \\ and \"\nin one help.");

    #[test]
    fn a_family_without_samples_is_not_there() {
        assert_eq!(text(|out| _ = ODD.write(out)), "");
    }

    #[test]
    fn help_and_labels_stay_on_their_line() {
        let labels: &[(&str, &[u8])] = &[("a", b"x\"y\\z\n"), ("b", b"\xff\xfeq"), ("c", b"")];
        let want = "# HELP odd Both \\\\ and \"\\nin one help.\n# TYPE odd gauge\n\
                    odd{a=\"x\\\"y\\\\z\\n\",b=\"\u{fffd}\u{fffd}q\",c=\"\"} 1\n";
        assert_eq!(text(|out| ODD.write(out).sample(labels, true)), want);
    }

    #[test]
    fn values_of_every_kind() {
        let value = |v: Value| {
            let text = text(|out| ODD.single(out, v));
            text.rsplit(' ').next().unwrap_or_default().trim_end().to_owned()
        };
        assert_eq!(value(0u32.into()), "0");
        assert_eq!(value(u64::MAX.into()), "18446744073709551615");
        assert_eq!(value(Duration::from_nanos(1_000_002_999).into()), "1.000002");
        assert_eq!(value(Duration::MAX.into()), "18446744073709551615.999999");
    }

    #[test]
    fn a_full_buffer_is_told_and_nothing_cut_short_is_returned() {
        let whole = text(|out| ODD.single(out, 7u32));
        for room in 0..whole.len() {
            let mut buf = [0; 512];
            let mut out = Out::new(&mut buf[..room]);
            ODD.single(&mut out, 7u32);
            assert!(out.is_full() && out.written().is_empty(), "{room}");
        }
    }
}
