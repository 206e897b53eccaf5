//! `zctd`: the high-availability daemon. So far it checks configuration files, and says what it cannot do yet.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use zctd::config::{self, protocols::Protocols};

const HELP: &str = "\
zctd: replicates conntrack state between firewalls, to replace conntrackd

Usage: zctd --check [-C FILE] | -h | -v
  --check         read the configuration file, say what is wrong with it, and
                  print what it amounts to, every default included
  -C FILE         the configuration file (default: /etc/conntrackd/conntrackd.conf)
  -h, --help      this text
  -v, --version   the version

Not there yet: the daemon itself, control commands and statistics.
Until then run conntrackd; zct, the command line, works beside it.
";

const DEFAULT_FILE: &str = "/etc/conntrackd/conntrackd.conf";
/// More than any configuration needs; what is larger is a mistake (a device, a log file).
const FILE_MAX: u64 = 16 << 20;

/// What the command line asks for.
struct Args {
    check: bool,
    file: Option<OsString>,
}

fn main() -> ExitCode {
    let mut args = Args { check: false, file: None };
    let mut words = std::env::args_os().skip(1);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("-h" | "--help") => return print(HELP.as_bytes()),
            Some("-v" | "--version") => {
                let text = format!("zctd v{} (conntrack-tools 1.4.9)\n", env!("CARGO_PKG_VERSION"));
                return print(text.as_bytes());
            }
            Some("--check") => args.check = true,
            Some("-C") => match words.next() {
                Some(file) => args.file = Some(file),
                None => return fail("-C needs the name of a configuration file"),
            },
            _ => {
                let word = word.to_string_lossy();
                return fail(&format!("`{word}' is not available yet: see zctd -h for what is"));
            }
        }
    }
    let file = args.file.as_deref().unwrap_or(OsStr::new(DEFAULT_FILE));
    match (args.check, &args.file) {
        (true, _) => check(file),
        (false, Some(_)) => fail("the daemon is not available yet; add --check to have the file checked"),
        (false, None) => fail("no command given; the daemon is not available yet, see zctd -h"),
    }
}

/// Remarks to stderr, the effective configuration to stdout. Fails when no daemon could run with the file.
fn check(file: &OsStr) -> ExitCode {
    let name = file.to_string_lossy();
    let text = match read(file) {
        Ok(text) => text,
        Err(why) => return fail(&format!("can't open config file `{name}': {why}")),
    };
    // Without the file the usual names are known all the same.
    let protocols = Protocols::parse(&std::fs::read("/etc/protocols").unwrap_or_default());
    let loaded = config::load(&text, &protocols);
    eprint!("{}", loaded.report.lines(&name));
    match loaded.config {
        Some(config) => print(&config::print(&config)),
        None => ExitCode::FAILURE,
    }
}

fn read(file: &OsStr) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let n = std::fs::File::open(file)?.take(FILE_MAX + 1).read_to_end(&mut text)?;
    if n as u64 > FILE_MAX {
        return Err(std::io::Error::other(format!("more than {} MiB", FILE_MAX >> 20)));
    }
    Ok(text)
}

fn print(text: &[u8]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away is the only way this fails, and there is nobody left to tell.
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("zctd: {text}");
    ExitCode::FAILURE
}
