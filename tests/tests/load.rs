//! `-R`: lines take effect one by one and in order, mistakes are found before anything happens, refusals name
//! their lines, and the size of the file does not matter.

use fastrand::Rng;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use tempfile::NamedTempFile;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool, find, run};
use zct_tests::seed::{Kernel, Storm, TRACKING, udp};

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("write");
    file
}

fn load(file: &NamedTempFile, more: &[&str]) -> Output {
    let path = file.path().to_str().expect("a path in UTF-8");
    Tool::Zct.run(&[&["-R", path], more].concat())
}

fn creation(port: u16) -> String {
    format!("-I -s 10.0.0.1 -d 10.0.0.2 -p udp --sport {port} --dport 53 -t 1000")
}

/// The source ports of the flows in the table.
fn ports() -> BTreeSet<u16> {
    let lines = Tool::Reference.run(&["-L"]).lines();
    let port = |l: &String| l.split("sport=").nth(1)?.split(' ').next()?.parse().ok();
    lines.iter().map(|l| port(l).unwrap_or_else(|| panic!("{l}"))).collect()
}

fn world() -> Netns {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    ns
}

/// One line in ten is refused. With `--keep-going` all others take effect, and the exit code tells of it.
#[test]
fn every_refused_line_is_named_and_the_others_count() {
    let _ns = world();
    let (mut text, mut wanted, mut refused, mut made) =
        (String::new(), BTreeSet::new(), Vec::new(), Vec::new());
    let mut rng = Rng::with_seed(1);
    for line in 1..=3000u16 {
        match rng.u8(..20) {
            0 if !made.is_empty() => {
                let port = made[rng.usize(..made.len())];
                writeln!(text, "{}", creation(port)).expect("memory");
                refused.push((line, "Such conntrack exists"));
            }
            1 => {
                writeln!(text, "{} -u EXPECTED", creation(line)).expect("memory");
                refused.push((line, "Device or resource busy"));
            }
            2 => {
                writeln!(text, "-D -s 10.0.0.1 -p udp --sport {line}").expect("memory");
            }
            _ => {
                writeln!(text, "{}", creation(line)).expect("memory");
                made.push(line);
                wanted.insert(line);
            }
        }
    }
    let file = file(&text);
    let output = load(&file, &["--keep-going"]);
    let errors = output.err();
    let errors: Vec<&str> = errors.lines().collect();
    assert_eq!(output.exit, Exit::Code(1));
    let name = file.path().display().to_string();
    let (last, errors) = errors.split_last().expect("a summary");
    let all = format!("{} lines of {name} could not be carried out.", refused.len());
    assert!(last.ends_with(&all), "{last}");
    assert_eq!(errors.len(), refused.len(), "{errors:#?}");
    for (error, (line, why)) in errors.iter().zip(&refused) {
        assert!(error.contains(why) && error.contains(&format!("({name}:{line}: -I ")), "{line}: {error}");
    }
    assert_eq!(ports(), wanted);
}

/// Without `--keep-going` the first refusal ends the run; which later lines took effect is
/// reported, and true.
#[test]
fn the_first_refused_line_ends_the_run() {
    for bad in [1u16, 2, 50, 129, 400, 999] {
        let _ns = world();
        let text: String = (1..=1000u16)
            .map(|n| if n == bad { format!("{} -u EXPECTED\n", creation(n)) } else { creation(n) + "\n" })
            .collect();
        let output = load(&file(&text), &[]);
        let err = output.err();
        assert_eq!((output.exit, err.lines().count()), (Exit::Code(1), 1), "{err}");
        assert!(err.contains(&format!(":{bad}: -I ")), "{bad}: {err}");
        let said = err.split("carried out: ").nth(1).map_or("", |t| t.trim_end().trim_end_matches(')'));
        let mut claimed: BTreeSet<u16> = (1..bad).collect();
        for range in said.split(", ").filter(|r| !r.is_empty()) {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            let number = |n: &str| n.parse::<u16>().unwrap_or_else(|_| panic!("{err}"));
            claimed.extend(number(from)..=number(to));
        }
        assert_eq!(ports(), claimed, "{err}");
        assert!(
            claimed.len() < 1000 - 1 || bad > 800,
            "the end of the file was not reached: {}",
            claimed.len()
        );
    }
}

/// From a file or a pipe: a mistake anywhere is found before anything is done.
#[test]
fn a_mistake_is_found_before_anything_happens() {
    let _ns = world();
    let lines: String = (1..=500).map(|n| creation(n) + "\n").collect();
    for (bad, why) in [
        ("-I -s 10.0.0.1 -p nope", "`nope' unsupported protocol"),
        ("-I -s 10.0.0.1", "You need to supply"),
        ("-L", "Cannot use command `-L' with --load-file"),
        ("-E", "Cannot use command `-E' with --load-file"),
        ("-D --bogus", "unknown option"),
        ("-D -l nolabel", "unknown label 'nolabel'"),
        ("hello", "Cannot use command `unknown' with --load-file"),
    ] {
        let text = format!("{lines}\n# note\n  \n{bad}\n{}\n", creation(600));
        let on_file = load(&file(&text), &[]);
        let piped = Tool::Zct.run_with_stdin(&["-R", "-"], text.as_bytes());
        for output in [on_file, piped] {
            let err = output.err();
            assert_eq!(output.exit, Exit::Code(2), "{bad}: {err}");
            assert!(err.contains(why) && err.contains(":504)"), "{bad}: {err}");
            assert_eq!(ports(), BTreeSet::new(), "{bad}");
        }
        let kept_going = load(&file(&text), &["--keep-going"]);
        assert_eq!((kept_going.exit, ports()), (Exit::Code(2), BTreeSet::new()), "{bad}");
    }
    let missing = Tool::Zct.run(&["-R", "/nowhere/file"]);
    assert!(missing.exit == Exit::Code(2) && missing.err().contains("/nowhere/file"), "{missing:?}");
}

/// Deletions are merged into passes over the table, but never past a line that makes a difference to them.
#[test]
fn lines_have_the_effect_they_have_one_by_one() {
    let mut rng = Rng::with_seed(9);
    for _ in 0..12 {
        let lines: Vec<String> = (0..60)
            .map(|_| {
                let port = rng.u16(1..12);
                match rng.u8(..10) {
                    0..=4 => creation(port),
                    5 => format!("-D -s 10.0.0.1 -d 10.0.0.2 -p udp --sport {port} --dport 53"),
                    6 => format!("-D -p udp --sport {port}"),
                    7 => format!("-D -s 10.0.0.1 -p udp --dport 53 -m {}", rng.u8(..3)),
                    8 => format!("-U -f ipv4 -p udp --sport {port} -m {}", rng.u8(..3)),
                    _ => format!("-D -d 10.0.0.{}/31 -p udp --sport {port}", rng.u8(..4)),
                }
            })
            .collect();
        let marks = || {
            let out = Tool::Reference.run(&["-L"]).out();
            let fact = |l: &str| {
                let word =
                    |name: &str| l.split(name).nth(1).and_then(|t| t.split(' ').next()).map(str::to_owned);
                (word("sport="), word("mark="))
            };
            out.lines().map(fact).collect::<BTreeSet<_>>()
        };
        let one_by_one = {
            let _ns = world();
            for line in &lines {
                Tool::Zct.run(&line.split(' ').collect::<Vec<_>>());
            }
            marks()
        };
        let _ns = world();
        let output = load(&file(&lines.join("\n")), &["--keep-going"]);
        assert_eq!(marks(), one_by_one, "{}\n{output:?}", lines.join("\n"));
    }
}

/// Ten thousand endpoints at once: the flows they name are deleted, and no others.
#[test]
fn many_endpoints_are_deleted_and_their_neighbours_stay() {
    const FLOWS: u16 = 40_000;
    let _ns = world();
    let mut storm = Storm::open();
    storm.create((1..=FLOWS).map(|port| udp([10, 0, 0, 1], [10, 0, 0, 2], port, 53)));
    let text: String = (1..=FLOWS)
        .filter(|p| p % 4 == 0)
        .map(|p| format!("-D -s 10.0.0.1 -d 10.0.0.2 -p udp --sport {p} --dport 53\n"))
        .collect();
    let output = load(&file(&text), &[]);
    assert_eq!((output.exit, output.lines().len()), (Exit::Code(0), 10_000), "{}", output.err());
    assert_eq!(Kernel::open().count(), 30_000);
    assert_eq!(ports(), (1..=FLOWS).filter(|p| p % 4 != 0).collect());
}

/// An address space that is enough for a short file is enough for a long one, even through a pipe.
#[test]
fn memory_does_not_grow_with_the_file() {
    let _ns = world();
    // The lines create few different flows: the table stays small, and most lines are refused.
    let text: String = (0..100_000u32).map(|n| creation(1 + (n % 1000) as u16) + "\n").collect();
    assert!(text.len() > 6 << 20);
    let file = file(&text);
    let limited = |words: &[&str], stdin: &[u8]| {
        let mut command = Command::new(find("prlimit", "util-linux"));
        command.args(["--as=24000000", "--"]).arg(Tool::Zct.command().get_program()).args(words);
        run(&mut command, stdin)
    };
    let path = file.path().to_str().expect("UTF-8");
    for output in
        [limited(&["-R", path, "--dry-run"], b""), limited(&["-R", "-", "--dry-run"], text.as_bytes())]
    {
        assert_eq!(output.exit, Exit::Code(0), "{}", output.err());
        assert_eq!(output.lines().len(), 100_000);
    }
    let output = limited(&["-R", path, "--keep-going"], b"");
    assert_eq!((output.exit, output.err().lines().count()), (Exit::Code(1), 99_001));
    assert_eq!(ports().len(), 1000);
}
