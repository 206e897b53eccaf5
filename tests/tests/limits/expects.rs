//! The same for expectations: a wrong value makes, finds and deletes none, and what is made is what
//! was asked for.

use super::number::Verdict;
use super::options::{Meaning, ROWS, Row};
use super::place::{Found, names, typed};
use super::{report, seed, setting};
use fastrand::Rng;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool, tool_with_stdin};
use zct_tests::seed::{Kernel, tcp};

/// What an expectation needs. Its master is the FTP flow of [`master`].
fn template(proto: &str, command: char) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![];
    let key = if proto == "gre" { ["srckey", "dstkey"] } else { ["sport", "dport"] };
    if command != 'I' {
        // It is found by the tuple that is expected.
        all.extend([("src", "10.8.0.2"), ("dst", "10.8.0.1"), (key[0], "7"), (key[1], "8")]);
        match proto {
            "gre" => all.extend([("reply-key-src", "1"), ("reply-key-dst", "2")]),
            _ => all.extend([("reply-port-src", "1"), ("reply-port-dst", "2")]),
        }
        return all;
    }
    all.extend([
        ("src", "10.8.0.1"),
        ("dst", "10.8.0.2"),
        (key[0], "40001"),
        (key[1], "21"),
        ("timeout", "300"),
    ]);
    all.extend([("tuple-src", "10.8.0.2"), ("tuple-dst", "10.8.0.1")]);
    all.extend([("mask-src", "255.255.255.255"), ("mask-dst", "255.255.255.255")]);
    match proto {
        "gre" => {
            all.extend([("tuple-key-src", "7"), ("tuple-key-dst", "8")]);
            all.extend([("mask-key-src", "65535"), ("mask-key-dst", "65535")]);
            all.extend([("reply-key-src", "1"), ("reply-key-dst", "2")]);
        }
        _ => {
            all.extend([("tuple-port-src", "7"), ("tuple-port-dst", "8")]);
            all.extend([("mask-port-src", "65535"), ("mask-port-dst", "65535")]);
        }
    }
    match proto {
        "sctp" => all.extend([("orig-vtag", "1"), ("reply-vtag", "2")]),
        "dccp" => all.push(("role", "client")),
        _ => {}
    }
    all
}

/// Makes the flow that can have expectations.
fn master(kernel: &mut Kernel) {
    let flow = tcp([10, 8, 0, 1], [10, 8, 0, 2], 40_001, 21, 3).with(|it| it.helper = Some(b"ftp"));
    kernel.create(&flow).expect("a flow with a helper: is there a module nf_conntrack_ftp?");
}

/// All expectations as the original lists them.
fn all() -> Vec<String> {
    Tool::Reference.run(&["-L", "expect"]).lines()
}

/// The number after a word of such a line: the first is that of the expected tuple, the next that
/// of the mask.
fn shown(line: &str, word: &str, nth: usize) -> Option<String> {
    let rest = line.split(&format!(" {word}=")).nth(nth + 1)?;
    Some(rest.split(' ').next()?.to_owned())
}

fn words(rng: &mut Rng, row: &Row, proto: &str, command: char, text: &str) -> Vec<String> {
    let mut words = vec![format!("-{command}"), "expect".to_owned()];
    if row.names[0] != "protonum" {
        words.extend(["-p".to_owned(), proto.to_owned()]);
    }
    let template = template(proto, command);
    if !template.iter().any(|(name, _)| row.names.contains(name)) {
        words.extend(typed(rng, row, text));
    }
    for (name, value) in template {
        if row.names.contains(&name) {
            words.extend(typed(rng, row, text));
        } else {
            words.extend([format!("--{name}"), value.to_owned()]);
        }
    }
    words
}

fn attempt(rng: &mut Rng, row: &'static Row, command: char) -> Found {
    let proto = match row.protocols {
        [] => "tcp",
        all => all[rng.usize(..all.len())],
    };
    let text = row.text(rng, &[]);
    // Which addresses and protocols have expectations, and which masks fit them, is for the kernel to decide.
    let ports = row.names[0].starts_with("tuple-port-") || row.names[0] == "mask-port-src";
    let sure = command == 'I' && proto == "tcp" && (ports || row.names[0] == "timeout");
    let judged = row.judge(&text, false);
    let verdict = if sure { judged } else { judged.perhaps() };
    let words = words(rng, row, proto, command, &text);
    if command != 'I' {
        let plain: Vec<String> =
            template("tcp", 'I').into_iter().flat_map(|(n, v)| [format!("--{n}"), v.into()]).collect();
        let made = Tool::Zct.run(&[&["-I", "expect", "-p", "tcp"].map(str::to_owned)[..], &plain].concat());
        assert_eq!(made.exit, Exit::Code(0), "{made:?}");
    }
    let before = all();
    let output = Tool::Zct.run(&words);
    let after = all();
    // Whether there was one or not, there is none after this.
    Tool::Reference.run(&["-F", "expect"]);
    let all = format!("conntrack {words:?}: {output:?}, and then {after:?}");
    judge(row, command, &text, &verdict, &output, [&before, &after]).map_err(|e| format!("{e}: {all}"))
}

fn judge(
    row: &Row,
    command: char,
    text: &str,
    verdict: &Verdict<Meaning>,
    output: &Output,
    [before, after]: [&[String]; 2],
) -> Found {
    let changed = before.len() != after.len();
    let ok = output.exit == Exit::Code(0);
    match verdict {
        // If one is shown, a wrong value has found it.
        Verdict::Wrong if ok || changed || !output.stdout.is_empty() => {
            return Err("a wrong value was taken".into());
        }
        Verdict::Wrong if !names(&output.err(), text, row) => {
            return Err("the message does not name the value".into());
        }
        Verdict::Right(_) if !ok => return Err("a right value was refused".into()),
        _ => {}
    }
    let Some(meaning) = verdict.meaning() else { return Ok(()) };
    let number = meaning.number().map(|n| n.to_string());
    let is = |name: &str| row.names[0] == name;
    if command == 'I' && changed {
        let line = after.first().map_or("", String::as_str);
        let word = if row.names[0].ends_with("-src") { "sport" } else { "dport" };
        let kept = match row.names[0] {
            n if n.starts_with("tuple-port-") => shown(line, word, 0),
            "mask-port-src" => shown(line, word, 1),
            // There is only one master.
            "sport" => Some("40001".into()),
            "dport" => Some("21".into()),
            _ => return Ok(()),
        };
        return if kept == number { Ok(()) } else { Err(format!("{number:?} expected, {kept:?} made")) };
    }
    // It was found or deleted by a key that is not its own.
    let own = match command {
        'I' => return Ok(()),
        _ if is("sport") => "7",
        _ if is("dport") => "8",
        _ => return Ok(()),
    };
    let found = changed || !output.stdout.is_empty();
    if found != (number.as_deref() == Some(own)) && (found || matches!(verdict, Verdict::Right(_))) {
        return Err(format!("found: {found}, and its number is {own}"));
    }
    Ok(())
}

#[test]
fn expectations_are_those_that_were_meant() {
    let (seed, rounds) = (seed(), setting("ZCT_LIMITS_ROUNDS", 3));
    let _ns = Netns::fresh();
    // The kernel tracks nothing without a rule that needs it.
    tool_with_stdin("nft", &["-f", "-"], zct_tests::seed::TRACKING.as_bytes());
    master(&mut Kernel::open());
    let mut failures = Vec::new();
    let mut tried = 0;
    for round in 0..rounds {
        for (n, row) in ROWS.iter().enumerate() {
            for command in row.expects.chars() {
                tried += 1;
                let mut rng =
                    Rng::with_seed(seed.wrapping_add(round * 10_000 + n as u64 * 10 + command as u64 % 10));
                if let Err(found) = attempt(&mut rng, row, command) {
                    failures.push(format!("round {round}, {} with -{command} expect: {found}", row.names[0]));
                }
            }
        }
    }
    println!("seed {seed}: {tried} values");
    report(seed, &failures);
}
