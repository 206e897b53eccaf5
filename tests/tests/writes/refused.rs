//! What the kernel refuses, and what it would otherwise do in silence.

use super::{PLAIN, both, done, on, table};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Tool};
use zct_tests::seed::TRACKING;

const FIXED: &str = "-I -s 10.0.0.9 -d 10.0.0.2 -p udp --sport 1 --dport 2 -t 1000 -u FIXED_TIMEOUT";
const NATTED: &str = "-I -s 10.0.0.8 -d 10.0.0.2 -p udp --sport 1 --dport 2 -t 1000 -n 198.51.100.7:20";

pub(crate) fn conflicts_of_an_addition() {
    let other = NATTED.replace("-I", "-A").replace("198.51.100.7:20", "198.51.100.8:20");
    let [theirs, ours] = both(|tool| {
        done(Tool::Reference, &[NATTED]);
        on(tool, &other)
    });
    assert_eq!((theirs.exit, ours.exit), (Exit::Code(0), Exit::Code(1)));
    for text in ["its source is 198.51.100.7:20 in the table", "asked for is 198.51.100.8:20"] {
        assert!(ours.err().contains(text), "{}", ours.err());
    }
    let same = format!("{} -m 6", NATTED.replace("-I", "-A"));
    let [_, ours] = both(|tool| {
        done(Tool::Reference, &[NATTED]);
        (on(tool, &same).exit, table("-L"))
    });
    assert!(ours.0 == Exit::Code(0) && ours.1[0].contains("mark=6"), "{ours:?}");
}

pub(crate) fn expected_is_left_out_of_an_addition() {
    let line = format!("{} -u EXPECTED,ASSURED", PLAIN.replace("-I", "-A"));
    let [theirs, ours] = both(|tool| (on(tool, &line), table("-L")));
    assert!(theirs.0.err().contains("Device or resource busy") && theirs.1.is_empty(), "{theirs:?}");
    assert!(ours.0.exit == Exit::Code(0) && ours.1[0].contains("[ASSURED]"), "{ours:?}");
    assert!(ours.0.err().contains("WARNING: 1 flow entries are without EXPECTED"), "{ours:?}");
}

pub(crate) fn refused_flows_are_named_and_the_others_changed() {
    let [theirs, ours] = both(|tool| {
        done(Tool::Reference, &[PLAIN, FIXED]);
        (on(tool, "-U -f ipv4 -p udp -u SEEN_REPLY -t 777"), on(Tool::Reference, "-L").out())
    });
    assert!(theirs.0.err().contains("sorry, you must be root"), "{theirs:?}");
    let (output, listed) = ours;
    let err = output.err();
    assert_eq!(output.exit, Exit::Code(1));
    let named = "fixed (FIXED_TIMEOUT): udp      17 ";
    assert!(err.contains(named) && err.contains(" src=10.0.0.9 dst=10.0.0.2 "), "{err}");
    assert!(!err.contains("root") && !err.contains("src=10.0.0.1 "), "{err}");
    assert!(err.contains(": 1 flow entries have been updated."), "{err}");
    assert!(err.ends_with(": 1 flow entries could not be updated.\n"), "{err}");
    assert!(listed.lines().any(|l| l.contains("udp      17 77") && l.contains("src=10.0.0.1 ")), "{listed}");
    every_reason_is_explained();
    a_million_refusals_are_not_all_named();
}

fn every_reason_is_explained() {
    let sctp = "-I -s 10.0.0.1 -d 10.0.0.2 -p sctp --sport 1 --dport 2 --state ESTABLISHED --orig-vtag 1 \
                --reply-vtag 2 -t 1000";
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    done(Tool::Zct, &[PLAIN, FIXED, sctp]);
    let before = table("-L");
    for (line, count, why) in [
        ("-U -p udp -u EXPECTED", 2, "Device or resource busy (EXPECTED is set by the kernel alone"),
        ("-U -p sctp --state CLOSED", 1, "(SCTP needs --state, --orig-vtag and --reply-vtag together)"),
        ("-U -s 10.0.0.9 -t 5", 1, "-t cannot change the timeout of this flow, which is fixed"),
        ("-U -s 10.0.0.9 -t 5 --dry-run", 1, "-t cannot change the timeout of this flow, which is fixed"),
        ("-U -p udp -u EXPECTED --dry-run", 2, "EXPECTED is set by the kernel alone"),
    ] {
        let output = on(Tool::Zct, line);
        let err = output.err();
        assert_eq!((output.exit, err.matches(why).count()), (Exit::Code(1), count), "{line}: {err}");
        assert!(err.ends_with(&format!(": {count} flow entries could not be updated.\n")), "{line}: {err}");
        assert_eq!(table("-L"), before, "{line}");
    }
    // From a file the line is named too; with --keep-going the rest follows, and the end says
    // how many failed.
    let file = "-U -s 10.0.0.9 -t 5\n-U -p sctp -m 9\n";
    for (more, done) in [(&[][..], false), (&["--keep-going"][..], true)] {
        let output = Tool::Zct.run_with_stdin(&[&["-R", "-"], more].concat(), file.as_bytes());
        let err = output.err();
        assert!(
            output.exit == Exit::Code(1) && err.contains("which is fixed (FIXED_TIMEOUT): udp "),
            "{err}"
        );
        assert!(err.contains("1 flow entries could not be updated (-:1: -U -s 10.0.0.9 -t 5)"), "{err}");
        assert_eq!(err.contains("1 lines of - could not be carried out."), done, "{err}");
        assert_eq!(table("-L").iter().any(|l| l.contains("mark=9")), done, "{more:?}");
    }
}

fn a_million_refusals_are_not_all_named() {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    let lines: String =
        (1..=300).map(|port| FIXED.replace("--sport 1 ", &format!("--sport {port} ")) + "\n").collect();
    assert_eq!(Tool::Zct.run_with_stdin(&["-R", "-"], lines.as_bytes()).exit, Exit::Code(0));
    let err = on(Tool::Zct, "-U -p udp -t 777").err();
    assert_eq!(err.matches("FIXED_TIMEOUT").count(), 10, "{err}");
    assert!(err.ends_with(": 300 flow entries could not be updated.\n"), "{err}");
}

pub(crate) fn refused_creations_say_why() {
    let line = format!("{PLAIN} -u EXPECTED");
    let [theirs, ours] = both(|tool| on(tool, &line).err());
    assert!(theirs.ends_with("Device or resource busy\n"), "{theirs}");
    assert!(ours.contains("Device or resource busy (EXPECTED is set by the kernel alone"), "{ours}");
}

pub(crate) fn flows_that_end_are_counted() {
    for (more, what) in [("", "have been"), (" --dry-run", "would be")] {
        let [theirs, ours] = both(|tool| {
            done(Tool::Reference, &[PLAIN, NATTED]);
            let more = if tool == Tool::Zct { more } else { "" };
            (on(tool, &format!("-U -f ipv4 -p udp -t 0{more}")), table("-L").len())
        });
        assert!(theirs.0.exit == Exit::Code(1) && theirs.0.err().contains(" 0 flow entries"), "{theirs:?}");
        let (output, left) = ours;
        assert_eq!((output.exit, output.lines().len()), (Exit::Code(0), 2), "{output:?}");
        assert!(output.err().contains(&format!(": 2 flow entries {what} updated.")), "{output:?}");
        assert_eq!((theirs.1, left), (0, if more.is_empty() { 0 } else { 2 }));
    }
}

pub(crate) fn a_translation_selects_what_is_updated() {
    let [theirs, ours] = both(|tool| {
        done(Tool::Reference, &[PLAIN, NATTED]);
        (on(tool, "-U -f ipv4 -n 198.51.100.7 -m 9"), table("-L"))
    });
    assert!(theirs.0.err().contains("Operation not supported"), "{theirs:?}");
    let marked = |lines: &[String]| lines.iter().filter(|l| l.contains("mark=9")).count();
    assert_eq!((marked(&theirs.1), marked(&ours.1), ours.0.exit), (0, 1, Exit::Code(0)), "{ours:?}");
}

pub(crate) fn what_looks_translated_gets_a_warning() {
    for (more, options) in [
        ("-r 10.0.0.2 -q 10.0.0.7 --reply-port-src 2 --reply-port-dst 1", "--src-nat 10.0.0.7"),
        ("-r 10.0.0.2 -q 10.0.0.7 --reply-port-src 2 --reply-port-dst 9", "--src-nat 10.0.0.7:9"),
        ("-r 10.0.0.5 -q 10.0.0.1 --reply-port-src 2 --reply-port-dst 1", "--dst-nat 10.0.0.5"),
        (
            "-r 10.0.0.5 -q 10.0.0.7 --reply-port-src 2 --reply-port-dst 1",
            "--src-nat 10.0.0.7 --dst-nat 10.0.0.5",
        ),
    ] {
        let line = format!("{PLAIN} {more}");
        let [theirs, ours] = both(|tool| (on(tool, &line), table("-L")));
        assert!(!theirs.0.err().contains("WARNING"), "{theirs:?}");
        assert_eq!((&theirs.1, ours.0.exit), (&ours.1, Exit::Code(0)), "{line}");
        assert!(
            ours.0.err().contains(&format!("packets will not be translated without {options}\n")),
            "{ours:?}"
        );
    }
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    for line in [
        format!("{PLAIN} -r 10.0.0.2 -q 10.0.0.1 --reply-port-src 2 --reply-port-dst 1"),
        NATTED.to_owned(),
        "-I -s 10.0.0.1 -d 10.0.0.2 -r 10.0.0.2 -q 10.0.0.1 -p gre --srckey 1 --dstkey 2 --reply-key-src 7 \
         --reply-key-dst 9 -t 1000"
            .to_owned(),
    ] {
        let output = on(Tool::Zct, &line);
        assert!(output.exit == Exit::Code(0) && !output.err().contains("WARNING"), "{line}: {output:?}");
    }
    // From a file, the first few refused lines are named.
    let lines: String = (1..=40)
        .map(|port| {
            format!("{PLAIN} -r 10.0.0.2 -q 10.0.0.7 --reply-port-src 2 --reply-port-dst 1\n")
                .replace("--sport 1 ", &format!("--sport {} ", port + 10))
                .replace("10.0.0.7", &format!("10.0.1.{port}"))
        })
        .collect();
    let output = Tool::Zct.run_with_stdin(&["-R", "-"], lines.as_bytes());
    let err = output.err();
    assert_eq!(
        (output.exit, err.matches("WARNING: the reply direction").count()),
        (Exit::Code(0), 10),
        "{err}"
    );
    assert!(err.contains("(-:1: -I ") && err.contains("WARNING: 30 more lines"), "{err}");
}

pub(crate) fn the_mask_of_a_new_mark_is_not_used() {
    let [theirs, ours] = both(|tool| {
        let made = ["-I", "-A"].map(|command| {
            let line =
                PLAIN.replace("-I", command).replace("--sport 1 ", &format!("--sport {} ", command.len()));
            on(tool, &format!("{line} -m 5/1"))
        });
        (made, table("-L -m 5").len())
    });
    assert_eq!((theirs.1, ours.1), (1, 1));
    assert!(theirs.0.iter().all(|o| !o.err().contains("mark")), "{theirs:?}");
    for output in &ours.0 {
        assert!(output.err().starts_with("WARNING: the mask of --mark counts with -U"), "{output:?}");
    }
    assert!(!on(Tool::Zct, "-U -m 4/1").err().contains("WARNING"));
    assert!(!on(Tool::Zct, "-L -m 5/1").err().contains("WARNING"));
}

pub(crate) fn a_flow_that_is_not_tracked_is_restored() {
    // To a kernel without DCCP this flow is nothing but its addresses. One that has DCCP never makes it.
    let line = "-A -t 99 -u UNSET -s 10.0.0.1 -d 10.0.0.2 -r 10.0.0.2 -q 10.0.0.1 -p dccp";
    let [theirs, ours] = both(|tool| {
        let output = tool.run_with_stdin(&["-R", "-"], format!("{line}\n{PLAIN}\n").as_bytes());
        (output, table("-L").len())
    });
    assert!(theirs.0.exit == Exit::Code(2) && theirs.0.err().contains("`--state'"), "{theirs:?}");
    let tracked = std::fs::exists("/proc/sys/net/netfilter/nf_conntrack_dccp_timeout_open").expect("/proc");
    let want = if tracked { (Exit::Code(1), 1) } else { (Exit::Code(0), 2) };
    assert_eq!((ours.0.exit, ours.1), want, "{ours:?}");
    // On the command line the state remains compulsory.
    assert_eq!(on(Tool::Zct, line).exit, Exit::Code(2));
}
