//! `-I`, `-A`, `-U`, `-R`: from the same start, the same table and the same words as from the original.

use crate::compare::{same, sorted, without_timeouts, without_value};
use crate::deleting::said;
use crate::flow::{Flow, lasting};
use crate::lab::{self, By, Output, Verdicts, conntrack};
use crate::listing::tcp_states;
use crate::selectors::{MIXED, SELECTORS, Selector};

/// The flows that most cases start from.
const START: &[&str] = &[
    "-I -t 2001 -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1000 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 5",
    "-I -t 2301 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 5000 --dport 53",
    "-I -t 2401 -p udp -s 10.0.0.7 -d 10.0.0.2 --sport 5000 --dport 53 -w 7",
    "-I -t 3501 -p sctp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 --state ESTABLISHED --orig-vtag 11 --reply-vtag 12",
    "-I -t 3701 -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 --state OPEN --role client -u SEEN_REPLY",
    "-I -t 3801 -p icmp -s 10.0.0.1 -d 10.0.0.2 --icmp-type 8 --icmp-code 0 --icmp-id 77",
    "-I -t 4501 -p tcp -s fd00::1 -d fd00::2 --sport 1000 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED",
    "-I -t 4601 -p udp -s 10.0.0.6 -d 10.0.0.2 --sport 5000 --dport 53 --label-add one",
];

/// Command lines that both programs carry out alike.
const CASES: &[&str] = &[
    // Creation: flows that exist already, what the kernel refuses, what it changes.
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 5000 --dport 53",
    "-I -t 100 -p udp -s 10.0.0.2 -d 10.0.0.1 --sport 53 --dport 5000",
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 5000 --dport 53 -w 5",
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 --orig-zone 3 --reply-zone 4",
    "-I -t 100 -p udp -r 10.0.0.2 -q 10.0.0.1 --reply-port-src 9 --reply-port-dst 8",
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 -u ASSURED,SEEN_REPLY,FIXED_TIMEOUT -m 3",
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 -u EXPECTED",
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 -u OFFLOAD",
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 -u HW_OFFLOAD,ASSURED",
    "-I -t 8589934 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53",
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 -n 192.0.2.1:77",
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 -n 192.0.2.1 -g 192.0.2.2",
    "-I -t 100 -p tcp -s fd00::1 -d fd00::2 --sport 9 --dport 53 --state SYN_SENT -g fd00::9",
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 --label-add one,seventy",
    "-I -t 100 -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 --state LISTEN",
    "-I -t 100 -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 --state NONE",
    "-I -t 100 -p icmp -s 10.0.0.1 -d 10.0.0.2 --icmp-type 3 --icmp-code 0",
    "-I -t 100 -p icmp -s 10.0.0.1 -d 10.0.0.2 --icmp-type 17 --icmp-code 0 --icmp-id 9",
    "-I -t 100 -p icmpv6 -s fd00::1 -d fd00::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 9",
    "-I -t 100 -p sctp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 2 --state SHUTDOWN_SENT --orig-vtag 1 --reply-vtag 0",
    "-I -t 100 -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 2 --state REQUEST --role client",
    "-I -t 100 -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 2 --state TIMEWAIT --role server",
    "-I -t 100 -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 --state OPEN --role client",
    "-I -t 100 -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 2 --state INVALID --role client",
    "-I -t 100 -p dccp -s fd00::1 -d fd00::2 --sport 9 --dport 2 --state PARTOPEN --role server",
    "-I -t 100 -p gre -s 10.0.0.1 -d 10.0.0.2 --srckey 1 --dstkey 2",
    "-I -t 100 -p udplite -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 2",
    "-I -t 100 -p 200 -s 10.0.0.1 -d 10.0.0.2",
    "-A -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53 -m 4",
    "-A -t 100 -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 2 --state OPEN --role server",
    // Updates.
    "-U -p udp -s 10.0.0.1 -m 7",
    "-U -p tcp -s 10.0.0.1 -m 0x10/0xf0",
    "-U -s fd00::1 -m 9",
    "-U -s fd00::77 -m 9",
    "-U -p udp -s 10.0.0.1 -t 5000",
    "-U -p udp -s 10.0.0.1 -u ASSURED",
    "-U -p udp -s 10.0.0.1 -u SEEN_REPLY,ASSURED -o extended",
    "-U -p udp -s 10.0.0.1 -u FIXED_TIMEOUT -o save",
    "-U -p tcp -s 10.0.0.1 --state TIME_WAIT",
    "-U -p tcp -s 10.0.0.1 --state TIME_WAIT -o xml",
    "-U -p tcp -s 10.0.0.1 -m 5",
    "-U -p dccp -s 10.0.0.1 --sport 1 -m 6 -o extended",
    "-U -p sctp -s 10.0.0.1 --state SHUTDOWN_SENT --orig-vtag 21 --reply-vtag 22",
    "-U -p icmp -s 10.0.0.1 --icmp-type 8 -m 3",
    "-U -p udp -s 10.0.0.6 --label-add seven",
    "-U -p udp -s 10.0.0.6 --label-del one",
    "-U -p udp -s 10.0.0.6 --label-del",
    "-U -p udp -l one -m 1 -f ipv4",
    // Deletion with a complete key, and of flows that do not exist.
    "-D -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2",
    "-D -p dccp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 3",
    "-D -p udp -s 10.0.0.7 -d 10.0.0.2 --sport 5000 --dport 53",
];

/// Files for `-R`.
const FILES: &[&str] = &[
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 9 --dport 53\n-D -s 10.0.0.7\n-U -p udp -s 10.0.0.1 --sport 9 -m 3\n",
    "-D -s fd00::1\n-A -t 100 -p dccp -s fd00::1 -d fd00::2 --sport 9 --dport 2 --state OPEN --role client\n",
    "-F\n-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 5000 --dport 53 -w 3\n",
    // The second line fails: the first has taken effect, the third is not reached.
    "-D -p dccp\n-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 5000 --dport 53\n-F\n",
];

struct Ran {
    output: Output,
    after: Vec<Flow>,
}

fn ran(line: &str, start: &[&str], run: impl FnOnce() -> Output) -> Result<Ran, String> {
    lab::seed_for(line, start)?;
    let output = run();
    Ok(Ran { output, after: Flow::all(&lab::table()?)? })
}

fn alike(line: &str, mut run: impl FnMut(By) -> Output) -> Result<(), String> {
    let original = ran(line, START, || run(By::Original))?;
    let ours = ran(line, START, || run(By::Ours))?;
    // What a refusal means here comes behind the original's words, in brackets.
    let err = ours.output.err.split_once(" (EXPECTED is set by the kernel alone");
    let err = err.map_or_else(|| ours.output.err.clone(), |(words, _)| format!("{words}\n"));
    if (original.output.code, &original.output.err) != (ours.output.code, &err) {
        return Err(format!("{}\n{}", original.output.wrong("the original"), ours.output.wrong("ours")));
    }
    same("the table", &lasting(&original.after), &lasting(&ours.after))?;
    let hidden = |o: &Output| tcp_states(&without_timeouts(&o.out));
    let masked = |o: &Output| without_value(&without_value(&hidden(o), "<id>"), "id=");
    same("printed", &masked(&original.output), &masked(&ours.output))
}

pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    for line in CASES {
        v.add(line, alike(line, |by| conntrack(by, line)));
    }
    for file in FILES {
        let run = |by: By| {
            let mut o = lab::run(by.path(), "-R -", file);
            // zct names the line that failed.
            if let Some((message, _)) = o.err.split_once(" (-:") {
                o.err = format!("{message}\n");
            }
            o
        };
        v.add(format_args!("-R - with {file:?}"), alike(file, run));
    }
    v.add("-R - with a table of everything", everything());
    v.add("-A of what exists updates it", add_again());
    v.add("-U of a DCCP state", dccp_state());
    lab::seed(MIXED)?;
    let all = Flow::all(&lab::table()?)?;
    for s in SELECTORS.iter().filter(|s| updates(s)) {
        let line = format!("-U {} -m 77 --kernel-filter=never --dry-run", s.line);
        let meant = all.iter().filter(|f| (s.means)(f)).count();
        v.add(&line, said(&conntrack(By::Ours, &line), meant, "would be updated"));
    }
    let after = Flow::all(&lab::table()?)?;
    v.add("-U --dry-run changes nothing", same("the table", &lasting(&all), &lasting(&after)));
    for s in SELECTORS.iter().filter(|s| updates(s)) {
        let line = format!("-U {} -m 77 --kernel-filter=always", s.line);
        v.add(&line, marked(&all, s, &line));
    }
    Ok(())
}

/// A file that loads every kind of flow leaves the table that the original leaves.
fn everything() -> Result<(), String> {
    let original = ran("--label-add", MIXED, || conntrack(By::Original, "-C"))?;
    let file = MIXED.join("\n");
    let ours = ran("", &[], || lab::run(By::Ours.path(), "-R -", &file))?;
    if ours.output.code != Some(0) || !ours.output.err.is_empty() {
        return Err(ours.output.wrong("failed"));
    }
    same("the table", &lasting(&original.after), &lasting(&ours.after))?;
    // What is saved loads again to the same table, except for labels, which the format does not have.
    let saved = conntrack(By::Ours, "-L -o save");
    let again = ran("", &[], || lab::run(By::Ours.path(), "-R -", &saved.out))?;
    let saved_again = conntrack(By::Ours, "-L -o save");
    if again.output.code != Some(0) || !again.output.err.is_empty() {
        return Err(again.output.wrong("loading what was saved"));
    }
    // Loading reverses the order within a bucket.
    let [saved, again] = [&saved, &saved_again].map(|o| sorted(&without_timeouts(&o.out)));
    same("saved", &saved, &again)
}

/// Release 1.4.9 is the standard here; the installed one changes nothing and counts 0.
fn add_again() -> Result<(), String> {
    let line = "-A -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 5000 --dport 53 -m 8";
    let ours = ran(line, START, || conntrack(By::Ours, line))?;
    let marked = ours.after.iter().filter(|f| f.mark() == 8).count();
    let said = "conntrack v… (conntrack-tools): 1 flow entries have been added.\n";
    if (ours.output.code, ours.output.err.as_str(), marked) != (Some(0), said, 1) {
        return Err(ours.output.wrong(format!("{marked} are updated")));
    }
    Ok(())
}

/// The kernel wants the role along with the state, and `--role` is illegal here: zct names the flow that was
/// refused and counts it. The installed one prints the old flow and counts it as updated.
fn dccp_state() -> Result<(), String> {
    let line = "-U -p dccp -s 10.0.0.1 --state CLOSING";
    let ours = ran(line, START, || conntrack(By::Ours, line))?;
    let begin = "conntrack v… (conntrack-tools): Operation failed: invalid parameters: dccp ";
    let end = "conntrack v… (conntrack-tools): 1 flow entries could not be updated.\n";
    let said = ours.output.err.starts_with(begin) && ours.output.err.ends_with(end);
    if (ours.output.code, said, ours.output.out.as_str()) != (Some(1), true, "") {
        return Err(ours.output.wrong("should be refused"));
    }
    Ok(())
}

/// Whether these options select with `-U`; some of them set something instead, and others are illegal.
fn updates(s: &Selector) -> bool {
    let nat_address = ["-n ", "-g "].iter().any(|o| s.line.contains(o));
    let other = ["-m", "-u", "-w", "-zone", "--state", "-j", "-p gre"].iter().any(|o| s.line.contains(o));
    s.reaches_planner() && !nat_address && !other
        || ["", "-f ipv4", "-f ipv6", "-n", "-g", "-l one"].contains(&s.line)
}

/// Exactly the intended flows get mark 77, those in zones too (W13).
fn marked(all: &[Flow], s: &Selector, line: &str) -> Result<(), String> {
    let labels = lab::seed_for(line, MIXED)?;
    let output = conntrack(By::Ours, line);
    let after = Flow::all(&lab::table()?)?;
    let before = || all.iter().filter(|f| labels || f.get("labels").is_empty());
    let new_mark = |f: &Flow| {
        let old = format!("mark={}", f.mark());
        if (s.means)(f) { f.with_line(f.line.replace(&old, "mark=77")) } else { f.clone() }
    };
    let want: Vec<Flow> = before().map(new_mark).collect();
    same("the table", &lasting(&want), &lasting(&after))?;
    said(&output, before().filter(|f| (s.means)(f)).count(), "have been updated")
}
