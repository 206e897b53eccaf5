//! What this process has used, from `/proc/self` (proc(5)).

use std::fs;
use std::time::Duration;

/// Clock ticks in a second as `/proc` counts them: USER_HZ, which is 100 wherever this program runs.
const TICKS_A_SECOND: u64 = 100;

/// What the process has used; `None` where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Processor time, the kernel's on its behalf included.
    pub cpu: Option<Duration>,
    /// Bytes of memory in use.
    pub resident_bytes: Option<u64>,
    /// Bytes of address space in use.
    pub virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// The most file descriptors that it may open.
    pub max_fds: Option<u64>,
}

impl Process {
    /// Asks the kernel about this process.
    pub fn read() -> Process {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Process {
            cpu: fs::read_to_string("/proc/self/stat").ok().and_then(|text| cpu(&text)),
            resident_bytes: kilobytes(&status, "VmRSS:"),
            virtual_bytes: kilobytes(&status, "VmSize:"),
            // One of them is the directory's own.
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|dir| (dir.count() as u64).saturating_sub(1)),
            max_fds: max_fds(&limits),
        }
    }
}

/// Fields 14 and 15 of `/proc/self/stat`. Field 2 is the program's name, in parentheses, and may contain
/// anything, so fields are counted from behind it.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let ticks: u64 = times.next()?.parse::<u64>().ok()?.checked_add(times.next()?.parse().ok()?)?;
    Some(Duration::from_millis(ticks.checked_mul(1000 / TICKS_A_SECOND)?))
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn max_fds(limits: &str) -> Option<u64> {
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    soft.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let stat = "12 (a) b (c 1 2) S 1 1 1 0 -1 4194560 88 0 0 0 150 7 0 0 20 0 1 0 12345 1 2 3\n";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1570)));
        assert_eq!((cpu(""), cpu("1 (x) S 1")), (None, None));
    }

    #[test]
    fn this_test_has_used_something() {
        let p = Process::read();
        assert!(p.resident_bytes > Some(100_000) && p.virtual_bytes > p.resident_bytes, "{p:?}");
        assert!(p.open_fds >= Some(3) && p.max_fds >= p.open_fds && p.cpu.is_some(), "{p:?}");
    }
}
