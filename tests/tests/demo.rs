//! `make demo` shows what it promises, and leaves nothing behind, not even when it is interrupted.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use zct_tests::cluster::{Which, eventually};
use zct_tests::program::{Exit, run};

/// The script, with the programs that this test was built with.
fn demo(mark: &str) -> Command {
    let script = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/demo.sh"));
    // Whoever runs the tests may ignore signals, and the demo would inherit that.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,TERM").arg(script).stdin(Stdio::null());
    command.env("ZCT_DEMO", env!("CARGO_BIN_EXE_demo")).env("ZCTD_BIN", Which::Zctd.path());
    command.env("ZCT_DEMO_MARK", mark);
    command
}

/// Processes that the demo with this mark has started, itself included.
fn left(mark: &str) -> Vec<String> {
    let mark = format!("ZCT_DEMO_MARK={mark}");
    let ours = |pid: &str| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|word| word == mark.as_bytes())
    };
    let all = fs::read_dir("/proc").expect("/proc").filter_map(|e| e.ok()?.file_name().into_string().ok());
    all.filter(|name| name.bytes().all(|b| b.is_ascii_digit()) && ours(name)).collect()
}

fn nothing_is_left(mark: &str) {
    eventually("the end of all processes", || match left(mark) {
        pids if pids.is_empty() => Ok(()),
        pids => Err(format!("{pids:?}")),
    });
}

#[test]
fn the_transfer_survives_and_the_story_is_told() {
    let output = run(&mut demo("told"), b"");
    assert_eq!((output.exit, output.err().as_str()), (Exit::Code(0), ""), "{output:?}");
    let lines = output.lines();
    assert!((8..=12).contains(&lines.len()), "{output:?}");
    let mut before = 0.0;
    for line in &lines {
        assert!(line.len() <= 120, "{line}");
        let (time, _) = line.split_once(" s  ").expect("a time");
        let time: f64 = time.trim().parse().expect("a time");
        assert!(time >= before, "{output:?}");
        before = time;
    }
    for part in ["A is active", "A dies", "B is active", "are what was sent", "B took for invalid: 0"] {
        assert_eq!(lines.iter().filter(|l| l.contains(part)).count(), 1, "{part}: {output:?}");
    }
    nothing_is_left("told");
}

#[test]
fn an_interrupt_in_the_middle_leaves_nothing_behind() {
    let mut child = demo("interrupted").stdout(Stdio::piped()).process_group(0).spawn().expect("the demo");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|l| l.expect("a line").contains("A dies")), "it ended too early");
    assert!(left("interrupted").len() > 3, "the mark is not seen");
    killpg(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("a signal");
    assert_eq!(child.wait().expect("wait").code(), Some(130));
    nothing_is_left("interrupted");
}
