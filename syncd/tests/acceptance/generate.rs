//! Random configurations that a daemon could run with, in which most directives occur now and then.

use super::corpus::Dice;

/// A text that loads without errors.
pub(crate) fn config(dice: &mut Dice) -> String {
    let role = match dice.below(4) {
        0 => stats(dice),
        _ => sync(dice),
    };
    let general = general(dice);
    let helpers = helpers(dice);
    match dice.below(2) {
        0 => format!("{general}\n{role}\n{helpers}"),
        _ => format!("{helpers}{role}\n{general}\n"),
    }
}

/// Three times out of four it is empty.
fn helpers(dice: &mut Dice) -> String {
    if dice.below(4) > 0 {
        return String::new();
    }
    let mut out = format!("Helper {{\n{}", some(dice, "Setup", &SWITCH));
    for _ in 0..dice.below(4) {
        let (name, protocols) = *dice.pick(&[
            ("ftp", &["tcp"][..]),
            ("rpc", &["tcp", "udp"]),
            ("tns", &["tcp"]),
            ("dhcpv6", &["udp"]),
        ]);
        out += &format!("\tType {name} {} {} {{\n", dice.pick(&["inet", "inet6"]), dice.pick(protocols));
        out += &some(dice, "QueueNum", &["0", "3", "65535"]);
        out += &some(dice, "QueueLen", &["0", "10240", "2147483647"]);
        if dice.below(2) == 0 {
            let max = some(dice, "ExpectMax", &["0", "1", "255"]);
            let rest = if max.is_empty() {
                "ExpectTimeout 300\n".into()
            } else {
                some(dice, "ExpectTimeout", &NUMBER)
            };
            out += &format!("\t\tPolicy {name} {{\n{max}{rest}\t\t}}\n");
        }
        out += "\t}\n";
    }
    out + "}\n"
}

/// `WORD VALUE` with one of the values, or nothing.
fn some(dice: &mut Dice, word: &str, values: &[&str]) -> String {
    match dice.below(values.len() * 2) {
        i if i < values.len() => format!("\t{word} {}\n", values[i]),
        _ => String::new(),
    }
}

const SWITCH: [&str; 4] = ["on", "off", "Yes", "NO"];
const NUMBER: [&str; 4] = ["0", "7", "500", "2147483647"];
const LOG: [&str; 4] = ["on", "off", "/var/log/x", "/tmp/{#}%"];
const FACILITY: [&str; 4] = ["on", "off", "daemon", "local7"];

fn general(dice: &mut Dice) -> String {
    let mut out = String::from("General {\n");
    for (word, values) in [
        ("HashSize", &NUMBER[..]),
        ("HashLimit", &NUMBER),
        ("LogFile", &LOG),
        ("Syslog", &FACILITY),
        ("LockFile", &["/run/lock/x.y"]),
        ("UNIX", &["{ Path /run/x }", "{ }", "{ Backlog 5 Path /a-b }"]),
        ("NetlinkBufferSize", &NUMBER),
        ("SocketBufferSizeMaxGrown", &NUMBER),
        ("NetlinkBufferSizeMaxGrowth", &NUMBER),
        ("NetlinkOverrunResync", &["on", "off", "0", "5"]),
        ("NetlinkEventsReliable", &SWITCH),
        ("EventIterationLimit", &NUMBER),
        ("PollSecs", &["1", "99"]),
        ("Nice", &["-5", "+5"]),
        ("Scheduler", &["{ }", "{ Type rr }", "{ Priority 5 }", "{ Type FIFO Priority 99 }"]),
        ("Systemd", &SWITCH),
    ] {
        out += &some(dice, word, values);
    }
    for _ in 0..dice.below(3) {
        out += &filter(dice);
    }
    out + "}\n"
}

fn filter(dice: &mut Dice) -> String {
    let mut out = format!("\tFilter {}{{\n", dice.pick(&["", "From Userspace ", "From Kernelspace "]));
    for _ in 0..dice.below(4) {
        let logic = dice.pick(&["Accept", "Ignore"]);
        let (word, items): (_, &[&str]) = match dice.below(3) {
            0 => ("Protocol", &["TCP", "UDP", "SCTP", "udp", "ICMP", "no-such"]),
            1 => (
                "Address",
                &[
                    "IPv4_address 10.0.0.1",
                    "IPv4_address 10.1.2.3/0",
                    "IPv4_address 10.1.2.3/32",
                    "IPv4_address 192.168.0.0/16",
                    "IPv6_address ::",
                    "IPv6_address ::ffff:1:2/96",
                    "IPv6_address ::1:2",
                    "IPv6_address fd00::/8",
                    "IPv6_address 1:2:3:4:5:6:7:8/128",
                ],
            ),
            _ => (
                "State",
                &["ESTABLISHED for TCP", "CLOSE CLOSED LISTEN for TCP", "for TCP", "SYN_SENT for TCP"],
            ),
        };
        let listed: Vec<_> = (0..dice.below(5)).map(|_| *dice.pick(items)).collect();
        out += &format!("\t\t{word} {logic} {{\n{}\n}}\n", listed.join("\n"));
    }
    out + "\t}\n"
}

fn stats(dice: &mut Dice) -> String {
    let log = some(dice, "LogFile", &LOG);
    let syslog = some(dice, "Syslog", &FACILITY);
    let format = some(dice, "LogFormat", &["text", "json"]);
    format!("Stats {{\n{log}{syslog}{format}}}\n")
}

fn sync(dice: &mut Dice) -> String {
    let mut out = String::from("Sync {\n");
    for word in ["RefreshTime", "CacheTimeout", "CommitTimeout", "PurgeTimeout"] {
        if dice.below(4) == 0 {
            out += &some(dice, word, &NUMBER);
        }
    }
    for _ in 0..dice.below(3) {
        out += &mode(dice);
    }
    let kind = *dice.pick(&["Multicast", "UDP", "TCP"]);
    for _ in 0..=dice.below(4) {
        out += &link(dice, kind);
    }
    let tracking = some(dice, "TCPWindowTracking", &SWITCH);
    let expectations =
        some(dice, "ExpectationSync", &["on", "off", "{ }", "{ ftp sip fe0 ftp }", "{ q.931 }"]);
    out + &format!("\tOptions {{\n{tracking}{expectations}\t}}\n}}\n")
}

fn mode(dice: &mut Dice) -> String {
    let (name, words): (_, &[(&str, &[&str])]) = match dice.below(3) {
        0 => (
            "FTFW",
            &[
                ("ResendQueueSize", &["0", "1000", "2147483647"]),
                ("ACKWindowSize", &["0", "2", "900"]),
                ("CommitTimeout", &NUMBER),
                ("PurgeTimeout", &NUMBER),
                ("DisableExternalCache", &SWITCH),
                ("StartupResync", &SWITCH),
            ],
        ),
        1 => (
            "alarm",
            &[
                ("RefreshTime", &NUMBER),
                ("CacheTimeout", &NUMBER),
                ("CommitTimeout", &NUMBER),
                ("PurgeTimeout", &NUMBER),
            ],
        ),
        _ => (
            "NoTrack",
            &[
                ("CommitTimeout", &NUMBER),
                ("PurgeTimeout", &NUMBER),
                ("DisableExternalCache", &SWITCH),
                ("DisableInternalCache", &SWITCH),
                ("StartupResync", &SWITCH),
            ],
        ),
    };
    let settings: String = words.iter().map(|(word, values)| some(dice, word, values)).collect();
    format!("\tMode {name} {{\n{settings}\t}}\n")
}

fn link(dice: &mut Dice, kind: &str) -> String {
    let mut lines = vec![format!("Interface {}", dice.pick(&["eth0", "lo", "fe0", "br-lan.5", "x_1"]))];
    if kind == "Multicast" {
        lines.push("Group 3780".into());
        lines.extend(match dice.below(2) {
            0 => vec!["IPv4_address 225.0.0.50".into(), "IPv4_interface 10.0.0.1".into()],
            _ => vec!["IPv6_address ff02::5".into()],
        });
    } else {
        lines.push(format!("Port {}", dice.pick(&["1", "3780", "65535"])));
        let (family, own, peer) =
            *dice.pick(&[("IPv4", "10.0.0.1", "10.0.0.2"), ("IPv6", "fd00::1", "::1:0:2")]);
        lines.push(format!("{family}_Destination_Address {peer}"));
        if dice.below(4) > 0 {
            lines.push(format!("{family}_address {own}"));
        }
    }
    lines.push(some(dice, "SndSocketBuffer", &NUMBER));
    lines.push(some(dice, "RcvSocketBuffer", &NUMBER));
    lines.push(some(dice, "Checksum", &SWITCH));
    if kind == "TCP" {
        lines.push(some(dice, "ErrorQueueLength", &["0", "5"]));
    }
    // Directives may come in any order.
    for i in (1..lines.len()).rev() {
        lines.swap(i, dice.below(i + 1));
    }
    format!("\t{kind} {}{{\n{}\n\t}}\n", dice.pick(&["", "Default "]), lines.join("\n"))
}
