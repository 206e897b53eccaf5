//! A listing is complete while the table changes under it: every flow that exists the whole time is listed
//! once, whatever is created and deleted meanwhile.
//!
//! The listing is read through a pipe, a piece at a time, with a round of changes after each piece. It cannot
//! run ahead by more than its buffers, so the changes happen while the kernel is being asked.

use std::collections::HashMap;
use std::io::Read as _;
use std::process::Stdio;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Tool};
use zct_tests::seed::{Storm, udp};
use zct_wire::request::NewFlow;

const STABLE: u32 = 50_000;
/// Bytes read between two rounds of changes.
const PIECE: usize = 64 << 10;
/// Flows created and deleted in one round.
const ROUND: u32 = 1000;

/// The flow with this number; flows that stay and flows that go have different sources.
fn flow(stays: bool, n: u32) -> NewFlow<'static> {
    let [_, hi, mid, lo] = n.to_be_bytes();
    udp([if stays { 10 } else { 11 }, hi, mid, lo], [192, 0, 2, 1], 1000, 53)
}

/// Lists the table while flows come and go; returns what was printed, and how many went.
fn list_under_churn(args: &[&str], from: u32) -> (String, u32) {
    let mut child =
        Tool::Zct.command().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("zct");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut storm = Storm::open();
    let mut text = Vec::new();
    let (mut churned, mut there) = (0, 0..0);
    loop {
        let before = text.len();
        stdout.by_ref().take(PIECE as u64).read_to_end(&mut text).expect("read");
        if text.len() == before {
            break;
        }
        // The previous round's flows are deleted only now, so that some exist whenever the kernel is asked.
        let some = from + churned..from + churned + ROUND;
        storm.create(some.clone().map(|n| flow(false, n)));
        storm.delete(there.map(|n| flow(false, n)));
        there = some;
        churned += ROUND;
    }
    storm.delete(there.map(|n| flow(false, n)));
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("read");
    let exit = Exit::from(child.wait().expect("wait"));
    assert_eq!(exit, Exit::Code(0), "{said}");
    let shown =
        text.split(|b| *b == b'\n').filter(|l| l.starts_with(b"udp ") || l.starts_with(b"ipv4 ")).count();
    assert!(said.contains(&format!("{shown} flow entries have been shown")), "{shown}: {said}");
    (String::from_utf8(text).expect("text"), churned)
}

#[test]
fn stable_flows_come_once_each_while_others_come_and_go() {
    let _ns = Netns::fresh();
    Storm::open().create((0..STABLE).map(|n| flow(true, n)));
    let (mut churned, mut seen_others) = (0, 0);
    for args in [&["-L"][..], &["-L", "-f", "ipv4", "-p", "udp", "-o", "extended"]] {
        let (text, n) = list_under_churn(args, churned);
        churned += n;
        assert!(n >= STABLE, "only {n} came and went");
        let mut seen: HashMap<&str, u32> = HashMap::new();
        for source in text.lines().filter_map(|l| l.split(' ').find_map(|w| w.strip_prefix("src="))) {
            if source.starts_with("10.") {
                *seen.entry(source).or_default() += 1;
            } else {
                seen_others += 1;
            }
        }
        let twice = seen.values().filter(|n| **n > 1).count();
        assert_eq!(
            (seen.len(), twice),
            (STABLE as usize, 0),
            "{args:?}: flows listed, and those listed twice"
        );
    }
    // If none was seen, nothing happened while the kernel was being asked.
    assert!(seen_others > 0, "none of {churned} flows that came and went was ever seen");
    println!("{churned} flows came and went, {seen_others} of them were listed");
}
