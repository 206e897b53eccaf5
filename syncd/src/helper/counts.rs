//! What helpers have done, by type, and how it travels from their process to the daemon: as lines of numbers.

use std::fmt::Write as _;
use zct_helpers::Refusal;

/// The counters of one type. They start at 0 with the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HelperCounts {
    /// Packets that the kernel has queued.
    pub packets: u64,
    /// Those with something in them for the helper.
    pub matched: u64,
    /// Expectations that the kernel has taken, or that went with a verdict.
    pub made: u64,
    /// Packets that went on with other text.
    pub mangled: u64,
    /// Packets that nobody may look into: fragments, or not whole.
    pub unread: u64,
    /// Packets that the kernel let pass or dropped because the queue or its socket was full.
    pub dropped: u64,
    /// Announcements that were not followed, by [`Refusal::index`].
    pub refused: [u64; Refusal::ALL.len()],
}

impl HelperCounts {
    fn numbers(&self) -> impl Iterator<Item = u64> {
        let six = [self.packets, self.matched, self.made, self.mangled, self.unread, self.dropped];
        six.into_iter().chain(self.refused)
    }

    /// All numbers in one line.
    pub fn line(&self) -> String {
        self.numbers().fold(String::new(), |mut line, n| {
            let between = if line.is_empty() { "" } else { " " };
            _ = write!(line, "{between}{n}");
            line
        })
    }

    /// Reads such a line; `None` for anything else.
    pub fn parse(line: &str) -> Option<HelperCounts> {
        let mut words = line.split(' ').map(|w| w.parse().ok());
        let mut next = || words.next().flatten();
        let mut counts = HelperCounts {
            packets: next()?,
            matched: next()?,
            made: next()?,
            mangled: next()?,
            unread: next()?,
            dropped: next()?,
            refused: [0; Refusal::ALL.len()],
        };
        for place in &mut counts.refused {
            *place = next()?;
        }
        words.next().is_none().then_some(counts)
    }

    /// All but what was refused, with the names that they have in status and metrics.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("packets", self.packets),
            ("matched", self.matched),
            ("expectations", self.made),
            ("mangled", self.mangled),
            ("unreadable", self.unread),
            ("queue_drops", self.dropped),
        ]
    }

    /// Announcements that were not followed for this reason.
    pub fn of(&self, why: Refusal) -> u64 {
        self.refused.get(why.index()).copied().unwrap_or(0)
    }

    /// All announcements that were not followed.
    pub fn refusals(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// The sum of two.
    #[must_use]
    pub fn plus(mut self, other: &HelperCounts) -> HelperCounts {
        self.packets += other.packets;
        self.matched += other.matched;
        self.made += other.made;
        self.mangled += other.mangled;
        self.unread += other.unread;
        self.dropped += other.dropped;
        self.refused.iter_mut().zip(other.refused).for_each(|(sum, n)| *sum += n);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back() {
        let mut counts = HelperCounts { packets: u64::MAX, made: 3, ..HelperCounts::default() };
        counts.refused[Refusal::Kernel.index()] = 7;
        assert_eq!(HelperCounts::parse(&counts.line()), Some(counts));
        for bad in ["", "1 2 3", "x", &format!("{} 1", counts.line()), &counts.line().replace('7', "-7")] {
            assert_eq!(HelperCounts::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn sums_have_every_number() {
        let one = HelperCounts::parse(&vec!["1"; 6 + Refusal::ALL.len()].join(" ")).unwrap();
        let two = HelperCounts::parse(&vec!["2"; 6 + Refusal::ALL.len()].join(" ")).unwrap();
        assert_eq!((one.plus(&one), two.refusals()), (two, 2 * Refusal::ALL.len() as u64));
    }
}
