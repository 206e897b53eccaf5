//! A table with something of everything, and ways to select from it, each with what it has to select.

use crate::flow::Flow;

/// A table of every kind of flow. Each flow has its own timeout as well, so that mixing two up shows.
pub(crate) const MIXED: &[&str] = &[
    "-I -t 2001 -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1000 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 5",
    "-I -t 2101 -p tcp -s 10.0.0.1 -d 10.0.0.3 --sport 1001 --dport 443 --state SYN_SENT",
    "-I -t 2201 -p tcp -s 10.0.0.4 -d 10.0.1.2 --sport 1000 --dport 22 --state TIME_WAIT -u SEEN_REPLY,ASSURED -m 0x14",
    "-I -t 2301 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 5000 --dport 53 -u SEEN_REPLY",
    "-I -t 2401 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 5001 --dport 53",
    "-I -t 2501 -p udp -s 10.1.0.1 -d 10.0.0.9 --sport 5002 --dport 123 -u SEEN_REPLY,ASSURED -m 5",
    "-I -t 2601 -p udp -s 10.0.0.7 -d 10.0.0.2 --sport 5000 --dport 53 -w 7 -m 5",
    // The same tuple as another flow, but in a zone: what selects by tuple alone takes both.
    "-I -t 2701 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 5000 --dport 53 -w 7",
    "-I -t 2801 -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1000 --dport 80 --state ESTABLISHED -w 9",
    "-I -t 2901 -p udp -s 10.0.0.8 -d 10.0.0.2 --sport 5003 --dport 53 --orig-zone 3",
    "-I -t 3001 -p udp -s 10.0.0.8 -d 10.0.0.2 --sport 5004 --dport 53 --reply-zone 4",
    "-I -t 3101 -p icmp -s 10.0.0.1 -d 10.0.0.2 --icmp-type 8 --icmp-code 0 --icmp-id 77",
    "-I -t 3201 -p icmp -s 10.0.0.5 -d 10.0.0.2 --icmp-type 13 --icmp-code 0 --icmp-id 78 -u SEEN_REPLY",
    "-I -t 3301 -p gre -s 10.0.0.1 -d 10.0.0.2 --srckey 0x10 --dstkey 0x20",
    "-I -t 3401 -p gre -s 10.0.0.5 -d 10.0.0.2 --srckey 0x11 --dstkey 0x20",
    "-I -t 3501 -p sctp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 --state ESTABLISHED --orig-vtag 11 --reply-vtag 12 \
     -u SEEN_REPLY,ASSURED",
    "-I -t 3601 -p sctp -s 10.0.0.5 -d 10.0.0.2 --sport 3 --dport 2 --state COOKIE_WAIT --orig-vtag 13 --reply-vtag 14",
    "-I -t 3701 -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 --state OPEN --role client -u SEEN_REPLY,ASSURED",
    "-I -t 3801 -p dccp -s 10.0.0.5 -d 10.0.0.2 --sport 3 --dport 4 --state REQUEST --role server",
    "-I -t 3901 -p udplite -s 10.0.0.1 -d 10.0.0.2 --sport 5 --dport 6",
    "-I -t 4001 -p 50 -s 10.0.0.1 -d 10.0.0.2",
    "-I -t 4101 -p tcp -s 10.0.0.1 -d 198.51.100.1 --sport 2000 --dport 80 --state ESTABLISHED -u SEEN_REPLY -n 192.0.2.1",
    "-I -t 4201 -p udp -s 10.0.0.1 -d 192.0.2.9 --sport 3000 --dport 53 -g 10.9.9.9",
    "-I -t 4301 -p udp -s 10.0.0.2 -d 198.51.100.1 --sport 3001 --dport 53 -n 192.0.2.1:4000",
    "-I -t 4401 -p udp -s 10.0.0.3 -d 198.51.100.1 --sport 3001 --dport 53 -u FIXED_TIMEOUT",
    "-I -t 4501 -p tcp -s fd00::1 -d fd00::2 --sport 1000 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 5",
    "-I -t 4601 -p udp -s fd00::1 -d fd00::2 --sport 5000 --dport 53",
    "-I -t 4701 -p udp -s fd00::3 -d fd00::2 --sport 5000 --dport 53 -u SEEN_REPLY",
    "-I -t 4801 -p udp -s fd00::1 -d fd00::4 --sport 5000 --dport 53",
    "-I -t 4901 -p udp -s fd00:0:0:1::1 -d fd00::2 --sport 5000 --dport 123 -m 0x14",
    "-I -t 5001 -p icmpv6 -s fd00::1 -d fd00::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 7",
    "-I -t 5101 -p sctp -s fd00::1 -d fd00::2 --sport 1 --dport 2 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
    "-I -t 5201 -p dccp -s fd00::1 -d fd00::2 --sport 1 --dport 2 --state PARTOPEN --role server",
    "-I -t 5301 -p udp -s fd00::1 -d fd00::2 --sport 5000 --dport 53 -w 7",
    "-I -t 5401 -p udp -s fd00::5 -d fd00::2 --sport 5001 --dport 53 -n fd00::99",
    "-I -t 5501 -p udp -s fd00::6 -d fd00::2 --sport 5001 --dport 53 -n fd00::98",
    "-I -t 5601 -p udp -s fd00::7 -d fd00::2 --sport 7000 --dport 53",
    "-I -t 5701 -p udp -s 10.0.0.6 -d 10.0.0.2 --sport 7000 --dport 53 --label-add one,seven",
];

/// How the original's answer compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Original {
    /// It does the same.
    Same,
    /// It does something else, which is a known fault; the text says which.
    Wrong(&'static str),
    /// It does not accept the option with this command.
    Illegal,
}

use Original::{Illegal, Same, Wrong};

/// Options that select, and which flows they mean.
pub(crate) struct Selector {
    pub(crate) line: &'static str,
    pub(crate) means: fn(&Flow) -> bool,
    /// How the original does with `-L`.
    pub(crate) list: Original,
    /// How the original does with `-D`.
    pub(crate) delete: Original,
}

const fn both(line: &'static str, means: fn(&Flow) -> bool) -> Selector {
    Selector { line, means, list: Same, delete: Same }
}

const fn but(line: &'static str, list: Original, delete: Original, means: fn(&Flow) -> bool) -> Selector {
    Selector { line, means, list, delete }
}

const PORTS: [&str; 2] = ["sport", "dport"];
const BACK: [&str; 2] = ["dport", "sport"];

fn src_nat(f: &Flow) -> bool {
    f.translated("src", "dst", PORTS) && ![1, 58].contains(&f.proto)
}

fn dst_nat(f: &Flow) -> bool {
    f.translated("dst", "src", BACK) && ![1, 58].contains(&f.proto)
}

fn tcp(f: &Flow) -> bool {
    f.proto == 6
}

fn udp(f: &Flow) -> bool {
    f.proto == 17
}

fn in_net(addr: &str, net: &str) -> bool {
    addr.starts_with(net)
}

/// Every kind of selection, alone and combined.
pub(crate) const SELECTORS: &[Selector] = &[
    both("", |_| true),
    both("-f ipv4", |f| f.family == 2),
    both("-f ipv6", |f| f.family == 10),
    both("-p tcp", tcp),
    both("-p udp", udp),
    both("-p icmp", |f| f.proto == 1),
    both("-p icmpv6", |f| f.proto == 58),
    both("-p gre", |f| f.proto == 47),
    both("-p sctp", |f| f.proto == 132),
    both("-p dccp", |f| f.proto == 33),
    both("-p udplite", |f| f.proto == 136),
    both("-p 50", |f| f.proto == 50),
    both("-p tcp -f ipv6", |f| tcp(f) && f.family == 10),
    both("-s 10.0.0.1", |f| f.orig("src") == "10.0.0.1"),
    both("-d 10.0.0.2", |f| f.orig("dst") == "10.0.0.2"),
    both("-r 10.0.0.2", |f| f.reply("src") == "10.0.0.2"),
    both("-q 192.0.2.1", |f| f.reply("dst") == "192.0.2.1"),
    both("-s 10.0.0.0/24", |f| in_net(f.orig("src"), "10.0.0.")),
    both("-d 10.0.0.0/8", |f| in_net(f.orig("dst"), "10.")),
    both("-s 10.0.0.1 --mask-src 255.255.0.255", |f| {
        in_net(f.orig("src"), "10.0.") && f.orig("src").ends_with(".1")
    }),
    both("-s 10.0.0.77", |_| false),
    // A kernel that is asked for one of these answers with all the others.
    both("-s fd00::1", |f| f.orig("src") == "fd00::1"),
    both("-d fd00::2", |f| f.orig("dst") == "fd00::2"),
    both("-r fd00::2", |f| f.reply("src") == "fd00::2"),
    both("-q fd00::1", |f| f.reply("dst") == "fd00::1"),
    both("-s fd00::1 -p udp", |f| f.orig("src") == "fd00::1" && udp(f)),
    both("-s fd00::1 -d fd00::4", |f| f.orig("src") == "fd00::1" && f.orig("dst") == "fd00::4"),
    both("-p udp -s fd00::3 -d fd00::2 --sport 5000 --dport 53", |f| f.orig("src") == "fd00::3"),
    both("-s fd00::/64", |f| in_net(f.orig("src"), "fd00::")),
    both("-s fd00::77", |_| false),
    both("-p tcp --sport 1000", |f| tcp(f) && f.orig("sport") == "1000"),
    both("-p tcp --dport 80 -d 10.0.0.2", |f| {
        tcp(f) && f.orig("dport") == "80" && f.orig("dst") == "10.0.0.2"
    }),
    both("-p udp --dport 53", |f| udp(f) && f.orig("dport") == "53"),
    both("-p udp --dport 53 -s 10.0.0.1 -d 10.0.0.2 --sport 5000", |f| {
        udp(f) && f.orig("sport") == "5000" && f.orig("src") == "10.0.0.1"
    }),
    both("-p tcp --reply-port-src 80", |f| tcp(f) && f.reply("sport") == "80"),
    both("-p udp -r 10.9.9.9 --reply-port-dst 3000", |f| {
        f.reply("src") == "10.9.9.9" && f.reply("dport") == "3000"
    }),
    // The kernel ignores the ports of these protocols and returns too much.
    both("-p sctp --sport 1", |f| f.proto == 132 && f.orig("sport") == "1"),
    both("-p dccp --dport 4", |f| f.proto == 33 && f.orig("dport") == "4"),
    both("-p dccp -s 10.0.0.1 --sport 1", |f| f.proto == 33 && f.orig("src") == "10.0.0.1"),
    both("-p udplite --dport 7", |_| false),
    both("-p tcp --state ESTABLISHED", |f| tcp(f) && f.state == "ESTABLISHED"),
    both("-p sctp --state COOKIE_WAIT", |f| f.proto == 132 && f.state == "COOKIE_WAIT"),
    both("-p dccp --state OPEN", |f| f.proto == 33 && f.state == "OPEN"),
    both("-p dccp --state PARTOPEN -f ipv6", |f| f.proto == 33 && f.state == "PARTOPEN"),
    both("-p icmp --icmp-type 8", |f| f.proto == 1 && f.orig("type") == "8"),
    both("-p icmp --icmp-type 13 --icmp-code 0 --icmp-id 78", |f| f.orig("id") == "78"),
    both("-p icmpv6 --icmpv6-type 128 --icmpv6-id 7", |f| f.proto == 58),
    but("-p gre --srckey 0x11", Wrong("W8"), Wrong("W8"), |f| f.orig("srckey") == "0x11"),
    both("-m 5", |f| f.mark() == 5),
    both("-m 0", |f| f.mark() == 0),
    both("-m 4/4", |f| f.mark() & 4 == 4),
    both("-m 0x10/0xf0", |f| f.mark() & 0xf0 == 0x10),
    both("-m 5/0x4", |_| false),
    both("-m 5 -p tcp", |f| f.mark() == 5 && tcp(f)),
    both("-m 5 -s fd00::1", |f| f.mark() == 5 && f.orig("src") == "fd00::1"),
    both("-u ASSURED", |f| f.is("ASSURED")),
    both("-u SEEN_REPLY", |f| !f.is("UNREPLIED")),
    both("-u FIXED_TIMEOUT", |f| f.orig("src") == "10.0.0.3" && udp(f)),
    both("-u ASSURED,SEEN_REPLY -p tcp", |f| f.is("ASSURED") && tcp(f)),
    but("-u UNREPLIED", Same, Wrong("W2"), |f| f.is("UNREPLIED")),
    but("-u !ASSURED", Same, Wrong("W2"), |f| !f.is("ASSURED")),
    but("-u !ASSURED -s 10.0.0.1 -p tcp", Same, Wrong("W2"), |f| {
        !f.is("ASSURED") && f.orig("src") == "10.0.0.1" && tcp(f)
    }),
    but("-u SEEN_REPLY,!ASSURED", Wrong("W12"), Wrong("W2"), |f| !f.is("UNREPLIED") && !f.is("ASSURED")),
    but("-u UNSET", Wrong("W12"), Same, |_| true),
    // Linux 6.1 ignores the zone it is asked for and answers with all of them.
    both("-w 7", |f| f.zone() == 7),
    both("-w 9 -p tcp", |f| f.zone() == 9),
    both("-w 7 -s fd00::1", |f| f.zone() == 7 && f.family == 10),
    both("-w 7 -p udp -s 10.0.0.1 --dport 53", |f| f.zone() == 7 && f.orig("src") == "10.0.0.1"),
    // The original's zone 0 is that of flows with another kind of zone too.
    but("-w 0", Wrong("Z zone 0"), Wrong("Z zone 0"), |f| {
        f.zone() == 0 && f.get("zone-orig").is_empty() && f.get("zone-reply").is_empty()
    }),
    both("-w 11", |_| false),
    both("--orig-zone 3", |f| f.get("zone-orig") == "3"),
    both("--reply-zone 4", |f| f.get("zone-reply") == "4"),
    but("--orig-zone 0 -p udp -f ipv4", Wrong("Z zone 0"), Wrong("Z zone 0"), |f| {
        udp(f) && f.family == 2 && f.get("zone-orig").is_empty() && f.zone() == 0
    }),
    both("-n", src_nat),
    both("-g", dst_nat),
    but("-j", Same, Illegal, |f| src_nat(f) || dst_nat(f)),
    both("-n 192.0.2.1", |f| f.reply("dst") == "192.0.2.1"),
    both("-n 192.0.2.1:4000", |f| f.reply("dst") == "192.0.2.1" && f.reply("dport") == "4000"),
    both("-g 10.9.9.9 -p udp", |f| f.reply("src") == "10.9.9.9"),
    but("-n fd00::99", Wrong("W9"), Wrong("W9"), |f| f.reply("dst") == "fd00::99"),
    but("-j 192.0.2.1 -p tcp", Wrong("W34"), Illegal, |f| f.reply("dst") == "192.0.2.1" && tcp(f)),
    both("-l one", |f| f.get("labels").split(',').any(|l| l == "one")),
    both("-l seven -p udp", |f| f.get("labels").contains("seven")),
];

impl Selector {
    /// Whether a kernel can be asked to select by it in ways other than family, mark and status.
    pub(crate) fn reaches_planner(&self) -> bool {
        ["-s ", "-d ", "-r ", "-q ", "-p ", "-w ", "-zone "].iter().any(|o| self.line.contains(o))
    }
}
