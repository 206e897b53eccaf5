//! Any words at all: the exit code is 0, 1 or 2, nothing panics or hangs, and a usage error leaves the table
//! as it was.
//!
//! `ZCT_ARGV_N` command lines (a few thousand by default) from `ZCT_SEED`. What the original says to these
//! is compared in `getopt.rs` and `legality.rs`.

use fastrand::Rng;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt as _;
use std::time::{Duration, Instant};
use zct_engine::{Lost, Requests, Sink};
use zct_tests::etc::PrivateEtc;
use zct_tests::netns::Netns;
use zct_tests::options::{COMMANDS, OPTIONS, OURS, Opt, Takes, protocol_options};
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Kernel, Mix, TRACKING};
use zct_wire::consts::cta;
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{self, Table};

const FLOWS: usize = 30;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}={v}")))
}

/// What identifies a flow and what a command could have changed about it. Timeouts tick, so they
/// are left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Facts {
    id: Option<u32>,
    mark: Option<u32>,
    status: Option<u32>,
    labels: Option<Vec<u8>>,
}

/// The flows of a table, and when each of them ends that ends by itself.
#[derive(Default)]
struct Flows(Vec<Facts>, BTreeMap<Option<u32>, Instant>);

impl Flows {
    /// The flows that must still exist, or do exist.
    fn lasting(&self, after: &Flows) -> Vec<Facts> {
        let now = Instant::now();
        // The kernel counts in seconds, on a clock of its own.
        let may_have_ended = |id| self.1.get(&id).is_none_or(|end| *end < now + Duration::from_secs(2));
        let kept = |f: &&Facts| after.0.iter().any(|a| a.id == f.id) || !may_have_ended(f.id);
        self.0.iter().filter(kept).cloned().collect()
    }
}

impl Sink for Flows {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let f = FlowView::index(msg).expect("a flow");
        let id = f.id().expect("an id");
        let timeout_s = f.timeout_s().expect("a timeout").unwrap_or(0);
        self.1.insert(id, Instant::now() + Duration::from_secs(timeout_s.into()));
        self.0.push(Facts {
            id,
            mark: f.mark().expect("a mark"),
            status: f.status().expect("a status"),
            labels: f.raw(cta::LABELS).map(<[u8]>::to_vec),
        });
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        panic!("an answer was lost: {why}");
    }
}

fn table(kernel: &mut Requests) -> Flows {
    let mut flows = Flows::default();
    let filter = DumpFilter::default();
    kernel.dump(|buf, seq| request::dump(buf, seq, Table::Conntrack, &filter), &mut flows).expect("a dump");
    flows.0.sort();
    flows
}

const PROTOCOLS: &[&str] = &[
    "tcp",
    "udp",
    "udplite",
    "sctp",
    "dccp",
    "gre",
    "icmp",
    "icmpv6",
    "ipv6-icmp",
    "6",
    "17",
    "TCP",
    "201",
    "0",
    "256",
    "nope",
];
const TABLES: &[&str] = &["conntrack", "expect", "dying", "unconfirmed", "c", "exp", "", "x"];
const VALUES: &[&str] = &[
    "10.0.0.1",
    "10.0.0.0/24",
    "10.0.0.1,10.0.0.2",
    "10.0.0.1:80",
    "fd00::1",
    "[fd00::1]:5",
    "2001:db8::/32",
    "::",
    "0",
    "1",
    "80",
    "65535",
    "65536",
    "-1",
    "1:2",
    "5:1",
    "1,2,3",
    "1:2,9",
    ",",
    ":",
    "/",
    "0x10",
    "010",
    "4294967295",
    "4294967296",
    "99999999999999999999",
    "65979",
    "443x",
    "8000-8099",
    "99-1",
    "80,1000-2000",
    "5m",
    "1h30m",
    "1e3",
    "10.1",
    "010.0.0.1",
    "10.0.0.1/",
    "10.0.0.1/33",
    "10.0.0.1 10.0.0.2",
    "5/0xfffffffff",
    "5/",
    "7/3",
    "0xff/0xf",
    "ESTABLISHED",
    "SYN_SENT",
    "NONE",
    "CLOSED",
    "client",
    "ASSURED",
    "!ASSURED",
    "!10.0.0.1",
    "10.0.0.0/8,!10.0.0.1",
    "!53",
    "ESTABLISHED,TIME_WAIT",
    "!CLOSE",
    "SEEN_REPLY,ASSURED",
    "UNSET",
    "S",
    "NEW",
    "DESTROY",
    "ALL",
    "xml",
    "save",
    "json",
    "id,extended",
    "labels",
    "ktimestamp,timestamp",
    "one",
    "two",
    "one,two",
    "auto",
    "never",
    "always",
    "ipv4",
    "ipv6",
    "-",
    "--",
    "!",
    "",
    " ",
    "%s%n",
    "\n",
    "../../etc/passwd",
    "/dev/null",
];

/// Makes command lines: mostly from existing options, with values that make sense somewhere.
struct Lines<'r> {
    rng: &'r mut Rng,
    words: Vec<OsString>,
}

impl Lines<'_> {
    fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.rng.usize(..all.len())]
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = if self.rng.u8(..50) == 0 { self.rng.usize(..70_000) } else { self.rng.usize(..12) };
        // No program can be passed a zero byte.
        (0..len).map(|_| self.rng.u8(1..)).collect()
    }

    fn value(&mut self, of: &str) -> Vec<u8> {
        match (of, self.rng.u8(..20)) {
            (_, 0) => self.bytes(),
            ("protonum", 1..=18) => self.pick(PROTOCOLS).into(),
            ("labelmap", _) => {
                self.pick(&["/etc/xtables/connlabel.conf", "/nowhere", "/proc/self/mem"]).into()
            }
            // A large buffer would be the kernel's memory, which has its own limit.
            _ => self.pick(VALUES).into(),
        }
    }

    fn push(&mut self, word: Vec<u8>) {
        self.words.push(OsString::from_vec(word));
    }

    fn option(&mut self, opt: &Opt) {
        let value = match opt.takes {
            Takes::Nothing if self.rng.u8(..20) > 0 => None,
            Takes::Maybe if self.rng.bool() => None,
            _ if self.rng.u8(..30) == 0 => None,
            _ => Some(self.value(opt.names[0])),
        };
        if self.rng.u8(..12) == 0 {
            self.push(b"!".to_vec());
        }
        let name = opt.names[self.rng.usize(..opt.names.len())];
        let short = opt.short.filter(|_| self.rng.bool());
        let cut = if self.rng.u8(..8) == 0 { self.rng.usize(1..=name.len()) } else { name.len() };
        let mut word = short.map_or_else(|| format!("--{}", &name[..cut]), |c| format!("-{c}")).into_bytes();
        match (value, self.rng.u8(..4)) {
            (Some(v), 0) => {
                if short.is_none() {
                    word.push(b'=');
                }
                word.extend(v);
                self.push(word);
            }
            (Some(v), _) => {
                self.push(word);
                self.push(v);
            }
            (None, _) => self.push(word),
        }
    }

    fn line(rng: &mut Rng) -> Vec<OsString> {
        let mut lines = Lines { rng, words: Vec::new() };
        for _ in 0..if lines.rng.u8(..10) == 0 { 2 } else { 1 } {
            let command = &COMMANDS[lines.rng.usize(..COMMANDS.len())];
            let long = lines.rng.bool();
            let name = command
                .short
                .filter(|_| !long)
                .map_or(format!("--{}", command.names[0]), |c| format!("-{c}"));
            lines.push(name.into_bytes());
            if lines.rng.u8(..3) == 0 {
                let table = lines.pick(TABLES).into();
                lines.push(table);
            }
        }
        let proto = lines.pick(PROTOCOLS);
        let own = protocol_options(proto);
        if !own.is_empty() && lines.rng.bool() {
            lines.push(b"-p".to_vec());
            lines.push(proto.into());
            for _ in 0..lines.rng.u8(..4) {
                let opt = own[lines.rng.usize(..own.len())];
                lines.option(opt);
            }
        }
        for _ in 0..lines.rng.u8(..6) {
            let opt = match lines.rng.u8(..12) {
                0 => &OURS[lines.rng.usize(..OURS.len())],
                _ => &OPTIONS[lines.rng.usize(..OPTIONS.len())],
            };
            lines.option(opt);
        }
        if lines.rng.u8(..15) == 0 {
            let noise = lines.bytes();
            lines.push(noise);
        }
        if lines.rng.u8(..3) == 0 {
            lines.rng.shuffle(&mut lines.words);
        }
        lines.words
    }
}

/// `-E` ends only when it is told to, so such command lines belong in other tests.
fn may_listen(words: &[OsString]) -> bool {
    words.iter().any(|w| {
        let w = w.as_encoded_bytes();
        w.starts_with(b"--e") || w.starts_with(b"-") && !w.starts_with(b"--") && w.contains(&b'E')
    })
}

fn judge(words: &[OsString], output: &Output, kernel: &mut Requests, before: &mut Flows) {
    let told = || format!("{words:?}\n{output:?}");
    let Exit::Code(code @ 0..=2) = output.exit else { panic!("{}", told()) };
    let err = output.err();
    assert!(!err.contains("panicked") && !err.contains("RUST_BACKTRACE"), "{}", told());
    // A usage error has to say what is wrong. Success may be silent, and so may a search that finds nothing.
    assert!(code != 2 || !err.is_empty(), "{}", told());
    let after = table(kernel);
    if code == 2 {
        assert_eq!(after.0, before.lasting(&after), "changed by {}", told());
    }
    *before = after;
}

fn storm(seed: u64, lines: u64) -> BTreeMap<String, u64> {
    let ns = Netns::fresh();
    let _etc = PrivateEtc::with_labels(Some("1 one\n2 two\n"));
    ns.nft(TRACKING);
    let (mut rng, mut counts) = (Rng::with_seed(seed), BTreeMap::new());
    let (mut kernel, mut seeder) = (Requests::open().expect("a socket"), Kernel::open());
    let mut before = table(&mut kernel);
    for n in 0..lines {
        if n % 100 == 0 || before.0.len() < FLOWS / 2 {
            seeder.flush();
            Mix { rng: Rng::with_seed(seed + n), labels: true, wide: false }.fill(&mut seeder, FLOWS);
            before = table(&mut kernel);
        }
        let words = Lines::line(&mut rng);
        if may_listen(&words) {
            continue;
        }
        let output = Tool::Zct.run(&words);
        judge(&words, &output, &mut kernel, &mut before);
        *counts.entry(format!("{:?}", output.exit)).or_default() += 1;
    }
    counts
}

#[test]
fn any_words_at_all() {
    let (seed, lines) = (number("ZCT_SEED", 1), number("ZCT_ARGV_N", 3000));
    let threads: Vec<_> =
        (0..2).map(|half| std::thread::spawn(move || storm(2 * seed + half, lines / 2))).collect();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for thread in threads {
        for (exit, n) in thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)) {
            *counts.entry(exit).or_default() += n;
        }
    }
    println!("{counts:?}");
    for exit in ["Code(0)", "Code(1)", "Code(2)"] {
        assert!(counts.get(exit).is_some_and(|n| *n > lines / 50), "{counts:?}");
    }
}
