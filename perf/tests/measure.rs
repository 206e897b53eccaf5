//! The measuring itself, tried on programs of which everything is known.

use nix::sys::signal::Signal;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use zct_perf::measure::{Cores, Exit, run, start};

const YARDSTICK: &str = env!("CARGO_BIN_EXE_yardstick");

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|w| (*w).to_owned()).collect()
}

fn sh(script: &str) -> Vec<String> {
    words(&["sh", "-c", script])
}

#[test]
fn one_core_is_one_core() {
    let file = tempfile::NamedTempFile::new().unwrap();
    run(Path::new(YARDSTICK), Cores::One, &words(&["nproc"]), Some(file.as_file())).unwrap();
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "1\n");
}

#[test]
fn exits_signals_and_messages_are_those_of_the_program() {
    let done = run(Path::new(YARDSTICK), Cores::All, &sh("echo said >&2; exit 3"), None).unwrap();
    assert_eq!((done.exit, done.stderr.as_str()), (Exit::Code(3), "said\n"));
    let killed = run(Path::new(YARDSTICK), Cores::All, &sh("kill -TERM $$; exit 0"), None).unwrap();
    assert_eq!(killed.exit, Exit::Signal(Signal::SIGTERM));
}

#[test]
fn output_goes_to_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    run(Path::new(YARDSTICK), Cores::All, &sh("echo out"), Some(file.as_file())).unwrap();
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "out\n");
}

#[test]
fn time_and_memory_are_seen() {
    let idle = run(Path::new(YARDSTICK), Cores::All, &words(&["sleep", "0.2"]), None).unwrap();
    assert!(idle.wall >= Duration::from_millis(200), "{idle:?}");
    assert!(idle.peak_kib > 100, "{idle:?}");
    let busy =
        run(Path::new(YARDSTICK), Cores::All, &sh("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"), None);
    let busy = busy.unwrap();
    assert!(busy.user > idle.user, "{busy:?} {idle:?}");
    // One variable holds a hundred megabytes.
    let large = sh("x=$(head -c 100000000 /dev/zero | tr '\\0' x); [ ${#x} = 100000000 ]");
    let large = run(Path::new(YARDSTICK), Cores::All, &large, None).unwrap();
    assert!(large.exit == Exit::Code(0) && large.peak_kib > 97_000, "{large:?}");
}

#[test]
fn an_interrupted_program_is_waited_for() {
    let running = start(Path::new(YARDSTICK), Cores::All, &words(&["sleep", "1000"]), Stdio::null()).unwrap();
    running.interrupt().unwrap();
    assert_eq!(running.finish().unwrap().exit, Exit::Signal(Signal::SIGINT));
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let failed = run(Path::new(YARDSTICK), Cores::All, &words(&["/nowhere/to/be/found"]), None);
    let said = failed.unwrap_err().to_string();
    assert!(said.contains("No such file"), "{said}");
}
