//! Events that come faster than anyone reads them: what was shown and what was reported lost add up.
//!
//! The listener is stopped while events are made, so that its buffer overflows on any machine; then it
//! continues while more are made at full speed.

use nix::sys::signal::Signal;
use serde_json::Value;
use zct_tests::listener::{FLOW_GROUPS, Listener};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Storm, udp};
use zct_wire::request::NewFlow;

const FLOWS: u32 = 5000;
/// Each flow is created and deleted, first while nobody reads and then while somebody does.
const EVENTS: u64 = 4 * FLOWS as u64;

fn flow(n: u32) -> NewFlow<'static> {
    let [_, hi, mid, lo] = n.to_be_bytes();
    udp([10, hi, mid, lo], [192, 0, 2, 1], 1000, 53)
}

/// Everything that a listener with a small buffer wrote during the storm.
fn under_storm(tool: Tool, words: &[&str]) -> Output {
    let _ns = Netns::fresh();
    let listener = Listener::start(tool, words, FLOW_GROUPS);
    let mut storm = Storm::open();
    listener.signal(Signal::SIGSTOP);
    storm.create((0..FLOWS).map(flow));
    storm.delete((0..FLOWS).map(flow));
    listener.signal(Signal::SIGCONT);
    storm.create((0..FLOWS).map(flow));
    storm.delete((0..FLOWS).map(flow));
    listener.settle();
    listener.stop(Signal::SIGINT)
}

/// The numbers before these words, one for each line that ends with them.
fn numbers(text: &str, words: &str) -> Vec<u64> {
    let line = |l: &str| l.strip_suffix(words)?.rsplit(' ').next()?.parse().ok();
    text.lines().filter_map(line).collect()
}

const WARNING: &str = "WARNING: We have hit ENOBUFS! We are losing events.
This message means that the current netlink socket buffer size is too small.
Please, check --buffer-size in conntrack(8) manpage.
";

#[test]
fn what_is_shown_and_what_is_lost_is_everything() {
    for size in ["2000", "20000", "20000", "200000", "1000000"] {
        let output = under_storm(Tool::Zct, &["-E", "-b", size]);
        let err = output.err();
        let (shown, lost) =
            (numbers(&err, " flow events have been shown."), numbers(&err, " flow events have been lost."));
        assert_eq!((shown.len(), lost.len()), (1, 1), "{err}");
        assert_eq!(shown[0] as usize, output.lines().len(), "{err}");
        assert_eq!(shown[0] + lost[0], EVENTS, "-b {size}: {err}");
        assert!(shown[0] > 0 && lost[0] > 0, "-b {size}: {err}");
        assert_eq!(output.exit, Exit::Code(0));
        // A warning at the beginning of each burst, and at its end how many were lost.
        let bursts = numbers(&err, " events have been lost.");
        assert_eq!(bursts.iter().sum::<u64>(), lost[0], "{err}");
        assert_eq!(err.matches(WARNING).count(), bursts.len(), "{err}");
        println!("-b {size}: {} shown, {} lost in {} bursts", shown[0], lost[0], bursts.len());
    }
}

#[test]
fn json_tells_losses_among_the_events() {
    let output = under_storm(Tool::ZctByName, &["-E", "-b", "20000", "-o", "json"]);
    let (mut shown, mut lost) = (0, 0);
    for line in output.lines() {
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if value["event"] == "lost" {
            lost += value["count"].as_u64().expect("a number");
        } else {
            shown += 1;
        }
    }
    assert_eq!(shown + lost, EVENTS, "{}", output.err());
    assert_eq!(numbers(&output.err(), " flow events have been lost."), [lost], "{}", output.err());
    assert!(lost > 0);
}

/// The difference "Z lost": where zct does better than the original.
#[test]
fn the_original_does_not_tell_how_many() {
    let output = under_storm(Tool::Reference, &["-E", "-b", "20000"]);
    let err = output.err();
    assert!(err.contains(WARNING), "{err}");
    assert!(numbers(&err, " events have been lost.").is_empty(), "{err}");
    let shown = output.lines().len() as u64;
    assert!(shown < EVENTS, "{shown}");
    assert_eq!(numbers(&err, " flow events have been shown."), [shown]);
}
