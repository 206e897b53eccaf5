//! `-E`: both programs listen side by side to the same history of requests and real packets, and have to show
//! the same lines.
//!
//! Both receive the very same messages, so only the original's clock and the names of programs may differ.

use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};
use zct_tests::differences::{DIFFERENCES, Ledger, SeenIn};
use zct_tests::etc::PrivateEtc;
use zct_tests::listener::{EXPECT_GROUPS, FLOW_GROUPS, Listener, kernel_stamps_events};
use zct_tests::mask::Mask;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::rules::labels::with_numbers;
use zct_tests::rules::written::{sctp_names, with_marks, with_ports, with_states};
use zct_tests::seed::{Kernel, Mix, Storm, TRACKING, tcp, udp};
use zct_tests::traffic::Traffic;
use zct_wire::consts::ips;
use zct_wire::filter::Masked;

/// Everything that can happen once: flows that we make, change and delete, and flows of packets from
/// beginning to end.
fn history(ns: &Netns) {
    let mut kernel = Kernel::open();
    let one = tcp([10, 0, 0, 1], [10, 0, 0, 2], 1000, 80, 3);
    let marked = one.with(|it| it.mark = Some(Masked { value: 5, mask: u32::MAX }));
    kernel.create(&marked).expect("a flow");
    kernel.update(&one.with(|it| it.mark = Some(Masked { value: 9, mask: u32::MAX }))).expect("a new mark");
    let seen = Some(ips::CONFIRMED | ips::SEEN_REPLY | ips::ASSURED);
    kernel.update(&one.with(|it| it.status = seen)).expect("a new status");
    kernel.delete(&one).expect("gone");
    let zoned = udp([10, 0, 0, 3], [10, 0, 0, 2], 1001, 53).with(|it| it.zone = Some(7));
    kernel.create(&zoned).expect("a flow in a zone");
    kernel.delete(&zoned).expect("gone");
    // Random flows of every kind, which a flush ends in the order of the table.
    Mix { rng: fastrand::Rng::with_seed(3), labels: true, wide: false }.fill(&mut kernel, 60);
    let mut traffic = Traffic::start(ns);
    traffic.everything();
    traffic.close_and_settle();
    kernel.flush();
}

/// Lets both programs listen with these words while the history takes place.
fn side_by_side(options: &[&[&str]]) -> Vec<[Output; 2]> {
    let ns = Netns::fresh().accounting().timestamps();
    let _etc = PrivateEtc::with_labels(Some("1 one\n2 two\n5 five\n"));
    ns.nft(TRACKING);
    let groups = |words: &[&str]| match words.iter().position(|w| *w == "-e") {
        Some(at) => groups_of(words[at + 1]),
        None if words.first() == Some(&"expect") => EXPECT_GROUPS,
        None => FLOW_GROUPS,
    };
    let start = |tool: Tool, words: &[&str]| Listener::start(tool, &[&["-E"], words].concat(), groups(words));
    let listeners: Vec<[Listener; 2]> =
        options.iter().map(|words| [start(Tool::Reference, words), start(Tool::Zct, words)]).collect();
    history(&ns);
    listeners
        .into_iter()
        .map(|pair| {
            pair.map(|listener| {
                listener.settle();
                listener.stop(Signal::SIGINT)
            })
        })
        .collect()
}

fn groups_of(list: &str) -> u32 {
    let group = |word: &str| match word {
        "NEW" => 1,
        "UPDATES" => 2,
        "DESTROY" => 4,
        _ => 7,
    };
    list.split(',').map(group).fold(0, |all, g| all | g)
}

/// What zct has to show where the original shows `theirs`.
fn expected(theirs: &Output, ledger: &mut Ledger) -> Output {
    let mut text = String::new();
    for line in theirs.out().split_inclusive('\n') {
        match line.split_once("</flow> [USERSPACE]") {
            Some((flow, _)) => {
                ledger.saw("W17");
                text += &format!("{flow}</flow>\n");
            }
            None => text += line,
        }
    }
    let stderr = theirs.err().replace("v1.4.7", "v1.4.9");
    Output { stdout: sctp_names(&text).into(), stderr: stderr.into(), exit: theirs.exit }
}

fn without_clock_and_names(output: &Output) -> Output {
    let text = (Mask::EVENT_TIME | Mask::PROGNAME).apply(&output.out());
    Output { stdout: text.into(), stderr: output.stderr.clone(), exit: output.exit }
}

fn compare(options: &[&[&str]], ledger: &mut Ledger) {
    for (words, [theirs, ours]) in options.iter().zip(side_by_side(options)) {
        let mut want = without_clock_and_names(&expected(&theirs, ledger));
        let have = without_clock_and_names(&ours);
        want.stdout = with_numbers(&want.out(), &have.out(), true).into();
        if words.iter().any(|w| w.starts_with("save")) && want.lines().len() == have.lines().len() {
            want.stdout = with_states(&want.lines(), &have.lines()).into();
            want.stdout = with_ports(&want.lines(), &have.lines()).into();
            want.stdout = with_marks(&want.lines(), &have.lines()).into();
        }
        let (w, h) = (want.lines(), have.lines());
        let at = w.iter().zip(&h).take_while(|(a, b)| a == b).count();
        assert!(
            want == have,
            "-E {words:?}: line {} of {} and {}\n- {:?}\n+ {:?}\n{}{}",
            at + 1,
            w.len(),
            h.len(),
            w.get(at),
            h.get(at),
            want.err(),
            have.err()
        );
        println!("{:5} lines agree: -E {}", w.len(), words.join(" "));
    }
}

/// The table's differences that belong to this file, each with a test that fails without it.
const OWN: [&str; 3] = [
    // outputs_agree
    "W17",
    // the_buffer_is_that_of_the_events
    "W1",
    // the_time_is_that_of_the_event
    "1.4.9 time",
];

#[test]
fn every_difference_has_its_test() {
    let own: BTreeSet<&str> =
        DIFFERENCES.iter().filter(|d| d.seen_in == SeenIn::Events).map(|d| d.id).collect();
    assert_eq!(own, OWN.into());
}

#[test]
fn outputs_agree() {
    let mut ledger = Ledger::default();
    compare(
        &[
            &[],
            &["-o", "extended"],
            &["-o", "id"],
            &["-o", "timestamp"],
            &["-o", "ktimestamp"],
            &["-o", "labels"],
            &["-o", "save"],
            &["-o", "xml"],
        ],
        &mut ledger,
    );
    compare(
        &[
            &["-o", "xml,timestamp,ktimestamp,labels"],
            &["-o", "extended,id,timestamp,ktimestamp,labels"],
            &["-o", "save,userspace"],
            &["expect"],
            &["expect", "-o", "timestamp"],
            &["expect", "-o", "xml"],
            &["expect", "-o", "xml,timestamp"],
        ],
        &mut ledger,
    );
    assert!(ledger.count("W17") > 0, "the original did not append [USERSPACE] to XML");
}

#[test]
fn event_masks_agree() {
    let masks: [&[&str]; 7] = [
        &["-e", "NEW"],
        &["-e", "UPDATES"],
        &["-e", "DESTROY"],
        &["-e", "NEW,DESTROY"],
        &["-e", "ALL", "-o", "id"],
        &["-e", "DESTROY", "-o", "xml,ktimestamp"],
        &["-e", "UPDATES", "-o", "labels"],
    ];
    compare(&masks, &mut Ledger::default());
}

#[test]
fn filters_agree() {
    let mut ledger = Ledger::default();
    compare(
        &[
            &["-p", "tcp"],
            &["-s", "10.0.0.0/24"],
            &["-f", "ipv6", "-o", "extended"],
            &["-m", "5"],
            &["-m", "0"],
            &["-w", "7"],
            &["-p", "udp", "--dport", "7000", "-o", "id"],
            &["-n", "-p", "udp"],
        ],
        &mut ledger,
    );
    compare(
        &[
            &["-l", "one"],
            &["-g", "-p", "tcp", "-o", "save"],
            &["-p", "tcp", "--state", "TIME_WAIT"],
            &["-r", "10.9.0.2", "-q", "10.9.0.11"],
            &["--orig-zone", "3"],
            &["-d", "10.9.0.2", "-p", "icmp", "--icmp-type", "8"],
            &["-j", "-p", "udp", "-o", "xml"],
            &["-s", "fd09::1", "--mask-src", "ffff::"],
        ],
        &mut ledger,
    );
}

#[test]
fn expectations_have_padded_microseconds() {
    let ns = Netns::fresh();
    let words = ["-E", "expect", "-o", "timestamp"];
    let pair = [Tool::Reference, Tool::Zct].map(|tool| Listener::start(tool, &words, EXPECT_GROUPS));
    let mut traffic = Traffic::start(&ns);
    traffic.ftp(5000, 1026);
    for output in pair.map(|listener| {
        listener.settle();
        listener.stop(Signal::SIGINT)
    }) {
        let line = output.out();
        // Ten digits of seconds and six of microseconds, or fewer digits and blanks (W20).
        assert_eq!(line.find("]\t"), Some(18), "{line}");
        let usec = &line[12..18];
        assert!(usec.trim_end().bytes().all(|b| b.is_ascii_digit()), "{line}");
        assert!(!usec.starts_with('0') || usec.trim_end() == "0", "{line}");
    }
}

#[test]
fn signals_end_it_with_a_summary() {
    let _ns = Netns::fresh();
    let words = ["-E", "-o", "xml"];
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        for events in [0, 3] {
            let pair = [Tool::Reference, Tool::Zct].map(|tool| Listener::start(tool, &words, FLOW_GROUPS));
            let mut kernel = Kernel::open();
            for n in 0..events {
                kernel.create(&udp([10, 0, 0, 1], [10, 0, 0, 2], n, 53)).expect("a flow");
            }
            let [theirs, ours] = pair.map(|listener| {
                // Lines must appear while it runs: nothing is held back until the end.
                listener.wait_until("every event", |out| {
                    out.windows(7).filter(|w| w == b"</flow>").count() == usize::from(events)
                });
                listener.settle();
                listener.stop(signal)
            });
            let mut ledger = Ledger::default();
            assert_eq!(ours, expected(&theirs, &mut ledger), "{signal}");
            assert_eq!(ours.exit, Exit::Code(0));
            assert!(ours.err().ends_with(&format!("{events} flow events have been shown.\n")), "{ours:?}");
            assert_eq!(ours.out().ends_with("</conntrack>\n"), events > 0);
            kernel.flush();
        }
    }
}

#[test]
fn a_program_that_lives_on_is_named() {
    let _ns = Netns::fresh();
    let pair = [Tool::Reference, Tool::Zct].map(|tool| Listener::start(tool, &["-E"], FLOW_GROUPS));
    // Our socket must still exist when the listeners look for its owner.
    let mut kernel = Kernel::open();
    kernel.create(&udp([10, 0, 0, 1], [10, 0, 0, 2], 1, 53)).expect("a flow");
    let [theirs, ours] = pair.map(|listener| {
        listener.settle();
        listener.stop(Signal::SIGINT).out()
    });
    drop(kernel);
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let name = stat.split(['(', ')']).nth(1).expect("a name");
    assert!(ours.contains(&format!(" progname={name}\n")), "{ours}");
    assert_eq!(ours, theirs);
}

#[test]
fn the_buffer_is_that_of_the_events() {
    let _ns = Netns::fresh();
    let words = ["-E", "-b", "4000000"];
    let pair = [Tool::Reference, Tool::Zct].map(|tool| Listener::start(tool, &words, FLOW_GROUPS));
    let notice = "NOTICE: Netlink socket buffer size has been set to ";
    let size = |err: &str| -> usize {
        let rest = err.strip_prefix(notice).unwrap_or_else(|| panic!("{err}"));
        rest.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{err}"))
    };
    let [of_theirs, of_ours] = pair.each_ref().map(|l| size(&l.wait_for_err(" bytes.\n")));
    assert_eq!(of_ours, of_theirs);
    // Without privileges the buffer is smaller than asked for. An event takes 1280 bytes.
    let events = (of_ours / 1280 * 9 / 10).min(2000);
    assert!(events > 200, "net.core.rmem_max is too small for this test: {of_ours}");
    // Neither listener reads while the events come in.
    pair.iter().for_each(|l| l.signal(Signal::SIGSTOP));
    let mut storm = Storm::open();
    let flow = |n: usize| udp([10, 0, 0, 1], [10, 0, 0, 2], n as u16, 53);
    storm.create((0..events).map(flow));
    pair.iter().for_each(|l| l.signal(Signal::SIGCONT));
    let [theirs, ours] = pair.map(|listener| {
        listener.settle();
        listener.stop(Signal::SIGINT)
    });
    assert_eq!(ours.lines().len(), events, "{}", ours.err());
    assert!(theirs.lines().len() < events, "the original has got a larger buffer as well");
}

/// The time now, in seconds since the epoch, as `-o timestamp` shows it.
fn clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

#[test]
fn the_time_is_that_of_the_event() {
    let _ns = Netns::fresh().timestamps();
    let words = ["-E", "-o", "timestamp"];
    let pair = [Tool::Reference, Tool::Zct].map(|tool| Listener::start(tool, &words, FLOW_GROUPS));
    pair.iter().for_each(|l| l.signal(Signal::SIGSTOP));
    let before = clock();
    let mut kernel = Kernel::open();
    let flow = udp([10, 0, 0, 1], [10, 0, 0, 2], 1, 53);
    kernel.create(&flow).expect("a flow");
    kernel.delete(&flow).expect("gone");
    let after = clock();
    pair.iter().for_each(|l| l.signal(Signal::SIGCONT));
    let [theirs, ours] = pair.map(|listener| {
        listener.settle();
        listener.stop(Signal::SIGINT)
    });
    let times = |output: &Output| -> Vec<f64> {
        let stamp = |l: &String| l.strip_prefix('[')?.split(']').next()?.parse().ok();
        output.lines().iter().map(|l| stamp(l).unwrap_or_else(|| panic!("no time: {l}"))).collect()
    };
    assert_eq!((times(&ours).len(), times(&theirs).len()), (2, 2), "{ours:?}");
    // The original shows when it read the events.
    assert!(times(&theirs).iter().all(|t| *t >= after), "{theirs:?}");
    let by_clock = times(&ours).iter().all(|t| *t >= after);
    let by_kernel = times(&ours).iter().all(|t| (before - 0.000_001..=after).contains(t));
    // Older kernels send no time.
    let right = if kernel_stamps_events() { by_kernel } else { by_clock };
    assert!(right, "{before} to {after}: {ours:?}");
}
