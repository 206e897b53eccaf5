//! The machine that the numbers were measured on.

use std::fs;
use std::process::Command;

/// The circumstances of a measurement, as the report states them.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What `uname -srvm` says.
    pub kernel: String,
    /// Model of the first processor.
    pub processor: String,
    /// Number of processors.
    pub processors: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The original's version line.
    pub original: String,
    /// zct's version line.
    pub zct: String,
    /// Date and time of the measurement, in UTC.
    pub date: String,
    /// Load averages when the measurement began.
    pub load: String,
}

fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

/// The first line; ours goes on about the machine.
fn version(program: &str) -> String {
    said(program, &["-V"]).lines().next().unwrap_or_default().to_owned()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|l| l.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

impl Machine {
    /// Collects the facts from the system and from both programs.
    pub fn look(original: &str, zct: &str) -> Machine {
        let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
        let kib: u64 = memory.split(' ').next().and_then(|w| w.parse().ok()).unwrap_or(0);
        let unknown = || "unknown".to_owned();
        Machine {
            kernel: said("uname", &["-srvm"]),
            processor: field("/proc/cpuinfo", "model name")
                .or_else(|| field("/proc/cpuinfo", "CPU part"))
                .unwrap_or_else(unknown),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kib / 1024,
            original: version(original),
            zct: version(zct),
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            load: fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned(),
        }
    }

    /// MiB of memory available now.
    pub fn available_mib() -> u64 {
        let kib = field("/proc/meminfo", "MemAvailable").unwrap_or_default();
        kib.split(' ').next().and_then(|w| w.parse::<u64>().ok()).unwrap_or(0) / 1024
    }
}
