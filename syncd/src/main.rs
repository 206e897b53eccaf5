//! `zctd`: the high-availability daemon. What it can do so far is say what it cannot do yet.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;

const HELP: &str = "\
zctd: replicates conntrack state between firewalls, to replace conntrackd

Usage: zctd -h | -v
  -h, --help      this text
  -v, --version   the version

Not there yet: daemon mode (-d), configuration files (-C), control commands and statistics.
Until then run conntrackd; zct, the command line, works beside it.
";

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let word = words.first().map(|w| w.to_string_lossy());
    let mut out = std::io::stdout().lock();
    let written = match word.as_deref() {
        Some("-h" | "--help") => out.write_all(HELP.as_bytes()),
        Some("-v" | "--version") => {
            writeln!(out, "zctd v{} (conntrack-tools 1.4.9)", env!("CARGO_PKG_VERSION"))
        }
        Some(other) => {
            eprintln!("zctd: `{other}' is not available yet: this version only knows -h and -v");
            return ExitCode::FAILURE;
        }
        None => {
            eprintln!("zctd: no command given; the daemon is not available yet, see zctd -h");
            return ExitCode::FAILURE;
        }
    };
    // A reader that has gone away is the only way this fails, and there is nobody left to tell.
    if written.and_then(|()| out.flush()).is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
