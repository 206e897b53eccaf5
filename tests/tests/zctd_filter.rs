//! `Filter` by port, zone, translation, mark and label, on a real kernel: by the daemon, and as far as it
//! goes by the kernel, with the same result.

use std::collections::BTreeSet;
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually};
use zct_tests::etc::PrivateEtc;

const FILTER: &str = "Port Ignore { 53 1000-1010 }\nZone Ignore { 7 }\nNAT Ignore { SNAT }\n\
                      Mark Ignore { 0x10/0xf0 }\nLabel Ignore { five }\n";

/// A flow by its source port: whether it passes, whether the kernel can tell, and the rest of its words.
const FLOWS: [(u16, bool, bool, &str); 14] = [
    (2001, true, false, "-p tcp -s 10.1.0.1 -d 10.2.0.1 --dport 443 --state ESTABLISHED"),
    (2002, true, false, "-p udp -s 10.1.0.1 -d 10.2.0.1 --dport 54"),
    (2003, true, false, "-p tcp -s fd01::1 -d fd02::1 --dport 443 --state SYN_SENT"),
    (2004, true, false, "-p udp -s 10.1.0.1 -d 10.2.0.1 --dport 443 -w 8"),
    (2005, true, false, "-p udp -s 10.1.0.1 -d 10.2.0.1 --dport 443 -m 32"),
    (2006, true, false, "-p tcp -s 10.1.0.1 -d 10.2.0.1 --dport 80 --state SYN_SENT -g 172.16.0.9:8080"),
    (2007, false, true, "-p udp -s 10.1.0.1 -d 10.2.0.1 --dport 53"),
    (2008, false, true, "-p tcp -s fd01::1 -d fd02::1 --dport 53 --state ESTABLISHED"),
    (2009, false, true, "-p tcp -s 10.1.0.1 -d 10.2.0.1 --dport 1005 --state ESTABLISHED"),
    // The port of the server behind the translation.
    (2010, false, true, "-p udp -s 10.1.0.1 -d 10.2.0.1 --dport 5353 -g 172.16.0.9:53"),
    (2011, false, true, "-p udp -s 10.1.0.1 -d 10.2.0.1 --dport 443 -w 7"),
    (2012, false, true, "-p tcp -s 10.1.0.1 -d 10.2.0.1 --dport 443 --state SYN_SENT -n 192.0.2.1:4000"),
    (2013, false, false, "-p udp -s 10.1.0.1 -d 10.2.0.1 --dport 443 -m 21"),
    (2014, false, false, "-p udp -s 10.1.0.1 -d 10.2.0.1 --dport 443 -m 0xff10"),
];

/// The source ports of the flows that the daemon knows.
fn known(cluster: &Cluster) -> BTreeSet<u16> {
    let port = |line: &str| line.split_once("sport=")?.1.split(' ').next()?.parse().ok();
    cluster.ask(At::Here, &["-i"]).lines().filter_map(port).collect()
}

fn until(cluster: &Cluster, what: &str, wanted: &BTreeSet<u16>) {
    eventually(what, || {
        let has = known(cluster);
        if has == *wanted { Ok(()) } else { Err(format!("{has:?} instead of {wanted:?}")) }
    });
}

fn events(cluster: &Cluster) -> u64 {
    let text = cluster.ask_by(Which::Zctd, At::Here, &["status", "--json"]).out();
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    value["events"]["received"].as_u64().expect("a number")
}

/// Runs through the lives of all flows; returns how many events the daemon has received of their beginnings.
fn lives(from: &str) -> u64 {
    let _etc = PrivateEtc::with_labels(Some("5 five\n"));
    let mut cluster = Cluster::prepare(Which::Zctd, Which::Zctd, Settings::default());
    // Flows have room for labels where a rule could set one.
    cluster.rules(
        "table ip labels {\nchain c {\ntype filter hook output priority 0\nct mark 4242 ct label set 5\n}\n}\n",
    );
    let file = cluster.configuration(At::Here);
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let text = text.replace("Filter From Userspace {", &format!("Filter From {from} {{\n{FILTER}"));
    std::fs::write(&file, text).expect("a configuration");
    cluster.run(At::Here);
    let create: String =
        FLOWS.iter().map(|(port, _, _, words)| format!("-I {words} --sport {port} -t 900\n")).collect();
    let mut passing: BTreeSet<u16> = FLOWS.iter().filter(|f| f.1).map(|f| f.0).collect();
    // What was there before, and is found by the dump, passes or not as what comes later does.
    cluster.must(At::Here, &["-R", "-"], &create);
    until(&cluster, "the flows that pass", &passing);
    let received = events(&cluster);
    cluster.ask(At::Here, &["-f"]);
    cluster.ask(At::Here, &["-R"]);
    until(&cluster, "the flows of the dump that pass", &passing);

    // While its mark or its label is not wanted a flow is not followed, but its end is.
    let change = |words: &str| cluster.must(At::Here, &words.split(' ').collect::<Vec<_>>(), "");
    change("-U -p udp --sport 2002 --mark 0x1f");
    change("-U -p tcp --sport 2001 --label-add five");
    change("-U -p tcp --sport 2001 --mark 77");
    change("-U -p udp --sport 2005 --mark 33");
    eventually("the last change is there", || {
        let text = cluster.ask(At::Here, &["-i"]);
        let line = |port: &str| text.lines().find(|l| l.contains(port)).unwrap_or_default().to_owned();
        assert!(!line("sport=2002").contains("mark=31"), "{text}");
        if line("sport=2005").contains("mark=33") { Ok(()) } else { Err(text) }
    });
    for port in [2001, 2002] {
        change(&format!("-D -p {} --sport {port}", if port == 2001 { "tcp" } else { "udp" }));
        passing.remove(&port);
    }
    until(&cluster, "the ends of flows that are not wanted any more", &passing);
    received
}

#[test]
fn the_daemon_and_the_kernel_judge_alike() {
    let (by_daemon, by_kernel) = (lives("Userspace"), lives("Kernelspace"));
    let spared = FLOWS.iter().filter(|f| f.2).count() as u64;
    // The link's own flows cause events too, which both leave out.
    assert!(by_daemon >= by_kernel + spared, "{by_daemon} events, {by_kernel} with the kernel's help");
}
