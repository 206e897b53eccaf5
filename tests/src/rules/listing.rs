//! Rules about which entries are listed.

use super::values::{is_list, ranges, unusual_addresses};
use super::words::given_twice;
use super::{any_base, warnings};
use crate::differences::Expected;
use crate::entries::{Entries, Facts};
use crate::options::{Line, Word};
use crate::program::{Exit, Output};
use crate::seed::ZONES;

/// One dump per family, IPv4 before IPv6, if ours are in that order.
pub fn families(e: &mut Expected<'_>) -> bool {
    let asks_the_kernel = e.line.has("dump") && e.line.has("protonum") && !e.line.has("family");
    if !asks_the_kernel || e.output.stdout == e.ours.stdout {
        return false;
    }
    let is_ipv6 = |l: &String| Facts::of(l).addrs[0].contains(':');
    let (Some(mut theirs), Some(ours)) = (Entries::of(&e.output), Entries::of(e.ours)) else { return false };
    if !ours.lines.is_sorted_by_key(is_ipv6) || theirs.lines.is_sorted_by_key(is_ipv6) {
        return false;
    }
    theirs.lines.sort_by_cached_key(is_ipv6);
    e.output = theirs.into_output(&e.output);
    true
}

/// Who does the selecting does not change what is selected.
pub fn kernel_filter(e: &mut Expected<'_>) -> bool {
    if e.line.has("kernel-filter") {
        e.retry(e.line.without(&["kernel-filter"]));
        return true;
    }
    false
}

/// The same entries, in any order.
pub fn jobs(e: &mut Expected<'_>) -> bool {
    in_any_order(e, "jobs")
}

/// A table that is large enough to be read by BPF without being asked.
const LARGE: u64 = 10_000;

/// The same entries, in any order. Where netlink reads the table although BPF was asked for, ours says so first.
pub fn reader(e: &mut Expected<'_>) -> bool {
    let first: Vec<u8> = e.ours.stderr.split_inclusive(|b| *b == b'\n').next().unwrap_or_default().to_vec();
    let knows = String::from_utf8_lossy(&first);
    let knows = knows.strip_prefix("WARNING: --reader=bpf: netlink reads the table: only netlink knows ");
    let asked = |word: &str| e.line.words.iter().any(|w| w.text.iter().any(|text| text.contains(word)));
    let warned = knows.is_some_and(|what| match what.trim_end() {
        "ids (-o xml)" => asked("xml"),
        "ids (-o id)" => asked("id"),
        "security marks (-c)" => e.line.has("secmark"),
        _ => false,
    });
    let known = in_any_order(e, "reader") || large(e);
    if known && warned {
        e.output.stderr.splice(0..0, first);
    }
    known
}

/// The same for a large table without the option. It is looked at once more after all other rules, which
/// change the lines by which the order is found.
pub fn large(e: &mut Expected<'_>) -> bool {
    let lists = e.ours.lines().len() > 1 && e.output.stdout != e.ours.stdout;
    lists && zct_engine::request::flows().is_some_and(|n| n >= LARGE) && reorder(e)
}

/// What the line lists without this option, in the order of our output.
fn in_any_order(e: &mut Expected<'_>, option: &str) -> bool {
    if !e.line.has(option) {
        return false;
    }
    e.retry(e.line.without(&[option]));
    reorder(e);
    true
}

/// Puts the original's lines in the order of ours; true when they are the same, as far as other rules leave
/// them alone.
fn reorder(e: &mut Expected<'_>) -> bool {
    let sorted = |o: &Output| {
        let mut lines = o.lines();
        lines.sort();
        lines
    };
    if sorted(&e.output) == sorted(e.ours) {
        e.output.stdout = e.ours.stdout.clone();
    } else if let Some(lines) = in_order_of(&e.output.lines(), &e.ours.lines()) {
        e.output.stdout = lines.into();
    } else {
        return false;
    }
    true
}

/// The original's saved lines in the order of ours: which flow a line is about is in the same options of
/// both, whatever else other rules change.
fn in_order_of(theirs: &[String], ours: &[String]) -> Option<String> {
    const KEY: [&str; 13] = [
        "-s",
        "-d",
        "-p",
        "-w",
        "--orig-zone",
        "--reply-zone",
        "--sport",
        "--dport",
        "--icmp-type",
        "--icmp-code",
        "--icmp-id",
        "--srckey",
        "--dstkey",
    ];
    let key = |line: &str| -> Vec<String> {
        let words: Vec<&str> = line.split(' ').collect();
        words.windows(2).filter(|w| KEY.contains(&w[0])).map(|w| w.join(" ")).collect()
    };
    let mut left: Vec<&String> = theirs.iter().collect();
    let mut lines = String::new();
    for our in ours.iter().filter(|l| l.starts_with("-A ")) {
        let at = left.iter().position(|l| key(l) == key(our))?;
        lines += left.remove(at);
        lines.push('\n');
    }
    left.is_empty().then_some(lines)
}

/// As many as are listed. Options that do not select are refused, as ever.
pub fn count(e: &mut Expected<'_>) -> bool {
    // The original refuses the option or, before that, a value that only we take.
    let refused = ["Illegal option `--", "Invalid IP address `"].iter().any(|m| e.output.err().contains(m));
    let expects = e.line.value("counter").is_some_and(|table| "expect".starts_with(table));
    let more = ["zero", "output", "jobs"].iter().any(|name| e.line.has(name));
    let conntrack = e.line.all("counter").count() == 1;
    if !refused || expects || more || !conntrack {
        return false;
    }
    let words = e.line.words.iter().flat_map(|w| match w.name() {
        "counter" => vec!["--dump".to_owned()],
        _ => w.text.clone(),
    });
    let line = Line::parse(&words.collect::<Vec<_>>());
    e.counted = true;
    e.retry(line)
}

/// A file with addresses is the list of them.
pub fn files(e: &mut Expected<'_>) -> bool {
    let list = |word: &Word| -> Option<String> {
        let file = word.value.as_deref()?.strip_prefix('@')?;
        let text = std::fs::read_to_string(file).ok()?;
        let words = text.lines().flat_map(|l| l.split('#').next().unwrap_or("").split_whitespace());
        Some(words.collect::<Vec<_>>().join(","))
    };
    let mut found = false;
    let words = e.line.words.iter().flat_map(|w| match list(w) {
        Some(list) => {
            found = true;
            vec![format!("--{}", w.name()), list]
        }
        None => w.text.clone(),
    });
    let line = Line::parse(&words.collect::<Vec<_>>());
    found && e.retry(line)
}

/// An explanation of the question takes the place of the answer.
pub fn explain(e: &mut Expected<'_>) -> bool {
    let explained = e.ours.out().starts_with("asked of the kernel: ");
    if !e.line.has("explain") || !explained {
        return false;
    }
    e.output = Output { stdout: e.ours.stdout.clone(), stderr: Vec::new(), exit: Exit::Code(0) };
    true
}

/// All entries that any of the values selects.
pub fn lists(e: &mut Expected<'_>) -> bool {
    let addrs = ["src", "dst", "reply-src", "reply-dst"];
    let ports = [
        ["sport", "srckey"],
        ["dport", "dstkey"],
        ["reply-port-src", "reply-key-src"],
        ["reply-port-dst", "reply-key-dst"],
    ];
    let line = e.line.clone();
    let mut named: Vec<(usize, Vec<(u64, u64)>)> = Vec::new();
    for (at, names) in ports.iter().enumerate() {
        for (name, decimal) in names.iter().zip([true, false]) {
            let Some(list) = line.value(name).filter(|v| is_list(v)) else { continue };
            // A value that is neither ends the command.
            let Some(ranges) = ranges(list, decimal) else { return false };
            named.push((at, ranges));
        }
    }
    let networks: Vec<(&str, String)> = addrs
        .iter()
        .filter_map(|n| Some((*n, line.value(n).filter(|v| v.contains(','))?.to_owned())))
        .collect();
    let refused = e.output.exit != Exit::Code(0) && !e.output.err().contains("Invalid IP address `");
    if named.is_empty() && networks.is_empty() || !line.has("dump") || refused {
        return false;
    }
    let rest = line.without(&[&addrs[..], &ports.concat()].concat());
    let keep = |w: &Word| {
        !networks.iter().any(|(n, _)| w.name() == *n)
            && !named.iter().any(|(i, _)| ports[*i].contains(&w.name()))
    };
    let single = line.only(keep);
    e.retry(if single.words.is_empty() { rest } else { single });
    let Some(mut entries) = Entries::of(&e.output) else { return true };
    for (i, ranges) in named {
        let fits = |p: u32| ranges.iter().any(|(first, last)| (*first..=*last).contains(&p.into()));
        entries.lines.retain(|l| Facts::of(l).ports[i].is_some_and(fits));
    }
    for (name, values) in &networks {
        let mut any: Option<Entries> = None;
        for value in values.split(',') {
            let option = format!("--{name}");
            let one = e.asked(&e.line.unselective().with(&[option.as_str(), value]));
            let one = Entries::of(&one).expect("one address is fine with the original");
            match &mut any {
                None => any = Some(one),
                Some(all) => all.lines.extend(one.lines),
            }
        }
        entries.keep(&any.expect("a list has pieces"));
    }
    e.output = entries.into_output(&e.output);
    // The original, run without the addresses, had no chance to warn about them.
    let rest = std::mem::replace(&mut e.line, line.only(|w| networks.iter().any(|(n, _)| w.name() == *n)));
    unusual_addresses(e);
    e.line = rest;
    true
}

/// What the line selects without its negations, minus what each of them selects without its `!`.
pub fn negations(e: &mut Expected<'_>) -> bool {
    if !e.line.has("dump") {
        return false;
    }
    let (mut rest, mut negated): (Vec<Word>, Vec<(&'static str, Option<String>)>) = (Vec::new(), Vec::new());
    let mut words = e.line.words.iter().peekable();
    while let Some(word) = words.next() {
        let option = words.peek().filter(|next| next.opt.is_some() && !next.is_command());
        if let (Some(option), true) = (option, word.opt.is_none() && word.text == ["!"]) {
            match &option.value {
                Some(list) => negated.extend(list.split(',').map(|v| (option.name(), Some(v.to_owned())))),
                None => negated.push((option.name(), None)),
            }
            words.next();
            continue;
        }
        let value = word.value.as_deref().filter(|_| word.opt.is_some() && word.name() != "status");
        let (not, plain): (Vec<&str>, Vec<&str>) =
            value.unwrap_or("").split(',').partition(|v| v.starts_with('!'));
        negated.extend(not.iter().map(|v| (word.name(), Some(v[1..].to_owned()))));
        if not.is_empty() {
            rest.push(word.clone());
        } else if !plain.is_empty() {
            rest.extend(Line::parse(&[format!("--{}", word.name()), plain.join(",")]).words);
        }
    }
    if negated.is_empty() {
        return false;
    }
    let mut rest = Line { words: rest };
    for (name, value) in negated {
        let mut line = e.line.unselective().with(&rest.only(|w| w.name() == "protonum").args());
        if name == "label" && !e.line.outputs().iter().any(|o| o.to_ascii_lowercase().starts_with("sa")) {
            rest = rest.with(&["-o", "labels"]);
        }
        line = line.with(&[format!("--{name}")]);
        line = line.with(&value.into_iter().collect::<Vec<_>>());
        let Some(entries) = e.selected(Line::parse(&line.args())) else { return false };
        e.left_out.push(entries);
    }
    e.retry(rest)
}

/// All entries that are in one of the states. Of several `--state` the last counts, and all of them are read.
pub fn states(e: &mut Expected<'_>) -> bool {
    let lists: Vec<String> = e.line.all("state").filter_map(|w| w.value.clone()).collect();
    if !lists.iter().any(|l| l.contains(',')) || !e.line.has("dump") || e.line.has_two_protocols() {
        return false;
    }
    let protocol = e.line.only(|w| w.name() == "protonum").args();
    let mut any: Option<Entries> = None;
    for (at, list) in lists.iter().enumerate() {
        for name in list.split(',') {
            let one = e.asked(&e.line.unselective().with(&protocol).with(&["--state", name]));
            let Some(one) = Entries::of(&one) else { return false };
            match &mut any {
                _ if at + 1 < lists.len() => {}
                None => any = Some(one),
                Some(all) => all.lines.extend(one.lines),
            }
        }
    }
    let states = e.line.only(|w| w.name() == "state");
    // Those in other states are left out at the end: other rules may yet put the list together anew.
    let all = e.asked(&e.line.unselective().with(&protocol));
    let (Some(mut others), Some(any)) = (Entries::of(&all), any) else { return false };
    others.drop_those(&any);
    e.left_out.push(others);
    e.retry(e.line.without(&["state"]));
    // The line that is left has no option of which the last value counts.
    let rest = std::mem::replace(&mut e.line, states);
    given_twice(e);
    e.line = rest;
    true
}

/// Leaves out entries that turn out to be in some zone.
pub fn zone_zero(e: &mut Expected<'_>) -> bool {
    let zero = |name| e.line.value(name).and_then(any_base) == Some(0);
    let mut others: Vec<&str> = Vec::new();
    if zero("zone") {
        others.extend(["orig-zone", "reply-zone"]);
    }
    if zero("orig-zone") || zero("reply-zone") {
        others.push("zone");
    }
    let Some(mut entries) = Entries::of(&e.output).filter(|_| !others.is_empty() && e.line.has("dump"))
    else {
        return false;
    };
    for (name, zone) in others.iter().flat_map(|name| ZONES.map(|zone| (name, zone))) {
        let line = e.line.unselective().with(&[format!("--{name}"), zone.to_string()]);
        let zoned = e.asked(&line);
        entries.drop_those(&Entries::of(&zoned).expect("a zone is fine with the original"));
    }
    e.output = entries.into_output(&e.output);
    true
}

/// Each word of every `-u` by itself, and the entries that all of them list.
pub fn status_lists(e: &mut Expected<'_>) -> bool {
    if !e.line.has("dump") || !e.line.has("status") {
        return false;
    }
    let lists: Vec<&str> = e.line.all("status").filter_map(|w| w.value.as_deref()).collect();
    let words: Vec<&str> = lists.iter().flat_map(|l| l.split(',')).collect();
    let negated = |w: &&&str| w.starts_with('!') || w.starts_with("UNREPLIED");
    let some = words.iter().filter(negated).count();
    let begins = |w: &str, name: &str| name.starts_with(&w.to_ascii_uppercase());
    let nat = |w: &str| begins(w, "SRC_NAT") || begins(w, "DST_NAT");
    let nothing = |w: &str| nat(w) || begins(w, "UNSET");
    let mixed = some > 0 && some < words.len() || lists.len() > 1;
    let only_nothing = words.iter().all(|w| nothing(w));
    // If all words are removed, nothing is left to select by: that stays an error.
    let nat_alone = only_nothing && words.iter().any(|w| nat(w));
    if e.output.exit == Exit::Code(2) || !(mixed || only_nothing) || nat_alone || e.read.is_some() {
        return false;
    }
    let line = e.line.without(&["status"]);
    let warned = warnings(&e.output);
    let mut output = (e.ask)(&line);
    if let Some(mut entries) = Entries::of(&output) {
        for word in words.iter().filter(|w| !nothing(w)) {
            let one = (e.ask)(&line.unselective().with(&["-u", word]));
            entries.keep(&Entries::of(&one).expect("one status word is fine with the original"));
        }
        output = entries.into_output(&output);
    }
    // These came with the list, before anything was done.
    let rest: String =
        output.err().lines().filter(|l| !l.starts_with("WARNING")).map(|l| format!("{l}\n")).collect();
    output.stderr = (warned + &rest).into();
    e.output = output;
    true
}

/// The entries that both halves list.
pub fn any_nat_with_more(e: &mut Expected<'_>) -> bool {
    if e.line.value("any-nat").is_none() || !e.line.has("dump") {
        return false;
    }
    let spoilt = ["src", "dst", "reply-src", "reply-dst", "protonum", "mark", "secmark", "status", "zone"];
    let more = spoilt.iter().chain(&["orig-zone", "reply-zone", "label"]).any(|name| e.line.has(name));
    if !more || e.output.exit != Exit::Code(0) {
        return false;
    }
    // The original may get the rest wrong too.
    let line = e.line.without(&["any-nat"]);
    let output = e.asked(&line);
    let mut rest = Expected {
        line,
        output,
        ours: e.ours,
        read: None,
        renamed: None,
        counted: false,
        listing: e.listing,
        left_out: Vec::new(),
        ask: &mut *e.ask,
    };
    status_lists(&mut rest);
    let rest = rest.output;
    let option = e.line.only(|w| w.name() == "any-nat").args();
    let nat = e.asked(&e.line.unselective().with(&option));
    let (Some(mut entries), Some(other)) = (Entries::of(&rest), Entries::of(&nat)) else { return false };
    entries.keep(&other);
    e.output = entries.into_output(&rest);
    true
}

/// `ADDRESS` and `PORT` of a NAT option, if the address is IPv6.
fn nat_v6(value: Option<&str>) -> Option<(String, Option<u32>)> {
    let value = value?;
    if let Some(inside) = value.strip_prefix('[') {
        let (addr, port) = inside.split_once("]:")?;
        return Some((canonical(addr)?, port.parse().ok()));
    }
    Some((canonical(value)?, None))
}

/// An IPv6 address in the form in which it is printed.
fn canonical(text: &str) -> Option<String> {
    text.parse::<std::net::Ipv6Addr>().ok().map(|a| a.to_string())
}

/// Whether the entry is translated to this address, and to this port if one is given.
fn translated_to(f: &Facts, src: bool, (addr, port): &(String, Option<u32>)) -> bool {
    let (now, before) = if src { (3, 0) } else { (2, 1) };
    let port_fits = match port {
        None => true,
        Some(p) => !f.is_ping() && f.ports[now] == Some(*p) && f.ports[before] != Some(*p),
    };
    f.addrs[now] == *addr && f.addrs[before] != *addr && port_fits
}

/// Keeps only entries that are translated to the address.
pub fn nat_ipv6(e: &mut Expected<'_>) -> bool {
    // The last address counts, and so does the last port, whichever address it came with.
    let of = |name| {
        let given: Vec<_> =
            e.line.all(name).filter_map(|w| w.value.as_deref()).map(|v| nat_v6(Some(v))).collect();
        let port = given.iter().flatten().rev().find_map(|(_, port)| *port);
        given.into_iter().next_back().flatten().map(|(addr, _)| (addr, port))
    };
    let (src, dst, any) = (of("src-nat"), of("dst-nat"), of("any-nat"));
    e.retain(|f| {
        src.as_ref().is_none_or(|to| translated_to(f, true, to))
            && dst.as_ref().is_none_or(|to| translated_to(f, false, to))
            && any.as_ref().is_none_or(|to| translated_to(f, true, to) || translated_to(f, false, to))
    })
}

/// A ping counts as translated when its addresses are.
pub fn nat_ping(e: &mut Expected<'_>) -> bool {
    let given = |name| e.line.has(name).then(|| e.line.value(name).map(str::to_owned));
    let (src, dst, any) = (given("src-nat"), given("dst-nat"), given("any-nat"));
    // A ping has no port to match.
    let has_port = |v: &Option<String>| {
        v.as_ref().is_some_and(|v| v.contains("]:") || v.contains('.') && v.contains(':'))
    };
    let fits = |option: &Option<Option<String>>, translated: bool| {
        option.as_ref().is_none_or(|value| translated && !has_port(value))
    };
    e.retain(|f| {
        let (s, d) = (f.src_translated(), f.dst_translated());
        !f.is_ping() || fits(&src, s) && fits(&dst, d) && fits(&any, s || d)
    })
}

/// Keeps only entries with these keys.
pub fn gre_keys(e: &mut Expected<'_>) -> bool {
    if !e.lists_flows() {
        return false;
    }
    let names = ["srckey", "dstkey", "reply-key-src", "reply-key-dst"];
    let keys = names.map(|n| e.line.value(n).map(|v| any_base(v).unwrap_or(0)));
    e.retain(|f| keys.iter().zip(f.ports).all(|(want, have)| want.is_none() || *want == have.map(u64::from)))
}

/// A warning before the summary, if anything was shown.
pub fn secmark(e: &mut Expected<'_>) -> bool {
    let shown = Entries::of(&e.output).is_some_and(|entries| !entries.lines.is_empty());
    if !e.line.has("secmark") || !e.line.has("dump") || !shown {
        return false;
    }
    let warning = "WARNING: --secmark selected nothing: this kernel reports no security marks\n";
    let err = e.output.err();
    let at = err.find("conntrack v").unwrap_or(err.len());
    e.output.stderr = format!("{}{warning}{}", &err[..at], &err[at..]).into();
    true
}

/// Finds the flow without using the ports, and keeps it if it has those ports.
pub fn get_reply_port(e: &mut Expected<'_>) -> bool {
    let names = ["reply-port-src", "reply-port-dst", "reply-key-src", "reply-key-dst"];
    let puzzled = ["failed: Success", "failed: No data available"].iter().any(|t| e.output.err().contains(t));
    if !puzzled || !e.line.has("get") || e.line.value("get") == Some("expect") {
        return false;
    }
    let want: Vec<(usize, u32)> = names
        .iter()
        .enumerate()
        .filter_map(|(i, n)| Some((2 + i % 2, e.line.value(n)?.parse().unwrap_or(0))))
        .collect();
    e.retry(e.line.without(&names));
    e.retain(|f| want.iter().all(|(at, port)| f.ports[*at] == Some(*port)));
    true
}

/// 1.4.7 has to be told the family, and omits some lines of entries that it has updated.
pub fn update_lines(e: &mut Expected<'_>) -> bool {
    if !e.line.has("update") || e.output.exit == Exit::Code(2) {
        return false;
    }
    let before = e.output.clone();
    if !e.line.has("family") {
        let ipv6 = e.line.words.iter().any(|w| w.value.as_deref().is_some_and(|v| v.contains("::")));
        e.retry(e.line.with(&["-f", if ipv6 { "ipv6" } else { "ipv4" }]));
        let rest: String =
            e.output.err().lines().filter(|l| !l.starts_with("WARNING")).map(|l| format!("{l}\n")).collect();
        e.output.stderr = (warnings(&before) + &rest).into();
    }
    let (theirs, ours) = (e.output.lines(), e.ours.lines());
    let counted = e.output.err().contains(&format!(": {} flow entries have been updated.", ours.len()));
    if counted && theirs.len() < ours.len() && theirs.iter().all(|l| ours.contains(l)) {
        e.output.stdout = e.ours.stdout.clone();
    }
    e.output != before
}

/// An existing flow is updated, and counted.
pub fn add_updates(e: &mut Expected<'_>) -> bool {
    let err = e.output.err();
    let there = e.line.has("add") && err.contains(": 0 flow entries have been added.");
    if there {
        e.output.stderr = err.replace(": 0 flow", ": 1 flow").into();
    }
    there
}
