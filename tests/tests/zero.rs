//! `-z` changes what it reads, so each program gets a namespace of its own that has seen the same packets.

use zct_tests::cases::OUTPUTS;
use zct_tests::mask::Mask;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::traffic::{HERE, HERE6, Traffic};

/// Sends the same packets in a new namespace, and runs the command lines one after another.
fn in_a_twin(tool: Tool, lines: &[Vec<&str>]) -> Vec<Output> {
    let ns = Netns::fresh().accounting().timestamps();
    let mut traffic = Traffic::start(&ns);
    traffic.udp(HERE.into(), 5001, 7000, 3, 1);
    traffic.udp(HERE6.into(), 5002, 7000, 2, 2);
    traffic.udp(HERE.into(), 5003, 7001, 1, 1);
    traffic.ping(5);
    traffic.ping6(6);
    lines.iter().map(|line| tool.run(line)).collect()
}

/// What has to agree; the order differs between namespaces.
fn comparable(output: &Output) -> (Vec<String>, String, Exit) {
    let mask = Mask::ID | Mask::TIMEOUT | Mask::USE | Mask::DELTA_TIME | Mask::CTIME | Mask::VERSION;
    let mut lines: Vec<String> = mask.apply(&output.out()).lines().map(str::to_owned).collect();
    lines.sort();
    (lines, mask.apply(&output.err()), output.exit)
}

#[test]
fn counters_are_shown_and_reset_alike() {
    let selections: [&[&str]; 4] = [&[], &["-f", "ipv6"], &["-n"], &["-j", "10.9.0.11", "-f", "ipv4"]];
    for (i, selection) in selections.iter().enumerate() {
        for kind in [OUTPUTS[i * 2], OUTPUTS[i * 2 + 1], "xml"] {
            let mut zero = vec!["-L", "-z"];
            if kind != "plain" {
                zero.extend(["-o", kind]);
            }
            zero.extend(*selection);
            let lines = [zero.clone(), vec!["-L"], vec!["--dump", "--zero"], vec!["-C"]];
            let theirs = in_a_twin(Tool::Reference, &lines);
            let ours = in_a_twin(Tool::Zct, &lines);
            for ((line, a), b) in lines.iter().zip(&theirs).zip(&ours) {
                // Pings without translation are no NAT (W33).
                let mut a = comparable(a);
                let mut b = comparable(b);
                if line.contains(&"-n") {
                    let ping = |l: &String| l.contains("icmp");
                    assert!(!b.0.iter().any(ping), "{line:?}: {b:?}");
                    a.0.retain(|l| !ping(l));
                    a.1.clear();
                    b.1.clear();
                }
                assert_eq!(a, b, "{line:?}");
            }
            let after = theirs[1].out();
            let reset = |port: &str| {
                let line = after.lines().find(|l| l.contains(port)).expect("the flow");
                line.contains("packets=0 bytes=0")
            };
            // The kernel resets all that it dumps, whichever part of it is shown (W32).
            assert_eq!(reset("sport=5001"), !selection.contains(&"ipv6"), "{after}");
            assert_eq!(reset("sport=5002"), !selection.contains(&"ipv4"), "{after}");
        }
    }
}
