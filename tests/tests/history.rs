//! The same random history of commands, by the original in one namespace and by zct in another: exit codes,
//! messages and printed entries agree, and so do the two tables afterwards.
//!
//! `ZCT_HISTORY_N` commands from `ZCT_SEED`. What the programs do differently on purpose is left out of the
//! histories and tested point by point in `writes.rs`. Entries are printed in the order of the table, which
//! differs between namespaces, so lines are compared as sets.

use fastrand::Rng;
use std::collections::BTreeMap;
use zct_tests::etc::PrivateEtc;
use zct_tests::mask::Mask;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::TRACKING;

/// Commands in one chapter; then both tables are compared, and the next chapter begins with empty ones.
const CHAPTER: usize = 40;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}={v}")))
}

/// A thread in a namespace of its own that runs the commands it is given.
struct Stage {
    commands: std::sync::mpsc::Sender<Option<Vec<String>>>,
    outputs: std::sync::mpsc::Receiver<Output>,
}

impl Stage {
    /// A command of `None` begins a new chapter.
    fn open(tool: Tool) -> Stage {
        let (commands, rx) = std::sync::mpsc::channel::<Option<Vec<String>>>();
        let (tx, outputs) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _etc = PrivateEtc::with_labels(Some("0 zero\n1 one\n7 seven\n100 hundred\n"));
            let ns = Netns::fresh();
            ns.nft(TRACKING);
            for command in rx {
                let words = command.unwrap_or_else(|| vec!["-F".to_owned()]);
                if tx.send(tool.run(&words)).is_err() {
                    return;
                }
            }
        });
        Stage { commands, outputs }
    }

    fn run(&self, command: Option<&[String]>) -> Output {
        self.commands.send(command.map(<[String]>::to_vec)).expect("the stage lives");
        self.outputs.recv().expect("the stage answers")
    }
}

/// A few addresses and ports, so that commands affect each other's flows.
struct Names<'r>(&'r mut Rng);

impl Names<'_> {
    fn addr(&mut self, v6: bool) -> String {
        let last = self.0.u8(1..5);
        if v6 { format!("2001:db8::{last}") } else { format!("10.0.0.{last}") }
    }

    fn port(&mut self) -> String {
        self.0.u16(1..4).to_string()
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.0.usize(..words.len())]
    }

    fn maybe(&mut self, words: &mut Vec<String>, with: impl FnOnce(&mut Self) -> Vec<String>) {
        if self.0.u8(..3) == 0 {
            let more = with(self);
            words.extend(more);
        }
    }

    /// A protocol with everything that a creation needs.
    fn protocol(&mut self, v6: bool) -> Vec<String> {
        let port = |n: &mut Self, a: &str, b: &str| vec![a.to_owned(), n.port(), b.to_owned(), n.port()];
        let proto = self.pick(&["tcp", "udp", "udp", "udplite", "sctp", "gre", "icmp", "200", "TCP", "17"]);
        let proto = if proto == "icmp" && v6 { "icmpv6" } else { proto };
        let mut words = vec!["-p".to_owned(), proto.to_owned()];
        match proto {
            "gre" => words.extend(port(self, "--srckey", "--dstkey")),
            "icmp" | "icmpv6" => {
                let kind = match (v6, self.0.u8(..8)) {
                    (_, 0) => "3",
                    (false, _) => "8",
                    (true, _) => "128",
                };
                let id = self.port();
                for (name, value) in [("type", kind), ("code", "0"), ("id", &id)] {
                    words.extend([format!("--{proto}-{name}"), value.to_owned()]);
                }
            }
            "200" => {}
            _ => words.extend(port(self, "--sport", "--dport")),
        }
        match proto {
            "tcp" | "TCP" => {
                let state = self.pick(&["NONE", "SYN_SENT", "ESTABLISHED", "TIME_WAIT", "LISTEN"]);
                words.extend(["--state".to_owned(), state.to_owned()]);
            }
            "sctp" => {
                let state = self.pick(&["CLOSED", "ESTABLISHED"]);
                words.extend(["--state", state, "--orig-vtag", "5", "--reply-vtag", "6"].map(str::to_owned));
            }
            _ => {}
        }
        words
    }

    fn create(&mut self, command: &str) -> Vec<String> {
        let v6 = self.0.u8(..4) == 0;
        let mut words = vec![command.to_owned()];
        let reply_only = self.0.u8(..12) == 0;
        let (src, dst) = if reply_only { ("-r", "-q") } else { ("-s", "-d") };
        words.extend([src.to_owned(), self.addr(v6), dst.to_owned(), self.addr(v6)]);
        // Ports of the reply direction need its addresses (W24).
        let protocol = if reply_only { vec!["-p".to_owned(), "201".to_owned()] } else { self.protocol(v6) };
        words.extend(protocol);
        words.extend(["-t".to_owned(), self.0.u32(100_000..200_000).to_string()]);
        self.maybe(&mut words, |n| {
            let status = n.pick(&["ASSURED", "SEEN_REPLY,ASSURED", "SEEN_REPLY", "UNSET"]);
            vec!["-u".to_owned(), status.to_owned()]
        });
        self.maybe(&mut words, |n| vec!["-m".to_owned(), n.0.u8(..4).to_string()]);
        self.maybe(&mut words, |n| {
            vec!["--label-add".to_owned(), n.pick(&["zero", "one,hundred", "seven"]).to_owned()]
        });
        // With other protocols the original leaves out the port (Z nat ports).
        let ports = ["tcp", "udp"].iter().any(|p| words.iter().any(|w| w.eq_ignore_ascii_case(p)));
        if !v6 {
            self.maybe(&mut words, |n| {
                let port = if n.0.bool() && ports { format!(":{}", n.port()) } else { String::new() };
                vec![n.pick(&["-n", "-g"]).to_owned(), format!("10.9.0.{}{port}", n.0.u8(1..4))]
            });
        }
        words
    }

    /// Options that select entries.
    fn selection(&mut self, family: bool) -> Vec<String> {
        let v6 = self.0.u8(..4) == 0;
        let mut words = Vec::new();
        if family {
            words.extend(["-f".to_owned(), if v6 { "ipv6" } else { "ipv4" }.to_owned()]);
        }
        self.maybe(&mut words, |n| {
            vec![n.pick(&["-s", "--dst", "-r", "--reply-dst"]).to_owned(), n.addr(v6)]
        });
        if !v6 {
            self.maybe(&mut words, |n| vec!["-d".to_owned(), format!("10.0.0.0/{}", n.0.u8(24..33))]);
        }
        self.maybe(&mut words, |n| {
            let mut w = vec!["-p".to_owned(), n.pick(&["tcp", "udp", "sctp"]).to_owned()];
            n.maybe(&mut w, |n| {
                vec![n.pick(&["--sport", "--dport", "--reply-port-src"]).to_owned(), n.port()]
            });
            w
        });
        self.maybe(&mut words, |n| vec!["-l".to_owned(), n.pick(&["zero", "seven"]).to_owned()]);
        words
    }

    fn delete(&mut self) -> Vec<String> {
        let mut words = vec!["-D".to_owned()];
        words.extend(self.selection(false));
        self.maybe(&mut words, |n| {
            vec!["-u".to_owned(), n.pick(&["ASSURED", "SEEN_REPLY", "UNSET"]).to_owned()]
        });
        self.maybe(&mut words, |n| vec!["-m".to_owned(), n.pick(&["0", "1", "2/2", "1/3"]).to_owned()]);
        self.maybe(&mut words, |n| {
            vec!["-o".to_owned(), n.pick(&["save", "extended", "id", "xml"]).to_owned()]
        });
        words
    }

    fn update(&mut self) -> Vec<String> {
        let mut words = vec!["-U".to_owned()];
        // Release 1.4.7 needs the family with this command, and fails without it.
        words.extend(self.selection(true));
        match self.0.u8(..6) {
            0 => words.extend(["-t".to_owned(), self.0.u32(200_000..300_000).to_string()]),
            1 => words.extend(["-u".to_owned(), self.pick(&["ASSURED", "SEEN_REPLY"]).to_owned()]),
            2 => words.extend(["--label-add".to_owned(), self.pick(&["zero", "one", "hundred"]).to_owned()]),
            3 => words.extend(["--label-del".to_owned(), self.pick(&["zero", "seven"]).to_owned()]),
            4 => words.push("--label-del".to_owned()),
            _ => words.extend(["-m".to_owned(), self.pick(&["1", "2/2", "0", "5/7"]).to_owned()]),
        }
        words
    }

    fn command(&mut self) -> Vec<String> {
        match self.0.u8(..100) {
            0..=54 => self.create("-I"),
            55..=69 => self.update(),
            70..=87 => self.delete(),
            88..=92 => ["-L", "-o", self.pick(&["save", "extended", "labels"])].map(str::to_owned).to_vec(),
            93..=96 => vec!["-C".to_owned()],
            97 => vec!["-F".to_owned()],
            // Mistakes, for which neither program does anything.
            98 => {
                let words =
                    self.pick(&["-D -s", "-I -p udp", "-D -t 5 -Q", "-U --label-add nope", "-D -p 999"]);
                words.split(' ').map(str::to_owned).collect()
            }
            _ => vec!["-F".to_owned(), "expect".to_owned()],
        }
    }
}

/// What has to agree between the two.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    exit: Exit,
    stderr: String,
    lines: Vec<String>,
}

/// In XML the original gives SCTP states the names of TCP's (W16).
fn known_state(line: &str) -> String {
    match (line.contains("protoname=\"sctp\""), line.split_once("<state>"), line.split_once("</state>")) {
        (true, Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => line.to_owned(),
    }
}

/// A saved line without the mark, which the original leaves out; listings show it.
fn unmarked(line: &str) -> String {
    match line.split_once(" -m ") {
        Some((before, rest)) if line.starts_with("-A ") => {
            format!("{before}{}", rest.find(' ').map_or("", |at| &rest[at..]))
        }
        _ => line.to_owned(),
    }
}

fn seen(output: &Output) -> Seen {
    let mask = Mask::ID | Mask::TIMEOUT | Mask::USE | Mask::VERSION;
    let mut lines: Vec<String> =
        mask.apply(&output.out()).lines().map(known_state).map(|l| unmarked(&l)).collect();
    lines.sort();
    // zct says when nothing was selected by (Z bare -D), and when an option was given twice.
    let err = mask.apply(&output.err());
    let ours = ["no selection was given", " given twice: using "];
    let stderr = err.lines().filter(|l| !ours.iter().any(|o| l.contains(o))).map(|l| l.to_owned() + "\n");
    Seen { exit: output.exit, stderr: stderr.collect(), lines }
}

/// Both tables, with everything that a listing can show.
fn tables(stages: &[Stage; 2]) -> [Vec<String>; 2] {
    let list = ["-L", "-o", "labels,extended"].map(str::to_owned);
    [0, 1].map(|i| {
        let output = stages[i].run(Some(&list));
        assert_eq!(output.exit, Exit::Code(0), "{output:?}");
        seen(&output).lines
    })
}

#[test]
fn the_same_history_leaves_the_same_table() {
    let (seed, commands) = (number("ZCT_SEED", 1), number("ZCT_HISTORY_N", 400) as usize);
    let stages = [Stage::open(Tool::Reference), Stage::open(Tool::Zct)];
    let mut rng = Rng::with_seed(seed);
    let mut history: Vec<String> = Vec::new();
    let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut largest = 0;
    for n in 0..commands {
        if n % CHAPTER == 0 {
            history.clear();
            stages.iter().for_each(|s| _ = s.run(None));
        }
        let words = Names(&mut rng).command();
        history.push(words.join(" "));
        let [theirs, ours] = [0, 1].map(|i| seen(&stages[i].run(Some(&words))));
        let told = || format!("ZCT_SEED={seed}, command {n}:\n{}", history.join("\n"));
        let count = counts.entry(words[0].clone()).or_default();
        count.0 += 1;
        count.1 += u32::from(ours.exit == Exit::Code(0));
        if words[0] == "-U" && theirs.exit == ours.exit {
            // Release 1.4.7 does not print all entries that it has updated (W15).
            assert_eq!(theirs.stderr, ours.stderr, "{}", told());
            let missing = theirs.lines.iter().find(|l| !ours.lines.contains(l));
            assert_eq!(missing, None, "{}", told());
        } else {
            assert_eq!(theirs, ours, "{}", told());
        }
        if n % CHAPTER == CHAPTER - 1 || n + 1 == commands {
            let [theirs, ours] = tables(&stages);
            assert_eq!(theirs, ours, "tables after {}", told());
            largest = largest.max(ours.len());
        }
    }
    println!("commands (of them successful) in {commands}: {counts:?}; largest table {largest}");
    for command in ["-I", "-U", "-D", "-F", "-L"] {
        let (all, good) = counts.get(command).copied().unwrap_or_default();
        assert!(good > 0 && (command == "-F" || command == "-L" || all > good), "{command}: {good} of {all}");
    }
}

/// Each program loads what the other saved with `-L -o save`, and lists the same table again.
#[test]
fn saved_by_one_and_restored_by_the_other() {
    let mut rng = Rng::with_seed(number("ZCT_SEED", 1));
    let stages = [Stage::open(Tool::Reference), Stage::open(Tool::Zct)];
    for _ in 0..60 {
        let words = Names(&mut rng).create("-I");
        stages.iter().for_each(|s| _ = s.run(Some(&words)));
    }
    let save = ["-L", "-o", "save"].map(str::to_owned);
    let saved = [0, 1].map(|i| stages[i].run(Some(&save)));
    assert!(saved[0].lines().len() > 20);
    for (from, to) in [(0, 1), (1, 0)] {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &saved[from].stdout).expect("write");
        stages[to].run(None);
        let loaded = stages[to].run(Some(&["-R".to_owned(), file.path().display().to_string()]));
        assert_eq!((loaded.exit, loaded.err()), (Exit::Code(0), String::new()), "{loaded:?}");
        assert_eq!(seen(&stages[to].run(Some(&save))).lines, seen(&saved[from]).lines);
    }
}
