//! `make bench`: zct, the original and the kernel's part alone, side by side on the same table.
//!
//! There are two processes. The first changes the machine's limits and restores them, whatever becomes of
//! the second, which does the measuring in a network namespace of its own.

use lexopt::prelude::*;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, Uid};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use zct_perf::curves::{self, BY_RATE, BY_SIZE};
use zct_perf::limits::{Held, Limits};
use zct_perf::machine::Machine;
use zct_perf::results::Report;
use zct_perf::row::Tools;
use zct_perf::rows::{self, Files};
use zct_perf::runner::Runner;
use zct_perf::sample::csv;
use zct_perf::{lines, netns, plots};

const USAGE: &str = "\
bench [OPTION...]
  --flows N        flows in the table, 1000000
  --rounds N       rounds a row, 5
  --quick          three rounds, no curves; the results go to standard output
  --only A,B,...   these rows alone; the results go to standard output
  --list           name the rows
  --results DIR    where the results go, perf/
  --original FILE  the program to compare with, conntrack";

/// A generous estimate of the memory that a million flows need, in MiB.
const MIB_A_MILLION: u64 = 700;

#[derive(Clone, Debug)]
struct Options {
    flows: u32,
    rounds: u32,
    quick: bool,
    list: bool,
    only: Vec<String>,
    results: PathBuf,
    original: PathBuf,
    /// Set in the second process only: the directory of the files with lines.
    worker: Option<PathBuf>,
}

impl Options {
    fn parse(mut words: lexopt::Parser) -> Result<Options, lexopt::Error> {
        let mut o = Options {
            flows: 1_000_000,
            rounds: 0,
            quick: false,
            list: false,
            only: Vec::new(),
            results: "perf".into(),
            original: "conntrack".into(),
            worker: None,
        };
        while let Some(word) = words.next()? {
            match word {
                Long("flows") => o.flows = words.value()?.parse()?,
                Long("rounds") => o.rounds = words.value()?.parse()?,
                Long("quick") => o.quick = true,
                Long("list") => o.list = true,
                Long("only") => o.only = words.value()?.string()?.split(',').map(str::to_owned).collect(),
                Long("results") => o.results = words.value()?.into(),
                Long("original") => o.original = words.value()?.into(),
                Long("worker") => o.worker = Some(words.value()?.into()),
                _ => return Err(word.unexpected()),
            }
        }
        if o.rounds == 0 {
            o.rounds = if o.quick { 3 } else { 5 };
        }
        // The mix repeats after 250 flows, and the rows take shares of them.
        if o.flows < 5_000 || o.flows % 5_000 != 0 {
            return Err("--flows: a multiple of 5000".into());
        }
        Ok(o)
    }

    /// True when everything is measured, so that the results are kept.
    fn is_full(&self) -> bool {
        !self.quick && self.only.is_empty()
    }

    fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == row)
    }

    /// Curves take long, so a quick run draws one only when asked for it.
    fn wants_curve(&self, curve: &str) -> bool {
        self.is_full() || self.only.iter().any(|o| o == curve)
    }

    /// The size of the largest table that will be filled.
    fn flows_max(&self) -> u32 {
        if self.wants_curve(BY_SIZE) { self.flows.saturating_mul(2) } else { self.flows }
    }

    fn limits(&self, now: Limits) -> Limits {
        Limits {
            max: now.max.max(u64::from(self.flows_max()) + 500_000),
            buckets: u64::from(self.flows.next_power_of_two()),
        }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let parsed = Options::parse(lexopt::Parser::from_args(&words));
    let parsed = parsed.map_err(|e| io::Error::other(format!("{e}\n{USAGE}")));
    let done = parsed.and_then(|o| match &o.worker {
        _ if o.list => list(&o),
        None => guard(&o, &words),
        Some(files) => work(&o, files, &words),
    });
    match done {
        Ok(code) => code,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn list(o: &Options) -> io::Result<ExitCode> {
    let none = Path::new("");
    for row in rows::all(o.flows, Files { restore: none, batch: none, ten: none, keep: none }) {
        println!("{:16} {}", row.name, row.title);
    }
    println!("{BY_SIZE:16} -L over the size of the table\n{BY_RATE:16} events delivered over their rate");
    Ok(ExitCode::SUCCESS)
}

/// Sets the limits, starts the second process, waits for it, and puts the limits back.
fn guard(o: &Options, words: &[String]) -> io::Result<ExitCode> {
    if !Uid::effective().is_root() {
        return Err(io::Error::other(
            "needs root: the table's size and event buffers are the machine's limits",
        ));
    }
    let needed = u64::from(o.flows_max()) * MIB_A_MILLION / 1_000_000;
    let there = Machine::available_mib();
    if there < needed {
        return Err(io::Error::other(format!(
            "{needed} MiB of memory needed, {there} are free: see --flows"
        )));
    }
    let listeners = netns::listeners_anywhere()?;
    for listener in &listeners {
        eprintln!("NOTE: {listener} listens to events: that slows every namespace, end it if you can");
    }
    // Signals are read from here on; they no longer end this process.
    let mut signals = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD]
        .into_iter()
        .for_each(|s| signals.add(s));
    signals.thread_block()?;
    let files = tempfile::tempdir()?;
    let held = Held::set(o.limits(Limits::read()?), &std::env::temp_dir().join("zct-bench.limits"))?;
    eprintln!("conntrack limits: {:?}, afterwards {:?} again", Limits::read()?, held.before());
    let mut worker = Command::new(std::env::current_exe()?);
    let worker = worker.args(words).arg("--worker").arg(files.path()).spawn()?;
    let pid = Pid::from_raw(i32::try_from(worker.id()).map_err(io::Error::other)?);
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => match waitpid(pid, Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::Exited(_, code) => return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
                WaitStatus::Signaled(_, signal, _) => {
                    return Err(io::Error::other(format!("ended by {signal}, the limits are as before")));
                }
                _ => {}
            },
            // The second process has had the Ctrl-C as well; a second signal does no harm.
            _ => kill(pid, Signal::SIGTERM)?,
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::create(path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

fn lines_file(
    path: &Path,
    numbers: impl IntoIterator<Item = u32>,
    line: fn(u32) -> String,
) -> io::Result<()> {
    let mut file = BufWriter::new(create(path)?);
    lines::write(&mut file, numbers, line)?;
    file.flush()
}

fn work(o: &Options, dir: &Path, words: &[String]) -> io::Result<ExitCode> {
    // The first process has blocked the signals, and masks are inherited.
    SigSet::all().thread_unblock()?;
    // Without the first process nobody restores the limits or reads the results.
    set_pdeathsig(Signal::SIGTERM)?;
    netns::enter_new()?;
    let programs = std::env::current_exe()?;
    let program = |name| programs.with_file_name(name);
    let tools = Tools { zct: program("zct"), original: o.original.clone(), yardstick: program("yardstick") };
    let [restore, batch, ten, kept] = ["restore", "batch", "ten", "keep"].map(|f| dir.join(f));
    lines_file(&restore, 0..rows::restored(o.flows), lines::create)?;
    lines_file(&batch, rows::batched(o.flows), lines::delete)?;
    lines_file(&ten, rows::batched(o.flows).take(10), lines::delete)?;
    lines_file(&kept, rows::kept(), lines::destination)?;
    let mut rows = rows::all(o.flows, Files { restore: &restore, batch: &batch, ten: &ten, keep: &kept });
    rows.retain(|r| o.wants(r.name));
    let machine = Machine::look(&tools.original.to_string_lossy(), &tools.zct.to_string_lossy());
    let mut runner = Runner::new(tools, o.rounds);
    let mut failed = false;
    for row in &rows {
        if let Err(e) = runner.row(row) {
            failed = true;
            runner.remark(format!("{} could not be measured: {e}", row.name));
        }
    }
    let wanted = |curve| o.wants_curve(curve);
    let by_size = wanted(BY_SIZE).then(|| curves::by_size(&mut runner, o.flows_max()));
    let by_rate = wanted(BY_RATE).then(|| curves::by_rate(&mut runner));
    for done in [by_size, by_rate].into_iter().flatten() {
        if let Err(e) = done {
            failed = true;
            runner.remark(format!("a curve could not be measured: {e}"));
        }
    }
    let shown: Vec<&str> = words.iter().map(String::as_str).take_while(|w| *w != "--worker").collect();
    let report = Report {
        machine: &machine,
        rows: &rows,
        samples: &runner.samples,
        remarks: &runner.remarks,
        flows: o.flows,
        buckets: Limits::read()?.buckets,
        rounds: o.rounds,
        command: &format!("bench {}", shown.join(" ")),
        plots: o.is_full(),
    };
    if o.is_full() {
        keep(&report, &o.results)?;
        runner.progress(&format!("done: {}", o.results.join("RESULTS.md").display()));
    } else {
        println!("{}", report.markdown());
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Writes everything that a full run leaves behind.
fn keep(report: &Report<'_>, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir.join("raw"))?;
    let files = [
        ("RESULTS.md", report.markdown()),
        ("raw/samples.csv", csv(report.samples)),
        ("comparison.svg", plots::comparison(report)),
        ("sizes.svg", plots::sizes(report)),
        ("rates.svg", plots::rates(report)),
    ];
    files.into_iter().try_for_each(|(name, text)| create(&dir.join(name))?.write_all(text.as_bytes()))
}
