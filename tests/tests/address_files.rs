//! `@FILE`: selections by 100,000 addresses and networks, compared with a selection made here from what the
//! original lists.

use nix::sys::signal::Signal;
use std::net::IpAddr;
use zct_tests::address_list::{AddressList, Flow, MEMBERS, Many, flows, flows_of, ids, random_address, wire};
use zct_tests::entries::Facts;
use zct_tests::listener::{FLOW_GROUPS, Listener};
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Storm, plain};
use zct_wire::request::NewFlow;
use zct_wire::tuple::Tuple;

fn zct(words: &[&str]) -> Output {
    let output = Tool::ZctByName.run(words);
    assert!(matches!(output.exit, Exit::Code(0 | 1)), "{words:?}: {output:?}");
    output
}

#[test]
fn a_file_selects_what_is_in_it_and_a_negation_the_rest() {
    let mut world = Many::new(1);
    for (of, option) in ["-s", "-d", "-r", "-q"].into_iter().enumerate() {
        let (list, file) = world.list("many", of, 2);
        let (inside, outside): (Vec<Flow>, Vec<Flow>) =
            flows().into_iter().partition(|f| list.has(&f.addrs[of]));
        assert!(inside.len() > 300 && outside.len() > 300, "{} {}", inside.len(), outside.len());
        let file = file.as_str();
        for (words, want) in [
            (&[option, file][..], &inside),
            (&["!", option, file], &outside),
            (&[option, &format!("!{file}")], &outside),
        ] {
            let listed = zct(&[&["-L", "-o", "id"], words].concat());
            assert_eq!(ids(&flows_of(&listed)), ids(want), "{words:?}");
            assert_eq!(listed.lines().len(), want.len(), "{words:?}");
            let counted = zct(&[&["-C"], words].concat());
            assert_eq!((counted.out(), counted.err()), (format!("{}\n", want.len()), String::new()));
            let json = zct(&[&["-C", "-o", "json"], words].concat());
            assert_eq!(json.out(), format!("{{\"count\":{}}}\n", want.len()));
        }
        let (first, second) = (&inside[0].addrs[of], &outside[0].addrs[of]);
        if first.is_ipv6() == second.is_ipv6() {
            let both = format!("{second},{file}");
            let want = inside.iter().chain(outside.iter().filter(|f| f.addrs[of] == *second));
            let family = if first.is_ipv6() { "ipv6" } else { "ipv4" };
            let want = want.filter(|f| f.addrs[of].is_ipv6() == first.is_ipv6());
            let listed = zct(&["-L", "-o", "id", "-f", family, option, &both]);
            assert_eq!(ids(&flows_of(&listed)), ids(want));
        }
    }
}

#[test]
fn two_files_and_other_options_narrow_each_other() {
    let mut world = Many::new(2);
    let (sources, from) = world.list("sources", 0, 1);
    let (targets, to) = world.list("targets", 1, 1);
    let all = flows();
    let listed = zct(&["-L", "-o", "id", "-s", &from, "!", "-d", &to, "-f", "ipv4"]);
    let want: Vec<&Flow> = all
        .iter()
        .filter(|f| sources.has(&f.addrs[0]) && !targets.has(&f.addrs[1]) && f.addrs[0].is_ipv4())
        .collect();
    assert!(want.len() > 100, "{}", want.len());
    assert_eq!(ids(&flows_of(&listed)), ids(want));
    let either = format!("{from},{to}");
    let listed = zct(&["-L", "-o", "id", "-s", &either]);
    let want = all.iter().filter(|f| sources.has(&f.addrs[0]) || targets.has(&f.addrs[0]));
    assert_eq!(ids(&flows_of(&listed)), ids(want));
}

#[test]
fn deletions_and_changes_keep_to_the_file() {
    let mut world = Many::new(3);
    let (list, file) = world.list("keep", 1, 2);
    let before = flows();
    let (kept, stale): (Vec<&Flow>, Vec<&Flow>) = before.iter().partition(|f| list.has(&f.addrs[1]));
    let words = ["-D", "-o", "id", "!", "-d", file.as_str()];
    let tried = zct(&[&words[..], &["--dry-run"]].concat());
    assert_eq!(ids(&flows_of(&tried)), ids(stale.iter().copied()));
    assert!(
        tried.err().ends_with(&format!(": {} flow entries would be deleted.\n", stale.len())),
        "{tried:?}"
    );
    assert_eq!(ids(&flows()), ids(&before), "a dry run changes nothing");

    let marked = zct(&["-U", "-d", &file, "-m", "77", "-o", "id"]);
    assert_eq!(ids(&flows_of(&marked)), ids(kept.iter().copied()));
    let with_mark = Tool::Reference.run(&["-L", "-m", "77", "-o", "id"]);
    assert_eq!(ids(&flows_of(&with_mark)), ids(kept.iter().copied()));

    let deleted = zct(&words);
    assert_eq!(ids(&flows_of(&deleted)), ids(stale.iter().copied()));
    assert_eq!(ids(&flows()), ids(kept.iter().copied()));
    let again = zct(&words);
    assert_eq!((again.exit, again.out()), (Exit::Code(1), String::new()));
}

#[test]
fn what_is_refused_touches_nothing() {
    let world = Many::new(4);
    let none = format!("@{}", world.write("none", "# nobody\n").display());
    let bad = format!("@{}", world.write("bad", "10.0.0.1\n10.0.0.2 10.0.0.300\n").display());
    let before = ids(&flows());
    for (words, want) in [
        (&["-D", "!", "-d", &none][..], "' leaves nothing out: there are no addresses in it"),
        (&["-U", "-m", "5", "!", "-s", &none], "' leaves nothing out: there are no addresses in it"),
        (&["-D", "!", "-d", &bad], "bad:2: Invalid IP address `10.0.0.300'"),
        (&["-D", "-s", "@/nonexistent"], "Cannot read addresses from `/nonexistent': No such file"),
        (&["-D", "-s", "@"], "`@' needs the name of a file"),
        (&["-D", "-s", "@-", "!", "-d", "@-"], "`@-' can be given once"),
    ] {
        let output = Tool::ZctByName.run(words);
        assert_eq!((output.exit, output.out()), (Exit::Code(2), String::new()), "{words:?}: {output:?}");
        assert!(output.err().contains(want), "{words:?}: {output:?}");
    }
    // An empty list selects nothing, and that is not a mistake.
    for words in [&["-L", "-s", &none][..], &["-D", "-s", &none], &["-C", "-s", &none]] {
        let code = if words[0] == "-D" { 1 } else { 0 };
        let output = Tool::ZctByName.run(words);
        assert_eq!(output.exit, Exit::Code(code), "{words:?}: {output:?}");
        assert!(output.lines().is_empty() || output.out() == "0\n", "{words:?}: {output:?}");
    }
    assert_eq!(zct(&["-C", "!", "-s", &none]).out(), format!("{}\n", before.len()));
    let lines = format!("-D -s {none}\n");
    let output = Tool::ZctByName.run_with_stdin(&["-R", "-"], lines.as_bytes());
    assert_eq!(output.exit, Exit::Code(2));
    assert!(output.err().contains("a line of a file takes no addresses from another one"), "{output:?}");
    assert_eq!(ids(&flows()), before);
}

#[test]
fn standard_input_is_a_file_too() {
    let _world = Many::new(5);
    let addr = flows()[0].addrs[0];
    let output =
        Tool::ZctByName.run_with_stdin(&["-L", "-o", "id", "-s", "@-"], format!("{addr}\n").as_bytes());
    let all = flows();
    assert_eq!(ids(&flows_of(&output)), ids(all.iter().filter(|f| f.addrs[0] == addr)));
}

#[test]
fn events_of_the_flows_in_a_file_are_shown_and_no_others() {
    let mut world = Many::new(6);
    let mut list = AddressList::default();
    let listed: Vec<IpAddr> = (0..200).map(|n| random_address(&mut world.rng, n % 2 == 0)).collect();
    list.add(listed.iter().copied());
    while list.len() < MEMBERS {
        list.add([random_address(&mut world.rng, true)]);
    }
    let text = list.text(&mut world.rng);
    let file = format!("@{}", world.write("watched", &text).display());
    let new: Vec<(IpAddr, NewFlow<'_>)> = (0..400)
        .map(|n| {
            let src = if n % 2 == 0 { listed[n / 2] } else { random_address(&mut world.rng, n % 3 == 0) };
            let dst = random_address(&mut world.rng, src.is_ipv6());
            let orig =
                Tuple { src: Some(wire(src)), dst: Some(wire(dst)), proto: Some(202), ..Tuple::default() };
            (src, plain(orig))
        })
        .collect();
    let start = |words: &[&str]| Listener::start(Tool::ZctByName, &[&["-E"], words].concat(), FLOW_GROUPS);
    let listeners = [start(&["-s", &file]), start(&["!", "-s", &file])];
    Storm::open().create(new.iter().map(|(_, flow)| *flow));
    let [shown, rest] = listeners.map(|listener| {
        listener.settle();
        let output = listener.stop(Signal::SIGINT);
        assert!(output.err().contains(" flow events have been shown."), "{output:?}");
        let src = |l: &String| Facts::of(l).addrs[0].parse::<IpAddr>().expect("an address");
        output.lines().iter().map(src).collect::<Vec<_>>()
    });
    let (inside, outside): (Vec<IpAddr>, Vec<IpAddr>) =
        new.iter().map(|(src, _)| *src).partition(|src| list.has(src));
    assert_eq!(shown, inside);
    assert_eq!(rest, outside);
}
