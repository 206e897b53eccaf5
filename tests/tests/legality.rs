//! Which options a command takes: every command with every option, alone and together with what the command
//! needs, by both programs. Exit codes and every word agree, and a usage error leaves the table untouched.

use std::sync::Mutex;
use zct_tests::compare::compare_from;
use zct_tests::differences::{Ledger, SeenIn};
use zct_tests::etc::PrivateEtc;
use zct_tests::listener::Listener;
use zct_tests::netns::Netns;
use zct_tests::options::{OPTIONS, Opt, Takes, protocol_options};
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Kernel, KernelFacts, TRACKING, tcp, udp};
use zct_wire::request::NewFlow;

const COMMANDS: [&str; 27] = [
    "-L",
    "-L expect",
    "-L dying",
    "-L unconfirmed",
    "-G",
    "-G expect",
    "-D",
    "-D expect",
    "-I",
    "-I expect",
    "-A",
    "-A expect",
    "-U",
    "-U expect",
    "-E",
    "-E expect",
    "-F",
    "-F expect",
    "-C",
    "-C expect",
    "-C dying",
    "-S",
    "-S expect",
    "-h",
    "-h expect",
    "-V",
    "",
];

const PROTOCOLS: [&str; 9] = ["tcp", "udp", "udplite", "sctp", "dccp", "gre", "icmp", "icmpv6", "201"];

/// A sensible value for the option.
fn value(name: &str) -> &'static str {
    match name {
        "src" | "tuple-src" => "10.0.0.1",
        "dst" | "tuple-dst" => "10.0.0.2",
        "reply-src" => "10.0.0.2",
        "reply-dst" => "10.0.0.1",
        "mask-src" | "mask-dst" => "255.255.255.0",
        "src-nat" | "dst-nat" | "any-nat" | "nat-range" => "10.0.0.9",
        "protonum" => "udp",
        "timeout" => "100",
        "status" => "SEEN_REPLY",
        "event-mask" => "NEW",
        "family" => "ipv4",
        "output" => "id",
        "buffer-size" => "100000",
        "label" | "label-add" | "label-del" => "one",
        "state" => "ESTABLISHED",
        "role" => "client",
        "icmp-type" => "8",
        "icmpv6-type" => "128",
        "icmp-code" | "icmpv6-code" => "0",
        // This value suits ports, keys, tags, marks, ids and zones alike.
        _ => "7",
    }
}

fn words_of(option: &Opt) -> Vec<String> {
    let name = option.names[0];
    // As two words it crashes the original (1.4.9 --id), which is compared elsewhere.
    if name == "id" {
        return vec!["--id=7".to_owned()];
    }
    let option = format!("--{name}");
    if option == "--zero" { vec![option] } else { vec![option, value(name).to_owned()] }
}

fn split(words: &str) -> Vec<String> {
    words.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The least that the command needs, with this protocol.
fn needs(command: &str, proto: &str) -> Vec<String> {
    let (src, dst, mask) = if proto == "icmpv6" {
        ("2001:db8::1", "2001:db8::2", "ffff::")
    } else {
        ("10.0.0.1", "10.0.0.2", "255.255.255.0")
    };
    let ports = match proto {
        "gre" => "--srckey 1000 --dstkey 80",
        "icmp" => "--icmp-type 8 --icmp-code 0",
        "icmpv6" => "--icmpv6-type 128 --icmpv6-code 0",
        "201" => "",
        _ => "--sport 1000 --dport 80",
    };
    let own = match proto {
        "tcp" => "--state ESTABLISHED",
        "sctp" => "--state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
        "dccp" => "--state OPEN --role client",
        _ => "",
    };
    let key = if proto == "gre" { "key" } else { "port" };
    let pair = |what: &str| match proto {
        "icmp" | "icmpv6" | "201" => String::new(),
        _ => format!("--{what}-{key}-src 1 --{what}-{key}-dst 2"),
    };
    let tuple = format!("-p {proto} -s {src} -d {dst} {ports}");
    split(&match command {
        "-I" | "-A" => format!("{tuple} -t 100 {own}"),
        "-G" => tuple,
        "-I expect" => format!(
            "{tuple} -t 100 --tuple-src {dst} --tuple-dst {src} --mask-src {mask} --mask-dst {mask} {} {}",
            pair("tuple"),
            pair("mask")
        ),
        "-G expect" | "-D expect" => format!("{tuple} {}", pair("reply")),
        "-L" | "-D" | "-U" | "-E" | "-L dying" | "-L unconfirmed" | "-h" => format!("-p {proto}"),
        _ => return Vec::new(),
    })
}

/// All command lines to be compared.
fn lines() -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for command in COMMANDS {
        let start = split(command);
        let mut add = |parts: &[&[String]]| all.push([&start[..], &parts.concat()].concat());
        add(&[]);
        for option in OPTIONS.iter().filter(|o| o.names[0] != "labelmap") {
            add(&[&words_of(option)]);
            if option.takes == Takes::Maybe {
                add(&[&words_of(option)[..1]]);
            }
            let needed = needs(command, "udp");
            if !needed.is_empty() {
                add(&[&needed, &words_of(option)]);
            }
        }
        for proto in PROTOCOLS {
            let needed = needs(command, proto);
            add(&[&needed]);
            // Also without each of the things it needs.
            for at in (0..needed.len()).filter(|at| needed[*at].starts_with('-')) {
                let end =
                    if needed.get(at + 1).is_some_and(|w| !w.starts_with('-')) { at + 2 } else { at + 1 };
                add(&[&needed[..at], &needed[end..]]);
            }
            for option in protocol_options(proto) {
                add(&[&["-p".to_owned(), proto.to_owned()], &words_of(option)]);
                add(&[&needed, &words_of(option)]);
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// A table of two flows, restored after each command that has changed it and left alone otherwise: emptying
/// a table is expensive, and most commands here are refused.
struct Table {
    kernel: Kernel,
    flows: [NewFlow<'static>; 2],
    was: [Option<KernelFacts>; 2],
}

impl Table {
    fn new() -> Table {
        let flows =
            [udp([10, 0, 0, 1], [10, 0, 0, 2], 1000, 53), tcp([10, 0, 0, 1], [10, 0, 0, 2], 1000, 80, 3)];
        let mut table = Table { kernel: Kernel::open(), flows, was: [None, None] };
        table.restore();
        table
    }

    fn is(&mut self) -> [Option<KernelFacts>; 2] {
        self.flows.each_ref().map(|f| self.kernel.facts(f))
    }

    fn is_untouched(&mut self) -> bool {
        self.kernel.count() == 2 && self.is() == self.was
    }

    fn restore(&mut self) {
        self.kernel.flush();
        for flow in &self.flows {
            self.kernel.create(flow).expect("a flow");
        }
        self.was = self.is();
    }

    /// Runs a command on it; a listener is told to stop as soon as it listens.
    fn run(&mut self, tool: Tool, args: &[String]) -> Output {
        let mut output = match args.first().map(String::as_str) {
            Some("-E") => match Listener::attempt(tool.command().args(args), None) {
                // It may not be ready for a signal yet. That it listens is the result.
                Ok(_) => Output { stdout: b"listens".into(), stderr: Vec::new(), exit: Exit::Code(0) },
                Err(output) => output,
            },
            _ => tool.run(args),
        };
        if args.first().is_some_and(|a| a == "-S") {
            // These numbers count what the test itself does.
            output.stdout.retain(|b| !b.is_ascii_digit());
        }
        let untouched = self.is_untouched();
        assert!(
            untouched || output.exit != Exit::Code(2),
            "{tool:?} {args:?} was refused and changed the table"
        );
        if !untouched {
            self.restore();
        }
        output
    }
}

#[test]
fn every_command_takes_and_refuses_what_the_original_does() {
    let lines = lines();
    let next = Mutex::new(lines.iter());
    let failures = Mutex::new(Vec::new());
    let counts = Mutex::new([0u32; 3]);
    let seen = Mutex::new(Ledger::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get().min(4)) {
            scope.spawn(|| {
                let ns = Netns::fresh();
                let _etc = PrivateEtc::with_labels(Some("1 one\n"));
                ns.nft(TRACKING);
                let mut table = Table::new();
                let mut ledger = Ledger::default();
                while let Some(line) = { next.lock().expect("no panic while locked").next() } {
                    match compare_from(line, &mut ledger, |tool, args| table.run(tool, args)) {
                        Err(report) => failures.lock().expect("no panic while locked").push(report),
                        Ok(agreed) => {
                            let at = match agreed.ours.exit {
                                Exit::Code(code @ 0..=2) => code as usize,
                                other => panic!("{line:?}: {other:?}"),
                            };
                            counts.lock().expect("no panic while locked")[at] += 1;
                        }
                    }
                }
                seen.lock().expect("no panic while locked").merge(ledger);
            });
        }
    });
    println!("{} command lines; by exit code: {:?}", lines.len(), counts.lock().expect("unlocked"));
    let failures = failures.into_inner().expect("no panic while locked");
    let shown: String = failures.iter().take(200).map(|f| format!("{f}\n")).collect();
    assert!(failures.is_empty(), "{} disagreements:\n{shown}", failures.len());
    let missing = seen.into_inner().expect("no panic while locked").missing(SeenIn::Legality);
    assert!(missing.is_empty(), "intended differences that were not seen: {missing:?}");
}
