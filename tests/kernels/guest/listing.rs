//! `-L`, `-G`, `-C`, `-S`: the same text as from the original, and the flows that were asked for.

use crate::compare::{between, sorted};
use crate::flow::Flow;
use crate::lab::{self, By, Output, Verdicts, ZCT, conntrack};
use crate::selectors::{MIXED, Original, SELECTORS, Selector};

/// All forms of output.
pub(crate) const FORMATS: &[&str] = &[
    "",
    "-o extended",
    "-o id",
    "-o xml",
    "-o save",
    "-o labels",
    "-o extended,id,labels",
    "-o ktimestamp",
    "-o xml,id,labels,ktimestamp",
    "-o timestamp,userspace",
];

/// Runs both programs and compares everything they print; where time may have passed between them, the
/// original runs once more.
pub(crate) fn compare(line: &str) -> Result<Output, String> {
    compare_but(line, str::to_owned)
}

/// As [`compare`], with something hidden from both outputs.
pub(crate) fn compare_but(line: &str, hide: fn(&str) -> String) -> Result<Output, String> {
    let before = conntrack(By::Original, line);
    let ours = conntrack(By::Ours, line);
    if (ours.code, &ours.err) != (before.code, &before.err) {
        return Err(format!("{}\n{}", before.wrong("the original"), ours.wrong("ours")));
    }
    let [before, shown] = [&before, &ours].map(|o| hide(&tcp_states(&o.out)));
    if before != shown {
        let after = conntrack(By::Original, line);
        between(&before, &shown, &hide(&tcp_states(&after.out)))?;
    }
    Ok(ours)
}

/// Hides SCTP and DCCP states in XML, for which the original prints names of TCP (W16), and marks in saved
/// lines, which it leaves out.
pub(crate) fn tcp_states(text: &str) -> String {
    let strip = |line: &str| {
        if let (Some((head, tail)), true) = (line.split_once(" -m "), line.contains("-A ")) {
            return format!("{head}{}", tail.find(' ').map_or("", |at| &tail[at..]));
        }
        let other = line.contains("protonum=\"132\"") || line.contains("protonum=\"33\"");
        match (line.split_once("<state>"), line.split_once("</state>")) {
            (Some((head, _)), Some((_, tail))) if other => format!("{head}{tail}"),
            _ => line.to_owned(),
        }
    };
    text.split_inclusive('\n').map(strip).collect()
}

/// The names of states in `-o xml` are those of the text.
fn xml_states() -> Result<(), String> {
    let states: Vec<String> = Flow::all(&lab::table()?)?.into_iter().map(|f| f.state).collect();
    let xml = conntrack(By::Ours, "-L -o xml");
    let state = |line: &str| match line.split_once("<state>").and_then(|(_, t)| t.split_once('<')) {
        Some((name, _)) => name.to_owned(),
        None => String::new(),
    };
    let in_xml: Vec<String> = xml.out.lines().filter(|l| l.starts_with("<flow>")).map(state).collect();
    if states == in_xml { Ok(()) } else { Err(format!("text {states:?}\n  XML  {in_xml:?}")) }
}

/// JSON, which the original does not have, says what the text says.
pub(crate) fn json() -> Result<(), String> {
    let table = Flow::all(&lab::table()?)?;
    let o = conntrack(By::Ours, "-L -o json");
    if o.code != Some(0) || o.out.lines().count() != table.len() {
        return Err(o.wrong(format!("{} flows are there", table.len())));
    }
    for (flow, line) in table.iter().zip(o.out.lines()) {
        let pair = |key: &str, value: &str| format!("\"{key}\":\"{value}\"");
        let has = |key: &str, value: &str| match value {
            "" => !line.contains(&format!("\"{key}\":")),
            value => line.contains(&pair(key, value)),
        };
        let status = |name: &str| line.contains(&format!("\"{name}\"")) == flow.is(name);
        let right = has("state", &flow.state)
            && has("secctx", flow.get("secctx"))
            && status("OFFLOAD")
            && [flow.orig("src"), flow.orig("dst"), flow.reply("src"), flow.reply("dst")]
                .iter()
                .all(|a| line.contains(&format!("\"{a}\"")));
        if !right {
            return Err(format!("{}{line}", flow.line));
        }
    }
    Ok(())
}

/// What a user without privileges is told is the same.
fn denied(line: &str) -> Result<(), String> {
    let (original, ours) = (lab::as_nobody(By::Original, line), lab::as_nobody(By::Ours, line));
    // It must be a refusal that says so; otherwise the two could be alike because nothing ran.
    if original == ours && ours.err.contains("CAP_NET_ADMIN") {
        Ok(())
    } else {
        Err(format!("{}\n{}", original.wrong("the original"), ours.wrong("ours")))
    }
}

/// zct lists exactly the intended flows; `more` are further options.
fn selects(table: &[Flow], s: &Selector, more: &str) -> Result<(), String> {
    let o = lab::run(ZCT, &format!("-L {} -o extended,id,labels {more}", s.line), "");
    let listed = Flow::all(&o.out).map_err(|e| o.wrong(e))?;
    let ids = |flows: &mut dyn Iterator<Item = &Flow>| {
        let mut ids: Vec<String> = flows.map(|f| f.get("id").to_owned()).collect();
        ids.sort_unstable();
        ids
    };
    let meant = ids(&mut table.iter().filter(|f| (s.means)(f)));
    if o.code != Some(0) {
        return Err(o.wrong("failed"));
    }
    if ids(&mut listed.iter()) != meant {
        return Err(o.wrong(format!("{} are meant, listed are", meant.len())));
    }
    Ok(())
}

/// Lists a table that has everything, in every way.
pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    lab::seed(MIXED)?;
    let table = Flow::all(&lab::table()?)?;
    for format in FORMATS {
        let line = format!("-L {format}");
        v.add(&line, compare(&line).map(drop));
    }
    v.add("-L -o xml has the right names for states", xml_states());
    v.add("-L -o json says what the text says", json());
    for line in ["-L", "-L -p tcp -s 10.0.0.1", "-D", "-D -s fd00::1", "-U -m 1", "-C", "-S"] {
        v.add(format_args!("{line} without privileges"), denied(line));
    }
    for (n, s) in SELECTORS.iter().enumerate() {
        let line = format!("-L {} {}", s.line, FORMATS[n % FORMATS.len()]);
        match s.list {
            Original::Same => v.add(&line, compare(&line).map(drop)),
            Original::Wrong(why) => {
                v.add(format_args!("{line} (the original is wrong: {why})"), differs(&line))
            }
            Original::Illegal => {}
        }
        let ways: &[_] =
            if s.reaches_planner() { &["--kernel-filter=always", "--kernel-filter=never"] } else { &[""] };
        for more in ways {
            v.add(format_args!("-L {} {more} selects what is meant", s.line), selects(&table, s, more));
        }
    }
    v.add("-L --jobs 2", {
        let plain = lab::run(ZCT, "-L -o id", "");
        let jobs = lab::run(ZCT, "-L -o id --jobs 2", "");
        let again = sorted(&conntrack(By::Original, "-L -o id").out);
        between(&sorted(&plain.out), &sorted(&jobs.out), &again)
    });
    for line in ["-C", "-S", "-L dying", "-L unconfirmed", "-L expect", "-C expect", "-S expect"] {
        v.add(line, compare(line).map(drop));
    }
    for line in GETS {
        v.add(line, compare(line).map(drop));
    }
    Ok(())
}

/// If the original no longer has a fault, the row in the table of differences is wrong.
fn differs(line: &str) -> Result<(), String> {
    let (original, ours) = (conntrack(By::Original, line), conntrack(By::Ours, line));
    let differ = (original.code, &original.err) != (ours.code, &ours.err)
        || sorted(&original.out).lines().count() != sorted(&ours.out).lines().count();
    if differ { Ok(()) } else { Err(original.wrong("the original does the same")) }
}

/// Single flows, named by either direction; some do not exist.
const GETS: &[&str] = &[
    "-G -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1000 --dport 80",
    "-G -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1000 --dport 80 -o xml",
    "-G -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1000 --dport 81",
    "-G -p udp -s fd00::1 -d fd00::2 --sport 5000 --dport 53 -o extended",
    "-G -p udp -s fd00::1 -d fd00::9 --sport 5000 --dport 53",
    "-G -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 -o extended",
    "-G -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 -o save",
    "-G -p dccp -s fd00::1 -d fd00::2 --sport 1 --dport 2",
    "-G -p sctp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 -o save",
    "-G -p icmp -s 10.0.0.1 -d 10.0.0.2 --icmp-type 8 --icmp-code 0 --icmp-id 77",
    "-G -p icmpv6 -s fd00::1 -d fd00::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 7",
    "-G -p gre -s 10.0.0.1 -d 10.0.0.2 --srckey 0x10 --dstkey 0x20",
    "-G -p udplite -s 10.0.0.1 -d 10.0.0.2 --sport 5 --dport 6",
    "-G -p 50 -s 10.0.0.1 -d 10.0.0.2",
    "-G -p udp -s 10.0.0.7 -d 10.0.0.2 --sport 5000 --dport 53",
    "-G -p udp -s 10.0.0.6 -d 10.0.0.2 --sport 7000 --dport 53 -l one",
    "-G -p udp -s 10.0.0.6 -d 10.0.0.2 --sport 7000 --dport 53 -l seventy",
];
