//! The real conntrackd in a private network and mount namespace. As a client it reads the file, finds no
//! daemon, and ends.

use super::golden::{Verdict, escape};
use std::path::PathBuf;
use std::process::Command;

/// What conntrackd says about each text.
pub(crate) fn verdicts(texts: &[Vec<u8>]) -> Vec<Verdict> {
    for (program, package) in [("conntrackd", "conntrackd"), ("unshare", "util-linux"), ("mount", "mount")] {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
        assert!(found.status.success(), "{program} is missing: apt-get install {package}");
    }
    let version = Command::new("conntrackd").arg("-v").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    assert!(version.contains("v1.4.7"), "the golden file is of conntrackd 1.4.7, here is: {version}");
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("acceptance-{}", texts.len()));
    std::fs::create_dir_all(&dir).unwrap();
    for (i, text) in texts.iter().enumerate() {
        std::fs::write(dir.join(format!("{i}.conf")), text).unwrap();
    }
    // The texts' interface must exist, and no socket that they name may: hence the empty /run.
    let script = "mount -t tmpfs none /run && cd \"$1\" && i=0 && \
                  while [ -e $i.conf ]; do conntrackd -C $i.conf -s >$i.out 2>&1; i=$((i+1)); done";
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "sh", "-c", script, "sh"]).arg(&dir);
    let status = unshare.status().unwrap();
    assert!(status.code().is_some_and(|c| c < 2), "unshare: {status}");
    let said = (0..texts.len()).map(|i| std::fs::read(dir.join(format!("{i}.out"))).unwrap());
    let verdicts = said.map(|out| verdict(&out)).collect();
    std::fs::remove_dir_all(&dir).unwrap();
    verdicts
}

/// Reads the verdict from the lines of the log: `[time] (pid=N) [level] text`.
fn verdict(out: &[u8]) -> Verdict {
    let mut warned = false;
    for line in out.split(|b| *b == b'\n') {
        let text = |level: &str| {
            let at = line.windows(level.len()).position(|w| w == level.as_bytes())?;
            Some(&line[at + level.len()..])
        };
        if let Some(text) = text(" [ERROR] ") {
            if text.starts_with(b"can't connect") {
                return if warned { Verdict::Warned } else { Verdict::Accepted };
            }
            return refusal(text);
        }
        if let Some(text) = text(" [warning] ") {
            warned |= !text.ends_with(b"is an invalid interface");
        }
    }
    panic!("conntrackd said: {}", escape(out));
}

/// Reads `parsing config file in line (N), symbol 'WORD': syntax error`, or another error.
fn refusal(text: &[u8]) -> Verdict {
    let syntax = || {
        let rest = text.strip_prefix(b"parsing config file in line (")?;
        let close = rest.iter().position(|b| *b == b')')?;
        let line = std::str::from_utf8(&rest[..close]).ok()?.parse().ok()?;
        let word = rest[close..].strip_prefix(b"), symbol '")?.strip_suffix(b"': syntax error")?;
        Some(Verdict::Syntax(line, word.to_vec()))
    };
    syntax().unwrap_or_else(|| Verdict::Refused(escape(text)))
}
