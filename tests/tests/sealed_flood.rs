//! Two daemons that seal what they say to each other under a flood of forged frames, under more changes than a
//! change of keys has time for, and with clocks that are a century apart (sealed-peers.md §2, §7).
//!
//! `ZCT_FAULTS=full` takes ten seconds for each flood and each rate; the figures that are printed are those of
//! tests/README.md.

use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use std::fs;
use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};
use zct_tests::clock::{self, Clock};
use zct_tests::cluster::{At, Settings, Which, mixture};
use zct_tests::faults::{times, used};
use zct_tests::lab::{BOTH, Lab, ear, heard, index};
use zct_tests::program::Exit;

/// Frames a second, sent together every few milliseconds.
const FLOOD: u64 = 100_000;
/// Where a frame has its fields (sealed-peers.md §3).
const EPOCH: std::ops::Range<usize> = 8..24;
const COUNTER: std::ops::Range<usize> = 26..32;

/// Frames that the kernel cuts from one buffer, and the bytes that it takes at once: whoever floods does not pay for
/// a system call each.
const CUT: (usize, usize) = (64, 65_000);

/// What a flood has come to.
struct Flood {
    said: u64,
    bytes: u64,
    took: Duration,
    /// The processor's time that the sender took, with what the kernel does for it, which on this kind of link is
    /// all the way into the receiver's socket.
    cpu: Duration,
}

/// Sends forged frames to the node `Here` for so long, from the address of its peer: of the epochs that are known
/// there, and of any.
fn flood(tape: &[Vec<u8>], lasts: Duration) -> Flood {
    let socket = UdpSocket::bind("10.9.0.2:0").expect("the address");
    let to: SockaddrIn = "10.9.0.1:3780".parse().expect("an address");
    let mut rng = fastrand::Rng::with_seed(1);
    // One of each length, many times.
    let mut lengths: Vec<usize> = tape.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let of = |len: &usize| tape.iter().find(|f| f.len() == *len).expect("it is one of theirs");
    let mut buffers: Vec<(usize, Vec<u8>)> =
        lengths.iter().map(|len| (*len, of(len).repeat(CUT.0.min(CUT.1 / len)))).collect();
    let (began, cpu) = (Instant::now(), on_processor("thread-self"));
    let (mut said, mut bytes, mut turn) = (0, 0, 0);
    while began.elapsed() < lasts {
        let due = began.elapsed().as_micros() as u64 * FLOOD / 1_000_000;
        while said < due {
            turn += 1;
            let at = turn % buffers.len();
            let (len, buffer) = &mut buffers[at];
            for (n, frame) in buffer.chunks_exact_mut(*len).enumerate() {
                rng.fill(&mut frame[COUNTER]);
                if n % 2 == 0 {
                    rng.fill(&mut frame[EPOCH]);
                }
            }
            let segment = *len as u16;
            let (parts, cut) = ([IoSlice::new(buffer)], [ControlMessage::UdpGsoSegments(&segment)]);
            let sent = sendmsg(socket.as_raw_fd(), &parts, &cut, MsgFlags::empty(), Some(&to)).expect("sent");
            said += (sent / *len) as u64;
            bytes += sent as u64;
        }
        // Lets the daemons have the processor; no verdict depends on how long.
        std::thread::sleep(Duration::from_millis(1));
    }
    Flood { said, bytes, took: began.elapsed(), cpu: on_processor("thread-self") - cpu }
}

/// The processor's time of a thread, or of a process that has one.
fn on_processor(which: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{which}/schedstat")).expect("it runs");
    Duration::from_nanos(stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds"))
}

#[test]
fn replication_goes_on_under_a_flood_of_forged_frames() {
    let lab = Lab::start(Settings::default());
    let ear = ear();
    lab.cluster.must(At::There, &["-R", "-"], &mixture(2, 300));
    lab.cluster.whole("before");
    // Frames of the peer, each of which needs another number or epoch to be looked at again.
    let mut tape = heard(&ear);
    // It would hear the flood too, and have the kernel copy it.
    drop(ear);
    tape.retain(|f| f.len() >= 82);
    assert!(tape.len() > 3);
    let (proofs, before) = (lab.peer(At::Here)["sealing"]["proofs"].clone(), used(lab.cluster.pid(At::Here)));
    let churn = lab.cluster.churn_at(At::There, 2, 4000, 10_000);
    churn.more(4000);
    let (began, made) = (Instant::now(), churn.made());
    let lasts = Duration::from_secs(times(1, 10) as u64);
    let on_processor = || BOTH.map(|at| on_processor(&lab.cluster.pid(at).to_string()).as_secs_f64());
    let ran = on_processor();
    let Flood { said, bytes, took, cpu } = lab.cluster.inside(At::There, || flood(&tape, lasts));
    let [here, there] = on_processor();
    let took = took.as_secs_f64();
    let rate = (churn.made() - made) as f64 / took;
    // It is asked in the middle of it, and the flows go on.
    let peer = lab.peer(At::Here);
    churn.more(1000);
    churn.end();
    lab.cluster.whole("after the flood");
    let looked_at = ["forged", "overload", "repeated"].map(|why| lab.refused(At::Here, why));
    println!(
        "{said} forged frames of {:.0} bytes in {took:.1} s, {:.0} a second, beside {rate:.0} new flows and as many \
         ended ones a second: {looked_at:?} of them forged, overload, repeated; {} messages of the peer had to be \
         asked for again; processor: {:.2} to send them, {:.2} the node that gets them, {:.2} its peer",
        bytes as f64 / said as f64,
        said as f64 / took,
        peer["lost"],
        cpu.as_secs_f64() / took,
        (here - ran[0]) / took,
        (there - ran[1]) / took,
    );
    assert!(looked_at.iter().sum::<u64>() > 0 && looked_at.iter().sum::<u64>() <= said + 10);
    // Nobody had to prove anything because of it, but for what is due every ten seconds anyway.
    let more =
        lab.peer(At::Here)["sealing"]["proofs"].as_u64().expect("a count") - proofs.as_u64().expect("one");
    assert!(more <= began.elapsed().as_secs() / 5 + 1, "{more} proofs");
    assert_eq!(lab.peer(At::Here)["authenticated"], true);
    // A few thousand flows have come; what a flood could leave behind would be more.
    let now = used(lab.cluster.pid(At::Here));
    assert!(now.rss_kb < before.rss_kb + (8 << 10), "{before:?}, {now:?}");
}

/// Each node comes to another key, and back, while flows change as fast as they can be made to.
#[test]
fn keys_change_under_a_storm_of_changes() {
    let lab = Lab::start(Settings::default());
    for at in BOTH {
        lab.reconfigure(at, &[1, 2], 1, "enforce");
    }
    lab.cluster.must(At::There, &["-R", "-"], &mixture(2, 300));
    lab.cluster.whole("before");
    let unproved = BOTH.map(|at| lab.refused(at, "unproved"));
    let churn = lab.cluster.churn_at(At::Here, 1, 2000, 12_000);
    churn.more(4000);
    let (began, made) = (Instant::now(), churn.made());
    for n in 0..times(2, 20) {
        for at in BOTH {
            lab.reconfigure(at, &[1, 2], [2, 1][n % 2], "enforce");
            churn.more(3000);
        }
    }
    let rate = (churn.made() - made) as f64 / began.elapsed().as_secs_f64();
    churn.end();
    lab.cluster.whole("after");
    println!("{:.0} changes a second", 2.0 * rate);
    for at in BOTH {
        assert_eq!(lab.refused(at, "unproved"), unproved[index(at)], "nobody had to prove anything");
        assert_eq!(lab.refused(at, "unknown_key") + lab.refused(at, "forged"), 0);
    }
}

/// One node is in 1970, the other in 2099; then the other way round, and both start again there.
#[test]
fn nodes_a_century_apart_know_each_other() {
    const IN_1970: i64 = 3600;
    const IN_2099: i64 = 4_070_908_800 + 86_400;
    let mut lab = Lab::prepare(Which::Zctd, Which::Zctd, Settings::default());
    let clocks = [Clock::new(), Clock::new()];
    for (at, time) in BOTH.into_iter().zip([IN_1970, IN_2099]) {
        clocks[index(at)].set_to(time);
        lab.configure(at, &[1], 1, "enforce");
        lab.cluster.through(at, &clocks[index(at)].words());
        lab.cluster.run(at);
    }
    lab.cluster.must(At::There, &["-R", "-"], &mixture(2, 300));
    let churn = lab.cluster.churn(At::Here, 1, 1000);
    churn.more(300);
    // Two caches that are read one after the other are the same only while nothing changes.
    churn.end();
    lab.cluster.agree(At::There, "in 1970 and 2099");
    for round in 0..2 {
        // Flows that were not there before.
        let churn = lab.cluster.churn(At::Here, 3 + round, 1000);
        for (at, time) in BOTH.into_iter().zip([IN_2099, IN_1970]) {
            clocks[index(at)].set_to(if round == 0 { time } else { IN_1970 + IN_2099 - time });
        }
        churn.more(300);
        // Both at once, so that each has to prove itself to one that knows nothing.
        BOTH.iter().for_each(|at| _ = lab.cluster.end(*at, Signal::SIGKILL));
        BOTH.iter().for_each(|at| lab.cluster.run(*at));
        churn.more(300);
        churn.end();
        lab.cluster.agree(At::There, "again");
        assert!(BOTH.iter().all(|at| lab.peer(*at)["authenticated"] == true));
    }
    lab.cluster.whole("whatever time it is");
    for (at, year) in BOTH.into_iter().zip(["1970", "2099"]) {
        // A loss for the ledger: a message that a stranger's copy of the peer has not sealed.
        lab.cluster.inside(at.other(), || {
            let socket = UdpSocket::bind((format!("10.9.0.{}", 2 - index(at)), 0)).expect("the address");
            socket
                .send_to(&[0x10, 0, 0, 8, 0, 0, 0, 1], format!("10.9.0.{}:3780", 1 + index(at)))
                .expect("sent");
        });
        zct_tests::cluster::eventually("it is in the ledger, with this time", || {
            let shown = lab.cluster.ask_by(Which::Zctd, at, &["status", "--ledger", "--json"]);
            // Whether a node that has just started is in sync is not the question.
            assert!(matches!(shown.exit, Exit::Code(0 | 2)), "{:?}", shown.exit);
            let status: serde_json::Value = serde_json::from_str(&shown.out()).expect("JSON");
            let time = clock::now() + if year == "1970" { IN_1970 } else { IN_2099 } - clock::now();
            let seconds = |v: &serde_json::Value| v.as_f64().unwrap_or(-1.0) as i64;
            let near = |v: &serde_json::Value| (time..time + 3600).contains(&seconds(v));
            let entries = status["ledger"].as_array().expect("entries").clone();
            let there = near(&status["time"]) && entries.iter().any(|e| near(&e["time"]));
            there.then_some(()).ok_or(status.to_string())
        });
        let log = lab.cluster.log(at);
        assert!(
            log.lines().any(|l| l.contains(&format!(" {year}]")))
                && log.contains("1970")
                && log.contains("2099")
        );
    }
}
