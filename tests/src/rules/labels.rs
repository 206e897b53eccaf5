//! Labels without a name, which the original leaves out and zct shows by number.

use crate::differences::Expected;
use std::collections::{HashMap, VecDeque};

/// Whether a label is shown by number.
fn is_number(label: &str) -> bool {
    label.strip_prefix("bit-").is_some_and(|n| n.parse::<u8>().is_ok_and(|n| n < 128))
}

/// A printed flow without the labels that are shown by number, as the original prints it. Without a map the
/// original prints no labels at all, not even that there are some.
fn named_only(line: &str, has_map: bool) -> String {
    if let Some((before, rest)) = line.split_once("<labels>") {
        let (list, after) = rest.split_once("</labels>").unwrap_or((rest, ""));
        let names = list.split_inclusive("</label>").filter(|l| {
            let name = l.strip_prefix("<label>").and_then(|l| l.strip_suffix("</label>"));
            !name.is_some_and(is_number)
        });
        let names: String = names.collect();
        return match has_map {
            true => format!("{before}<labels>{names}</labels>{after}"),
            false => format!("{before}{names}{after}"),
        };
    }
    let Some((before, rest)) = line.split_once(" labels=") else { return line.to_owned() };
    let (list, after) = rest.find(" [USERSPACE]").map_or((rest, ""), |at| rest.split_at(at));
    let names: Vec<&str> = list.split(',').filter(|l| !is_number(l)).collect();
    match (names.is_empty(), has_map) {
        (true, false) => format!("{before}{after}"),
        (true, true) => format!("{before} labels{after}"),
        _ => format!("{before} labels={}{after}", names.join(",")),
    }
}

/// The original's lines, each with the numbered labels of the line of ours that is otherwise the same.
pub fn with_numbers(theirs: &str, ours: &str, has_map: bool) -> String {
    let mut by_names: HashMap<String, VecDeque<&str>> = HashMap::new();
    for line in ours.split_inclusive('\n') {
        by_names.entry(named_only(line.trim_end(), has_map)).or_default().push_back(line);
    }
    let mut ours_of = |line: &str| by_names.get_mut(line.trim_end()).and_then(VecDeque::pop_front);
    theirs.split_inclusive('\n').map(|line| ours_of(line).unwrap_or(line)).collect()
}

/// Labels appear by number where the map has no name.
pub fn numbers(e: &mut Expected<'_>) -> bool {
    let has_map = !e.output.err().contains("nfct_labelmap_new: ");
    let before = e.output.out();
    let after = with_numbers(&before, &e.ours.out(), has_map);
    let changed = before != after;
    if changed {
        e.output.stdout = after.into();
    }
    changed
}

/// The file is named after what the original says about it.
pub fn labelmap_file(e: &mut Expected<'_>) -> bool {
    let err = e.output.err();
    let Some(said) = err.lines().find(|l| l.starts_with("nfct_labelmap_new: ")) else { return false };
    let file = e.line.value("labelmap").unwrap_or("/etc/xtables/connlabel.conf");
    let named = format!("{said} (no label names in `{file}')");
    e.output.stderr = err.replacen(said, &named, 1).into();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_labels_by_number_are_taken_out() {
        for (line, named, without) in [
            ("udp use=1 labels=bit-3", "udp use=1 labels", "udp use=1"),
            (
                "udp labels=two words,bit-127 [USERSPACE] portid=9",
                "udp labels=two words [USERSPACE] portid=9",
                "",
            ),
            ("udp labels=a,bit-128,bit-x", "udp labels=a,bit-128,bit-x", ""),
            (
                "<a><labels><label>b</label><label>bit-0</label></labels></a>",
                "<a><labels><label>b</label></labels></a>",
                "",
            ),
            ("<a><labels><label>bit-0</label></labels></a>", "<a><labels></labels></a>", "<a></a>"),
            ("udp use=1", "udp use=1", "udp use=1"),
        ] {
            assert_eq!(named_only(line, true), named);
            assert!(without.is_empty() || named_only(line, false) == without, "{line}");
        }
        let theirs = "1 labels=a\n2 labels\n2 labels\n3 labels=b\n";
        let ours = "1 labels=a,bit-5\n2 labels=bit-6\n2 labels\n3 labels=c,bit-9\n";
        assert_eq!(
            with_numbers(theirs, ours, true),
            "1 labels=a,bit-5\n2 labels=bit-6\n2 labels\n3 labels=b\n"
        );
    }
}
