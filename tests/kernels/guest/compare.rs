//! When two outputs count as the same although time has passed between them.

/// Tells how `ours` differs from both `before` and `after`, which the other program printed around it.
///
/// Numbers that change with time (timeouts, ages) have to lie between the other program's; everything else
/// has to be equal byte for byte. Nothing is masked, and no clock decides.
pub(crate) fn between(before: &str, ours: &str, after: &str) -> Result<(), String> {
    let lines = [before, ours, after].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    for n in 0..lines.iter().map(Vec::len).max().unwrap_or(0) {
        let [b, o, a] = [0, 1, 2].map(|i| lines[i].get(n).copied().unwrap_or("(no line)"));
        if !line_between(b, o, a) {
            return Err(format!(
                "line {}\n  the original: {b:?}\n  ours:         {o:?}\n  original:     {a:?}",
                n + 1
            ));
        }
    }
    Ok(())
}

fn line_between(before: &str, ours: &str, after: &str) -> bool {
    if ours == before || ours == after {
        return true;
    }
    let [before, ours, after] = [before, ours, after].map(pieces);
    before.len() == ours.len()
        && after.len() == ours.len()
        && before.iter().zip(&ours).zip(&after).all(|((b, o), a)| {
            o == b && o == a
                || [b, o, a].iter().all(|t| t.starts_with(|c: char| c.is_ascii_digit()))
                    && number(b).min(number(a)) <= number(o)
                    && number(o) <= number(b).max(number(a))
        })
}

/// A number in a form that compares: leading zeros do not count, and a longer one is larger.
fn number(text: &str) -> (usize, &str) {
    let text = text.trim_start_matches('0');
    (text.len(), text)
}

/// Splits a line into runs of decimal digits and what is between them.
fn pieces(line: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at(end);
        out.push(piece);
        rest = behind;
    }
    out
}

/// The line with `T` for its timeout, in any format: for a flow that is made twice, once for each program.
pub(crate) fn without_timeout(line: &str) -> String {
    if let Some((head, tail)) = line.split_once("<timeout>") {
        let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit());
        return format!("{head}<timeout>T{tail}");
    }
    let mut words: Vec<&str> = line.split(' ').collect();
    let at = if matches!(words.first(), Some(&("-A" | "-U" | "-D"))) {
        words.iter().position(|w| *w == "-t").map(|at| at + 1)
    } else {
        // An event's tag, layer 3 and its number, layer 4 and its number: the timeout comes after them.
        let mut at = words.iter().take_while(|w| w.is_empty() || w.starts_with('[')).count();
        let named = |w: Option<&&str>| matches!(w, Some(&("ipv4" | "ipv6")));
        let pairs = if named(words.get(at)) { 2 } else { 1 };
        for _ in 0..pairs * 2 {
            at += 1;
            at += words.iter().skip(at).take_while(|w| w.is_empty()).count();
        }
        Some(at)
    };
    let is_number = |w: &&str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit());
    if let Some(word) = at.and_then(|at| words.get_mut(at)).filter(|w| is_number(w)) {
        *word = "T";
    }
    words.join(" ")
}

/// The text with `T` for the timeout in every line.
pub(crate) fn without_timeouts(text: &str) -> String {
    text.split_inclusive('\n').map(without_timeout).collect()
}

/// The text with `…` for what follows `key` up to a blank, a line end or a closing bracket: for ids and other
/// values that are new in every run.
pub(crate) fn without_value(text: &str, key: &str) -> String {
    let mut parts = text.split(key);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([' ', '\n', '<']).unwrap_or(part.len());
        out.push_str(key);
        out.push('…');
        out.push_str(&part[end..]);
    }
    out
}

/// The lines sorted: for outputs whose order nobody promises.
pub(crate) fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    // What a flow has left stands in front of its tuple, and is another from one listing to the next.
    lines.sort_unstable_by_key(|line| (line.split_once("src=").map(|(_, tuple)| tuple), *line));
    lines.concat()
}

/// Fails at the first line in which two texts differ.
pub(crate) fn same(what: &str, original: &str, ours: &str) -> Result<(), String> {
    between(original, ours, original).map_err(|e| format!("{what}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_time_changes_may_differ() {
        let (b, a) = ("udp 17 300 src=10.0.0.1\n", "udp 17 297 src=10.0.0.1\n");
        for good in ["udp 17 300 src=10.0.0.1\n", "udp 17 298 src=10.0.0.1\n", "udp 17 297 src=10.0.0.1\n"] {
            assert_eq!(between(b, good, a), Ok(()));
        }
        for bad in [
            "udp 17 301 src=10.0.0.1\n",
            "udp 17 296 src=10.0.0.1\n",
            "udp 17 298 src=10.0.0.2\n",
            "udp 17 298  src=10.0.0.1\n",
            "udp 17 298 src=10.0.0.1",
            "",
            "udp 17 298 src=10.0.0.1\nmore\n",
        ] {
            assert!(between(b, bad, a).is_err(), "{bad:?}");
        }
        assert_eq!(between("t 100 x\n", "t 99 x\n", "t 98 x\n"), Ok(()));
        assert!(between("t 99 x\n", "t 100 x\n", "t 98 x\n").is_err());
    }

    #[test]
    fn timeouts_are_found_in_every_format() {
        for (line, want) in [
            ("udp      17 299 src=1.2.3.4 use=1\n", "udp      17 T src=1.2.3.4 use=1\n"),
            ("ipv4     2 tcp      6 299 SYN_SENT src=1\n", "ipv4     2 tcp      6 T SYN_SENT src=1\n"),
            ("    [NEW] udp      17 30 src=1\n", "    [NEW] udp      17 T src=1\n"),
            ("[DESTROY] udp      17 src=1\n", "[DESTROY] udp      17 src=1\n"),
            ("tcp      6 src=1 [OFFLOAD] use=2\n", "tcp      6 src=1 [OFFLOAD] use=2\n"),
            ("-A -t 299 -u UNSET -s 1.2.3.4\n", "-A -t T -u UNSET -s 1.2.3.4\n"),
            ("<flow><timeout>12</timeout>\n", "<flow><timeout>T</timeout>\n"),
            ("unknown  50 299 src=1\n", "unknown  50 T src=1\n"),
        ] {
            assert_eq!(without_timeout(line), want);
        }
    }

    #[test]
    fn values_are_cut_out_and_the_rest_stays() {
        assert_eq!(without_value("a id=12 b\nid=3\n", "id="), "a id=… b\nid=…\n");
        assert_eq!(without_value("<id>12</id><x>", "<id>"), "<id>…</id><x>");
        assert_eq!(without_value("none", "id="), "none");
    }
}
