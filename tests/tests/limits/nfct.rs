//! nfct's timeouts: every state of every policy, read back as the kernel keeps it.

use super::number::{Verdict, seconds};
use super::{report, seed, setting, texts};
use fastrand::Rng;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};

/// The protocols and the names of their timeouts, from the manual.
const STATES: &[(&str, &[&str])] = &[
    (
        "tcp",
        &[
            "syn_sent",
            "syn_recv",
            "established",
            "fin_wait",
            "close_wait",
            "last_ack",
            "time_wait",
            "close",
            "syn_sent2",
            "retrans",
            "unacknowledged",
        ],
    ),
    ("udp", &["unreplied", "replied"]),
    ("udplite", &["unreplied", "replied"]),
    ("icmp", &["timeout"]),
    ("icmpv6", &["timeout"]),
    (
        "sctp",
        &[
            "closed",
            "cookie_wait",
            "cookie_echoed",
            "established",
            "shutdown_sent",
            "shutdown_recd",
            "shutdown_ack_sent",
        ],
    ),
    ("dccp", &["request", "respond", "partopen", "open", "closereq", "closing", "timewait"]),
    ("gre", &["unreplied", "replied"]),
    ("generic", &["timeout"]),
];

fn nfct(words: &[&str]) -> Output {
    Tool::Nfct.run(words)
}

/// The value of a state as nfct shows it: `.STATE = 5,`.
fn shown(output: &Output, state: &str) -> Option<u128> {
    let out = output.out();
    let at = format!(".{} = ", state.to_ascii_uppercase());
    let (_, rest) = out.split_once(&at)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn attempt(rng: &mut Rng, protocol: &str, states: &[&str], default: bool) -> Result<(), String> {
    let state = states[rng.usize(..states.len())];
    let text = texts::number(rng, &[0, 1, 5, 60, 432_000, 2_147_483], u32::MAX.into());
    let verdict = seconds(&text);
    let family = if protocol == "icmpv6" { "inet6" } else { "inet" };
    let mut words = if default {
        vec!["default-set", "timeout", family, protocol]
    } else {
        vec!["add", "timeout", "limits", family, protocol]
    };
    // If the value is refused, a correct one before it must not take effect either.
    let other = states.iter().find(|s| **s != state).filter(|_| rng.bool());
    words.extend(other.into_iter().flat_map(|s| [*s, "77"]));
    words.extend([state, &text]);
    let get = || {
        if default {
            nfct(&["default-get", "timeout", family, protocol])
        } else {
            nfct(&["get", "timeout", "limits"])
        }
    };
    let before = get();
    let output = nfct(&words);
    let after = get();
    if !default {
        nfct(&["delete", "timeout", "limits"]);
    }
    let all = format!("nfct {words:?}: {output:?}, then {after:?}");
    let err = output.err();
    if err.contains("no timeouts for protocol") {
        // This kernel does not know the protocol.
        return Ok(());
    }
    match (&verdict, output.exit) {
        (Verdict::Wrong, Exit::Code(0)) => Err(format!("a wrong value was taken: {all}")),
        (Verdict::Right(_), Exit::Code(1)) => Err(format!("a right value was refused: {all}")),
        (_, Exit::Code(1)) if after != before => Err(format!("refused, but something has changed: {all}")),
        (_, Exit::Code(1)) => {
            let part: String = text.trim().chars().take(40).collect();
            let named =
                if part.is_empty() { err.contains(state) || err.contains('\'') } else { err.contains(&part) };
            let shown = named || !text.is_ascii() || text.contains(['\n', '\t', '\\']);
            if shown { Ok(()) } else { Err(format!("the message does not name the value: {all}")) }
        }
        (Verdict::Right(n) | Verdict::Perhaps(n), Exit::Code(0)) => {
            let kept = shown(&after, state);
            if other.is_some_and(|o| shown(&after, o) != Some(77)) {
                return Err(format!("77 expected: {all}"));
            }
            let said = kept.is_some_and(|k| err.contains(&k.to_string()));
            if kept == Some(*n) || said { Ok(()) } else { Err(format!("{n} expected, {kept:?} kept: {all}")) }
        }
        _ => Err(all),
    }
}

#[test]
fn timeouts_are_kept_as_asked_or_refused() {
    let (seed, rounds) = (seed(), setting("ZCT_LIMITS_ROUNDS", 3) * 8);
    let _ns = Netns::fresh();
    let mut failures = Vec::new();
    for round in 0..rounds {
        for (n, (protocol, states)) in STATES.iter().enumerate() {
            for default in [false, true] {
                let mut rng =
                    Rng::with_seed(seed.wrapping_add(round * 1000 + n as u64 * 2 + u64::from(default)));
                if let Err(found) = attempt(&mut rng, protocol, states, default) {
                    failures.push(format!("round {round}: {found}"));
                }
            }
        }
    }
    println!("seed {seed}: {} values", rounds * STATES.len() as u64 * 2);
    report(seed, &failures);
}

/// A new protocol or state has to be tried here too.
#[test]
fn every_state_is_tried() {
    for protocol in 0..=255u8 {
        let theirs = zct_wire::cttimeout::states(protocol).unwrap_or_default();
        let all: Vec<String> = theirs.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let known = all.is_empty() || STATES.iter().any(|(_, states)| states[..] == all[..]);
        assert!(known, "protocol {protocol}: {all:?}");
    }
}
