//! What a daemon says of itself: zctd or conntrackd, asked by its control socket (conntrackd.md §2), which
//! costs neither a process nor a shell; and zctd's metrics.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The request of `-s`.
const STATISTICS: u32 = 21;
/// What has not come after so long without any progress will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the daemon behind `socket` knows exactly `count` flows of its peer, and asks once in `every`.
/// The one behind `other` is asked as often. Returns the longest time that an answer of either took.
///
/// # Errors
/// When a daemon does not answer, or when nothing has changed for a minute.
pub fn await_flows(socket: &Path, count: u64, every: Duration, other: Option<&Path>) -> io::Result<Duration> {
    let (mut last, mut since, mut longest) = (None, Instant::now(), Duration::ZERO);
    loop {
        if let Some(socket) = other {
            let asked = Instant::now();
            statistics(socket)?;
            longest = longest.max(asked.elapsed());
        }
        let asked = Instant::now();
        let now = external(&statistics(socket)?);
        longest = longest.max(asked.elapsed());
        if now == Some(count) {
            return Ok(longest);
        }
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{} of {count} flows", now.unwrap_or(0))));
        }
        std::thread::sleep(every);
    }
}

/// The value of a sample without labels in the metrics that zctd serves at `socket`. Some values begin anew
/// when they have been read.
///
/// # Errors
/// When nobody answers, or the sample is not there.
pub fn sample(socket: &Path, name: &str) -> io::Result<f64> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let value = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.ok_or_else(|| io::Error::other(format!("no {name} in the metrics")))
}

/// The longest time without an answer of `address`, until `over` says that it is enough, asked once a
/// millisecond: a datagram to a port where nobody listens, which the system answers with an error.
///
/// # Errors
/// Of the socket.
pub fn longest_silence(address: IpAddr, mut over: impl FnMut() -> bool) -> io::Result<Duration> {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((address, 9))?;
    socket.set_read_timeout(Some(Duration::from_millis(1)))?;
    let (mut last, mut longest) = (None::<Instant>, Duration::ZERO);
    while !over() {
        let answers = |e: io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
        // An error of the previous datagram may come with either call.
        if socket.send(b"?").is_err_and(answers) | socket.recv(&mut [0; 8]).is_err_and(answers) {
            longest = longest.max(last.map_or(Duration::ZERO, |at| at.elapsed()));
            last = Some(Instant::now());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    // What has begun and not ended counts too.
    Ok(longest.max(last.map_or(Duration::MAX, |at| at.elapsed())))
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
    fn a_system_that_is_there_answers() {
        let mut asked = 0;
        let over = || {
            asked += 1;
            asked > 20
        };
        assert!(longest_silence(Ipv4Addr::LOCALHOST.into(), over).unwrap() < Duration::from_secs(60));
    }

    #[test]
    fn a_daemon_that_is_not_there_is_an_error() {
        let missing = Path::new("/nowhere/at/all");
        assert!(await_flows(missing, 1, Duration::ZERO, None).is_err() && sample(missing, "x").is_err());
    }
}
