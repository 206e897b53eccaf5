//! What the tests of faults have in common: a load that goes on while something breaks, and what has to hold
//! afterwards.
//!
//! Counts have a short form for `make test`; `ZCT_FAULTS=full` asks for the long one.

use crate::cluster::{At, Cluster, difference, eventually, travelling};
use crate::program::Exit;
use crate::seed::{Storm, tcp, udp};
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use zct_wire::request::NewFlow;

/// Chooses between the count of `make test` and that of `make soak`.
pub fn times(short: usize, full: usize) -> usize {
    if std::env::var_os("ZCT_FAULTS").is_some_and(|v| v == "full") { full } else { short }
}

/// Random numbers whose seed is printed; `ZCT_FAULTS_SEED` replays a run.
pub fn rng() -> fastrand::Rng {
    let given = std::env::var("ZCT_FAULTS_SEED").ok().map(|text| text.parse().expect("a number"));
    // One seed in `make test`, another each time in `make soak`.
    let seed = given.unwrap_or_else(|| if times(0, 1) == 0 { 1 } else { fastrand::u64(..) });
    println!("ZCT_FAULTS_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// What a process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Resident memory in KiB.
    pub rss_kb: u64,
    /// Open descriptors.
    pub descriptors: usize,
}

/// What a process uses now.
///
/// # Panics
/// When it is gone.
pub fn used(pid: u32) -> Used {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("it has not ended");
    let rss_kb = rss.trim().trim_end_matches(" kB").parse().expect("a number");
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is there").count();
    Used { rss_kb, descriptors }
}

/// A listed flow without what changes by itself: timeout, use count, and how long it is known.
fn steady(line: &str) -> String {
    let line = line.split(" [active").next().unwrap_or(line);
    let mut words: Vec<&str> = line.split_whitespace().collect();
    if words.get(2).is_some_and(|w| w.bytes().all(|b| b.is_ascii_digit())) {
        words.remove(2);
    }
    words.retain(|w| !w.starts_with("use=") && *w != "mark=0");
    words.join(" ")
}

/// Whether a flow belongs to the link between the nodes, which is not replicated.
fn of_the_link(line: &str) -> bool {
    ["=10.9.0.", "=10.9.1.", "=fd09:", "=fe80:", "=ff02:", "=127.0.0.1"].iter().any(|a| line.contains(a))
}

impl Cluster {
    /// The flows in a node's kernel, one line each.
    pub fn kernel(&self, at: At) -> Vec<String> {
        let mut listed = String::new();
        // Somebody on this machine may resize the table meanwhile.
        eventually("a whole list", || {
            let output = self.zct(at, &["-L"], "");
            listed = output.out();
            if output.exit == Exit::Code(0) { Ok(()) } else { Err(output.err()) }
        });
        listed.lines().filter(|l| !of_the_link(l)).map(str::to_owned).collect()
    }

    /// Whether a node's kernel, its internal cache and the peer's external cache agree, flow by flow.
    pub fn agreement(&self, at: At) -> Result<(), String> {
        let kernel = self.kernel(at);
        let internal = self.ask(at, &["-i"]);
        let set = |lines: &[String]| lines.iter().map(|l| steady(l)).collect::<BTreeSet<_>>();
        let listed: Vec<String> = internal.lines().map(str::to_owned).collect();
        difference(&set(&kernel), &set(&listed)).map_err(|e| format!("{at:?}, kernel and internal: {e}"))?;
        if (kernel.len(), listed.len()) != (set(&kernel).len(), set(&listed).len()) {
            return Err(format!("{at:?}: {} flows, {} known", kernel.len(), listed.len()));
        }
        let own: BTreeSet<_> = listed.iter().map(|l| travelling(l)).collect();
        let known = self.external(at.other());
        difference(&own, &known).map_err(|e| format!("{at:?}, internal and the peer's external: {e}"))
    }

    /// Every flow of the peer that a node knows has to be in its kernel.
    pub fn committed(&self, at: At) {
        let kernel: BTreeSet<_> = self.kernel(at).iter().map(|l| travelling(&steady(l))).collect();
        let known = self.external(at);
        let missing = known.difference(&kernel).next();
        assert!(missing.is_none(), "{} known, {} in the kernel, not {missing:?}", known.len(), kernel.len());
    }

    /// What has to hold after every fault: all tables agree both ways, nobody has panicked, and memory and
    /// descriptors are what so small a table takes.
    pub fn whole(&self, what: &str) {
        eventually(what, || self.agreement(At::Here).and_then(|()| self.agreement(At::There)));
        self.sound(At::Here);
        self.sound(At::There);
    }

    /// The part of [`Cluster::whole`] that is about a single process.
    pub fn sound(&self, at: At) {
        let said = self.stderr(at);
        assert!(!said.contains("panicked") && !said.contains("allocation"), "{at:?}: {said}");
        // Clients that have just been served may still hold theirs.
        eventually("few descriptors", || match used(self.pid(at)) {
            u if u.descriptors <= 40 => Ok(()),
            u => Err(format!("{at:?}: {u:?}")),
        });
        let now = used(self.pid(at));
        assert!(now.rss_kb < 64 << 10, "{at:?}: {now:?}");
    }

    /// A number of a node's statistics: the last one on the line that begins with `name`.
    pub fn statistic(&self, at: At, words: &[&str], name: &str) -> u64 {
        let text = self.ask(at, words);
        let line = text.lines().find(|l| l.trim_start().starts_with(name));
        let number = line.and_then(|l| l.rsplit(|c: char| !c.is_ascii_digit()).find(|w| !w.is_empty()));
        number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Waits until a node's log has this text.
    pub fn logged(&self, at: At, text: &str) {
        eventually(text, || if self.log(at).contains(text) { Ok(()) } else { Err(self.log(at)) });
    }

    /// Starts a load on a node.
    pub fn churn(&self, at: At, net: u8, living: u32) -> Churn {
        self.inside(at, || Churn::start(net, living, None))
    }

    /// Starts a load of this many new flows a second, and as many that end, on a node.
    pub fn churn_at(&self, at: At, net: u8, living: u32, a_second: u32) -> Churn {
        self.inside(at, || Churn::start(net, living, Some(a_second)))
    }
}

/// Flows that come and go in one namespace for as long as this lives.
#[derive(Debug)]
pub struct Churn {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    made: AtomicU64,
}

/// Flows that come, and as many that go, between two pauses.
const STEP: u32 = 64;
const PAUSE: Duration = Duration::from_millis(2);

fn flow(net: u8, n: u32) -> NewFlow<'static> {
    let [_, hi, mid, lo] = n.to_be_bytes();
    match n % 4 {
        0 => tcp([10, net, hi, mid], [10, 200, 1, lo], 1000, 443, 3),
        _ => udp([10, net, hi, mid], [10, 200, 1, lo], 1000, 53),
    }
}

impl Churn {
    /// Begins in this thread's namespace, with sources in 10.`net`.0.0/16; after the end, about `living`
    /// flows are left.
    pub(crate) fn start(net: u8, living: u32, a_second: Option<u32>) -> Churn {
        let shared = Arc::new(Shared::default());
        let told = shared.clone();
        let thread = std::thread::spawn(move || {
            let mut storm = Storm::open();
            let (mut first, mut next) = (0, 0);
            let began = Instant::now();
            while !told.stop.load(Relaxed) || next < living {
                storm.create((next..next + STEP).map(|n| flow(net, n)));
                next += STEP;
                if next - first > living {
                    storm.delete((first..first + STEP).map(|n| flow(net, n)));
                    first += STEP;
                }
                told.made.store(next.into(), Relaxed);
                // Leaves the processor to the daemons; no verdict depends on how long.
                let due = a_second.map(|n| Duration::from_secs(1) * next / n).unwrap_or_default();
                std::thread::sleep(due.saturating_sub(began.elapsed()).max(PAUSE));
            }
        });
        Churn { shared, thread: Some(thread) }
    }

    /// Waits until this many more flows have come, as long as any come.
    pub fn more(&self, flows: u64) {
        let mut made = self.shared.made.load(Relaxed);
        let enough = made + flows;
        while made < enough {
            let before = made;
            eventually("the load goes on", || {
                made = self.shared.made.load(Relaxed);
                if made > before { Ok(()) } else { Err(format!("{made} of {enough}")) }
            });
        }
    }

    /// How many flows have come.
    pub fn made(&self) -> u64 {
        self.shared.made.load(Relaxed)
    }

    /// Ends the load; returns how many flows there were.
    pub fn end(mut self) -> u64 {
        self.shared.stop.store(true, Relaxed);
        self.thread.take().expect("it runs").join().expect("every request was accepted");
        self.shared.made.load(Relaxed)
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        // When a test fails, its own message is the one that counts.
        _ = self.thread.take().map(JoinHandle::join);
    }
}
