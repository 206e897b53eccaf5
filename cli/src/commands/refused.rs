//! Entries of a bulk change that the kernel refused. The others are changed all the same; the first few
//! refused ones are named with the reason, and all are counted.

use crate::fail::{Doing, Name, errno_words};
use zct_engine::{Error, SystemZone};
use zct_wire::flow::FlowView;
use zct_wire::text::{Out, Style, TextContext, line};

/// How many are named: a table may have a million of them.
const NAMED: u64 = 10;
/// The longest line that names one; a longer one is cut.
const LINE_MAX: usize = 1024;

/// Names the first refused entries and counts all.
#[derive(Debug)]
pub(super) struct Refused {
    name: Name,
    count: u64,
}

impl Refused {
    pub(super) fn new(name: Name) -> Refused {
        Refused { name, count: 0 }
    }

    /// Counts this flow, and says why it was refused if it is among the first.
    pub(super) fn note(&mut self, f: &FlowView<'_>, why: &str) {
        self.count += 1;
        if self.count <= NAMED {
            self.name.say(format!("Operation failed: {why}: {}", shown(f)).as_bytes());
        } else if self.count == NAMED + 1 {
            self.name.say(b"Operation failed: more flow entries were refused; they are counted");
        }
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

/// The flow as `-L` shows it.
fn shown(f: &FlowView<'_>) -> String {
    let mut buf = [0; LINE_MAX];
    let mut out = Out::new(&mut buf);
    let context = TextContext { now_s: 0, zone: &SystemZone::default(), labels: None };
    // If a member cannot be read, the line shows what comes before it.
    _ = line::flow(&mut out, f, &Style::default(), &context);
    String::from_utf8_lossy(out.written()).into_owned()
}

/// A refusal in the words of its errno, followed by what they mean here.
pub(super) fn explained(doing: Doing, error: &Error, meaning: Option<&str>) -> String {
    let words = error.errno().map_or_else(|| error.to_string(), |errno| errno_words(doing, errno));
    meaning.map_or(words.clone(), |m| format!("{words} ({m})"))
}

/// Why `EXPECTED` is refused.
pub(super) const EXPECTED: &str =
    "EXPECTED is set by the kernel alone, together with the flow that expected this one";

/// `N flow entries could not be WHAT`, when there were any.
pub(super) fn summary(count: u64, what: &str) -> Option<String> {
    (count > 0).then(|| format!("{count} flow entries could not be {what}"))
}
