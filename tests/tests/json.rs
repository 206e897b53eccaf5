//! `-o json`, which the original does not have: every line is an object that the published schema admits, and
//! it says what the text line says. The text line itself is compared with the original elsewhere.

use nix::sys::signal::Signal;
use serde_json::Value;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use zct_tests::etc::PrivateEtc;
use zct_tests::listener::{EXPECT_GROUPS, FLOW_GROUPS, Listener, kernel_stamps_events};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Kernel, Mix, TRACKING};
use zct_tests::ticks::{still, too_far};
use zct_tests::traffic::Traffic;
use zct_tests::world::World;

/// The words of `-o` that change what a line and an object show.
const ALL: &str = "extended,id,ktimestamp,labels";

fn schema() -> &'static jsonschema::Validator {
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json-schema.json");
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema")
    })
}

/// The objects of an output, each checked against the schema.
fn objects(output: &Output) -> Vec<Value> {
    let parse = |line: &String| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let wrong: Vec<String> = schema().iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{line}\n{wrong:?}");
        value
    };
    output.lines().iter().map(parse).collect()
}

/// A member as text; empty when absent.
fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// ` name=value` for a member that is present.
fn field(name: &str, value: &Value) -> String {
    if value.is_null() { String::new() } else { format!(" {name}={}", text(value)) }
}

/// Ports, keys or ICMP members as a line shows them.
fn layer4(t: &Value, protonum: u64) -> String {
    let hex = |v: &Value| format!("{:#x}", v.as_u64().expect("a number"));
    let zero = |v: &Value| v.as_u64().unwrap_or(0);
    match protonum {
        6 | 17 | 136 | 132 | 33 => format!(" sport={} dport={}", zero(&t["sport"]), zero(&t["dport"])),
        47 => format!(" srckey={} dstkey={}", hex(&t["srckey"]), hex(&t["dstkey"])),
        1 | 58 => format!(" type={} code={} id={}", t["icmp_type"], t["icmp_code"], t["icmp_id"]),
        _ => String::new(),
    }
}

fn direction(t: &Value, protonum: u64, which: &str) -> String {
    format!(" src={} dst={}", text(&t["src"]), text(&t["dst"]))
        + &layer4(t, protonum)
        + &field(&format!("zone-{which}"), &t["zone"])
        + &field("packets", &t["packets"])
        + &field("bytes", &t["bytes"])
}

/// The line of `-o extended,id,ktimestamp,labels` that says the same as the object.
fn line_of_flow(o: &Value) -> String {
    let protonum = o["protonum"].as_u64().expect("a number");
    let family = text(&o["family"]);
    let number = if family == "ipv4" { 2 } else { 10 };
    // Where the line has no name for the protocol, the object has its number as text.
    let name = match text(&o["protocol"]) {
        number if number == protonum.to_string() => "unknown".to_owned(),
        name => name,
    };
    let status = |bit: &str| o["status"].as_array().is_some_and(|s| s.iter().any(|b| b == bit));
    let mut line = format!("{family:<8} {number} {name:<8} {protonum}");
    for member in ["timeout", "state"] {
        if !o[member].is_null() {
            line += &format!(" {}", text(&o[member]));
        }
    }
    line += &direction(&o["orig"], protonum, "orig");
    if !o["status"].is_null() && !status("SEEN_REPLY") {
        line += " [UNREPLIED]";
    }
    line += &direction(&o["reply"], protonum, "reply");
    let flags = ["HW_OFFLOAD", "OFFLOAD", "ASSURED"].into_iter().find(|f| status(f));
    line += &flags.map_or(String::new(), |f| format!(" [{f}]"));
    for (name, member) in
        [("mark", "mark"), ("secctx", "secctx"), ("zone", "zone"), ("delta-time", "delta_time")]
    {
        line += &field(name, &o[member]);
    }
    for (name, member) in [("start", "start_ns"), ("stop", "stop_ns")] {
        if let Some(ns) = o[member].as_u64() {
            line += &format!(" [{name}={}]", ctime(ns / 1_000_000_000));
        }
    }
    line += &field("helper", &o["helper"]);
    line += &field("use", &o["use"]);
    line += &field("id", &o["id"]);
    if let Some(labels) = o["labels"].as_array() {
        let names: Vec<String> = labels.iter().map(text).collect();
        // When no label has a name, the line has a bare word.
        line += &if names.is_empty() { " labels".to_owned() } else { format!(" labels={}", names.join(",")) };
    }
    line
}

/// `ctime(3)` in UTC, where the tests run.
fn ctime(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut day) = (1970, days);
    let leap = |y: u64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // The first of January 1970 was a Thursday.
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let (hour, min, sec) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{weekday} {} {:2} {hour:02}:{min:02}:{sec:02} {year}", months[month], day + 1)
}

/// The line of `-L expect` that says the same as the object.
fn line_of_expectation(o: &Value) -> String {
    let protonum = o["protonum"].as_u64().expect("a number");
    let tuple = |name: &str, prefix: &str| {
        let t = &o[name];
        format!(" {prefix}src={} {prefix}dst={}{}", text(&t["src"]), text(&t["dst"]), layer4(t, protonum))
    };
    let flags: Vec<String> = o["flags"].as_array().map_or(vec![], |f| f.iter().map(text).collect());
    let mut line = format!("{} proto={protonum}", o["timeout"]);
    line += &(tuple("expected", "") + &tuple("mask", "mask-") + &tuple("master", "master-"));
    line += &field("zone", &o["zone"]);
    if !flags.is_empty() {
        line += &format!(" {}", flags.join(","));
    }
    line + &field("class", &o["class"]) + &field("helper", &o["helper"])
}

/// Both forms of one command's output, and how long getting them took.
fn line_and_json(args: &[&str], words: &str) -> (Output, Output, Duration) {
    let began = Instant::now();
    let line = Tool::Zct.run(&[args, &["-o", words]].concat());
    let json = Tool::Zct.run(&[args, &["-o", &format!("json,{words}")]].concat());
    (line, json, began.elapsed())
}

/// Both have the same entries in the same order, except for ticking seconds.
fn assert_agree(line: &Output, json: &Output, passed: Duration, of: impl Fn(&Value) -> String) {
    let by_json: String = objects(json).iter().map(|o| of(o) + "\n").collect();
    for (a, b) in still(&line.out()).lines().zip(still(&by_json).lines()) {
        assert_eq!(a, b);
    }
    assert_eq!(line.lines().len(), by_json.lines().count());
    assert_eq!(too_far(&by_json, &line.out(), passed), None);
}

fn assert_same(lines: &[String], objects: &[Value], of: impl Fn(&Value) -> String) {
    assert_eq!(lines.len(), objects.len());
    for (line, object) in lines.iter().zip(objects) {
        assert_eq!(*line, of(object), "{object}");
    }
}

#[test]
fn listings_say_what_the_lines_say() {
    for number in 0..4 {
        let _world = World::new(7, number, 150);
        for args in [&["-L"][..], &["-L", "-p", "sctp"], &["-L", "-n"], &["-L", "-l", "five"]] {
            let (line, json, passed) = line_and_json(args, ALL);
            assert_eq!((json.exit, json.err()), (Exit::Code(0), line.err()));
            assert_agree(&line, &json, passed, line_of_flow);
            assert!(!json.stdout.is_empty(), "{args:?} lists nothing");
        }
        let get = "-G -p udp -s 10.9.0.1 -d 10.9.0.2 --sport 5001 --dport 7000";
        let (line, json, passed) = line_and_json(&get.split(' ').collect::<Vec<_>>(), ALL);
        assert_agree(&line, &json, passed, line_of_flow);
        let (line, json, passed) = line_and_json(&["-L", "expect"], "userspace");
        assert_agree(&line, &json, passed, line_of_expectation);
        assert_eq!(line.lines().len(), 2);
    }
}

/// The difference "Z json".
#[test]
fn the_original_has_none() {
    let _ns = Netns::fresh();
    let theirs = Tool::Reference.run(&["-L", "-o", "json"]);
    assert_eq!(theirs.exit, Exit::Code(2));
    assert!(theirs.err().contains("Bad parameter `json'"), "{theirs:?}");
}

#[test]
fn what_was_not_asked_for_is_absent() {
    let _world = World::new(7, 0, 50);
    let plain = objects(&Tool::Zct.run(&["-L", "-o", "json"]));
    assert!(!plain.is_empty());
    for member in ["id", "labels", "start_ns", "stop_ns", "event", "timestamp"] {
        assert!(plain.iter().all(|o| o[member].is_null()), "{member}");
    }
    assert!(objects(&Tool::Zct.run(&["-L", "-s", "9.9.9.9", "-o", "json"])).is_empty());
}

#[test]
fn counts_and_statistics_are_objects() {
    let _world = World::new(7, 0, 50);
    let count = objects(&Tool::Zct.run(&["-C", "-o", "json"]));
    assert_eq!(count[0]["count"].to_string(), Tool::Zct.run(&["-C"]).out().trim_end());
    let expectations = objects(&Tool::Zct.run(&["-C", "expect", "-o", "json"]));
    assert_eq!(expectations[0]["count"], 2);
    for table in [&["-S"][..], &["-S", "expect"]] {
        let stats = objects(&Tool::Zct.run(&[table, &["-o", "json"]].concat()));
        let lines = Tool::Zct.run(table).lines();
        assert_eq!(lines.len(), stats.len());
        for (line, object) in lines.iter().zip(&stats) {
            let mut words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
            let members = object.as_object().expect("an object").iter();
            let mut said: Vec<String> = members.map(|(name, value)| format!("{name}={value}")).collect();
            words.sort();
            said.sort();
            assert_eq!(words, said);
        }
    }
}

/// The line of an event that says the same as the object.
fn line_of_event(o: &Value, line: impl Fn(&Value) -> String) -> String {
    let tag = match text(&o["event"]).as_str() {
        "new" => "    [NEW] ",
        "update" => " [UPDATE] ",
        "destroy" => "[DESTROY] ",
        other => panic!("{other}: {o}"),
    };
    let suffix = match o["portid"].as_u64().unwrap_or(0) {
        0 => String::new(),
        port => format!(" [USERSPACE] portid={port}{}", field("progname", &o["program"])),
    };
    format!("{tag}{}{suffix}", line(o))
}

#[test]
fn events_say_what_the_lines_say() {
    let ns = Netns::fresh().accounting().timestamps();
    let _etc = PrivateEtc::with_labels(Some("1 one\n5 five\n"));
    ns.nft(TRACKING);
    let start = |words: &[&str], groups| Listener::start(Tool::Zct, words, groups);
    let json = |words: &str| format!("json,{words}");
    let flows = [start(&["-E", "-o", ALL], FLOW_GROUPS), start(&["-E", "-o", &json(ALL)], FLOW_GROUPS)];
    let timed =
        [start(&["-E", "-o", "timestamp"], FLOW_GROUPS), start(&["-E", "-o", "json,timestamp"], FLOW_GROUPS)];
    let expects =
        [start(&["-E", "expect"], EXPECT_GROUPS), start(&["-E", "expect", "-o", "json,id"], EXPECT_GROUPS)];
    let mut kernel = Kernel::open();
    Mix { rng: fastrand::Rng::with_seed(5), labels: true, wide: false }.fill(&mut kernel, 60);
    let mut traffic = Traffic::start(&ns);
    traffic.everything();
    traffic.close_and_settle();
    kernel.flush();
    let stop = |pair: [Listener; 2]| {
        pair.map(|listener| {
            listener.settle();
            listener.stop(Signal::SIGINT)
        })
    };
    let [line, json] = stop(flows);
    // Each listener looks up the name of the program itself; ours is still running, so both find it.
    assert_same(&line.lines(), &objects(&json), |o| line_of_event(o, line_of_flow));
    assert!(line.lines().len() > 150);
    assert_eq!(line.err(), json.err());
    let [line, json] = stop(expects);
    assert_same(&line.lines(), &objects(&json), |o| line_of_event(o, line_of_expectation));
    assert_eq!(line.lines().len(), 4);
    let [line, json] = stop(timed);
    let times: Vec<f64> = objects(&json).iter().map(|o| o["timestamp"].as_f64().expect("a time")).collect();
    let stamp = |l: &String| l[1..l.find(']').expect("a time")].parse().expect("a number");
    let by_line: Vec<f64> = line.lines().iter().map(stamp).collect();
    assert_eq!(times.len(), by_line.len());
    // If the kernel sends the time, both show it; otherwise each has read the clock by itself.
    assert!(times == by_line || !kernel_stamps_events(), "{times:?}\n{by_line:?}");
}
