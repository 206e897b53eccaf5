//! `zct top`: in a real terminal, which is typed into and looked at, and as text and objects for other
//! programs.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Lines};
use std::net::UdpSocket;
use std::process::{Child, ChildStdout, Stdio};
use zct_tests::netns::{Netns, sysctl};
use zct_tests::program::{Exit, Output, Tool, zct};
use zct_tests::seed::{Storm, TRACKING, tcp, udp};
use zct_tests::tmux::Tmux;
use zct_wire::request::NewFlow;

/// Source 10.0.0.N has N flows over UDP to port 53, and 10.0.1.1 has three over TCP to port 443.
fn flows() -> Vec<NewFlow<'static>> {
    let dns = (1..=30u8).flat_map(|n| (0..n).map(move |i| udp([10, 0, 0, n], [192, 0, 2, i], 1000, 53)));
    let web = (0..3).map(|i| tcp([10, 0, 1, 1], [198, 51, 100, i], 1000, 443, 3));
    dns.chain(web).collect()
}

const ALL: usize = 30 * 31 / 2 + 3;

fn split(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn table() -> Netns {
    let ns = Netns::fresh();
    Storm::open().create(flows());
    ns
}

/// A terminal with `zct top` in it, and behind it what the shell says of its end.
fn top(words: &str) -> Tmux {
    sized(80, 24, "", words)
}

fn sized(width: u16, height: u16, env: &str, words: &str) -> Tmux {
    let zct = zct().display();
    Tmux::start(width, height, &format!("echo before; {env} {zct} top -d 0.2 {words}; echo exit $?; stty -a"))
}

/// The lines of groups: figures and key.
fn groups(screen: &[String]) -> Vec<Vec<&str>> {
    let header = screen.iter().position(|l| l.trim_start().starts_with("flows ")).expect("a header");
    let rows = &screen[header + 1..screen.len().max(header + 2) - 1];
    rows.iter()
        .map(|l| l.trim_start_matches('>').split_whitespace().collect())
        .filter(|r: &Vec<_>| !r.is_empty())
        .collect()
}

/// The key of the line that keys are about.
fn marked(screen: &[String]) -> Option<&str> {
    let mut marked = screen.iter().filter(|l| l.starts_with("> "));
    let line = marked.next()?;
    assert_eq!(marked.next(), None, "one line is marked");
    line.split_whitespace().last()
}

/// A whole screen of this height.
fn is_drawn(screen: &[String], height: usize) -> bool {
    let ends = [screen.first(), screen.last()].map(|l| l.map_or("", String::as_str));
    screen.len() == height && ends[0].starts_with("zct top  ") && ends[1].starts_with("q quit")
}

/// The flows that the original lists with this selection.
fn count(selection: &str) -> usize {
    let output = Tool::Reference.run(&split(format!("-L {selection}").trim_end()));
    assert_eq!(output.exit, Exit::Code(0), "{output:?}");
    output.lines().len()
}

/// The terminal is as it was: what stood there before, and a line discipline that echoes.
fn is_restored(screen: &[String], code: i32) -> bool {
    let has = |text: &str| screen.iter().any(|l| l.contains(text));
    let modes = screen.iter().flat_map(|l| l.split([' ', ';'])).collect::<Vec<_>>();
    has("before")
        && has(&format!("exit {code}"))
        && ["icanon", "echo", "isig", "icrnl", "ixon"].iter().all(|m| modes.contains(m))
}

#[test]
fn a_screen_and_its_keys() {
    let _ns = table();
    let top = top("");
    let screen = top.wait_for("new 0/s");
    assert_eq!(screen.len(), 24);
    assert!(
        screen[0].starts_with(&format!("zct top  {ALL} flows  31 groups by src  sort flows  every 200 ms"))
    );
    assert!(screen[1].starts_with(&format!("table {ALL} of ")), "{}", screen[1]);
    assert_eq!((screen[2].as_str(), marked(&screen)), ("all flows", Some("10.0.0.30")));
    let rows = groups(&screen);
    assert_eq!(rows.len(), 19);
    for (row, n) in rows.iter().zip((1..=30).rev()) {
        assert_eq!(*row, [&n.to_string(), "0", &format!("10.0.0.{n}")]);
    }
    // Down and up, and to the end of the list, which is longer than the screen.
    let at = |what: &str| {
        let what = what.to_owned();
        top.wait(&format!("the mark at {what}"), |s| marked(s) == Some(&what))
    };
    for (key, want) in [
        ("Down", "10.0.0.29"),
        ("Up", "10.0.0.30"),
        ("PageDown", "10.0.0.11"),
        ("End", "10.0.0.1"),
        ("PageUp", "10.0.0.19"),
        ("Home", "10.0.0.30"),
    ] {
        top.keys(&[key]);
        at(want);
    }
    // Other groups and figures.
    top.keys(&["b", "b"]);
    let screen = top.wait_for("groups by dport");
    assert_eq!(groups(&screen), [["465", "0", "53"], ["3", "0", "443"]]);
    top.keys(&["B", "B", "B"]);
    let screen = top.wait_for("groups by flow");
    let first = groups(&screen)[0].join(" ");
    assert!(first.ends_with("udp 10.0.0.1:1000 > 192.0.2.0:53"), "{first}");
    top.keys(&["o", "o"]);
    top.wait_for("no bytes: new flows count them with sysctl net.netfilter.nf_conntrack_acct=1");
    top.keys(&["o", "o"]);
    top.wait_for("no ages: new flows have them with sysctl net.netfilter.nf_conntrack_timestamp=1");
    // Help, and back.
    top.keys(&["?"]);
    top.wait_for("delete the flows of the line, after a y");
    top.keys(&["Escape"]);
    top.wait_for("groups by flow");
    top.keys(&["+", "+"]);
    top.wait_for("every 800 ms");
    top.keys(&["q"]);
    top.wait("the end", |s| is_restored(s, 0));
}

#[test]
fn a_selection_can_be_typed() {
    let _ns = table();
    let top = top("--by src");
    top.wait_for(&format!("{ALL} flows"));
    top.keys(&["/", "-p tcp --dport 443", "Enter"]);
    let screen = top.wait("rates of the 3", |s| {
        s[0].starts_with("zct top  3 flows  1 groups") && s[1].contains("new 0/s")
    });
    assert_eq!(
        (screen[2].as_str(), groups(&screen)),
        ("-p tcp --dport 443", vec![vec!["3", "0", "10.0.1.1"]])
    );
    // What makes no sense is said, and changes nothing.
    for (text, says) in [
        ("-p foo", "`foo' unsupported protocol"),
        ("-z", "`--zero' has no meaning with top"),
        ("10.0.0.1", "`10.0.0.1' belongs to no option"),
    ] {
        top.keys(&["/", "C-u", text, "Enter"]);
        let screen = top.wait_for(says);
        assert_eq!(screen[2], "-p tcp --dport 443", "{text}");
    }
    // The prompt begins with what is selected, and can be left.
    top.keys(&["/"]);
    top.wait("the prompt", |s| s[23] == "/-p tcp --dport 443");
    top.keys(&["Escape"]);
    top.wait_for("q quit  / filter");
    top.keys(&["/", "C-u", "! -s 10.0.0.0/24,10.0.1.1", "BSpace", "2", "Enter"]);
    top.wait_for("zct top  3 flows");
    top.keys(&["/", "C-u", "Enter"]);
    top.wait("all flows again", |s| s[2] == "all flows" && s[0].contains(&format!("{ALL} flows")));
    top.keys(&["C-c"]);
    top.wait("the end", |s| is_restored(s, 0));
}

/// A program that leaves out what is not selected must not be asked for the next selection.
#[test]
fn the_bpf_reader_follows_the_selection() {
    let _ns = table();
    let top = top("--reader bpf -p tcp");
    top.wait_for("zct top  3 flows");
    for (words, flows) in [("-p udp", ALL - 3), ("-s 10.0.0.7", 7), ("-p tcp", 3), ("", ALL)] {
        top.keys(&["/", "C-u", &format!("--reader bpf {words}"), "Enter"]);
        top.wait_for(&format!("zct top  {flows} flows"));
    }
}

#[test]
fn deletion_is_of_the_group_and_of_what_is_selected() {
    let _ns = table();
    let top = top("-p udp");
    top.wait("the first group", |s| marked(s) == Some("10.0.0.30"));
    top.keys(&["Down", "k"]);
    top.wait("a question", |s| s[23].starts_with("delete the 29 flows of src 10.0.0.29? y/N"));
    top.keys(&["n"]);
    top.wait_for("nothing was deleted");
    assert_eq!(count(""), ALL);
    top.keys(&["k"]);
    top.wait("a question", |s| s[23].starts_with("delete the 29 flows of src 10.0.0.29? y/N"));
    top.keys(&["y"]);
    top.wait_for("29 flow entries have been deleted");
    assert_eq!((count("-s 10.0.0.29"), count("")), (0, ALL - 29));
    // A single flow, among others of the same addresses.
    let mut storm = Storm::open();
    storm.create((0..3).map(|i| udp([10, 0, 0, 1], [203, 0, 113, 1], 2000 + i, 53)));
    top.keys(&["/", "C-u", "-d 203.0.113.1", "Enter"]);
    top.wait_for("zct top  3 flows  1 groups");
    top.keys(&["B"]);
    top.wait_for("3 groups by flow");
    top.keys(&["Down", "k"]);
    top.wait("a question", |s| {
        s[23].starts_with("delete the flow of udp 10.0.0.1:2001 > 203.0.113.1:53? y/N")
    });
    top.keys(&["y"]);
    top.wait_for("1 flow entries have been deleted");
    assert_eq!((count("-d 203.0.113.1"), count("-p udp --sport 2001")), (2, 0));
}

#[test]
fn the_screen_follows_the_terminal_and_the_table() {
    let _ns = table();
    let top = sized(120, 40, "", "-n 25");
    let screen = top.wait("25 rows", |s| is_drawn(s, 40));
    assert_eq!(groups(&screen).len(), 25);
    top.resize(80, 24);
    let screen = top.wait("24 lines", |s| is_drawn(s, 24));
    assert_eq!(groups(&screen).len(), 19);
    top.resize(30, 8);
    let screen = top.wait("8 lines", |s| is_drawn(s, 8));
    assert_eq!((groups(&screen).len(), screen[7].as_str()), (3, "q quit  / filter  b group  o s"));
    top.resize(80, 24);
    top.wait("24 lines", |s| is_drawn(s, 24));
    // New flows come in, unless it pauses.
    let mut storm = Storm::open();
    storm.create((0..200).map(|i| udp([10, 9, 9, 9], [192, 0, 2, 9], 3000 + i, 53)));
    top.wait("the new source", |s| marked(s) == Some("10.9.9.9"));
    top.keys(&["p"]);
    top.wait_for("zct top PAUSED");
    storm.delete((0..200).map(|i| udp([10, 9, 9, 9], [192, 0, 2, 9], 3000 + i, 53)));
    top.keys(&["Down", "Up"]);
    top.wait("the last reading", |s| s[0].contains("PAUSED") && marked(s) == Some("10.9.9.9"));
    top.keys(&["p"]);
    top.wait("what is left", |s| marked(s) == Some("10.0.0.30"));
}

#[test]
fn signals_give_the_terminal_back() {
    let _ns = table();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let top = top("");
        top.wait_for("groups by src");
        kill(Pid::from_raw(top.child()), signal).expect("kill");
        top.wait("the end", |s| is_restored(s, 0));
    }
}

#[test]
fn colours_are_a_choice_and_a_terminal_has_to_be_one() {
    let _ns = table();
    let plain = sized(80, 24, "NO_COLOR=1", "");
    plain.wait_for("groups by src");
    assert!(!plain.colours().contains('\x1b'), "{:?}", plain.colours());
    let coloured = top("");
    coloured.wait_for("groups by src");
    assert!(coloured.colours().contains("\x1b[7m"), "{:?}", coloured.colours());
    for term in ["TERM=dumb", "env -u TERM"] {
        let dumb = sized(80, 24, term, "");
        dumb.wait_for("cannot draw on this terminal (TERM=");
        dumb.wait("the end", |s| is_restored(s, 1));
        let once = sized(80, 24, term, "-1 -n 2");
        once.wait_for("10.0.0.30     30");
    }
}

fn zct_top(line: &str) -> Output {
    let output = Tool::ZctByName.run(&split(line));
    assert_eq!(output.exit, Exit::Code(0), "{line}: {output:?}");
    output
}

#[test]
fn one_reading_as_text() {
    let _ns = table();
    let lines = zct_top("top -1 -n 3 -p udp").lines();
    assert!(lines[0].starts_with("time ") && lines[0].contains(&format!("  table {ALL}/")), "{}", lines[0]);
    assert!(
        lines[0].ends_with("  flows 465  groups 30  new/s -  drop 0 +0  early_drop 0 +0"),
        "{}",
        lines[0]
    );
    assert_eq!(
        lines[1..],
        [
            "src        flows  new/s",
            "10.0.0.30     30      -",
            "10.0.0.29     29      -",
            "10.0.0.28     28      -",
            ""
        ]
    );
    let lines = zct_top("top --once --by dport,proto").lines();
    assert_eq!(
        lines[1..4],
        ["dport  proto  flows  new/s", "53     udp      465      -", "443    tcp        3      -"]
    );
    let output = zct_top("top -1 --sort age");
    assert!(output.err().contains(
        "WARNING: no ages: new flows have them with sysctl net.netfilter.nf_conntrack_timestamp=1"
    ));
    assert!(zct_top("top --help").out().contains("--delay SECONDS"));
    for (line, code, says) in [
        ("top -d 10.0.0.1", 1, "a destination is selected by --dst"),
        ("top --by foo", 2, "`foo' is no key"),
        ("top --sort size", 2, "is not one of flows, packets, bytes, rate, age"),
        ("top -o xml", 2, "the output of top is text or json"),
        ("top -p tcp 10.0.0.1", 2, "`10.0.0.1' belongs to no option"),
        ("top -1 --explain", 2, "`--explain' has no meaning with top"),
    ] {
        let output = Tool::ZctByName.run(&split(line));
        assert_eq!(
            (output.exit, output.err().contains(says)),
            (Exit::Code(code), true),
            "{line}: {output:?}"
        );
    }
}

/// `zct top` that goes on, and the lines that it prints.
struct Stream {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Stream {
    fn start(line: &str) -> Stream {
        let mut command = Tool::ZctByName.command();
        let mut child = command.args(split(line)).stdout(Stdio::piped()).spawn().expect("zct");
        let lines = Some(BufReader::new(child.stdout.take().expect("a pipe")).lines());
        Stream { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.as_mut().and_then(Iterator::next).expect("more lines").expect("text")
    }

    fn object(&mut self) -> Value {
        let line = self.line();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/groups-schema.json");
        let schema = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let schema =
            jsonschema::validator_for(&serde_json::from_str(&schema).expect("JSON")).expect("a schema");
        let object: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let wrong: Vec<String> = schema.iter_errors(&object).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{line}\n{wrong:?}");
        object
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn a_pipe_gets_reading_after_reading() {
    let _ns = table();
    let mut top = Stream::start("top -d 0.1 -n 1");
    for _ in 0..3 {
        assert!(top.line().starts_with("time "));
        assert!(top.line().starts_with("src  "));
        assert!(top.line().starts_with("10.0.0.30     30 "));
        assert_eq!(top.line(), "");
    }
    // Whoever reads goes away, and it ends like every other program.
    drop(top.lines.take());
    let status = top.child.wait().expect("wait");
    assert_eq!(Exit::from(status), Exit::Signal(Signal::SIGPIPE as i32));
}

/// A figure a second times the seconds since the reading before.
fn since(object: &Value, rate: &Value) -> f64 {
    rate.as_f64().unwrap_or(0.0) * object["interval"].as_f64().unwrap_or(0.0)
}

#[test]
fn rates_and_new_flows_add_up_to_what_there_was() {
    let ns = Netns::fresh().accounting().timestamps();
    ns.nft(TRACKING);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let talk = |bytes: usize| {
        socket.send_to(&vec![0; bytes], "127.0.0.1:9").expect("a datagram");
    };
    talk(10);
    let mut top = Stream::start("top -d 0.1 -o json --by dport --sort rate");
    let first = top.object();
    assert_eq!((first["flows"].as_u64(), first["interval"].is_null()), (Some(1), true));
    let of = |object: &Value, port: u64| {
        let rows = object["rows"].as_array().expect("rows");
        rows.iter().find(|r| r["by"]["dport"] == port).cloned().unwrap_or(Value::Null)
    };
    let begun = of(&first, 9)["bytes"].as_u64().expect("bytes");
    // The flow goes on, and others begin; some of these end again between two readings or later.
    let (mut bytes, mut new) = (0.0, 0.0);
    let mut storm = Storm::open();
    for round in 0..5u16 {
        talk(1000 + usize::from(round));
        storm.create((0..20).map(|i| udp([10, 0, 0, 1], [192, 0, 2, 1], 1000 + round * 100 + i, 53)));
        let seen = 20 * u64::from(round + 1);
        // Until a reading has all of it.
        loop {
            let object = top.object();
            bytes += since(&object, &of(&object, 9)["bytes_per_second"]);
            new += since(&object, &object["new_per_second"]);
            let now = of(&object, 9)["bytes"].as_u64().expect("bytes");
            let all = of(&object, 53)["flows"].as_u64().unwrap_or(0);
            if all == seen && now == begun + (0..=u64::from(round)).map(|r| 1028 + r).sum::<u64>() {
                break;
            }
        }
    }
    // Each reading rounds to a tenth a second.
    let want: u64 = (0..5).map(|r| 1028 + r).sum();
    assert!((bytes - want as f64).abs() < 25.0, "{bytes} bytes of {want}");
    assert!((new - 100.0).abs() < 25.0 && new > 90.0, "{new} new flows of 100");
    let last = top.object();
    assert!(of(&last, 9)["age"].as_u64().is_some_and(|s| s < 3600), "{last}");
    sysctl("nf_conntrack_acct", "0");
}
