//! What holds for every text: no panic, the work ends, and what is printed reads back.

use super::corpus::{self, Dice};
use super::{generate, golden, load, real};
use zctd::config::report::{REMARKS_MAX, Severity};
use zctd::config::{self, live_changes};

/// What a text must fulfil whatever it is.
fn hold(text: &[u8]) {
    let loaded = load(text);
    let worst = loaded.report.remarks().iter().map(|r| r.severity).max();
    if loaded.report.left_out() == 0 {
        assert_eq!(loaded.report.is_refused(), worst == Some(Severity::Error));
        assert_eq!(loaded.report.can_start(), worst.is_none_or(|w| w == Severity::Warning));
    }
    assert_eq!(loaded.report.can_start(), loaded.config.is_some());
    assert!(!(loaded.report.is_refused() && loaded.control_socket.is_some()));
    assert!(loaded.report.remarks().len() <= REMARKS_MAX);
    // In the order of the file, one line each.
    let places: Vec<_> = loaded.report.remarks().iter().map_while(|r| r.place).collect();
    assert!(places.is_sorted());
    assert!(loaded.report.remarks().iter().all(|r| !r.text.contains(|c: char| c.is_control())));
    if let Some(config) = &loaded.config {
        let printed = config::print(config);
        let again = load(&printed);
        let shown = String::from_utf8_lossy(&printed);
        assert_eq!(again.config.as_ref(), Some(config), "{shown}{}", again.report.lines("printed"));
        assert_eq!(config::print(again.config.as_ref().unwrap()), printed, "{shown}");
    }
}

#[test]
fn what_is_printed_reads_back() {
    let mut dice = Dice(1);
    for _ in 0..3000 {
        let text = generate::config(&mut dice);
        let loaded = load(text.as_bytes());
        assert!(loaded.config.is_some(), "{text}{}", loaded.report.lines("generated"));
        hold(text.as_bytes());
    }
}

/// Two configurations are the same, or a setting is named that differs.
#[test]
fn no_difference_goes_unnamed() {
    let mut dice = Dice(2);
    let configs: Vec<_> =
        (0..300).map(|_| load(generate::config(&mut dice).as_bytes()).config.expect("it loads")).collect();
    for a in &configs {
        for b in &configs {
            let changes = live_changes(a, b);
            assert_eq!(a == b, changes.live.is_empty() && changes.needs_restart.is_empty());
        }
    }
}

#[test]
fn mutations_of_files_never_panic() {
    for text in corpus::all() {
        hold(&text);
    }
    for text in corpus::mutations(5000) {
        hold(&text);
    }
    let mut dice = Dice(3);
    for _ in 0..3000 {
        let mut text = generate::config(&mut dice).into_bytes();
        for _ in 0..dice.below(4) {
            let at = dice.below(text.len());
            match dice.below(3) {
                0 => text[at] = dice.roll() as u8,
                1 => _ = text.remove(at),
                _ => text.truncate(at.max(1)),
            }
        }
        hold(&text);
    }
}

/// A megabyte of anything is read within seconds; if the work were quadratic, this would take hours.
#[test]
fn a_megabyte_of_anything_comes_to_an_end() {
    const SIZE: usize = 1 << 20;
    let mut dice = Dice(4);
    let pieces: [&[u8]; 26] = [
        b"{",
        b"}",
        b"{ ",
        b"} ",
        b"General {",
        b"General { } ",
        b"General { UNIX { } } ",
        b"General { Filter {\n",
        b"a",
        b"1",
        b"/",
        b"1a",
        b"a:",
        b"::",
        b"1::2",
        b"1.",
        b"1.2.3.4 ",
        b"-1",
        b"#",
        b"#\n",
        b"\n",
        b"\"",
        b"\xff",
        b"\0",
        b"HashSize ",
        b"zz\n",
    ];
    for piece in pieces {
        hold(&piece.repeat(SIZE / piece.len()));
        for inside in ["General {", "Sync { UDP {", "General { Filter { Address Accept {", "Helper {"] {
            hold(&[inside.as_bytes(), &piece.repeat(SIZE / 16 / piece.len())].concat());
        }
    }
    let random: Vec<u8> = (0..SIZE).map(|_| dice.roll() as u8).collect();
    hold(&random);
    let printable: Vec<u8> = (0..SIZE).map(|_| b' ' + (dice.roll() % 95) as u8).collect();
    hold(&printable);
    let lists = "IPv4_address 10.0.0.1\n".repeat(SIZE / 22);
    hold(format!("General {{ Filter {{ Address Accept {{\n{lists}}} }} }}\n").as_bytes());
    let helpers: String = (0..SIZE / 8).map(|i| format!("h{i:06}\n")).collect();
    hold(format!("Sync {{ Options {{ ExpectationSync {{\n{helpers}}} }} }}\n").as_bytes());
}

/// The original accepts what is printed, except for what it does not know.
#[test]
fn what_is_printed_is_good_for_the_original() {
    let mut dice = Dice(5);
    let printed =
        (0..150).map(|_| config::print(&load(generate::config(&mut dice).as_bytes()).config.unwrap()));
    let unknown = |text: &str| text.contains("LogFormat json") || text.contains("fe0\n");
    let texts: Vec<_> = printed.filter(|t| !unknown(&String::from_utf8_lossy(t))).collect();
    assert!(texts.len() > 75);
    for (verdict, text) in real::verdicts(&texts).iter().zip(&texts) {
        let accepted = matches!(verdict, golden::Verdict::Accepted | golden::Verdict::Warned);
        assert!(accepted, "{verdict:?}: {}", String::from_utf8_lossy(text));
    }
}
