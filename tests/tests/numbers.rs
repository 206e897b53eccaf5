//! Every option that takes a number or an address, with values at, above and far above its limit, negative,
//! empty, with units, with text after them. What is refused changes nothing and says why; what is accepted
//! selects or sets exactly what it says.
//!
//! What a text means is worked out here independently, from the manual. `ZCT_NUMBERS_N` is the number of
//! random values (a thousand by default), from `ZCT_SEED`.

#[path = "numbers/grammar.rs"]
mod grammar;

use fastrand::Rng;
use grammar::{Grammar, KEY, PORT, any_base, decimal, random, values};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Kernel, TRACKING, plain, tcp};
use zct_wire::consts::ipproto;
use zct_wire::filter::Masked;
use zct_wire::request::NewFlow;
use zct_wire::tuple::{Addr, Tuple};

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}={v}")))
}

/// A flow that can be found by its numbers.
#[derive(Clone)]
struct Flow {
    new: NewFlow<'static>,
    mark: u32,
}

impl Flow {
    fn orig(&self) -> Tuple {
        self.new.orig.expect("a tuple")
    }
}

/// Flows with small numbers, with numbers at the limits, and with those that others turn into when
/// they are cut.
fn flows() -> Vec<Flow> {
    let mut all = Vec::new();
    let numbers: [u16; 10] = [0, 1, 8, 10, 16, 77, 443, 444, 8080, 65535];
    let (a, b) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    for (i, n) in numbers.into_iter().enumerate() {
        let mark = [0, 1, 5, 16, 0x100, 0xffff, 0xffff_ffff, 8, 10, 443][i];
        let mut add = |orig: Tuple| {
            let flow = if orig.proto == Some(ipproto::TCP) {
                tcp(a, b, orig.src_port.unwrap_or(0), orig.dst_port.unwrap_or(0), 3)
            } else {
                plain(orig)
            };
            let marked = Masked { value: mark, mask: u32::MAX };
            all.push(Flow {
                new: flow.with(|it| {
                    it.mark = Some(marked);
                    it.timeout_s = Some(100_000);
                }),
                mark,
            });
        };
        let tuple = Tuple { src: Some(Addr::V4(a)), dst: Some(Addr::V4(b)), ..Tuple::default() };
        let other = numbers[(i + 3) % numbers.len()];
        for proto in [ipproto::TCP, ipproto::GRE] {
            add(Tuple { proto: Some(proto), src_port: Some(n), dst_port: Some(other), ..tuple });
        }
        let kind = [8, 13, 15, 17, 8, 0, 14, 16, 18, 8][i];
        let ping = Tuple { icmp_type: Some(kind), icmp_code: Some(n as u8), icmp_id: Some(n), ..tuple };
        add(Tuple { proto: Some(ipproto::ICMP), ..ping });
    }
    all
}

/// A selector: the words before it, its option, how it is written, and what part of a flow it is about.
struct Selector {
    before: &'static str,
    option: &'static str,
    grammar: Grammar,
    hit: u64,
    of: fn(&Flow) -> Option<u64>,
}

fn of_proto(f: &Flow, proto: u8, value: impl Fn(Tuple) -> Option<u16>) -> Option<u64> {
    let t = f.orig();
    value(t).filter(|_| t.proto == Some(proto)).map(u64::from)
}

const SELECTORS: &[Selector] = &[
    Selector {
        before: "-p tcp",
        option: "--sport",
        grammar: PORT,
        hit: 443,
        of: |f| of_proto(f, 6, |t| t.src_port),
    },
    Selector {
        before: "-p tcp",
        option: "--orig-port-dst",
        grammar: PORT,
        hit: 8,
        of: |f| of_proto(f, 6, |t| t.dst_port),
    },
    Selector {
        before: "-p tcp",
        option: "--reply-port-src",
        grammar: PORT,
        hit: 443,
        of: |f| of_proto(f, 6, |t| t.dst_port),
    },
    Selector {
        before: "-p tcp",
        option: "--reply-port-dst",
        grammar: PORT,
        hit: 77,
        of: |f| of_proto(f, 6, |t| t.src_port),
    },
    Selector {
        before: "-p gre",
        option: "--srckey",
        grammar: KEY,
        hit: 16,
        of: |f| of_proto(f, 47, |t| t.src_port),
    },
    Selector {
        before: "-p gre",
        option: "--dstkey",
        grammar: KEY,
        hit: 8,
        of: |f| of_proto(f, 47, |t| t.dst_port),
    },
    Selector {
        before: "-p gre",
        option: "--reply-key-src",
        grammar: KEY,
        hit: 443,
        of: |f| of_proto(f, 47, |t| t.dst_port),
    },
    Selector {
        before: "-p gre",
        option: "--reply-key-dst",
        grammar: KEY,
        hit: 10,
        of: |f| of_proto(f, 47, |t| t.src_port),
    },
    Selector {
        before: "-p icmp",
        option: "--icmp-type",
        grammar: decimal(255),
        hit: 8,
        of: |f| of_proto(f, 1, |t| t.icmp_type.map(u16::from)),
    },
    Selector {
        before: "-p icmp",
        option: "--icmp-code",
        grammar: decimal(255),
        hit: 77,
        of: |f| of_proto(f, 1, |t| t.icmp_code.map(u16::from)),
    },
    Selector {
        before: "-p icmp",
        option: "--icmp-id",
        grammar: decimal(0xffff),
        hit: 77,
        of: |f| of_proto(f, 1, |t| t.icmp_id),
    },
    Selector {
        before: "-f ipv4",
        option: "--mark",
        grammar: any_base(0xffff_ffff),
        hit: 16,
        of: |f| Some(f.mark.into()),
    },
    Selector {
        before: "-f ipv4",
        option: "-p",
        grammar: any_base(255),
        hit: 47,
        of: |f| f.orig().proto.map(u64::from),
    },
];

struct Table {
    kernel: Kernel,
    flows: Vec<Flow>,
}

impl Table {
    fn new() -> Table {
        let mut table = Table { kernel: Kernel::open(), flows: flows() };
        for flow in &table.flows {
            table.kernel.create(&flow.new).expect("a flow");
        }
        table
    }

    /// Runs a deletion and returns which flows it removed; they are made again.
    fn deleted(&mut self, words: &[&str]) -> (Output, Vec<usize>) {
        let output = Tool::Zct.run(words);
        let gone: Vec<usize> =
            (0..self.flows.len()).filter(|i| self.kernel.facts(&self.flows[*i].new).is_none()).collect();
        for i in &gone {
            self.kernel.create(&self.flows[*i].new).expect("the flow again");
        }
        (output, gone)
    }

    /// Checks a deletion by one value of one option.
    fn check(&mut self, selector: &Selector, value: &str) -> bool {
        let words: Vec<&str> =
            ["-D"].into_iter().chain(selector.before.split(' ')).chain([selector.option, value]).collect();
        let (output, gone) = self.deleted(&words);
        let told = format!("{words:?}: {output:?}");
        let Some(ranges) = selector.grammar.ranges(value) else {
            // A mark may have a mask, and a protocol a name; accepted ones are compared elsewhere.
            let other = selector.option == "--mark" && value.contains('/') || selector.option == "-p";
            assert!(gone.is_empty() || other, "{gone:?} are gone after {told}");
            assert!(output.exit != Exit::Code(0) || other, "{told}");
            let named = output.err().contains(&format!("unexpected value '{value}' with -"))
                && output.exit == Exit::Code(1);
            assert!(named || other, "{told}");
            return false;
        };
        let wanted = |f: &Flow| {
            let value = (selector.of)(f);
            value.is_some_and(|v| ranges.iter().any(|(first, last)| (*first..=*last).contains(&v)))
        };
        let wanted: Vec<usize> = (0..self.flows.len()).filter(|i| wanted(&self.flows[*i])).collect();
        assert_eq!(gone, wanted, "{told}");
        assert_eq!(output.exit, Exit::Code(i32::from(wanted.is_empty())), "{told}");
        true
    }
}

#[test]
fn a_value_selects_what_it_says_or_is_refused() {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    let mut table = Table::new();
    let mut rng = Rng::with_seed(environment("ZCT_SEED", 1));
    let (mut taken, mut refused) = (0, 0);
    let mut count = |was_taken| if was_taken { taken += 1 } else { refused += 1 };
    for selector in SELECTORS {
        for value in values(selector.hit, selector.grammar.max) {
            count(table.check(selector, &value));
        }
    }
    for _ in 0..environment("ZCT_NUMBERS_N", 1000) {
        let selector = &SELECTORS[rng.usize(..SELECTORS.len())];
        let value = random(&mut rng, selector.hit, selector.grammar.max);
        count(table.check(selector, &value));
    }
    println!("{taken} values were taken and {refused} refused");
    assert!(taken > 200 && refused > 400, "{taken} and {refused}");
}

#[test]
fn masks_of_marks_and_lengths_of_networks() {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    let mut table = Table::new();
    let marks = any_base(0xffff_ffff);
    for (mark, mask) in [
        (0u32, "0"),
        (0, "1"),
        (0, "0xff"),
        (5, "5"),
        (16, "020"),
        (5, "4294967295"),
        (0, ""),
        (0, "x"),
        (5, "0xfffffffff"),
        (5, "4294967296"),
        (0, "-1"),
        (0, "1x"),
        (0, "0/0"),
        (0, " 1"),
        (0, "1 "),
        (0, "+1"),
    ] {
        let value = format!("{mark}/{mask}");
        let (output, gone) = table.deleted(&["-D", "-f", "ipv4", "-m", &value]);
        let told = format!("{value}: {output:?}");
        let Some(bits) = marks.number(mask) else {
            assert!(gone.is_empty() && output.exit == Exit::Code(1), "{told}");
            assert!(output.err().contains(&format!("unexpected value '{value}' with -m option: ")), "{told}");
            continue;
        };
        let fits = |i: &usize| u64::from(table.flows[*i].mark) & bits == u64::from(mark);
        let wanted: Vec<usize> = (0..table.flows.len()).filter(fits).collect();
        assert_eq!(gone, wanted, "{told}");
    }
    // Every flow goes from 10.0.0.1 to 10.0.0.2.
    for len in values(30, 32).iter().filter(|len| !len.contains(',')) {
        let value = format!("10.0.0.2/{len}");
        let (output, gone) = table.deleted(&["-D", "-s", &value]);
        let told = format!("{value:?}: {output:?}");
        match decimal(32).number(len) {
            None => {
                assert!(gone.is_empty() && output.exit == Exit::Code(2), "{told}");
                assert!(output.err().contains("Invalid "), "{told}");
            }
            Some(l) => assert_eq!(gone.len(), if l < 31 { table.flows.len() } else { 0 }, "{told}"),
        }
    }
    for (text, read_as) in [
        ("10.0.0.1", Some("")),
        ("10.0.0.1 ", Some("")),
        ("10.1", Some("10.0.0.1")),
        ("012.0.0.1", Some("10.0.0.1")),
        ("0x0a000001", Some("10.0.0.1")),
        ("167772161", Some("10.0.0.1")),
        ("10.0.1", Some("10.0.0.1")),
        ("10.0.0.1x", None),
        ("10.0.0.1 x", None),
        ("10.0.0.1 10.0.0.9", None),
        ("10.0.0.257", None),
        ("10.0.0.4294967297", None),
        ("10.16777217", None),
        ("4462739457", None),
        ("-10.0.0.1", None),
        ("+10.0.0.1", None),
        ("10.0.0.1,", None),
        ("10.0.0", None),
        ("", None),
    ] {
        for option in ["-s", "--src", "-q"] {
            let (output, gone) = table.deleted(&["-D", option, text]);
            let told = format!("{option} {text:?}: {output:?}");
            match read_as {
                Some(read_as) => {
                    assert_eq!(gone.len(), table.flows.len(), "{told}");
                    let said =
                        output.err().contains(&format!(" is read as {read_as}")) && !read_as.is_empty();
                    assert_eq!(said, !read_as.is_empty(), "{told}");
                    assert_eq!(output.err().matches("WARNING").count(), usize::from(said), "{told}");
                }
                None => assert!(gone.is_empty() && output.exit != Exit::Code(0), "{told}"),
            }
        }
    }
}

/// Options that do not select by themselves, each with the rest of a command line that takes them.
const OTHERS: &[(&str, &str, Grammar)] = &[
    ("-L", "-w", any_base(0xffff)),
    ("-L", "--orig-zone", any_base(0xffff)),
    ("-L", "--reply-zone", any_base(0xffff)),
    ("-L", "-c", any_base(0xffff_ffff)),
    ("-G -p tcp -s 1.1.1.1 -d 2.2.2.2 --sport 1 --dport 2", "-i", any_base(0xffff_ffff)),
    (
        "-I -p sctp -s 1.1.1.1 -d 2.2.2.2 --sport 1 --dport 2 -t 9 --state CLOSED --reply-vtag 1",
        "--orig-vtag",
        decimal(0xffff_ffff),
    ),
    (
        "-I -p sctp -s 1.1.1.1 -d 2.2.2.2 --sport 1 --dport 2 -t 9 --state CLOSED --orig-vtag 1",
        "--reply-vtag",
        decimal(0xffff_ffff),
    ),
    ("-I -p icmpv6 -s ::1 -d ::2 -t 9 --icmpv6-code 0", "--icmpv6-type", decimal(255)),
    ("-I -p icmpv6 -s ::1 -d ::2 -t 9 --icmpv6-type 128", "--icmpv6-code", decimal(255)),
    ("-I -p icmpv6 -s ::1 -d ::2 -t 9 --icmpv6-type 128 --icmpv6-code 0", "--icmpv6-id", decimal(0xffff)),
    ("-I expect -p tcp", "--tuple-port-src", decimal(0xffff)),
    ("-I expect -p tcp", "--tuple-port-dst", decimal(0xffff)),
    ("-I expect -p tcp", "--mask-port-src", decimal(0xffff)),
    ("-I expect -p tcp", "--mask-port-dst", decimal(0xffff)),
    ("-I expect -p gre", "--tuple-key-src", any_base(0xffff)),
    ("-I expect -p gre", "--tuple-key-dst", any_base(0xffff)),
    ("-I expect -p gre", "--mask-key-src", any_base(0xffff)),
    ("-I expect -p gre", "--mask-key-dst", any_base(0xffff)),
    // Illegal with this command, which is found once all words have been read.
    ("-L", "-b", decimal(0x3fff_ffff)),
];

#[test]
fn the_other_options_refuse_what_does_not_fit_and_nothing_else() {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    for (before, option, grammar) in OTHERS {
        for value in values(7, grammar.max) {
            let words: Vec<&str> = before.split(' ').chain([*option, &value]).collect();
            let output = Tool::Zct.run(&words);
            let refused = output.err().contains(&format!("unexpected value '{value}' with "));
            assert_eq!(refused, grammar.number(&value).is_none(), "{words:?}: {output:?}");
            assert!(!refused || output.exit == Exit::Code(1), "{words:?}: {output:?}");
        }
    }
    for (value, fits) in
        [("1", true), ("64", true), ("0", false), ("65", false), ("-1", false), ("2x", false)]
    {
        let output = Tool::Zct.run(&["-L", "--jobs", value]);
        let text = format!("unexpected value '{value}' with --jobs option: a number from 1 to 64");
        assert_eq!((output.exit == Exit::Code(0), output.err().contains(&text)), (fits, !fits), "{output:?}");
    }
    // A creation takes a single port: lists and ranges are refused, not cut.
    for value in ["1-2", "1:2", "1,2", "5-5"] {
        for side in [["--sport", value, "--dport", "2"], ["--dport", value, "--sport", "2"]] {
            let start = ["-I", "-p", "udp", "-s", "1.1.1.1", "-d", "2.2.2.2", "-t", "9"];
            let output = Tool::Zct.run(&[&start[..], &side[..]].concat());
            let text = format!("`{}' takes one value with this command", side[0]);
            assert!(output.exit == Exit::Code(2) && output.err().contains(&text), "{side:?}: {output:?}");
        }
        let nat = format!("9.9.9.9:{value}");
        for command in ["-L", "-D"] {
            let output = Tool::Zct.run(&[command, "-n", &nat]);
            assert!(output.exit == Exit::Code(2) && output.err().contains("Invalid "), "{nat}: {output:?}");
        }
    }
}

/// The seconds that a text stands for.
fn seconds(text: &str, longest: u64) -> Option<u64> {
    if let Some(bare) = decimal(u64::MAX / 2).number(text) {
        return Some(bare).filter(|s| *s <= longest);
    }
    let text = text.trim_start_matches([' ', '\t']);
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let (mut total, mut before) = (0u128, u128::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?;
        let unit = match rest.as_bytes()[digits] {
            b'd' => 86_400,
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        if unit >= before {
            return None;
        }
        total += rest[..digits].parse::<u128>().ok()? * unit;
        (rest, before) = (&rest[digits + 1..], unit);
    }
    u64::try_from(total).ok().filter(|s| before < u128::MAX && *s <= longest)
}

/// The largest timeout, according to the refusal of a larger one.
fn longest() -> u64 {
    let refused = Tool::Zct.run(&["-L", "-t", "99999999999"]).err();
    let (_, limit) = refused.rsplit_once(" at most ").unwrap_or_else(|| panic!("{refused}"));
    limit.trim_end().parse().expect("a number")
}

#[test]
fn timeouts_are_what_they_say() {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    let mut kernel = Kernel::open();
    let flow = tcp([10, 0, 0, 1], [10, 0, 0, 2], 1, 2, 3);
    let longest = longest();
    let mut texts = values(600, longest);
    for form in [
        "Ns", "Nm", "Nh", "1hNm", "1d2hNs", "Nm1h", "NmNm", "1h N", "1hN", "N d", "NM", "-Nm", "+Nm",
        "1h-Nm", "9999999d",
    ] {
        texts.push(form.replace('N', "50"));
    }
    let mut rng = Rng::with_seed(environment("ZCT_SEED", 1));
    texts.extend((0..environment("ZCT_NUMBERS_N", 1000) / 10).map(|_| random(&mut rng, 600, longest)));
    let [mut taken, mut refused] = [0, 0];
    for text in texts {
        if kernel.facts(&flow).is_none() {
            kernel.create(&flow).expect("a flow");
        }
        let output = Tool::Zct.run(&["-U", "-p", "tcp", "-f", "ipv4", "-t", &text]);
        let listed = Tool::Reference.run(&["-L", "-p", "tcp"]).out();
        let have: Option<u64> = listed.split_ascii_whitespace().nth(2).map(|t| t.parse().expect("seconds"));
        let nfct = Tool::Nfct.run(&["default-set", "timeout", "inet", "udp", "replied", &text]);
        let default = Tool::NfctReference.run(&["default-get", "timeout", "inet", "udp"]).out();
        let told = format!("{text:?}: {output:?}\n{nfct:?}");
        match seconds(&text, longest) {
            None => {
                assert!(
                    output.err().contains(&format!("unexpected value '{text}' with -t option: ")),
                    "{told}"
                );
                assert!(nfct.err().contains(&format!("unexpected value '{text}' with replied: ")), "{told}");
                assert!([&output, &nfct].iter().all(|o| o.exit == Exit::Code(1)), "{told}");
                assert!(have.is_some(), "it is gone after {told}");
                refused += 1;
            }
            Some(want) => {
                assert!(default.contains(&format!(".REPLIED = {want},")), "{default} after {told}");
                // With 0 it ends at once; otherwise it has ticked on, but never for as long as a minute.
                let fits =
                    have.is_none_or(|have| have <= want && want - have < 60) && (have.is_some() || want < 60);
                assert!(fits, "{have:?} after {told}");
                taken += 1;
            }
        }
    }
    println!("{taken} times were taken and {refused} refused");
    assert!(taken > 30 && refused > 60, "{taken} and {refused}");
}

#[test]
fn a_file_names_twenty_lines_and_counts_the_others() {
    let _ns = Netns::fresh();
    let file: String = (0..50).map(|n| format!("-D -s 10.{n} -s 10.1\n")).collect();
    let output = Tool::Zct.run_with_stdin(&["-R", "-"], file.as_bytes());
    let err = output.err();
    let lines: Vec<&str> = err.lines().filter(|l| l.starts_with("WARNING")).collect();
    assert_eq!(lines.len(), 21, "{err}");
    assert_eq!(lines[0], "WARNING: `10.0' with --src is read as 10.0.0.0 (-:1)");
    assert_eq!(lines[2], "WARNING: -s given twice: using 10.1 (-:1)");
    assert_eq!(lines[20], "WARNING: 130 more warnings about lines of this file");
    let wrong = Tool::Zct.run_with_stdin(&["-R", "-"], b"-D -s 10.0.0.1\n-D -p tcp --dport 65979\n");
    assert_eq!(wrong.exit, Exit::Code(1));
    let text = "unexpected value '65979' with --dport option: a number from 0 to 65535 (-:2)\n";
    assert!(wrong.err().ends_with(text), "{wrong:?}");
}
