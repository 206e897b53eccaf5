//! The control socket: the original's client with zctd, our client with the original, and
//! clients that misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use zct_tests::cluster::{At, Cluster, Settings, Which, difference, eventually, mixture};
use zct_tests::program::Exit;

use Which::{Original, Zctd};

/// Every request that has its own option; `-k` ends the daemon, so it comes last.
const REQUESTS: &[&[&str]] = &[
    &["-s"],
    &["-s", "ct"],
    &["-s", "network"],
    &["-s", "cache"],
    &["-s", "runtime"],
    &["-s", "link"],
    &["-s", "rsqueue"],
    &["-s", "process"],
    &["-s", "queue"],
    &["-s", "expect"],
    &["-i"],
    &["-i", "ct"],
    &["-i", "expect"],
    &["-i", "-x"],
    &["-i", "expect", "-x"],
    &["-e"],
    &["-e", "expect"],
    &["-e", "-x"],
    &["-n"],
    &["-B"],
    &["-R"],
    &["-R", "ct"],
    &["-R", "expect"],
    &["-c"],
    &["-c", "ct"],
    &["-c", "expect"],
    &["-f"],
    &["-f", "internal"],
    &["-f", "external"],
    &["-t"],
    &["-F", "expect"],
    &["-F"],
];

/// Lines without numbers, ages and values of the moment, and how often each occurs.
fn shape(text: &str) -> BTreeSet<String> {
    let mut counts = BTreeMap::new();
    text.lines()
        .map(|l| {
            let l = l.split(" [active since").next().unwrap_or(l);
            // The original shows an SCTP state by the name that its number has for TCP (W16).
            let state =
                l.contains("\"sctp\"").then(|| l.split_once("<state>")?.1.split_once("</state>")).flatten();
            let l = state.map_or(l.to_owned(), |(name, _)| l.replace(name, ""));
            let blurred: String = l.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            blurred
                .replace(' ', "")
                .replace("00", "0")
                .replace("00", "0")
                .replace("00", "0")
                .replace("00", "0")
        })
        .for_each(|l| *counts.entry(l).or_insert(0) += 1);
    counts.into_iter().map(|(l, n)| format!("{n} times {l}")).collect()
}

fn daemon(which: Which) -> Cluster {
    let settings = Settings { options: "ExpectationSync on", ..Settings::default() };
    let mut cluster = Cluster::prepare(which, Zctd, settings);
    cluster.run(At::Here);
    cluster.must(At::Here, &["-R", "-"], &mixture(1, 40));
    eventually("the events", || match cluster.internal(At::Here).len() {
        40 => Ok(()),
        n => Err(n.to_string()),
    });
    cluster
}

/// Either client gets the same answers from the same daemon, and both daemons' answers have the same form.
#[test]
fn clients_and_daemons_mix() {
    let (ours, theirs) = (daemon(Zctd), daemon(Original));
    for words in REQUESTS {
        let answers: Vec<_> = [(&ours, Zctd), (&ours, Original), (&theirs, Zctd), (&theirs, Original)]
            .iter()
            .map(|(cluster, client)| cluster.ask_by(*client, At::Here, words))
            .collect();
        for a in &answers {
            assert_eq!((a.exit, a.err().as_str()), (Exit::Code(0), ""), "{words:?}");
        }
        // They contain sequence numbers, and child processes that only one of them has.
        if words[..] == ["-s", "rsqueue"] {
            continue;
        }
        let shapes: Vec<_> = answers.iter().map(|a| shape(&a.out())).collect();
        for (a, b, what) in [(0, 1, "clients"), (2, 3, "clients"), (0, 2, "daemons")] {
            difference(&shapes[a], &shapes[b]).unwrap_or_else(|e| panic!("{words:?}, {what}: {e}"));
        }
    }
    for (mut cluster, client) in [(ours, Original), (theirs, Zctd)] {
        assert_eq!(cluster.ask_by(client, At::Here, &["-k"]).exit, Exit::Code(0));
        eventually("its end", || match cluster.socket(At::Here).exists() {
            false => Ok(()),
            true => Err("the socket is still there".into()),
        });
        // The socket disappears before the process, which ends by itself; this signal has no effect.
        assert_eq!(cluster.end(At::Here, nix::sys::signal::Signal::SIGCONT), Some(0));
    }
}

/// Requests that the original's client never sends.
#[test]
fn clients_that_misbehave_hold_up_nobody() {
    let cluster = daemon(Zctd);
    let connect = || {
        let stream = UnixStream::connect(cluster.socket(At::Here)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream
    };
    let closed = |mut stream: UnixStream| {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the end");
        assert_eq!(answer, b"");
    };
    // Many clients that say nothing, and some that send half a request.
    let silent: Vec<UnixStream> = (0..200).map(|_| connect()).collect();
    let half: Vec<UnixStream> = (0..20)
        .map(|_| {
            let mut s = connect();
            s.write_all(&[21, 0]).expect("two bytes");
            s
        })
        .collect();
    // One client that asks for a long listing and does not read it.
    cluster.must(At::Here, &["-R", "-"], &mixture(2, 20_000));
    eventually("the events", || match cluster.internal(At::Here).len() {
        20_040 => Ok(()),
        n => Err(n.to_string()),
    });
    let mut greedy = connect();
    greedy.write_all(&16u32.to_ne_bytes()).expect("a request");
    // Unknown numbers, a short request and then the end, and nonsense after a request.
    for code in [2u32, 15, 27, 49, 1000, u32::MAX, 0x5a43_0000 | 27] {
        let mut s = connect();
        s.write_all(&code.to_ne_bytes()).expect("a request");
        closed(s);
    }
    let mut short = connect();
    short.write_all(&[20]).expect("one byte");
    short.shutdown(std::net::Shutdown::Write).expect("shutdown");
    closed(short);
    let mut long = connect();
    _ = long.write_all(&[b'x'; 4096]);
    // The daemon answers all the while, and takes events.
    assert!(cluster.ask(At::Here, &["-s"]).contains("20040"));
    cluster.must(At::Here, &["-D", "-s", "10.1.0.0/16"], "");
    eventually("an event", || {
        let there = cluster.internal(At::Here).iter().any(|l| l.contains("src=10.1."));
        if there { Err("still there".into()) } else { Ok(()) }
    });
    let runtime = cluster.ask(At::Here, &["-s", "runtime"]);
    let count = |name: &str| {
        let line = runtime.lines().find(|l| l.trim().starts_with(name)).expect("a line");
        line.rsplit(|c: char| !c.is_ascii_digit())
            .next()
            .and_then(|n| n.parse::<u64>().ok())
            .expect("a number")
    };
    assert!(count("local unknown request") >= 7 && count("local read failed") >= 1, "{runtime}");
    // The slow client still gets the whole listing, except for flows that have ended meanwhile.
    let mut listing = String::new();
    greedy.read_to_string(&mut listing).expect("the listing");
    let lines = listing.lines().count();
    assert!((20_000..=20_040).contains(&lines) && listing.ends_with("s]\n"), "{lines}");
    drop((silent, half));
}

/// Our client reports results that the original's has no way to learn.
#[test]
fn our_client_tells_how_it_went() {
    let mut cluster = daemon(Zctd);
    // The kernel refuses this flow, because it has nothing to translate to.
    let out = cluster.ask(At::Here, &["-s", "protocol"]);
    assert!(out.lines().any(|l| l.split_whitespace().take(2).eq(["tcp", "20"])), "{out}");
    cluster.end(At::Here, nix::sys::signal::Signal::SIGTERM);
    let gone = cluster.ask_by(Zctd, At::Here, &["-s"]);
    assert_eq!(gone.exit, Exit::Code(1));
    assert!(gone.err().contains("[ERROR] can't connect: is conntrackd running? appropriate permissions?"));
    let theirs = daemon(Original);
    let unknown = theirs.ask_by(Zctd, At::Here, &["-s", "protocol"]);
    assert_eq!(unknown.exit, Exit::Code(1));
    assert!(unknown.err().contains("the daemon does not know this request"), "{unknown:?}");
}

/// Requests mean what the original's client means by them.
#[test]
fn words_are_understood_alike() {
    let cluster = daemon(Zctd);
    for (words, code) in [
        (&["-x"][..], 1),
        (&["-x", "-i"], 1),
        (&["-i", "-x"], 0),
        (&["-s", "bogus"], 1),
        (&["-f", "bogus"], 1),
        (&["-s", "netw"], 0),
        (&["-i", "exp"], 0),
        (&["-d", "-s"], 1),
        (&["-sfoo"], 0),
        (&["-s", "-i"], 0),
        (&["-v"], 0),
        (&["-h"], 0),
    ] {
        let (ours, theirs) =
            (cluster.ask_by(Zctd, At::Here, words), cluster.ask_by(Original, At::Here, words));
        assert_eq!(ours.exit, Exit::Code(code), "{words:?}: {ours:?}");
        assert_eq!(ours.exit, theirs.exit, "{words:?}: {ours:?} {theirs:?}");
    }
    // 1.4.7 ends with 0 here, 1.4.9 with 1.
    let stray = cluster.ask_by(Zctd, At::Here, &["-i", "bogus"]);
    assert!(stray.exit == Exit::Code(1) && stray.err().contains("Unknown option: bogus"), "{stray:?}");
}
