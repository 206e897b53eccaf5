//! How many of its peer's flows a daemon knows: zctd or conntrackd, asked by its control socket
//! (conntrackd.md §2), which costs neither a process nor a shell.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The request of `-s`.
const STATISTICS: u32 = 21;
/// What has not come after so long without any progress will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the daemon behind `socket` knows exactly `count` flows of its peer, and asks once in `every`.
///
/// # Errors
/// When the daemon does not answer, or when nothing has changed for a minute.
pub fn await_flows(socket: &Path, count: u64, every: Duration) -> io::Result<()> {
    let (mut last, mut since) = (None, Instant::now());
    loop {
        let now = external(&statistics(socket)?);
        if now == Some(count) {
            return Ok(());
        }
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{} of {count} flows", now.unwrap_or(0))));
        }
        std::thread::sleep(every);
    }
}

/// The text of `-s`.
fn statistics(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(&STATISTICS.to_ne_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The number of active flows in the external cache, as `-s` shows it.
fn external(text: &str) -> Option<u64> {
    let section = text.lines().skip_while(|l| !l.starts_with("cache external"));
    let mut active = section.filter_map(|l| l.strip_prefix("current active connections:"));
    active.next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_external_cache_is_found_in_what_the_daemons_print() {
        let text = "cache internal:\ncurrent active connections:\t          12\nconnections created:\t 3\n\n\
                    cache external:\ncurrent active connections:\t         345\n";
        assert_eq!(external(text), Some(345));
        assert_eq!(external("cache internal:\ncurrent active connections:\t 12\n"), None);
    }

    #[test]
    fn a_daemon_that_is_not_there_is_an_error() {
        let missing = Path::new("/nowhere/at/all");
        assert!(await_flows(missing, 1, Duration::ZERO).is_err());
    }
}
