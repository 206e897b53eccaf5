//! Text that people and scripts read: the conntrack line, `-o save`, XML, JSON, expectations, statistics,
//! timeout policies and helpers, metrics.
//!
//! Byte for byte what the original prints (command-line.md §3, §4), except JSON and metrics, which are ours.
//! Everything is written into an [`Out`] without allocation and without `core::fmt`. Renderers fail with the
//! first attribute that cannot be read; the caller rewinds the [`Out`] and counts the message as damaged.

pub mod addr;
pub mod escape;
pub mod expect;
pub mod facts;
pub mod json;
pub mod line;
pub mod metrics;
pub mod nfct;
pub mod out;
pub mod save;
pub mod stats;
pub mod xml;

pub use facts::Facts;
pub use out::Out;

/// A broken-down local time; the fields of `struct tm` in their own ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalTime {
    /// Full year, 2026 for example.
    pub year: i32,
    /// 0 to 11.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub min: u8,
    /// 0 to 60.
    pub sec: u8,
    /// Days since Sunday, 0 to 6.
    pub wday: u8,
}

/// The caller's time zone.
pub trait TimeZone {
    /// Local time of a moment in seconds since the epoch.
    fn local(&self, unix_s: i64) -> LocalTime;
}

/// The names of label bits (connlabel.conf).
pub trait LabelNames {
    /// The name of bit `bit`, 0 to 127, if it has one. What has none is shown with [`UNNAMED_LABEL`].
    fn name(&self, bit: u16) -> Option<&[u8]>;
}

/// What is put before the number of a label bit without a name: `bit-17`. Names may consist of letters,
/// digits, blanks and hyphens, so this can be read wherever a name can.
pub const UNNAMED_LABEL: &[u8; 4] = b"bit-";

/// What rendering needs besides the flow itself. This crate does no I/O, so the caller fills it in.
#[derive(Clone, Copy)]
pub struct TextContext<'a> {
    /// Seconds since the epoch, for the age of a flow.
    pub now_s: u64,
    /// Local time, for the times of `-o ktimestamp` and XML.
    pub zone: &'a dyn TimeZone,
    /// Label names; `None` leaves labels out of the text altogether, including those without a name.
    pub labels: Option<&'a dyn LabelNames>,
}

/// Which optional parts to print; the words of `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// `extended`: layer 3 name and number in front.
    pub extended: bool,
    /// `id`: the flow's id.
    pub id: bool,
    /// `ktimestamp`: when the flow began and ended.
    pub ktimestamp: bool,
    /// `timestamp`: when the event was reported (XML puts it inside the element).
    pub timestamp: bool,
}

/// The time at which an event was reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventTime {
    /// Seconds since the epoch.
    pub sec: u64,
    /// Microseconds, below a million.
    pub usec: u32,
}

impl EventTime {
    /// Converts nanoseconds since the epoch, which is what the kernel sends.
    pub fn from_ns(ns: u64) -> EventTime {
        let usec = ns / 1_000;
        EventTime { sec: usec / 1_000_000, usec: (usec % 1_000_000) as u32 }
    }
}

/// Name of a layer 4 protocol as the original prints it; `unknown` for those it does not track.
pub fn proto_name(num: u8) -> &'static [u8] {
    crate::tracked::name(num).unwrap_or("unknown").as_bytes()
}

/// Name of a layer 3 protocol as the original prints it.
pub fn family_name(family: u8) -> &'static [u8] {
    use crate::consts::af;
    match family {
        af::INET => b"ipv4",
        af::INET6 => b"ipv6",
        _ => b"unknown",
    }
}

impl Out<'_> {
    /// Appends the stand-in for the name of a label bit that has none.
    pub(crate) fn unnamed_label(&mut self, bit: u16) {
        self.lit(UNNAMED_LABEL);
        self.u32(u32::from(bit));
    }

    /// Appends a time in the form of `ctime(3)` without its newline: `Mon Nov 23 16:40:43 2026`.
    pub fn ctime(&mut self, t: &LocalTime) {
        const DAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
        const MONTHS: [&[u8; 3]; 12] =
            [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
        self.lit(DAYS.get(usize::from(t.wday)).copied().unwrap_or(b"???"));
        self.byte(b' ');
        self.lit(MONTHS.get(usize::from(t.month)).copied().unwrap_or(b"???"));
        self.byte(b' ');
        if t.day < 10 {
            self.byte(b' ');
        }
        self.u32(u32::from(t.day));
        self.byte(b' ');
        self.padded(u64::from(t.hour), 2);
        self.byte(b':');
        self.padded(u64::from(t.min), 2);
        self.byte(b':');
        self.padded(u64::from(t.sec), 2);
        self.byte(b' ');
        self.i64(i64::from(t.year));
    }
}
