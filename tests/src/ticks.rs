//! Values that count seconds, which are all that two looks at an unchanged table may differ in.
//!
//! Waiting for a moment in which nothing ticks could take forever on a loaded machine. Instead these values
//! are taken out: the rest has to be equal, and they may differ by the time that has passed.

use crate::mask::Mask;
use std::collections::HashMap;
use std::time::Duration;

const PLACES: [&str; 2] = ["<TIMEOUT>", "<DELTA>"];

/// The text without the values that count seconds: timeouts and ages.
pub fn still(text: &str) -> String {
    (Mask::TIMEOUT | Mask::DELTA_TIME).apply(text)
}

/// The values that were taken out of a line.
fn values(line: &str, still: &str) -> Option<Vec<u64>> {
    let mut found = Vec::new();
    let (mut line, mut still) = (line, still);
    while let Some((at, len)) = PLACES.iter().filter_map(|p| Some((still.find(p)?, p.len()))).min() {
        line = line.strip_prefix(&still[..at])?;
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        found.push(line[..digits].parse().ok()?);
        (line, still) = (&line[digits..], &still[at + len..]);
    }
    (line == still).then_some(found)
}

/// The first line of `ours` whose seconds differ from those of the same line of `theirs` by more than has
/// `passed`, plus the second that may just have been completed. Lines that only one side has are skipped.
pub fn too_far(ours: &str, theirs: &str, passed: Duration) -> Option<String> {
    let tolerance = passed.as_secs() + 1;
    let there: HashMap<String, &str> = theirs.lines().map(|l| (still(l), l)).collect();
    ours.lines().find_map(|line| {
        let still = still(line);
        let other = there.get(&still)?;
        let near = match (values(line, &still), values(other, &still)) {
            (Some(a), Some(b)) => a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= tolerance),
            _ => false,
        };
        (!near).then(|| format!("more than {tolerance} s apart:\n- {other}\n+ {line}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_differ_by_what_has_passed() {
        let line = |timeout: u32, age: u32| {
            format!("udp      17 {timeout} src=1.1.1.1 dst=2.2.2.2 mark=0 delta-time={age} use=1\n")
        };
        let xml =
            |timeout: u32| format!("<flow><timeout>{timeout}</timeout><deltatime>1</deltatime></flow>\n");
        assert_eq!(still(&line(5, 1)), still(&line(999, 20)));
        let far = |a: &str, b: &str, s| too_far(a, b, Duration::from_secs(s)).is_some();
        assert!(!far(&line(100, 7), &line(101, 6), 0));
        assert!(far(&line(100, 7), &line(102, 7), 0) && !far(&line(100, 7), &line(102, 7), 1));
        assert!(far(&line(100, 7), &line(100, 4), 1));
        assert!(far(&xml(5), &xml(9), 2) && !far(&xml(5), &xml(8), 2));
        assert!(!far("-A -t 5 -u UNSET\n", "-A -t 6 -u UNSET\n", 0));
        assert!(!far(&line(1, 1), "another\n", 0));
    }
}
