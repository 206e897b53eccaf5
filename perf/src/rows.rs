//! The rows of the comparison.
//!
//! With a million flows they are the rows that the goals were set for; with fewer, everything shrinks in
//! proportion, the hash table too.

use crate::mix::{self, Mix};
use crate::row::{Before, Check, Contender, Goal, Metric, NETLINK, ONE_CORE, Row, Table, Work};
use crate::sample::Who;
use std::path::Path;

/// Receive buffer of the event rows, as `-b` counts it.
pub const EVENT_BUFFER: &str = "16777216";
/// The most that any command but `-R` may need, in MiB.
const PEAK: f64 = 4.0;
/// The most where BPF reads the table: the map that it fills counts.
const PEAK_BPF: f64 = 12.0;
/// The most that `--by` may need: groups are exact while they fit into this much.
const PEAK_GROUPS: f64 = 64.0 + PEAK_BPF;
/// The most that `-R` may need, in MiB.
const PEAK_RESTORE: f64 = 16.0;
/// One UDP flow in fifty has this destination, and no other flow has it.
const UDP_DST: &str = "198.51.100.7";
const EVERY_DST: u32 = 250;
/// In the common mix every fifth flow is UDP.
const EVERY_UDP: u32 = 5;
/// The flows of the batch file are those whose number has this remainder: (divisor, remainder).
const BATCH: (u32, u32) = (50, 3);
/// The destinations of those flows.
const BATCH_DST: &str = "192.0.2.4,192.0.2.54,192.0.2.104,192.0.2.154,192.0.2.204";

/// The files that the rows read.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// Lines that create the flows counted by [`restored`].
    pub restore: &'a Path,
    /// Lines that delete the flows named by [`batched`].
    pub batch: &'a Path,
    /// The first ten lines of `batch`.
    pub ten: &'a Path,
    /// The addresses of [`kept`].
    pub keep: &'a Path,
}

/// How many flows `-R` restores and the event rows make.
pub fn restored(flows: u32) -> u32 {
    flows / 10 * 3
}

/// The flows that a batch file deletes, one per line, from a table of half the size.
pub fn batched(flows: u32) -> impl Iterator<Item = u32> {
    (0..flows / 2).filter(|i| i % BATCH.0 == BATCH.1)
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn contender(who: Who, line: &str) -> Contender {
    Contender::new(who, "", words(line))
}

fn variant(who: Who, variant: &'static str, line: &str) -> Contender {
    Contender::new(who, variant, words(line))
}

fn wall(of: Who, at_most: f64) -> Goal {
    Goal { variant: "", metric: Metric::Wall, of: Some(of), at_most }
}

fn peak(at_most: f64) -> Goal {
    Goal { variant: "", metric: Metric::Peak, of: None, at_most }
}

/// The goal for this variant of zct instead.
fn of(variant: &'static str, goal: Goal) -> Goal {
    Goal { variant, ..goal }
}

/// A row that reads the common table and leaves it as it is.
fn reading(
    flows: u32,
    name: &'static str,
    title: &str,
    shown: u64,
    contenders: Vec<Contender>,
    goals: &[Goal],
) -> Row {
    Row {
        name,
        title: title.to_owned(),
        table: Table::Full(Mix::Common, flows),
        before: Before::Nothing,
        work: Work::Alone,
        check: Check::Said(shown),
        contenders,
        goals: goals.iter().copied().chain([peak(PEAK_BPF), of(NETLINK, peak(PEAK))]).collect(),
        once: false,
    }
}

fn both(line: &str) -> Vec<Contender> {
    vec![contender(Who::Original, line), contender(Who::Zct, line)]
}

fn with_floor(mut contenders: Vec<Contender>, line: &str) -> Vec<Contender> {
    contenders.push(contender(Who::Floor, line));
    contenders
}

/// The original, zct as it chooses, zct by netlink, and the floor of netlink.
fn all_readers(line: &str, floor: &str) -> Vec<Contender> {
    let mut contenders = both(line);
    contenders.push(variant(Who::Zct, NETLINK, &format!("{line} --reader netlink")));
    with_floor(contenders, floor)
}

/// The rows that list the whole table.
fn lists(flows: u32) -> Vec<Row> {
    let all = u64::from(flows);
    let full = |name, title, line: &str, goals: &[Goal]| {
        reading(flows, name, title, all, all_readers(line, "dump"), goals)
    };
    let user = Goal { variant: "", metric: Metric::User, of: Some(Who::Original), at_most: 0.10 };
    let near = [wall(Who::Original, 0.16), of(NETLINK, wall(Who::Floor, 1.15))];
    let list = [
        wall(Who::Original, 0.14),
        wall(Who::Floor, 0.30),
        of(ONE_CORE, wall(Who::Original, 0.20)),
        of(NETLINK, wall(Who::Original, 0.52)),
        of(NETLINK, wall(Who::Floor, 1.04)),
        user,
    ];
    let mut rows = vec![
        full("list", "-L", "-L", &list),
        full("list-xml", "-L -o xml", "-L -o xml", &near),
        full("list-save", "-L -o save", "-L -o save", &near),
        full("list-extended", "-L -o extended", "-L -o extended", &near),
    ];
    rows[0].contenders.push(variant(Who::Zct, ONE_CORE, "-L"));
    // The original has no JSON: what it is compared with is its plain listing.
    let json = ["-L -o json", "-L -o json --reader netlink"];
    let json = vec![
        contender(Who::Original, "-L"),
        contender(Who::Zct, json[0]),
        variant(Who::Zct, NETLINK, json[1]),
        contender(Who::Floor, "dump"),
    ];
    rows.push(reading(flows, "list-json", "-L -o json (the original: -L)", all, json, &near));
    let by = vec![
        contender(Who::Original, "-L"),
        contender(Who::Zct, "-L --by src --top 10"),
        variant(Who::Zct, NETLINK, "-L --by src --top 10 --reader netlink"),
        contender(Who::Floor, "dump"),
    ];
    let title = "-L --by src --top 10 (the original: -L)";
    rows.push(Row {
        goals: vec![wall(Who::Original, 0.12), peak(PEAK_GROUPS), of(NETLINK, peak(PEAK_GROUPS))],
        ..reading(flows, "list-by", title, all, by, &[])
    });
    let jobs = vec![
        contender(Who::Original, "-L"),
        contender(Who::Zct, "-L --jobs 2"),
        variant(Who::Zct, NETLINK, "-L --jobs 2 --reader netlink"),
        contender(Who::Floor, "dump --together"),
    ];
    let title = "-L --jobs 2, half the flows IPv6";
    let goals = [wall(Who::Original, 0.14), of(NETLINK, wall(Who::Original, 0.34))];
    rows.push(Row {
        table: Table::Full(Mix::HalfIpv6, flows),
        ..reading(flows, "list-jobs", title, all, jobs, &goals)
    });
    rows
}

/// The rows that list a selection.
fn selections(flows: u32) -> Vec<Row> {
    let of_dst = u64::from(flows / EVERY_DST);
    let of_net = (256..512).filter(|i| i % 10 != 9).count() as u64;
    // Addresses of IPv4, which the kernel can select too.
    let asked = |name, title: &str, shown, floor: &str| {
        let kernel = format!("{title} --reader netlink --kernel-filter=always");
        let contenders = with_floor([both(title), vec![variant(Who::Zct, NETLINK, &kernel)]].concat(), floor);
        let goals = [wall(Who::Original, 0.10), of(NETLINK, wall(Who::Original, 0.13))];
        reading(flows, name, title, shown, contenders, &goals)
    };
    let floor = format!("dump --family=ipv4 --proto=udp --dst={UDP_DST}");
    // The floor receives the whole table and selects nothing from it, so its count is not checked.
    let picked = |name, title: &str, shown| Row {
        check: Check::SaidByTools(shown),
        ..reading(flows, name, title, shown, all_readers(title, "dump"), &[wall(Who::Original, 0.10)])
    };
    let count = vec![
        contender(Who::Original, "-L -p udp --dport 53"),
        contender(Who::Zct, "-C -p udp --dport 53"),
        variant(Who::Zct, NETLINK, "-C -p udp --dport 53 --reader netlink"),
        contender(Who::Floor, "dump"),
    ];
    let title = "-C -p udp --dport 53 (the original: -L)";
    vec![
        asked("list-src", "-L -s 10.0.0.200", 1, "dump --family=ipv4 --src=10.0.0.200"),
        asked("list-udp-dst", &format!("-L -p udp -d {UDP_DST}"), of_dst, &floor),
        asked("list-reply-src", "-L -r 192.0.2.5", of_dst, "dump --family=ipv4 --reply-src=192.0.2.5"),
        Row {
            goals: vec![
                wall(Who::Original, 0.10),
                of(NETLINK, wall(Who::Original, 0.72)),
                peak(PEAK_BPF),
                of(NETLINK, peak(PEAK)),
            ],
            ..picked("list-net", "-L -s 10.0.1.0/24", of_net)
        },
        picked("list-ipv6", "-L -s 2001:db8::9", 1),
        picked("list-mark", &format!("-L -m {}/0xff", mix::MARK), of_dst),
        picked("list-state", "-L -p tcp --state TIME_WAIT", of_dst),
        Row {
            check: Check::Nothing,
            ..reading(flows, "count", title, 0, count, &[wall(Who::Original, 0.09)])
        },
    ]
}

/// The rows that delete.
fn deletions(flows: u32, files: Files<'_>) -> Vec<Row> {
    let of_dst = u64::from(flows / EVERY_DST);
    let udp = u64::from(flows / EVERY_UDP);
    let deleting = |name, title: &str, deleted, refill, floor: &str, at_most| {
        let contenders = vec![
            contender(Who::Original, title),
            contender(Who::Zct, &format!("{title} --kernel-filter=always")),
            contender(Who::Floor, floor),
        ];
        let row = reading(flows, name, title, deleted, contenders, &[wall(Who::Original, at_most)]);
        Row { before: Before::Refill(refill), ..row }
    };
    let few = format!("-D -p udp -d {UDP_DST}");
    let few_floor = format!("delete --family=ipv4 --proto=udp --dst={UDP_DST}");
    let (all, all_floor) = ("-D -p udp", "delete --family=ipv4 --proto=udp");
    let rival = deleting("delete-race", all, udp, mix::is_udp, all_floor, 0.25);
    let apart = Row {
        name: "delete-refused",
        title: "deletions alone, none and 10 % of them refused (the flow is gone)".to_owned(),
        contenders: vec![
            variant(Who::Floor, "none refused", "delete --apart --family=ipv4 --proto=udp"),
            variant(Who::Floor, "10 % refused", "delete --apart --vanish=10 --family=ipv4 --proto=udp"),
        ],
        check: Check::Left(u64::from(flows) - udp),
        goals: Vec::new(),
        ..rival.clone()
    };
    vec![
        deleting("delete-udp-dst", &few, of_dst, |i| i % EVERY_DST == 6, &few_floor, 0.13),
        deleting("delete-udp", all, udp, mix::is_udp, all_floor, 0.25),
        reconciled(flows, files),
        Row {
            title: format!("{all}, while another program deletes every fifth of them"),
            work: Work::Beside(words("delete --every=5 --family=ipv4 --proto=udp")),
            check: Check::Left(u64::from(flows) - udp),
            goals: vec![peak(PEAK_BPF)],
            ..rival
        },
        apart,
    ]
}

/// The flows to a service that is gone, where those to all others stay.
fn reconciled(flows: u32, files: Files<'_>) -> Row {
    let of_dst = u64::from(flows / EVERY_DST);
    let line = format!("reconcile --keep-dst @{} -p udp --dport 53", files.keep.to_string_lossy());
    let contenders = vec![
        contender(Who::Zct, &line),
        variant(Who::Zct, NETLINK, &format!("{line} --reader netlink")),
        contender(Who::Floor, "dump"),
    ];
    let title =
        format!("reconcile --keep-dst @FILE -p udp --dport 53: {of_dst} flows to an address not in it");
    let row = reading(flows, "reconcile", &title, of_dst, contenders, &[wall(Who::Floor, 0.40)]);
    Row { check: Check::SaidByTools(of_dst), before: Before::Refill(|i| i % EVERY_DST == 6), ..row }
}

/// The addresses that keep their UDP flows in the row `reconcile`: all but one.
pub fn kept() -> impl Iterator<Item = u32> {
    (0..EVERY_DST).filter(|i| mix::is_udp(*i) && i % EVERY_DST != 6)
}

/// The rows that listen to events.
fn events(flows: u32) -> Vec<Row> {
    let made = restored(flows);
    let storm = |name, how: &str, generator: String| Row {
        name,
        title: format!("-E -b {EVENT_BUFFER}: {made} flows {how}, then a flush"),
        table: Table::Empty,
        before: Before::Emptied,
        work: Work::Storm(words(&generator), made),
        check: Check::Nothing,
        contenders: with_floor(both(&format!("-E -b {EVENT_BUFFER}")), &format!("events {EVENT_BUFFER}")),
        goals: vec![
            Goal { variant: "", metric: Metric::Missing, of: None, at_most: 0.0 },
            Goal { variant: "", metric: Metric::Cpu, of: Some(Who::Floor), at_most: 1.3 },
            peak(PEAK),
        ],
        once: false,
    };
    vec![
        storm("events-packets", "by packets at full speed", format!("packets {made}")),
        storm("events-inserts", "by ctnetlink inserts", format!("load {made}")),
    ]
}

/// The rows that read batch files.
fn batches(flows: u32, files: Files<'_>) -> Vec<Row> {
    let made = restored(flows);
    let restore = files.restore.to_string_lossy();
    let line = format!("-R {restore}");
    let load = format!("load {made}");
    let whole = Row {
        name: "restore",
        title: format!("-R with {made} lines"),
        table: Table::Empty,
        before: Before::Emptied,
        work: Work::Alone,
        check: Check::Left(u64::from(made)),
        contenders: with_floor(both(&line), &load),
        goals: vec![wall(Who::Original, 0.3), peak(PEAK_RESTORE)],
        once: false,
    };
    let failing = Row {
        name: "restore-failing",
        title: format!("-R --keep-going with {made} lines, 10 % of them fail (the flow exists)"),
        before: Before::Only(10, made),
        check: Check::LeftAnyhow(u64::from(made)),
        contenders: with_floor(vec![contender(Who::Zct, &format!("{line} --keep-going"))], &load),
        goals: vec![peak(PEAK_RESTORE)],
        ..whole.clone()
    };
    let half = flows / 2;
    let many = format!("-R {}", files.batch.to_string_lossy());
    let ten = format!("-R {}", files.ten.to_string_lossy());
    let lines = batched(flows).count();
    let batch = Row {
        name: "batch-delete",
        title: format!("-R with {lines} -D lines on {half} flows, and one -D for the same flows"),
        table: Table::Full(Mix::Common, half),
        before: Before::Refill(|i| i % BATCH.0 == BATCH.1),
        check: Check::Nothing,
        contenders: vec![
            contender(Who::Zct, &many),
            variant(Who::Zct, "one -D", &format!("-D -d {BATCH_DST}")),
            variant(Who::Original, "ten of the lines", &ten),
        ],
        ..whole.clone()
    };
    vec![whole, failing, Row { goals: vec![peak(PEAK_RESTORE)], ..batch }]
}

/// Commands that are quick whatever the size of the table, measured for their memory.
fn memory(flows: u32) -> Row {
    let one = "-s 10.0.0.200 -d 192.0.2.201 -p tcp --sport 1224 --dport 443";
    let another = "-s 10.255.0.1 -d 192.0.2.1 -p udp --sport 1 --dport 2";
    // Setting a mark that is there already updates nothing, so each program sets a mark of its own.
    let commands = |mark: u8| -> [(&'static str, String); 10] {
        [
            ("-C", "-C".into()),
            ("-S", "-S".into()),
            ("-G", format!("-G {one}")),
            ("-U of one", format!("-U {one} -m {mark}")),
            ("-U of all UDP", format!("-U -p udp -m {mark}")),
            ("-I", format!("-I {another} -t 600")),
            ("-D of one", format!("-D {another}")),
            ("-L expect", "-L expect".into()),
            ("-L dying", "-L dying".into()),
            ("-h", "-h".into()),
        ]
    };
    let each = |who, mark| commands(mark).map(move |(name, line)| variant(who, name, &line)).into_iter();
    // Flushing comes last: it leaves nothing for the others.
    let flush = [variant(Who::Zct, "-F", "-F"), variant(Who::Original, "-F", "-F")];
    Row {
        before: Before::Nothing,
        check: Check::Nothing,
        once: true,
        ..reading(
            flows,
            "memory",
            "memory of the other commands",
            0,
            each(Who::Zct, 7).chain(each(Who::Original, 8)).chain(flush).collect(),
            &[],
        )
    }
}

/// What every run costs before the program itself begins.
fn nothing() -> Row {
    Row {
        name: "nothing",
        title: "a program that ends at once: the overhead in every figure".to_owned(),
        table: Table::Empty,
        before: Before::Nothing,
        work: Work::Alone,
        check: Check::Nothing,
        contenders: vec![contender(Who::Floor, "nothing")],
        goals: Vec::new(),
        once: false,
    }
}

/// How long packets have to wait.
fn pause(flows: u32) -> Row {
    let contenders = vec![
        variant(Who::Floor, "filter that matches nothing", "dump --family=ipv4 --src=192.0.2.99"),
        variant(Who::Floor, "no filter", "dump"),
    ];
    Row {
        check: Check::Nothing,
        goals: Vec::new(),
        ..reading(flows, "pause", "longest system call of a dump (softirqs are off)", 0, contenders, &[])
    }
}

/// All rows for a table of this many flows; those that use the same table stand together.
pub fn all(flows: u32, files: Files<'_>) -> Vec<Row> {
    let mut lists = lists(flows);
    let jobs = lists.split_off(lists.len() - 1);
    [
        vec![nothing()],
        lists,
        selections(flows),
        vec![pause(flows)],
        deletions(flows, files),
        vec![memory(flows)],
        jobs,
    ]
    .into_iter()
    .chain([events(flows), batches(flows, files)])
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn rows(flows: u32) -> Vec<Row> {
        let file = Path::new("f");
        all(flows, Files { restore: file, batch: file, ten: file, keep: file })
    }

    #[test]
    fn names_are_unique_and_goals_can_be_judged() {
        let rows = rows(1_000_000);
        let names: BTreeSet<_> = rows.iter().map(|r| r.name).collect();
        assert_eq!(names.len(), rows.len());
        for row in &rows {
            for goal in &row.goals {
                let has = |who, v| row.contenders.iter().any(|c| c.who == who && c.variant == v);
                assert!(goal.of.is_none_or(|who| has(who, "")), "{}: {goal:?}", row.name);
                let ours = goal.metric == Metric::Peak || has(Who::Zct, goal.variant);
                assert!(ours, "{}: {goal:?}", row.name);
            }
        }
    }

    #[test]
    fn counts_follow_from_the_mix() {
        let flows = 100_000;
        let count = |pick: &dyn Fn(u32) -> bool| (0..flows).filter(|i| pick(*i)).count() as u64;
        let said = |name: &str| match rows(flows).iter().find(|r| r.name == name).unwrap().check {
            Check::Said(n) | Check::SaidByTools(n) => n,
            other => panic!("{name}: {other:?}"),
        };
        let text = |i: u32| crate::lines::create(i);
        assert_eq!(said("list-udp-dst"), count(&|i| text(i).contains("-d 198.51.100.7 ")));
        assert_eq!(said("delete-udp-dst"), count(&|i| i % EVERY_DST == 6));
        assert_eq!(said("delete-udp"), count(&mix::is_udp));
        assert_eq!(said("list-reply-src"), count(&|i| text(i).contains("-d 192.0.2.5 ")));
        assert_eq!(said("list-net"), count(&|i| text(i).contains("-s 10.0.1.")));
        let dsts = BATCH_DST.split(',').map(|d| format!("-d {d} ")).collect::<Vec<_>>();
        let hit = |i: &u32| dsts.iter().any(|d| text(*i).contains(d));
        assert!((0..flows / 2).filter(hit).eq(batched(flows)));
    }
}
