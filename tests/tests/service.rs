//! dist/zctd.service: how little it allows, and that the daemon can do with it. `make test-hardening` runs
//! all of the daemon's tests that way, and `make test-packages` the unit itself.

use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use zct_tests::cluster::{Which, eventually};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool, find, run};

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/zctd.service");
/// Takes away what the unit does not allow, and becomes the program in ZCTD_CONFINED.
const CONFINED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hardening/zctd");

fn confined(program: &Path) -> Command {
    let mut command = Command::new(CONFINED);
    command.env("ZCTD_CONFINED", program).stdin(Stdio::null());
    command
}

#[test]
fn the_unit_allows_little() {
    let mut analyze = Command::new(find("systemd-analyze", "systemd"));
    // In tenths, from 0 to 100: the unit says what these are.
    analyze.args(["security", "--no-pager", "--offline=yes", "--threshold=20", UNIT]);
    let judged = run(&mut analyze, b"");
    assert_eq!(judged.exit, Exit::Code(0), "{}{}", judged.out(), judged.err());
}

#[test]
fn what_the_unit_does_not_allow_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let change_owner = format!("0 {}", dir.path().display());
    let killed = Exit::Signal(Signal::SIGSYS as i32);
    for (program, package, words, end) in [
        // A call that is not on the list, and one that is but needs a right that is gone.
        ("chown", "coreutils", change_owner.as_str(), killed),
        ("unshare", "util-linux", "--net true", Exit::Code(1)),
    ] {
        let path = find(program, package);
        let ended = run(confined(&path).args(words.split(' ')), b"");
        assert_eq!(ended.exit, end, "{program}: {ended:?}");
        let outside = run(Command::new(&path).args(words.split(' ')), b"");
        assert_eq!(outside.exit, Exit::Code(0), "{program}: {outside:?}");
    }
}

#[test]
fn the_daemon_lives_with_what_the_unit_allows() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let general = format!(
        "General {{\nHashLimit 65536\nLogFile {}\nLockFile {}\nUNIX {{ Path {}\n}}\n}}\n",
        at("log").display(),
        at("lock").display(),
        at("ctl").display()
    );
    let sync = "Sync {\nMode FTFW { }\nUDP { IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 \
         Port 3780 Interface lo }\n}\n";
    fs::write(at("conf"), format!("{sync}{general}")).expect("a configuration");
    let zctd = || {
        let mut command = confined(&Which::Zctd.path());
        command.arg("-C").arg(at("conf"));
        command
    };
    let ask = |words: &str| run(zctd().args(words.split(' ')), b"");
    let mut daemon = zctd().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the daemon");
    let log = || fs::read_to_string(at("log")).unwrap_or_default();
    eventually("the daemon answers", || match ask("-s") {
        Output { exit: Exit::Code(0), .. } => Ok(()),
        other => Err(format!("{other:?} {}", log())),
    });
    let flow = "-I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 600";
    assert_eq!(Tool::Zct.run(&flow.split(' ').collect::<Vec<_>>()).exit, Exit::Code(0));
    eventually("the flow", || match ask("-i").out() {
        text if text.contains("src=192.0.2.1") => Ok(()),
        text => Err(format!("{text} {}", log())),
    });
    for words in ["-B", "-n", "-c", "-f internal", "status --json", "-k"] {
        let answer = ask(words);
        assert!(matches!(answer.exit, Exit::Code(0 | 2)), "{words}: {answer:?} {}", log());
    }
    assert_eq!(daemon.wait().expect("wait").code(), Some(0), "{}", log());
}
