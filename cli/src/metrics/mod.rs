//! `zct metrics`: the kernel's side of connection tracking as metrics for Prometheus.

mod census;
mod kernel;
mod question;

use crate::commands::output_failed;
use crate::fail::{Fail, Name};
use crate::flags::{help, own};
use crate::stdout::{PrintError, Printer};
use kernel::{Kernel, Write};
use lexopt::prelude::*;
use question::By;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::Instant;
use zct_engine::write_file::{Replacement, Unwritten, WriteError};

#[derive(Debug, Default, PartialEq, Eq)]
struct MetricsAsked {
    help: bool,
    by: By,
    textfile: Option<PathBuf>,
}

fn parse(words: &[&[u8]]) -> Result<MetricsAsked, lexopt::Error> {
    let mut asked = MetricsAsked::default();
    let mut words = lexopt::Parser::from_args(words.iter().map(|w| OsString::from_vec(w.to_vec())));
    while let Some(word) = words.next()? {
        match word {
            Short('h') | Long("help") => asked.help = true,
            Long("by-protocol") => asked.by.protocol = true,
            Long("by-zone") => asked.by.zone = true,
            Long("textfile") => asked.textfile = Some(words.value()?.into()),
            other => return Err(other.unexpected()),
        }
    }
    Ok(asked)
}

/// Prints the metrics, or writes them to a file.
pub fn run(_: Name, _: &[u8], words: &[&[u8]]) -> Result<(), Fail> {
    let asked = parse(words).map_err(|e| Fail::usage(format!("metrics: {e}")))?;
    if asked.help {
        let text = own::find(b"metrics").map(help::own).unwrap_or_default();
        let mut out = io::stdout().lock();
        return out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| output_failed(&e));
    }
    let begun = Instant::now();
    // Nothing is written before everything is known: half of the metrics would look as if the others had
    // ceased to exist.
    let mut kernel = Kernel::read(asked.by)?;
    kernel.duration = begun.elapsed();
    let Some(path) = asked.textfile else {
        return print(Printer::new(io::stdout()), &kernel).map_err(|e| output_failed(&e));
    };
    let written = Replacement::begin(&path).and_then(|mut new| {
        let written = new.file().try_clone().and_then(|file| print(Printer::new(file), &kernel));
        written.map_err(|e| WriteError { path: path.clone(), why: Unwritten::System(e) })?;
        new.finish()
    });
    written.map_err(|e| Fail::runtime(format!("Cannot write {e}")))
}

/// Writes every family; each is one piece for the buffer.
fn print(mut to: Printer, kernel: &Kernel) -> io::Result<()> {
    kernel.families(&mut |write: Write<'_>| {
        let printed = to.print(&mut |out| {
            write(out);
            Ok(())
        });
        printed.map_err(|e| match e {
            PrintError::Io(e) => e,
            PrintError::Wire(e) => io::Error::other(e),
        })
    })?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<MetricsAsked, String> {
        let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
        parse(&words).map_err(|e| e.to_string())
    }

    #[test]
    fn every_option_of_the_table_is_read() {
        let own = own::find(b"metrics").unwrap();
        for option in own.options {
            assert_ne!(asked(&option.label()).unwrap(), MetricsAsked::default(), "{}", option.name);
        }
        let all = MetricsAsked {
            by: By { protocol: true, zone: true },
            textfile: Some("x.prom".into()),
            ..MetricsAsked::default()
        };
        assert_eq!(asked("--by-zone --textfile=x.prom --by-protocol").unwrap(), all);
        assert!(asked("-h").unwrap().help);
    }

    #[test]
    fn other_words_are_refused() {
        assert_eq!(asked("--by-mark").unwrap_err(), "invalid option '--by-mark'");
        assert_eq!(asked("more").unwrap_err(), "unexpected argument \"more\"");
        assert_eq!(asked("--textfile").unwrap_err(), "missing argument for option '--textfile'");
        assert!(asked("--by-zone=3").is_err());
    }
}
