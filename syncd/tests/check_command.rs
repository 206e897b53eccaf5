//! `zctd --check` as a program: what goes where, and the exit status.

use std::path::PathBuf;
use std::process::{Command, Output};

fn zctd(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zctd")).args(words).output().unwrap()
}

fn file(name: &str, text: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn check(name: &str, text: &[u8]) -> (Option<i32>, String, String) {
    let path = file(name, text);
    let out = zctd(&["--check", "-C", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr).replace(path.to_str().unwrap(), "FILE");
    (out.status.code(), String::from_utf8(out.stdout).unwrap(), stderr)
}

#[test]
fn a_good_file_is_printed_whole_and_so_again() {
    let text = b"General {\n\tUNIX {\n\t\tPath /run/x\n\t}\n}\nStats {\n\tLogFile on\n}\n";
    let (status, printed, remarks) = check("good.conf", text);
    assert_eq!((status, remarks.as_str()), (Some(0), ""));
    for line in [
        "HashLimit 262144",
        "LogFile /var/log/conntrackd-stats.log",
        "Path /run/x",
        "NetlinkOverrunResync 30",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let (status, again, remarks) = check("again.conf", printed.as_bytes());
    assert_eq!((status, again.as_str(), remarks.as_str()), (Some(0), printed.as_str(), ""));
}

#[test]
fn errors_go_to_stderr_and_nothing_is_printed() {
    let (status, printed, remarks) = check("bad.conf", b"General {\n\tHashSize x\n\tLogFile y\n}\n");
    assert_eq!((status, printed.as_str()), (Some(1), ""));
    assert_eq!(
        remarks,
        "FILE:2:11: error: expected a number after HashSize, found `x'\n\
         FILE:3:10: error: expected on, off or a path after LogFile, found `y'\n"
    );
    // Good for commands alone is not good enough.
    let (status, printed, remarks) =
        check("links.conf", b"General {\n\tUNIX { Path /x }\n}\nSync { Mode FTFW { } }\n");
    assert_eq!((status, printed.as_str()), (Some(1), ""));
    assert_eq!(remarks, "FILE:4:1: error: no link to a peer in Sync: expected Multicast, UDP or TCP\n");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    for (words, said) in [
        (
            &["--check", "-C", "/nonexistent/zctd.conf"][..],
            "can't open config file `/nonexistent/zctd.conf': No such",
        ),
        (&["--check", "-C", "/"], "can't open config file `/': Is a directory"),
        (&["--check", "-C", "/dev/zero"], "can't open config file `/dev/zero': more than 16 MiB"),
        (&["--check", "-C"], "Missing config filename"),
        (&["-C", "/nonexistent/zctd.conf"], "can't open config file `/nonexistent/zctd.conf': No such"),
        (&["-s", "-C", "/nonexistent/zctd.conf"], "can't open config file `/nonexistent/zctd.conf': No such"),
        (&["-n", "-C", "/dev/null"], "`/dev/null' has no control socket"),
    ] {
        let out = zctd(words);
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{words:?}");
        assert!(stderr.contains(said), "{words:?}: {stderr}");
    }
}
