//! A table that needs many chunks to dump and many batches to change.

use crate::compare::{between, sorted};
use crate::deleting::take_note;
use crate::events::{Listener, subscribed};
use crate::flow::{Flow, lasting};
use crate::lab::{self, By, Output, Verdicts, conntrack, must};
use crate::listing::compare;

const FLOWS: usize = 3000;

/// Flow number `n`: every third is IPv6, every fifth has a mark, every seventh is in a zone.
fn line(n: usize) -> String {
    let proto = if n % 2 == 0 { "-p udp" } else { "-p tcp --state ESTABLISHED" };
    let (a, b) = (n / 200, n % 200 + 1);
    let addresses = if n % 3 == 0 {
        format!("-s fd00::{a}:{b} -d fd00::2")
    } else {
        format!("-s 10.1.{a}.{b} -d 10.0.0.2")
    };
    let mark = if n % 5 == 0 { "-m 5" } else { "" };
    let zone = if n % 7 == 0 { "-w 7" } else { "" };
    format!("-I -t {} {proto} {addresses} --sport {n} --dport 53 {mark} {zone}", 2000 + n)
}

type Means = fn(&Flow) -> bool;
const SELECTIONS: &[(&str, Means)] = &[
    ("-w 7", |f| f.zone() == 7),
    ("-p tcp -f ipv6", |f| f.proto == 6 && f.family == 10),
    ("-s fd00::3:4", |f| f.orig("src") == "fd00::3:4"),
    ("-s 10.1.4.0/24", |f| f.orig("src").starts_with("10.1.4.")),
    ("-p udp -d 10.0.0.2 -m 5", |f| f.proto == 17 && f.family == 2 && f.mark() == 5),
];

pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    lab::sysctl("net.netfilter.nf_conntrack_max", "20000")?;
    let lines: Vec<String> = (0..FLOWS).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lab::seed(&lines)?;
    for line in ["-L", "-L -o xml", "-L -o save", "-L -w 7", "-L -p tcp --sport 301", "-C"] {
        v.add(format_args!("{line} of {FLOWS} flows"), compare(line).map(drop));
    }
    let jobs = {
        let before = sorted(&conntrack(By::Original, "-L -o id").out);
        let jobs = sorted(&conntrack(By::Ours, "-L -o id --jobs 4").out);
        between(&before, &jobs, &sorted(&conntrack(By::Original, "-L -o id").out))
    };
    v.add(format_args!("-L --jobs 4 of {FLOWS} flows"), jobs);

    let mut table = Flow::all(&lab::table()?)?;
    for (selection, means) in SELECTIONS {
        for filter in ["always", "never"] {
            let line = format!("-L {selection} -o extended,id --kernel-filter={filter}");
            let o = conntrack(By::Ours, &line);
            let want = lasting(table.iter().filter(|f| means(f)));
            let listed = Flow::all(&o.out).map(|listed| lasting(&listed));
            v.add(&line, if listed.as_ref() == Ok(&want) { Ok(()) } else { Err(o.err) });
        }
    }
    let marked = conntrack(By::Ours, "-U -p tcp -m 9 --kernel-filter=always");
    let tcp = table.iter().filter(|f| f.proto == 6).count();
    let after = Flow::all(&lab::table()?)?;
    let right = after.iter().all(|f| (f.proto == 6) == (f.mark() == 9)) && after.len() == FLOWS;
    v.add("-U -p tcp -m 9", summary(&marked, right, tcp, "updated"));

    table = after;
    for (selection, means) in SELECTIONS {
        let line = format!("-D {selection} --kernel-filter=always");
        let o = conntrack(By::Ours, &line);
        let before = table.len();
        table.retain(|f| !means(f));
        let right = lasting(&Flow::all(&lab::table()?)?) == lasting(&table);
        v.add(&line, summary(&o, right, before - table.len(), "deleted"));
    }
    let mut o = conntrack(By::Ours, "-D");
    take_note(&mut o)?;
    v.add("-D", summary(&o, lab::count()? == 0, table.len(), "deleted"));

    lab::sysctl("net.netfilter.nf_conntrack_events", "1")?;
    lab::seed(&lines)?;
    v.add(format_args!("-E loses none of {FLOWS} events"), burst()?);
    Ok(())
}

/// The table is right, each flow was printed as a line, and the summary counts them.
fn summary(o: &Output, right: bool, count: usize, what: &str) -> Result<(), String> {
    let said = format!("conntrack v… (conntrack-tools): {count} flow entries have been {what}.\n");
    let code = i32::from(count == 0);
    if right && o.err == said && o.code == Some(code) && o.out.lines().count() == count {
        return Ok(());
    }
    Err(format!("table right: {right}; {count} are meant; exit {:?}, {:?}", o.code, o.err))
}

/// A flush causes all events at once.
fn burst() -> Result<Result<(), String>, String> {
    let listener = Listener::start(By::Ours, "-E -e DESTROY", 0)?;
    lab::until("it listens", || subscribed() == (1, 0) && listener.sleeps())?;
    must(By::Original.path(), "-F", "")?;
    lab::until("all events are read", || subscribed() == (1, 0) && listener.sleeps())?;
    let o = listener.stop()?;
    let said = format!("conntrack v… (conntrack-tools): {FLOWS} flow events have been shown.\n");
    let whole = o.out.lines().filter(|l| l.starts_with("[DESTROY]")).count() == FLOWS;
    Ok(if whole && o.err == said { Ok(()) } else { Err(o.err) })
}
