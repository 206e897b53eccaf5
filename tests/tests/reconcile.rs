//! `zct reconcile`: what is on no list goes, in one pass, and nothing else does; a list that cannot be what
//! was meant deletes nothing.

use std::net::{IpAddr, Ipv4Addr};
use zct_tests::address_list::{AddressList, Flow, Many, flows, flows_of, ids, wire};
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Kernel, Storm, udp};
use zct_wire::nat::Nat;

fn reconcile(words: &[&str]) -> Output {
    Tool::ZctByName.run(&[&["reconcile"], words].concat())
}

/// Runs it dry and then in earnest, and compares both with what is stale.
fn deletes(words: &[&str], stale: &[&Flow]) {
    let before = flows();
    let dry = reconcile(&[words, &["-o", "id", "--dry-run"]].concat());
    assert_eq!(dry.exit, Exit::Code(0), "{dry:?}");
    assert_eq!(ids(&flows_of(&dry)), ids(stale.iter().copied()), "{words:?}");
    assert!(
        dry.err().ends_with(&format!(": {} flow entries would be deleted.\n", stale.len())),
        "{}",
        dry.err()
    );
    assert_eq!(ids(&flows()), ids(&before), "a dry run deletes nothing");

    let done = reconcile(&[words, &["-o", "id"]].concat());
    assert_eq!(done.exit, Exit::Code(0), "{done:?}");
    assert_eq!(ids(&flows_of(&done)), ids(stale.iter().copied()), "{words:?}");
    let gone = ids(stale.iter().copied());
    assert_eq!(ids(&flows()), &ids(&before) - &gone, "{words:?}");

    let again = reconcile(words);
    assert_eq!((again.exit, again.out()), (Exit::Code(0), String::new()), "that nothing is left is success");
    assert!(again.err().ends_with(": 0 flow entries have been deleted.\n"), "{again:?}");
}

#[test]
fn flows_that_no_list_has_are_deleted() {
    for (of, option) in
        ["--keep-src", "--keep-dst", "--keep-reply-src", "--keep-reply-dst"].iter().enumerate()
    {
        let mut many = Many::new(of as u64);
        let (list, file) = many.list("keep", of, 2);
        let before = flows();
        let udp = ids(&flows_of(&Tool::Reference.run(&["-L", "-p", "udp", "-o", "id"])));
        let stale = before.iter().filter(|f| udp.contains(&f.id) && !list.has(&f.addrs[of]));
        let stale: Vec<&Flow> = stale.collect();
        assert!(stale.len() > 100 && stale.len() < udp.len(), "{}", stale.len());
        deletes(&[option, &file, "-p", "udp"], &stale);
    }
}

#[test]
fn one_list_is_enough_to_keep_a_flow() {
    let mut many = Many::new(11);
    let (targets, to) = many.list("targets", 1, 2);
    let (answers, from) = many.list("answers", 2, 2);
    let before = flows();
    let stale: Vec<&Flow> =
        before.iter().filter(|f| !targets.has(&f.addrs[1]) && !answers.has(&f.addrs[2])).collect();
    let attached = format!("--keep-dst={to}");
    deletes(&[&attached, "--keep-reply-src", &from, "--all"], &stale);
}

#[test]
fn endpoints_behind_a_service_address() {
    let many = Many::new(12);
    let service = [10, 96, 0, 10];
    let endpoint = |n: u32| Ipv4Addr::from(0x0af4_0000 + n);
    let mut storm = Storm::open();
    storm.create((0..3000u32).map(|n| {
        let [a, b] = (n as u16).to_be_bytes();
        let to = Nat { addr: Some(wire(IpAddr::V4(endpoint(n % 100)))), port: Some(53) };
        udp([10, 0, a, b], service, 40_000, 53).with(|it| it.nat_dst = Some(to))
    }));
    let mut endpoints = AddressList::default();
    endpoints.add((0..80).map(|n| IpAddr::V4(endpoint(n))));
    let file = format!("@{}", many.write("endpoints", &endpoints.text(&mut many.rng.clone())).display());
    let before = flows();
    let stale: Vec<&Flow> = before
        .iter()
        .filter(|f| f.addrs[1] == IpAddr::from(service) && !endpoints.has(&f.addrs[2]))
        .collect();
    assert_eq!(stale.len(), 600);
    deletes(&["--keep-reply-src", &file, "-p", "udp", "-d", "10.96.0.10", "--dport", "53"], &stale);
}

#[test]
fn a_family_that_the_list_lacks_is_left_alone() {
    let many = Many::new(13);
    let file = format!("@{}", many.write("v4", "10.0.0.0/9\n").display());
    let in_net = |a: &IpAddr| matches!(a, IpAddr::V4(a) if a.octets()[0] == 10 && a.octets()[1] < 128);
    let before = flows();
    let stale: Vec<&Flow> = before.iter().filter(|f| f.addrs[1].is_ipv4() && !in_net(&f.addrs[1])).collect();
    assert!(stale.len() > 100 && before.iter().any(|f| f.addrs[1].is_ipv6()));
    deletes(&["--keep-dst", &file, "--all"], &stale);
    let output = reconcile(&["--keep-dst", &file, "--all", "-f", "ipv6"]);
    assert_eq!(output.exit, Exit::Code(2), "{output:?}");
    assert!(output.err().contains("no IPv6 addresses to keep: nothing was done"), "{output:?}");
    let left = flows();
    let six: Vec<&Flow> = left.iter().filter(|f| f.addrs[1].is_ipv6()).collect();
    deletes(&["--keep-dst", &file, "--all", "--allow-empty"], &six);
}

#[test]
fn what_cannot_be_meant_deletes_nothing() {
    let many = Many::new(14);
    let file = |name: &str, text: &str| format!("@{}", many.write(name, text).display());
    let (none, v4, v6) = (file("none", "# all gone?\n"), file("v4", "10.0.0.1"), file("v6", "::1"));
    let bad = file("bad", "10.0.0.1\nlocalhost\n");
    let before = ids(&flows());
    for (words, want) in [
        (&[][..], "nothing says what to keep"),
        (&["-p", "udp"], "nothing says what to keep"),
        (&["--keep-dst"], "missing argument for option '--keep-dst'"),
        (&["--keep-dst", &v4], "without a selection every flow that is not on the list would be deleted"),
        (&["--keep-dst", &v4, "-f", "ipv4"], "without a selection every flow"),
        (&["--keep-dst", &v4, "--dry-run"], "without a selection every flow"),
        (&["--keep-dst", &v4, "-p", "udp", "--all"], "`--all' is for want of a selection"),
        (&["--keep-dst", &none, "-p", "udp"], "no addresses to keep in `@"),
        (&["--keep-dst", &v4, "--keep-src", &none, "-p", "udp"], "no addresses to keep in `@"),
        (&["--keep-dst", &v4, "-p", "udp", "-f", "ipv6"], "no IPv6 addresses to keep"),
        (&["--keep-dst", &v6, "-p", "udp", "-s", "10.0.0.1"], "no IPv4 addresses to keep"),
        (&["--keep-dst", &v4, "--keep-src", &v6, "-p", "udp"], "the lists have no family in common"),
        (&["--keep-dst", &bad, "-p", "udp"], "bad:2: Invalid IP address `localhost'"),
        (&["--keep-dst", "@/nonexistent", "-p", "udp"], "Cannot read addresses from `/nonexistent'"),
        (
            &["--keep-dst", "10.0.0.1", "-p", "udp"],
            "`10.0.0.1' is no file of addresses for --keep-dst: @FILE",
        ),
        (&["--keep-dst", &v4, "-p", "udp", "10.0.0.2"], "nothing was done because of the stray word"),
        (&["--keep-dst", &v4, "-p", "udp", "-L"], "Invalid commands combination"),
        (&["--keep-dst", &v4, "-p", "udp", "-z"], "Illegal option `--zero' with this command"),
        (&["--keep-dst", "@-", "--keep-src", "@-", "-p", "udp"], "no addresses to keep in `@-'"),
    ] {
        let output = reconcile(words);
        assert_eq!((output.exit, output.out()), (Exit::Code(2), String::new()), "{words:?}: {output:?}");
        assert!(output.err().contains(want), "{words:?}: {output:?}");
    }
    assert_eq!(ids(&flows()), before);
    // As conntrack it is a word that belongs to no option.
    let output = Tool::Zct.run(&["reconcile", "--keep-dst", &v4]);
    assert_eq!(output.exit, Exit::Code(2), "{output:?}");
}

#[test]
fn empty_lists_that_are_meant_and_lists_from_standard_input() {
    let many = Many::new(15);
    let none = format!("@{}", many.write("none", "").display());
    let mut kernel = Kernel::open();
    let all = flows();
    let kept = all[0].addrs[1];
    let output = Tool::ZctByName.run_with_stdin(
        &["reconcile", "--keep-dst", "@-", "--all", "-o", "id"],
        format!("{kept}\n").as_bytes(),
    );
    let same_family = all.iter().filter(|f| f.addrs[1].is_ipv6() == kept.is_ipv6());
    assert_eq!(ids(&flows_of(&output)), ids(same_family.filter(|f| f.addrs[1] != kept)), "{}", output.err());
    let left = flows();
    deletes(&["--keep-dst", &none, "--allow-empty", "-f", "ipv6", "--all"], &{
        left.iter().filter(|f| f.addrs[0].is_ipv6()).collect::<Vec<_>>()
    });
    let left = flows();
    deletes(&["--keep-dst", &none, "--allow-empty", "--all"], &left.iter().collect::<Vec<_>>());
    assert_eq!(kernel.count(), 0);
}

#[test]
fn help_names_its_options() {
    let output = reconcile(&["--help"]);
    assert_eq!((output.exit, output.err()), (Exit::Code(0), String::new()));
    for word in ["--keep-dst @FILE", "--keep-reply-src @FILE", "--allow-empty", "--all", "--dry-run"] {
        assert!(output.out().contains(word), "{word}: {}", output.out());
    }
}
