//! Two daemons that seal what they say to each other, on a real link: over every kind of it, through changes
//! of keys and of mode, beside an original, and with somebody who hears everything and repeats and changes it
//! (sealed-peers.md §2, §7).

use nix::sys::signal::Signal;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use zct_tests::cluster::{At, Over, Settings, Which, eventually, mixture};
use zct_tests::faults::times;
use zct_tests::lab::{BOTH, Lab, ear, heard, index, zctd};
use zct_tests::program::Exit;

use Which::{Original, Zctd};

/// A byte of a frame's number that a test's few frames never reach (sealed-peers.md §3).
const COUNTER: usize = 28;

fn settings(over: Over) -> Settings {
    Settings { over, ..Settings::default() }
}

#[test]
fn sealed_peers_agree_over_every_kind_of_link() {
    for over in [Over::Udp, Over::Udp6, Over::TwoUdp, Over::Multicast, Over::Tcp] {
        let lab = Lab::start(settings(over));
        let ear = ear();
        lab.cluster.must(At::Here, &["-R", "-"], &mixture(1, 300));
        lab.cluster.must(At::There, &["-R", "-"], &mixture(2, 300));
        for at in BOTH {
            lab.cluster.agree_on(at, &format!("{over:?}, {at:?}"), 300);
            eventually("the peer has proved itself", || {
                let peer = lab.peer(at);
                let told = (&peer["authenticated"], &peer["node"], &peer["key"]);
                let right = *told.0 == true && *told.1 == 2 - index(at) && *told.2 == 1;
                right.then_some(()).ok_or(peer.to_string())
            });
            for why in ["plain", "malformed", "forged", "unknown_key", "own_node"] {
                assert_eq!(lab.refused(at, why), 0, "{over:?} {at:?} {why}");
            }
        }
        if over == Over::Udp {
            let frames = heard(&ear);
            assert!(frames.len() > 5 && frames.iter().all(|f| f[0] == 0x50 && f.len() >= 82), "{frames:?}");
        }
    }
}

#[test]
fn keys_change_under_traffic_and_nothing_is_lost() {
    let lab = Lab::start(settings(Over::Udp));
    lab.cluster.must(At::Here, &["-R", "-"], &mixture(1, 300));
    lab.cluster.whole("before");
    let unproved = BOTH.map(|at| lab.refused(at, "unproved"));
    let churn = lab.cluster.churn(At::Here, 1, 1000);
    let steps: [(&[u8], u8); 5] = [(&[1, 2], 1), (&[1, 2], 2), (&[2], 2), (&[2, 3], 2), (&[2, 3], 3)];
    for (keys, active) in steps {
        for at in BOTH {
            lab.reconfigure(at, keys, active, "enforce");
            churn.more(300);
        }
        eventually("the key is in use", || {
            let keys = BOTH.map(|at| lab.peer(at)["key"].clone());
            keys.iter().all(|k| *k == active).then_some(()).ok_or(format!("{keys:?}"))
        });
    }
    churn.end();
    lab.cluster.whole("after");
    for at in BOTH {
        assert_eq!(lab.refused(at, "unproved"), unproved[index(at)], "nobody had to prove anything");
        assert_eq!(lab.peer(at)["lost"], 0);
        assert_eq!(lab.refused(at, "unknown_key"), 0);
    }
}

#[test]
fn a_cluster_comes_to_seal_node_by_node() {
    let mut lab = Lab::prepare(Zctd, Zctd, settings(Over::Udp));
    BOTH.iter().for_each(|at| lab.cluster.run(*at));
    lab.cluster.must(At::There, &["-R", "-"], &mixture(2, 300));
    let churn = lab.cluster.churn(At::Here, 1, 1000);
    for mode in ["receive-only", "permissive", "enforce"] {
        for at in BOTH {
            lab.reconfigure(at, &[1], 1, mode);
            churn.more(300);
            lab.cluster.agree(At::Here, mode);
        }
    }
    churn.end();
    lab.cluster.whole("at the end");
    for at in BOTH {
        assert_eq!((lab.refused(at, "plain"), lab.refused(at, "forged")), (0, 0));
        assert_eq!(lab.peer(at)["authenticated"], true);
    }
}

/// The original counts frames as messages of another version; it goes on with those that it knows.
#[test]
fn an_original_beside_it_is_not_disturbed() {
    for over in [Over::Udp, Over::Tcp] {
        let mut lab = Lab::prepare(Zctd, Original, settings(over));
        lab.configure(At::Here, &[1], 1, "receive-only");
        BOTH.iter().for_each(|at| lab.cluster.run(*at));
        lab.cluster.must(At::Here, &["-R", "-"], &mixture(1, 200));
        lab.cluster.must(At::There, &["-R", "-"], &mixture(2, 200));
        BOTH.iter().for_each(|at| lab.cluster.agree(*at, "receive-only is as today"));
        // From now on it hears frames only, and we hear it.
        lab.reconfigure(At::Here, &[1], 1, "permissive");
        lab.cluster.must(At::Here, &["-R", "-"], &mixture(3, 200));
        lab.cluster.must(At::There, &["-R", "-"], &mixture(4, 200));
        lab.cluster.agree(At::Here, "permissive takes what is not sealed");
        let known = lab.cluster.external(At::There);
        assert!(known.len() <= 200, "it cannot read frames, and has not made flows of them: {}", known.len());
        eventually("it counts them", || {
            let said = lab.cluster.ask(At::There, &["-s", "network"]);
            let wrong = said.lines().find(|l| l.contains("Wrong protocol version")).unwrap_or_default();
            let count = wrong.split_whitespace().last().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            (count > 0).then_some(()).ok_or(said)
        });
        lab.reconfigure(At::Here, &[1], 1, "receive-only");
        lab.cluster.must(At::Here, &["-R", "-"], &mixture(5, 100));
        assert_eq!(lab.cluster.ask_by(Zctd, At::Here, &["-B"]).exit, Exit::Code(0));
        lab.cluster.agree(At::There, "and back again");
        lab.reconfigure(At::Here, &[1], 1, "enforce");
        eventually("what is not sealed is refused", || {
            (lab.refused(At::Here, "plain") > 0).then_some(()).ok_or("nothing yet".into())
        });
        assert_eq!(lab.cluster.log(At::Here).matches("messages without a seal are dropped").count(), 1);
    }
}

/// Everything that was said, repeated to both, changed and whole, while they run and after both have started
/// again.
#[test]
fn an_attacker_who_hears_everything_changes_nothing() {
    let mut lab = Lab::start(settings(Over::Udp));
    let ears = BOTH.map(|at| lab.cluster.inside(at, ear));
    let mut tape = Vec::new();
    let (mut said, rounds) = (0u64, times(2, 20));
    for round in 0..rounds {
        let net = 1 + (round % 4) as u8;
        lab.cluster.must(At::Here, &["-R", "-"], &mixture(net, 300));
        lab.cluster.must(At::There, &["-R", "-"], &mixture(net + 4, 300));
        lab.cluster.whole("before the attack");
        ears.iter().for_each(|e| tape.extend(heard(e)));
        assert!(tape.len() > 10);
        for at in BOTH {
            let (from, to) = if at == At::Here { (2, 1) } else { (1, 2) };
            let tape = &tape;
            // From the namespace of the other node, with its address.
            said += lab.cluster.inside(at.other(), move || {
                let socket = UdpSocket::bind((format!("10.9.0.{from}"), 0)).expect("the address");
                let to = format!("10.9.0.{to}:3780");
                let mut said = 0;
                // The latest first, so that there are frames of those who run now.
                for (n, frame) in tape.iter().rev().enumerate().take(5000) {
                    let mut changed = frame.clone();
                    let bit = (n * 7919) % (frame.len() * 8);
                    changed[bit / 8] ^= 1 << (bit % 8);
                    // A number that has not been used yet, so that nothing but the tag is wrong.
                    let mut ahead = frame.clone();
                    if let Some(byte) = ahead.get_mut(COUNTER) {
                        *byte ^= 1;
                    }
                    let noise = vec![0x5a; frame.len()];
                    let plain = [0x10, 0, 0, 8, 0, 0, 0, 1];
                    for f in [frame, &changed, &ahead, &noise, plain.as_slice()] {
                        said += u64::from(socket.send_to(f, &to).is_ok());
                    }
                }
                said
            });
        }
        lab.cluster.whole("after the attack");
        for at in BOTH {
            for why in ["repeated", "forged", "plain", "malformed"] {
                eventually(&format!("round {round}, {at:?}: what is {why} is counted"), || {
                    (lab.refused(at, why) > 0).then_some(()).ok_or(lab.peer(at).to_string())
                });
            }
            assert_eq!(lab.peer(at)["malformed"]["version"], 0);
        }
        // Both die at once; what was said before is repeated to their successors.
        BOTH.iter().for_each(|at| _ = lab.cluster.end(*at, Signal::SIGKILL));
        BOTH.iter().for_each(|at| lab.cluster.run(*at));
        // The attacker's own frames are on the tape too, and may be repeated.
        ears.iter().for_each(|e| tape.extend(heard(e)));
        tape.drain(..tape.len().saturating_sub(20_000));
    }
    println!("{said} datagrams, none of them taken");
}

#[test]
fn keys_that_others_can_read_and_configurations_without_one_are_refused() {
    let lab = Lab::prepare(Zctd, Zctd, settings(Over::Udp));
    let file = lab.cluster.configuration(At::Here);
    let name = file.to_str().expect("text").to_owned();
    let check = || zctd(&["--check", "-C", &name]);
    lab.configure(At::Here, &[1, 2], 2, "permissive");
    let digits = fs::read_to_string(lab.key(1)).expect("a key");
    assert_eq!(
        (digits.len(), fs::metadata(lab.key(1)).expect("there").permissions().mode() & 0o777),
        (65, 0o600)
    );
    let good = check();
    assert_eq!(good.exit, Exit::Code(0), "{good:?}");
    let shown = good.out();
    assert!(
        shown.contains("ActiveKey 2") && shown.contains("Mode permissive") && !shown.contains(digits.trim())
    );
    // A file that is there is left alone.
    assert_ne!(zctd(&["genkey", lab.key(1).to_str().expect("text")]).exit, Exit::Code(0));
    assert_eq!(fs::read_to_string(lab.key(1)).expect("a key"), digits);
    let refused = |why: &str| {
        let said = check();
        assert!(said.exit != Exit::Code(0) && said.err().contains(why), "{why}: {said:?}");
        assert!(!said.err().contains(&digits[..16]) && said.out().is_empty(), "{said:?}");
    };
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("own file");
    for bits in [0o640, 0o604, 0o660, 0o622] {
        mode(&lab.key(1), bits);
        refused("its group or others have rights to the file");
    }
    mode(&lab.key(1), 0o600);
    for text in ["", "0123", &digits[1..], &"g".repeat(64), &"0".repeat(130), &format!("{digits}{digits}")] {
        fs::write(lab.key(1), text).expect("written");
        refused("64 to 128 hexadecimal digits");
    }
    fs::remove_file(lab.key(1)).expect("there");
    refused("key 1 in `");
    let auth = |text: &str| {
        let text = lab.plain[0].replacen("Sync {\n", &format!("Sync {{\n{text}\n"), 1);
        fs::write(&file, text).expect("written");
    };
    let key2 = format!("Key 2 file:{} \n", lab.key(2).display());
    for (text, why) in [
        (format!("Auth {{ {key2} ActiveKey 2 }}"), "Auth needs a NodeID"),
        (format!("NodeID 1 Auth {{ {key2} }}"), "Auth needs an ActiveKey"),
        (format!("NodeID 1 Auth {{ {key2} ActiveKey 3 }}"), "there is no Key 3"),
        ("NodeID 1 Auth { ActiveKey 3 }".into(), "Auth needs a Key"),
        (format!("NodeID 0 Auth {{ {key2} ActiveKey 2 }}"), "NodeID"),
        (format!("NodeID 1 Auth {{ Key hex:{digits} ActiveKey 1 }}"), "a number from 1 to 255 after Key"),
        (format!("NodeID 1 Auth {{ Key 1 hex:{} ActiveKey 1 }}", &digits[..60]), "expected file:PATH"),
        (format!("NodeID 1 Auth {{ Key 1 {digits} ActiveKey 1 }}"), "expected file:PATH"),
        ("NodeID 1 Auth { Key 1 credential:x ActiveKey 1 }".into(), "there are no credentials"),
        (
            format!("NodeID 1 Auth {{ {key2} ActiveKey 2 Mode lenient }}"),
            "enforce, permissive or receive-only",
        ),
    ] {
        auth(&text);
        refused(why);
    }
    auth(&format!("NodeID 1 Auth {{ Key 1 hex:{digits} ActiveKey 1 }}"));
    mode(&file, 0o644);
    refused("its group or others have rights to the file");
    mode(&file, 0o600);
    let hidden = check();
    assert_eq!(hidden.exit, Exit::Code(0), "{hidden:?}");
    assert!(hidden.out().contains("Key 1 hex: not shown") && !hidden.out().contains(&digits[..16]));
}
