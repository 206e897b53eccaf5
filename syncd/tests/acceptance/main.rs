//! Which configuration files are accepted: zctd beside conntrackd, on a few thousand short texts.
//!
//! What the original says is in a golden file, so that the comparison needs no conntrackd; another test asks
//! the real one again. The intended differences are a table, and each has to be seen.

mod corpus;
mod differences;
mod generate;
mod golden;
mod numbers;
mod properties;
mod real;
mod starts;
mod texts;

use golden::{Case, Verdict, escape};
use std::process::Command;
use zctd::config::protocols::Protocols;
use zctd::config::report::Severity;
use zctd::config::{self, Loaded};

fn load(text: &[u8]) -> Loaded {
    let protocols = std::fs::read("/etc/protocols").expect("/etc/protocols: apt-get install netbase");
    config::load(text, &Protocols::parse(&protocols))
}

/// Compares one text; `Err` says how the two differ.
fn compare(case: &Case, ours: &Loaded) -> Result<(), String> {
    let accepted = !ours.report.is_refused();
    match &case.verdict {
        Verdict::Accepted | Verdict::Warned if !accepted => Err("the original accepts it".into()),
        Verdict::Syntax(..) | Verdict::Refused(_) if accepted => Err("the original refuses it".into()),
        // What the original warns about is not ignored silently here either.
        Verdict::Warned if ours.report.remarks().is_empty() => Err("the original warns".into()),
        Verdict::Syntax(line, word) => place(ours, *line, word),
        _ => Ok(()),
    }
}

/// There is an error at the word where the original gives up, and none before it, except that a block that is
/// never closed is reported where it begins, and names of helpers where they stand.
fn place(ours: &Loaded, line: u32, word: &[u8]) -> Result<(), String> {
    let stops = || Err(format!("the original stops in line {line} at `{}'", escape(word)));
    let mut named = word.is_empty();
    for r in ours.report.remarks().iter().filter(|r| r.severity == Severity::Error) {
        let at = r.place.expect("an error has a place").line;
        let may_be_before = ["the block ", "unknown helper "].iter().any(|t| r.text.starts_with(t));
        if at < line && !may_be_before {
            return stops();
        }
        named |= at == line && (r.text.contains(&escape(word)) || r.text.contains("must follow the states"));
    }
    if named { Ok(()) } else { stops() }
}

#[test]
fn zctd_accepts_what_conntrackd_accepts() {
    let mut wrong = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    let cases = golden::read();
    for case in &cases {
        let ours = load(&case.text);
        let Err(how) = compare(case, &ours) else { continue };
        match differences::meant(case, &ours) {
            Some(name) => *seen.entry(name).or_insert(0) += 1,
            None => {
                wrong.push(format!("{}\n    {how}\n    {}", escape(&case.text), ours.report.lines("zctd")))
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    for name in differences::names() {
        assert!(seen.contains_key(name), "the difference `{name}' was not seen");
    }
}

#[test]
fn the_page_counts_the_differences() {
    let names: std::collections::BTreeSet<_> = differences::names().collect();
    let words = ["Ten", "Eleven", "Twelve", "Thirteen", "Fourteen", "Fifteen", "Sixteen"];
    let word = words.get(names.len().wrapping_sub(10)).expect("a word for the number");
    let page = include_str!("../../../docs/zctd.md");
    let counted = format!("{word} changes to the file format");
    assert!(page.contains(&counted), "docs/zctd.md does not say: {counted}");
}

/// Asks about a part of the corpus, evenly spread, or about all of it with `ZCT_ORACLE=all`;
/// `ZCT_GOLDEN=write` asks about all and rewrites the golden file.
#[test]
fn conntrackd_says_what_the_golden_file_says() {
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|v| v == value);
    let texts = corpus::all();
    if is("ZCT_GOLDEN", "write") {
        let verdicts = real::verdicts(&texts);
        let cases = texts.into_iter().zip(verdicts).map(|(text, verdict)| Case { text, verdict });
        return golden::write(&cases.collect::<Vec<_>>());
    }
    let golden = golden::read();
    let same = texts.len() == golden.len() && texts.iter().zip(&golden).all(|(t, g)| *t == g.text);
    assert!(same, "the corpus has changed: ZCT_GOLDEN=write renews the golden file");
    // A prime, so that the part is not a single column of the tables.
    let step = if is("ZCT_ORACLE", "all") { 1 } else { 11 };
    let part: Vec<&Case> = golden.iter().step_by(step).collect();
    let texts: Vec<Vec<u8>> = part.iter().map(|c| c.text.clone()).collect();
    for (now, then) in real::verdicts(&texts).iter().zip(part) {
        assert_eq!(*now, then.verdict, "{}", escape(&then.text));
    }
}

/// The example files of Debian's package load unchanged, and the original accepts what `--check`
/// prints about them.
#[test]
fn the_examples_of_the_original_load() {
    const DIR: &str = "/usr/share/doc/conntrackd/examples";
    let files =
        ["stats", "sync/alarm", "sync/ftfw", "sync/notrack"].map(|d| format!("{DIR}/{d}/conntrackd.conf"));
    let read = |file: &str| {
        let packed = Command::new("zcat").args(["-f", file]).output().expect("zcat: apt-get install gzip");
        assert!(
            packed.status.success(),
            "{file}: apt-get install --reinstall conntrackd, with its documentation"
        );
        packed.stdout
    };
    let mut printed = Vec::new();
    for file in files {
        let ours = load(&read(&file));
        let texts: Vec<_> = ours.report.remarks().iter().map(|r| r.text.as_str()).collect();
        assert_eq!(
            texts,
            ["HashSize has no effect: the caches of zctd grow by themselves, up to HashLimit"],
            "{file}"
        );
        let config = ours.config.expect("the example can start");
        let text = config::print(&config);
        assert_eq!(load(&text).config.as_ref(), Some(&config), "{file}");
        printed.push(text);
    }
    assert_eq!(real::verdicts(&printed), vec![Verdict::Accepted; 4]);
}
