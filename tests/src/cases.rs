//! Random command lines that read the table, aimed at flows that are there.
//!
//! A row is one option in one of its forms; a case is a row with one kind of output, and other options at
//! random around it.

use crate::options::protocol_options;
use crate::seed::{HOSTS4, HOSTS6, MARKS, OUTSIDE4, OUTSIDE6, PORTS, ZONES, v6};
use crate::world::{LABEL_NAMES, Sample};
use fastrand::Rng;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One option in one of its forms.
#[derive(Debug)]
pub struct Row {
    /// Its name in the coverage table.
    pub name: &'static str,
    /// The protocols whose flows it can be aimed at; empty means all.
    pub protocols: &'static [u8],
    /// Makes the words of the option.
    build: fn(&mut Aim<'_>) -> Vec<String>,
}

const ALL: &[u8] = &[];
const PORT_PROTOCOLS: &[u8] = &[6, 17, 136, 132];
const PINGS: &[u8] = &[1, 58];

/// A flow to aim at, and the randomness to miss it now and then.
pub struct Aim<'a> {
    rng: &'a mut Rng,
    at: &'a Sample,
}

impl Aim<'_> {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(..of.len())]
    }

    /// Usually the flow's own value.
    fn mostly(&mut self, hit: Option<&str>, other: impl FnOnce(&mut Self) -> String) -> String {
        match hit {
            Some(hit) if self.rng.u8(..8) > 0 => hit.to_owned(),
            _ => other(self),
        }
    }

    fn any_host(&mut self) -> String {
        if self.at.family() == "ipv4" {
            Ipv4Addr::from(self.one(&HOSTS4)).to_string()
        } else {
            Ipv6Addr::from(v6(self.one(&HOSTS6))).to_string()
        }
    }

    fn host(&mut self, which: usize) -> String {
        let hit = self.at.facts.addrs[which].clone();
        self.mostly(Some(&hit), Aim::any_host)
    }

    fn outside(&mut self, which: usize) -> String {
        let hit = self.at.facts.addrs[which].clone();
        self.mostly(Some(&hit), |a| {
            if a.at.family() == "ipv4" {
                Ipv4Addr::from(a.one(&OUTSIDE4)).to_string()
            } else {
                Ipv6Addr::from(v6(a.one(&OUTSIDE6))).to_string()
            }
        })
    }

    fn port(&mut self, which: usize) -> String {
        let hit = self.at.facts.ports[which].map(|p| p.to_string());
        self.mostly(hit.as_deref(), |a| a.one(&PORTS).to_string())
    }

    fn network(&mut self, which: usize) -> String {
        let len = if self.at.family() == "ipv4" {
            self.one(&["0", "8", "16", "23", "25", "31", "32"])
        } else {
            self.one(&["0", "16", "33", "64", "127", "128"])
        };
        format!("{}/{len}", self.host(which))
    }

    fn mask(&mut self) -> String {
        let masks4 = ["255.255.255.0", "255.0.0.0", "0.0.0.255", "255.255.255.255", "0.0.0.0"];
        let masks6 = ["ffff:ffff::", "::ffff", "ffff::", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
        if self.at.family() == "ipv4" { self.one(&masks4).into() } else { self.one(&masks6).into() }
    }

    fn nat_port(&mut self, address: usize, port: usize) -> String {
        let (addr, port) = (self.outside(address), self.port(port));
        if addr.contains(':') { format!("[{addr}]:{port}") } else { format!("{addr}:{port}") }
    }

    fn number(&mut self, decimal: &str) -> String {
        let Ok(n) = decimal.parse::<u64>() else { return decimal.to_owned() };
        match self.rng.u8(..4) {
            0 => format!("{n:#x}"),
            1 => format!("0{n:o}"),
            _ => n.to_string(),
        }
    }

    fn zone(&mut self, field: &str) -> String {
        let hit = self.at.field(field).map(str::to_owned);
        let zone = self.mostly(hit.as_deref(), |a| a.one(&[0, ZONES[0], ZONES[1], ZONES[2]]).to_string());
        self.number(&zone)
    }

    fn status(&mut self) -> String {
        let likely = if self.at.has("[ASSURED]") { "ASSURED" } else { "SEEN_REPLY" };
        let word = self.one(&[
            likely,
            "ASSURED",
            "SEEN_REPLY",
            "FIXED_TIMEOUT",
            "EXPECTED",
            "OFFLOAD",
            "HW_OFFLOAD",
        ]);
        let cut = self.rng.usize(2..=word.len());
        let text = &word[..cut];
        if self.rng.bool() { text.to_ascii_lowercase() } else { text.to_owned() }
    }

    fn label(&mut self) -> String {
        let hit = self.at.labels().first().map(|l| (*l).to_owned());
        self.mostly(hit.as_deref(), |a| a.one(&LABEL_NAMES).to_owned())
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

macro_rules! row {
    ($name:literal, $protocols:expr, |$a:ident| [$($word:expr),*]) => {
        Row { name: $name, protocols: $protocols, build: |$a| vec![$(String::from($word)),*] }
    };
}

/// Every option `-L` takes, in each of its forms.
pub const ROWS: &[Row] = &[
    row!("none", ALL, |_a| []),
    row!("-s ADDR", ALL, |a| ["-s", a.host(0)]),
    row!("-s NET", ALL, |a| ["-s", a.network(0)]),
    row!("--mask-src", ALL, |a| ["--src", a.host(0), "--mask-src", a.mask()]),
    row!("-d ADDR", ALL, |a| ["--orig-dst", a.host(1)]),
    row!("-d NET", ALL, |a| ["-d", a.network(1)]),
    row!("--mask-dst", ALL, |a| ["-d", a.host(1), "--mask-dst", a.mask()]),
    row!("-r", ALL, |a| ["-r", a.host(2)]),
    row!("-q", ALL, |a| ["--reply-dst", a.host(3)]),
    Row {
        name: "-p",
        protocols: ALL,
        build: |a| {
            let p = protocol(a.rng, a.at);
            vec!["-p".to_owned(), p]
        },
    },
    row!("--sport", PORT_PROTOCOLS, |a| ["--sport", a.port(0)]),
    row!("--dport", PORT_PROTOCOLS, |a| ["--orig-port-dst", a.port(1)]),
    row!("--reply-port-src", PORT_PROTOCOLS, |a| ["--reply-port-src", a.port(2)]),
    row!("--reply-port-dst", PORT_PROTOCOLS, |a| ["--reply-port-dst", a.port(3)]),
    Row {
        name: "--state",
        protocols: &[6, 132],
        build: |a| {
            let names: &[&str] = if a.at.proto == 6 {
                &["NONE", "SYN_SENT", "ESTABLISHED", "TIME_WAIT", "CLOSE", "LISTEN", "SYN_SENT2"]
            } else {
                &["CLOSED", "COOKIE_WAIT", "ESTABLISHED", "SHUTDOWN_ACK_SENT"]
            };
            // HEARTBEAT_* states are shown but cannot be given.
            let hit = a.at.state().filter(|s| !s.starts_with("HEARTBEAT")).map(str::to_owned);
            let state = a.mostly(hit.as_deref(), |a| a.one(names).to_owned());
            vec!["--state".to_owned(), state]
        },
    },
    row!("GRE keys", &[47], |a| [
        "--srckey",
        {
            let p = a.port(0);
            a.number(&p)
        },
        "--reply-key-dst",
        a.port(3)
    ]),
    Row { name: "ICMP type", protocols: PINGS, build: |a| ping(a, "type") },
    Row { name: "ICMP code", protocols: PINGS, build: |a| ping(a, "code") },
    Row { name: "ICMP id", protocols: PINGS, build: |a| ping(a, "id") },
    row!("-f", ALL, |a| ["-f", if a.rng.u8(..8) > 0 { a.at.family() } else { "ipv4" }]),
    Row {
        name: "-m",
        protocols: ALL,
        build: |a| {
            let hit = a.at.field("mark").map(str::to_owned);
            let mark = a.mostly(hit.as_deref(), |a| a.one(&MARKS).to_string());
            vec!["-m".to_owned(), a.number(&mark)]
        },
    },
    Row {
        name: "-m MASK",
        protocols: ALL,
        build: |a| {
            let (mark, mask) = (a.one(&MARKS), a.one(&[0xff, 0x100, 0, 5, 0xffff_ffff_u32]));
            let value = if a.rng.u8(..4) > 0 { mark & mask } else { mark };
            vec!["--mark".to_owned(), format!("{value}/{mask:#x}")]
        },
    },
    row!("-u", ALL, |a| ["-u", a.status()]),
    row!("-u LIST", ALL, |a| ["--status", format!("{},{}", a.status(), a.status())]),
    Row {
        name: "-u !",
        protocols: ALL,
        build: |a| {
            let list = match a.rng.u8(..3) {
                0 => "UNREPLIED".to_owned(),
                1 => format!("!{}", a.status()),
                _ => format!("!{},!{}", a.status(), a.status()),
            };
            vec!["-u".to_owned(), list]
        },
    },
    row!("-w", ALL, |a| ["-w", a.zone("zone")]),
    row!("--orig-zone", ALL, |a| ["--orig-zone", a.zone("zone-orig")]),
    row!("--reply-zone", ALL, |a| ["--reply-zone", a.zone("zone-reply")]),
    row!("-n", ALL, |_a| ["-n"]),
    row!("-n ADDR", ALL, |a| ["-n", a.outside(3)]),
    row!("-n ADDR:PORT", PORT_PROTOCOLS, |a| ["--src-nat", a.nat_port(3, 3)]),
    row!("-g", ALL, |_a| ["-g"]),
    row!("-g ADDR", ALL, |a| ["-g", a.outside(2)]),
    row!("-g ADDR:PORT", PORT_PROTOCOLS, |a| ["--dst-nat", a.nat_port(2, 2)]),
    row!("-j", ALL, |_a| ["-j"]),
    row!("-j ADDR", ALL, |a| ["-j", a.outside(3)]),
    row!("-j ADDR:PORT", PORT_PROTOCOLS, |a| ["--any-nat", a.nat_port(2, 2)]),
    row!("-l", ALL, |a| ["-l", a.label()]),
    row!("-l LIST", ALL, |a| ["--label", format!("{},{}", a.label(), a.label())]),
    row!("-c", ALL, |a| ["-c", a.number("7")]),
    Row {
        name: "! ADDR",
        protocols: ALL,
        build: |a| {
            let option = a.rng.usize(..5);
            let value = match option {
                0 | 1 if a.rng.bool() => a.network(option),
                0..=3 => a.host(option),
                _ => protocol(a.rng, a.at),
            };
            words(["!", ["-s", "--dst", "-r", "-q", "-p"][option], &value])
        },
    },
    Row {
        name: "! PORT",
        protocols: PORT_PROTOCOLS,
        build: |a| {
            let option = a.rng.usize(..4);
            let name = ["--sport", "--dport", "--reply-port-src", "--reply-port-dst"][option];
            let port = a.port(option);
            if a.rng.bool() { words(["!", name, &port]) } else { words([name, &format!("!{port}")]) }
        },
    },
    Row {
        name: "! more",
        protocols: ALL,
        build: |a| {
            let (option, value) = match a.rng.u8(..8) {
                0 => ("-m", a.one(&MARKS).to_string()),
                1 => ("-w", a.zone("zone")),
                2 => ("--orig-zone", a.zone("zone-orig")),
                3 => ("--reply-zone", a.zone("zone-reply")),
                4 => ("-l", format!("{},{}", a.label(), a.label())),
                5 => ("-u", a.status()),
                6 => ("-n", a.outside(3)),
                _ => return words(["!", a.one(&["-n", "-g", "-j"])]),
            };
            words(["!", option, &value])
        },
    },
    row!("-s LIST !", ALL, |a| ["-s", format!("{},!{}", a.network(0), a.host(0))]),
    Row {
        name: "--state LIST",
        protocols: &[6],
        build: |a| {
            let names = ["NONE", "SYN_SENT", "ESTABLISHED", "TIME_WAIT", "CLOSE", "LISTEN", "SYN_SENT2"];
            let [one, other] = [a.one(&names), a.one(&names)];
            match a.rng.u8(..3) {
                0 => words(["!", "--state", one]),
                1 => words(["--state", &format!("!{one},!{other}")]),
                _ => words(["--state", &format!("{one},{other}")]),
            }
        },
    },
    row!("-a", ALL, |_a| ["-a", "1.1.1.1-2.2.2.2"]),
];

fn ping(a: &mut Aim<'_>, which: &str) -> Vec<String> {
    let hit = if which == "id" { a.at.ping_id() } else { a.at.field(which) }.map(str::to_owned);
    let value = a.mostly(hit.as_deref(), |a| a.rng.u8(..20).to_string());
    let family = if a.at.proto == 1 { "icmp" } else { "icmpv6" };
    vec![format!("--{family}-{which}"), value]
}

/// A flow's protocol, by one of its names.
pub fn protocol(rng: &mut Rng, at: &Sample) -> String {
    let names: &[&str] = match at.proto {
        6 => &["tcp", "TCP", "6", "0x6"],
        17 => &["udp", "Udp", "17"],
        136 => &["udplite", "136"],
        132 => &["sctp", "132", "0204"],
        33 => &["dccp", "33"],
        47 => &["gre", "GRE", "47"],
        1 => &["icmp", "1"],
        58 => &["icmpv6", "58"],
        50 => &["esp", "ESP", "50", "IPSEC-ESP"],
        _ => &["201", "0xc9"],
    };
    let name = if rng.u8(..10) > 0 { names[rng.usize(..names.len())] } else { "tcp" };
    // Only the eight built-in names may be written in another case.
    if name == "IPSEC-ESP" { "50".to_owned() } else { name.to_owned() }
}

/// The kinds of output, one for each column of the coverage table.
pub const OUTPUTS: [&str; 10] =
    ["plain", "extended", "id", "timestamp", "ktimestamp", "labels", "userspace", "xml", "save", "several"];

/// The words of one kind of output.
pub fn output(rng: &mut Rng, kind: &str) -> Vec<String> {
    let list = match kind {
        "plain" => return Vec::new(),
        "several" => {
            let mut all = vec!["xml", "extended", "timestamp", "id", "ktimestamp", "labels", "userspace"];
            rng.shuffle(&mut all);
            all.truncate(rng.usize(2..=4));
            if rng.bool() {
                // The same words, each in an option of its own.
                return all.iter().flat_map(|w| words(["-o", w])).collect();
            }
            all.join(",")
        }
        one => {
            // A shortened word must be long enough not to be taken for another.
            let cut = rng.usize(2..=one.len());
            let word = &one[..if rng.bool() { one.len() } else { cut }];
            if rng.u8(..4) == 0 { word.to_ascii_uppercase() } else { word.to_owned() }
        }
    };
    match rng.u8(..3) {
        0 => vec!["--output".into(), list],
        1 => vec![format!("-o{list}")],
        _ => vec!["-o".into(), list],
    }
}

/// Makes command lines for one table.
pub struct Cases<'w> {
    /// The source of its randomness.
    pub rng: Rng,
    /// The flows to aim at.
    pub samples: &'w [Sample],
}

impl<'w> Cases<'w> {
    /// Picks a flow of one of these protocols.
    pub fn sample(&mut self, protocols: &[u8]) -> &'w Sample {
        let fits: Vec<&Sample> =
            self.samples.iter().filter(|s| protocols.is_empty() || protocols.contains(&s.proto)).collect();
        fits[self.rng.usize(..fits.len())]
    }

    /// `-L` with this row and this output, and up to two more rows that fit the same flow.
    pub fn list(&mut self, row: &Row, kind: &str, proto: Option<u8>) -> Vec<String> {
        let only = proto.map(|p| vec![p]).unwrap_or_else(|| row.protocols.to_vec());
        let at = self.sample(&only);
        let mut rows = vec![row];
        for _ in 0..self.rng.usize(..3) {
            let more = &ROWS[self.rng.usize(..ROWS.len())];
            let fits = more.protocols.is_empty() || more.protocols.contains(&at.proto);
            if fits && rows.iter().all(|r| r.name != more.name) {
                rows.push(more);
            }
        }
        let mut aim = Aim { rng: &mut self.rng, at };
        let mut groups: Vec<Vec<String>> = rows.iter().map(|r| (r.build)(&mut aim)).collect();
        groups.push(vec!["-L".to_owned()]);
        let outputs = output(&mut self.rng, kind);
        groups.push(outputs);
        self.rng.shuffle(&mut groups);
        // The options of a protocol are known only after it has been named.
        let name = groups.iter().position(|g| g.first().is_some_and(|w| w == "-p" && g.len() == 2));
        let own = groups.iter().flatten().any(|w| is_protocol_option(w));
        match name {
            Some(i) => groups.swap(0, i),
            None if own || proto.is_some() => groups.insert(0, vec!["-p".into(), at_name(at).into()]),
            None => {}
        }
        groups.concat()
    }

    /// `-G` for a flow; flows in a zone cannot be found this way.
    pub fn get(&mut self, kind: &str) -> Vec<String> {
        let at = self.sample(&[6, 17, 136, 132, 47, 1, 58]);
        let mut line = words(["-G", "-p", at_name(at), "-s", &at.facts.addrs[0], "-d", &at.facts.addrs[1]]);
        let ports = if at.proto == 47 { ["--srckey", "--dstkey"] } else { ["--sport", "--dport"] };
        for (option, port) in ports.iter().zip(at.facts.ports).filter_map(|(o, p)| Some((*o, p?))) {
            line.extend([option.to_owned(), port.to_string()]);
        }
        let family = if at.proto == 1 { "icmp" } else { "icmpv6" };
        if at.facts.is_ping() {
            for (which, value) in
                [("type", at.field("type")), ("code", at.field("code")), ("id", at.ping_id())]
            {
                line.extend([format!("--{family}-{which}"), value.unwrap_or("0").to_owned()]);
            }
        }
        match self.rng.u8(..5) {
            0 => line.extend([format!("--id={}", at.field("id").unwrap_or("1"))]),
            1 => line.extend(words(["-i", "12345"])),
            2 => line.extend(words(["-l", LABEL_NAMES[self.rng.usize(..LABEL_NAMES.len())]])),
            _ => {}
        }
        line.extend(output(&mut self.rng, kind));
        line
    }
}

fn is_protocol_option(word: &str) -> bool {
    let name = word.strip_prefix("--").unwrap_or("");
    let all = ["tcp", "sctp", "dccp", "gre", "icmp", "icmpv6"];
    all.iter().any(|p| protocol_options(p).iter().any(|o| o.names.contains(&name)))
}

fn at_name(at: &Sample) -> &'static str {
    match at.proto {
        6 => "tcp",
        17 => "udp",
        136 => "udplite",
        132 => "sctp",
        33 => "dccp",
        47 => "gre",
        1 => "icmp",
        58 => "icmpv6",
        50 => "50",
        _ => "201",
    }
}
