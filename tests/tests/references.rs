//! What comments say about `docs/reference`: the file exists, the heading exists, and there is one form in
//! which to say it, `ctnetlink.md §4.6`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The numbers that headings start with, by file.
type Headings = BTreeMap<String, BTreeSet<String>>;

/// Where the facts are, from the repository's root.
const REFERENCE: &str = "docs/reference";
/// Endings of files that people write.
const WRITTEN: [&str; 8] = ["rs", "md", "sh", "py", "toml", "yml", "c", "5"];
/// What may stand between two headings of the same file.
const BETWEEN: [&str; 3] = [", ", " and ", " to "];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every file that people have written; build results are left out.
fn written(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())).flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if name != "target" && !name.as_encoded_bytes().starts_with(b".") {
                written(&path, found);
            }
        } else if path.extension().is_some_and(|e| WRITTEN.iter().any(|w| e == *w)) {
            found.push(path);
        }
    }
}

/// The numbers that headings start with: `4.6` for `### 4.6 Deletes`. Fenced blocks contain none.
fn headings(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        let title = line.trim_start_matches('#');
        if !fenced && title.len() < line.len() && title.starts_with(' ') {
            let number = title.split_whitespace().next().unwrap_or_default().trim_end_matches('.');
            if !number.is_empty() && number.split('.').all(|n| n.parse::<u32>().is_ok()) {
                found.push(number.to_owned());
            }
        }
    }
    found
}

/// The file name at the end of `text`, `NAME.md` and a blank, without what stands before it.
fn named(text: &str) -> Option<&str> {
    let name = text.strip_suffix(' ')?;
    let start =
        name.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')).map_or(0, |i| i + 1);
    name.get(start..).filter(|n| n.len() > 3 && n.ends_with(".md"))
}

/// Follows the references in one line. `own` is the file itself if it is part of the reference, where a
/// section sign needs no file name. Returns the number of headings that were found.
fn follow(line: &str, own: Option<&str>, headings: &Headings) -> Result<usize, String> {
    // In two parts, so that this file does not contain it either.
    if own.is_none() && line.contains(concat!("spec", "/")) {
        return Err("the facts are in docs/reference".into());
    }
    let (mut count, mut file, mut end) = (0, None, 0);
    for (at, sign) in line.match_indices('\u{a7}') {
        let chained = count > 0 && BETWEEN.contains(&&line[end..at]);
        if !chained {
            file = named(&line[..at]).or(own);
        }
        let Some(file) = file else { return Err("no file before the section sign, on the same line".into()) };
        let number = &line[at + sign.len()..];
        let digits = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let number = number[..digits].trim_end_matches('.');
        end = at + sign.len() + number.len();
        match headings.get(file) {
            None => return Err(format!("there is no {REFERENCE}/{file}")),
            Some(of) if !of.contains(number) => return Err(format!("{file} has no heading {number:?}")),
            Some(_) => count += 1,
        }
    }
    Ok(count)
}

/// The numbers of the transcripts that a line names.
fn transcripts(line: &str) -> impl Iterator<Item = &str> {
    let word = |text: &'static str| line.split(text).skip(1);
    word("transcript ").filter_map(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..digits).filter(|n| !n.is_empty())
    })
}

#[test]
fn what_is_not_there_is_found() {
    let of = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    let known = Headings::from([("a-b.md".into(), of(&["1", "1.2", "3.4.5"])), ("c.md".into(), of(&["7"]))]);
    let s = '\u{a7}';
    for (line, own, count) in [
        ("/// nothing".to_owned(), None, 0),
        (format!("/// (a-b.md {s}1)."), None, 1),
        (format!("/// a-b.md, or a-b.md {s}1.2, {s}3.4.5 to {s}1 and c.md {s}7: so"), None, 4),
        (format!("as {s}1.2. and c.md {s}7"), Some("a-b.md"), 2),
    ] {
        assert_eq!(follow(&line, own, &known), Ok(count), "{line}");
    }
    for (line, own, why) in [
        (format!("/// ({s}1)"), None, "no file"),
        (format!("/// {s}1 of a-b.md"), None, "no file"),
        (format!("/// a-b.md {s}1; {s}1.2"), None, "no file"),
        (format!("/// a-b.md {s}1.3"), None, "no heading"),
        (format!("/// a-b.md {s}1, {s}2"), None, "no heading"),
        (format!("/// a-b.md {s}{s}1, 1.2"), None, "no heading"),
        (format!("/// b.md {s}1"), None, "there is no"),
        (format!("as {s}7"), Some("a-b.md"), "no heading"),
        (format!("/// {}c.md", concat!("spec", "/")), None, "docs/reference"),
    ] {
        let told = follow(&line, own, &known).expect_err(&line);
        assert!(told.contains(why), "{line}: {told}");
    }
    assert_eq!(
        headings("# T\n## 0. A\n```\n# 9 no\n```\n### 4.6 B\n#hash\n#### 5.1.2. C\n"),
        ["0", "4.6", "5.1.2"]
    );
    assert!(transcripts("c.md 7, transcript 18: so, and transcript x").eq(["18"]));
}

#[test]
fn every_reference_leads_to_a_heading() {
    let root = root();
    let mut known = Headings::new();
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(root.join(REFERENCE)).expect(REFERENCE).flatten() {
        let name = entry.file_name().into_string().expect("a plain name");
        let text = fs::read_to_string(entry.path()).expect("text");
        let numbers = headings(&text);
        let different: BTreeSet<String> = numbers.iter().cloned().collect();
        assert_eq!(numbers.len(), different.len(), "{name}: two headings have one number: {numbers:?}");
        known.insert(name.clone(), different);
        texts.insert(name, text);
    }
    let mut files = Vec::new();
    written(&root, &mut files);
    let (mut count, mut wrong) = (0, Vec::new());
    for file in &files {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let place = file.strip_prefix(&root).unwrap_or(file);
        let own = place.strip_prefix(REFERENCE).ok().and_then(Path::to_str);
        for (line, at) in text.lines().zip(1..) {
            let place = format!("{}:{at}", place.display());
            match follow(line, own, &known) {
                Ok(n) => count += if own.is_none() { n } else { 0 },
                Err(why) => wrong.push(format!("{place}: {why}: {}", line.trim())),
            }
            for n in transcripts(line).filter(|_| line.contains("command-line.md ")) {
                if !texts["command-line.md"].contains(&format!("\n[{n}] ")) {
                    wrong.push(format!("{place}: there is no transcript {n}"));
                }
            }
            // Whole files, named by their path.
            for (i, start) in line.match_indices("docs/reference/") {
                let rest = &line[i + start.len()..];
                let name =
                    rest.find(".md").map(|n| &rest[..n + 3]).filter(|n| !n.contains([' ', '*', '<', '{']));
                if name.is_some_and(|n| !known.contains_key(n)) {
                    wrong.push(format!("{place}: there is no such file: {}", line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\ndocs/reference/README.md says how it is written", wrong.join("\n"));
    assert!(count > 150, "only {count} references were found");
}

/// The page of differences names the original's faults by number, and the list of faults has to explain each.
#[test]
fn every_fault_that_the_page_names_is_in_the_list() {
    let root = root();
    let text = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let (page, list) = (text("docs/differences.md"), text(&format!("{REFERENCE}/command-line.md")));
    let number = |line: &str| {
        let rest = line.strip_prefix("| W")?;
        rest.split(' ').next()?.parse::<u32>().ok()
    };
    let listed: BTreeSet<u32> = list.lines().filter_map(number).collect();
    let named: BTreeSet<u32> = page.lines().filter_map(number).collect();
    assert!(named.len() > 20, "only {named:?}");
    assert!(named.is_subset(&listed), "not in command-line.md: {:?}", named.difference(&listed));
}

/// Documents for people name files in backticks by their path from the root.
#[test]
fn files_that_documents_name_are_there() {
    let root = root();
    let rooms = ["wire/", "engine/", "cli/", "syncd/", "perf/", "tests/", "docs/", "scripts/"];
    let mut count = 0;
    for document in ["README.md", "CONTRIBUTING.md", "docs/decisions.md", "docs/zctd.md", "docs/measure.md"] {
        let text = fs::read_to_string(root.join(document)).unwrap_or_else(|e| panic!("{document}: {e}"));
        for name in text.split('`').filter(|w| !w.contains(' ') && rooms.iter().any(|r| w.starts_with(r))) {
            assert!(root.join(name).exists(), "{document}: there is no {name}");
            count += 1;
        }
    }
    assert!(count > 20, "only {count} names");
}
