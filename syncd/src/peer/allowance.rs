//! What the peer's messages may make us send. Whoever can send from the peer's address can claim gaps, starts and
//! losses without end, and each claim costs him eight or sixteen bytes (sealed-peers.md §9).

use crate::peer::clock::Millis;
use zct_wire::peer::header::CONTROL_LEN;

/// Bytes of an acknowledgement, and of a request to send again.
const ANSWER: u64 = CONTROL_LEN as u64;
/// Bytes of a message's header, which is all that there is of a greeting and of its answer.
const HEADER: u64 = 8;
/// Answers that are allowed whatever has come: per second, and at most at once. A quiet link loses messages too.
const ANSWERS_A_SECOND: u64 = 4;
const ANSWERS_AT_ONCE: u64 = 256;
/// Records that have gone out unasked and may be asked for in addition to a table's worth.
const UNASKED_MAX: u64 = 1024;
/// A thousandth of a byte and of a record, so that each millisecond counts.
const WHOLE: u64 = 1000;

/// Bytes for acknowledgements and requests: as many as have been received. Records that are sent because the peer
/// has asked for them, by their numbers or all together: as many as there are in a second, and one for each that is
/// sent unasked.
#[derive(Debug)]
pub(crate) struct Allowance {
    // Less than nothing when an acknowledgement had to be cut into several.
    bytes: i64,
    // Less than nothing when leaves went that nothing was left for.
    records: i64,
    at: Millis,
    // Records that a bulk would send.
    table: u64,
    // A bulk waits until there are as many: then what is asked for by its number comes with it.
    saves: bool,
}

impl Allowance {
    pub(crate) fn new(now: Millis) -> Allowance {
        Allowance {
            bytes: ANSWERS_AT_ONCE as i64 * thousandths(ANSWER),
            records: 0,
            at: now,
            table: 0,
            saves: false,
        }
    }

    /// Time has passed, and there are `records` that a bulk would send.
    pub(crate) fn refill(&mut self, now: Millis, records: usize) {
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        self.earn(passed.saturating_mul(ANSWERS_A_SECOND * ANSWER));
        let before = self.most();
        self.table = records as u64;
        // What has come to the table since then has not been asked for yet.
        let grown = self.most().saturating_sub(before);
        let gained = passed.saturating_mul(self.table).saturating_add(grown);
        self.records = self.records.saturating_add_unsigned(gained).min(signed(self.most()));
    }

    /// Records that may go at once, in thousandths; none before it is known how many there are.
    fn most(&self) -> u64 {
        let unasked = if self.table > 0 { UNASKED_MAX } else { 0 };
        self.table.saturating_add(unasked).saturating_mul(WHOLE)
    }

    /// A message has come, with a body of this many bytes.
    pub(crate) fn received(&mut self, body: usize) {
        self.earn((HEADER + body as u64) * WHOLE);
    }

    fn earn(&mut self, thousandths_of_bytes: u64) {
        let most = ANSWERS_AT_ONCE as i64 * thousandths(ANSWER);
        self.bytes = self.bytes.saturating_add_unsigned(thousandths_of_bytes).min(most);
    }

    /// Whether what a gap asks for may be sent: an acknowledgement and a request.
    pub(crate) fn has_answers(&self) -> bool {
        self.bytes >= 2 * thousandths(ANSWER)
    }

    /// An acknowledgement or a request goes out.
    pub(crate) fn answers(&mut self) {
        self.bytes = self.bytes.saturating_sub(thousandths(ANSWER));
    }

    /// The answer to a greeting goes out.
    pub(crate) fn greets(&mut self) {
        self.bytes = self.bytes.saturating_sub(thousandths(HEADER));
    }

    /// Spends an acknowledgement or a request that is sent again; false when none is left.
    pub(crate) fn answer_again(&mut self) -> bool {
        let has = self.bytes >= thousandths(ANSWER);
        if has {
            self.answers();
        }
        has
    }

    /// Spends a record that is sent again; false when none is left, or a bulk waits, which has it.
    pub(crate) fn record_again(&mut self) -> bool {
        let has = !self.saves && self.records >= thousandths(1);
        if has {
            self.leaf_again();
        }
        has
    }

    /// A record is sent again with its leaf.
    pub(crate) fn leaf_again(&mut self) {
        self.records = self.records.saturating_sub(thousandths(1));
    }

    /// When the bulk that is wanted at `now` may begin. While it waits nothing else is spent.
    pub(crate) fn bulk_from(&mut self, now: Millis) -> Millis {
        let missing = signed(self.table.saturating_mul(WHOLE)).saturating_sub(self.records).max(0);
        self.saves = missing > 0;
        now.saturating_add(missing.unsigned_abs().div_ceil(self.table.max(1)))
    }

    /// A bulk begins that the peer has asked for or needs.
    pub(crate) fn bulk(&mut self) {
        self.records = self.records.saturating_sub(signed(self.table.saturating_mul(WHOLE)));
        self.saves = false;
    }

    /// A record is sent that nobody has asked for.
    pub(crate) fn unasked(&mut self) {
        self.records = self.records.saturating_add(thousandths(1)).min(signed(self.most()));
    }
}

fn signed(thousandths: u64) -> i64 {
    i64::try_from(thousandths).unwrap_or(i64::MAX)
}

const fn thousandths(bytes: u64) -> i64 {
    (bytes * WHOLE) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_as_long_as_what_came() {
        let mut a = Allowance::new(0);
        let spent = |a: &mut Allowance| std::iter::from_fn(|| a.answer_again().then_some(())).count();
        assert_eq!(spent(&mut a) as u64, ANSWERS_AT_ONCE);
        a.received(39);
        assert!(a.has_answers());
        assert_eq!((spent(&mut a), a.has_answers()), (2, false));
        // The rest of that, and a second.
        a.refill(1000, 0);
        assert_eq!(spent(&mut a) as u64, ANSWERS_A_SECOND);
        a.refill(1_000_000_000, 0);
        assert_eq!(spent(&mut a) as u64, ANSWERS_AT_ONCE);
    }

    #[test]
    fn records_are_a_table_a_second_and_what_went_unasked() {
        let mut a = Allowance::new(0);
        let spent = |a: &mut Allowance| std::iter::from_fn(|| a.record_again().then_some(())).count();
        // All that there are may be lost at once.
        a.refill(0, 5000);
        assert_eq!(spent(&mut a) as u64, 5000 + UNASKED_MAX);
        a.refill(500, 5000);
        assert_eq!(spent(&mut a), 2500);
        (0..10).for_each(|_| a.unasked());
        assert_eq!(spent(&mut a), 10);
        a.refill(60_000, 100);
        assert_eq!(spent(&mut a) as u64, 100 + UNASKED_MAX);
    }

    #[test]
    fn a_bulk_is_spent_like_what_is_asked_for_by_number() {
        let mut a = Allowance::new(0);
        let spent = |a: &mut Allowance| std::iter::from_fn(|| a.record_again().then_some(())).count();
        a.refill(0, 5000);
        assert_eq!(a.bulk_from(0), 0);
        a.bulk();
        assert_eq!(spent(&mut a) as u64, UNASKED_MAX);
        // The next one has to wait, and gets what is left after that, whoever asks for records meanwhile.
        assert_eq!(a.bulk_from(0), 1000);
        a.refill(999, 5000);
        assert_eq!((spent(&mut a), a.bulk_from(999)), (0, 1000));
        a.refill(1000, 5000);
        assert_eq!(a.bulk_from(1000), 1000);
        a.bulk();
        assert_eq!(spent(&mut a), 0);
        // Leaves go on credit.
        (0..5000).for_each(|_| a.leaf_again());
        assert_eq!(a.bulk_from(1000), 3000);
        // Of nothing there is always enough.
        a.refill(1000, 0);
        a.bulk();
        let mut empty = Allowance::new(0);
        assert_eq!((empty.bulk_from(5), empty.record_again()), (5, false));
    }
}
