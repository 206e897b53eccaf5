//! What changes the table differently from the original. Each difference is shown with both programs: the
//! original does what the table of differences says, and so does zct.

#[path = "writes/refused.rs"]
mod refused;
#[path = "writes/selected.rs"]
mod selected;

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use zct_engine::{Lost, Requests, Sink};
use zct_tests::differences::{DIFFERENCES, Side};
use zct_tests::etc::PrivateEtc;
use zct_tests::mask::Mask;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool, find, run};
use zct_tests::seed::{Kernel, Storm, TRACKING, udp};
use zct_wire::consts::nlm_f;
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::proto::ProtoInfo;
use zct_wire::request::{self, Table};

/// One test for each difference on the write side.
const TESTS: &[(&str, fn())] = &[
    ("W2", negated_status_deletes_no_more_than_it_lists),
    ("Z stray", stray_words_are_refused),
    ("Z bare -D", a_deletion_without_a_selection),
    ("W3", a_family_is_emptied_alone),
    ("W4", each_line_of_a_file_has_its_own_values),
    ("Z -R file", a_file_that_cannot_be_loaded),
    ("W13", flows_in_a_zone_are_updated),
    ("W14", an_update_leaves_window_tracking_alone),
    ("W15", every_updated_flow_is_shown),
    ("1.4.9 -A", adding_again_updates),
    ("Z -A conflict", refused::conflicts_of_an_addition),
    ("Z -A EXPECTED", refused::expected_is_left_out_of_an_addition),
    ("Z refused", refused::refused_flows_are_named_and_the_others_changed),
    ("Z why", refused::refused_creations_say_why),
    ("Z -U -t 0", refused::flows_that_end_are_counted),
    ("Z -U nat", refused::a_translation_selects_what_is_updated),
    ("Z mark mask", refused::the_mask_of_a_new_mark_is_not_used),
    ("Z untranslated", refused::what_looks_translated_gets_a_warning),
    ("Z untracked", refused::a_flow_that_is_not_tracked_is_restored),
    ("W23", a_flush_that_fails_says_nothing_else),
    ("W24", options_of_a_creation_come_in_any_order),
    ("Z nat ports", the_port_of_a_translation_counts),
    ("W25", two_deletes_at_once_share_the_work),
    ("W26", a_tuple_that_was_used_again_survives),
    ("Z dry-run", a_dry_run_changes_nothing),
    ("Z units", times_have_units),
    ("W35", the_timeout_does_not_select),
];

#[test]
fn every_difference_shows() {
    let rows: Vec<&str> = DIFFERENCES.iter().filter(|d| d.side == Side::Write).map(|d| d.id).collect();
    let tests: Vec<&str> = TESTS.iter().map(|(id, _)| *id).collect();
    assert_eq!(rows, tests, "the table of differences and its tests");
    for (id, test) in TESTS {
        println!("{id}");
        test();
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().collect()
}

fn on(tool: Tool, line: &str) -> Output {
    tool.run(&words(line))
}

fn done(tool: Tool, lines: &[&str]) {
    for line in lines {
        let output = on(tool, line);
        assert_eq!(output.exit, Exit::Code(0), "{line}: {output:?}");
    }
}

/// The table as the original shows it, sorted; empty when it prints nothing.
fn table(line: &str) -> Vec<String> {
    let mask = Mask::ID | Mask::TIMEOUT | Mask::USE;
    let mut lines: Vec<String> =
        mask.apply(&on(Tool::Reference, line).out()).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Does the same for each program in a namespace of its own, the original first.
fn both<T>(mut what: impl FnMut(Tool) -> T) -> [T; 2] {
    [Tool::Reference, Tool::Zct].map(|tool| {
        let ns = Netns::fresh();
        ns.nft(TRACKING);
        what(tool)
    })
}

const PLAIN: &str = "-I -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 2 -t 1000";
const ASSURED: &str = "-I -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 3 --dport 4 -t 1000 -u SEEN_REPLY,ASSURED";
const SIX: &str = "-I -s 2001:db8::1 -d 2001:db8::2 -p udp --sport 1 --dport 2 -t 1000";
const TCP: &str = "-I -s 10.0.0.1 -d 10.0.0.2 -p tcp --sport 1 --dport 2 -t 1000 --state ESTABLISHED";

fn negated_status_deletes_no_more_than_it_lists() {
    for (line, survivor) in [("-D -u UNREPLIED", "sport=3"), ("-D -u !ASSURED", "sport=3")] {
        let [theirs, ours] = both(|tool| {
            done(Tool::Reference, &[PLAIN, ASSURED]);
            done(tool, &[line]);
            table("-L")
        });
        assert_eq!(theirs, [""; 0], "{line}");
        assert!(ours.len() == 1 && ours[0].contains(survivor), "{line}: {ours:?}");
    }
}

fn stray_words_are_refused() {
    for (line, named) in [
        ("-D -p udp 10.0.0.9", "did you mean -s 10.0.0.9 or -d 10.0.0.9?"),
        ("-U -m 5 10.0.0.9 x", "`10.0.0.9', `x'"),
        ("-F -- -f ipv6", "`-f', `ipv6'"),
        ("-D -p udp conntrack", "-D conntrack"),
        ("-A -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 2 -t 5 m 5", "`m', `5'"),
        ("-I -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 9 --dport 2 -t 5 foo", "`foo'"),
        (
            "-D expect -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 --reply-port-src 1 --reply-port-dst 2 foo",
            "`foo'",
        ),
    ] {
        let [theirs, ours] = both(|tool| {
            done(Tool::Reference, &[PLAIN, ASSURED]);
            let output = on(tool, line);
            // The same as a line of a file.
            let loaded =
                tool.run_with_stdin(&["-R", "-"], format!("{PLAIN} -u ASSURED\n{line}\n").as_bytes());
            (output, loaded, table("-L"))
        });
        assert_ne!(theirs.0.exit, Exit::Code(2), "{line}: {theirs:?}");
        let (output, loaded, left) = ours;
        assert_eq!((output.exit, loaded.exit), (Exit::Code(2), Exit::Code(2)), "{line}: {output:?}");
        assert!(output.err().contains(named), "{line}: {output:?}");
        let forbidden = loaded.err().contains("Cannot use command");
        assert!(
            forbidden || loaded.err().contains(named) && loaded.err().contains("-:2"),
            "{line}: {loaded:?}"
        );
        assert_eq!(left.len(), 2, "{line}: {left:?}");
        assert!(!left.iter().any(|l| l.contains("mark=5")), "{line}: {left:?}");
    }
}

fn a_deletion_without_a_selection() {
    const SAID: &str = "no selection was given: all flows were deleted";
    let left = |tool: Tool, line: &str| {
        let ns = Netns::fresh();
        ns.nft(TRACKING);
        done(Tool::Reference, &[PLAIN, SIX]);
        let output = on(tool, line);
        (output, [table("-L -f ipv4"), table("-L -f ipv6")].concat().len())
    };
    for line in ["-D", "-D -t 100", "-D -u UNSET", "-D -o id", "-D conntrack"] {
        if !line.contains("UNSET") {
            let (output, count) = left(Tool::Reference, line);
            assert_eq!((output.exit, count), (Exit::Code(0), 0), "{line}: {output:?}");
        }
        let (output, count) = left(Tool::Zct, line);
        assert_eq!((output.exit, count), (Exit::Code(0), 0), "{line}: {output:?}");
        assert!(output.err().contains("2 flow entries have been deleted") && output.err().contains(SAID));
        let (output, count) = left(Tool::ZctByName, line);
        assert_eq!((output.exit, count), (Exit::Code(2), 2), "{line}: {output:?}");
        assert!(output.err().contains("-F") && output.err().contains("--all"), "{output:?}");
    }
    for tool in [Tool::Zct, Tool::ZctByName] {
        for (line, rest) in [
            ("-D --all", 0),
            ("-D --all -f ipv6", 1),
            ("-D -f ipv6", 1),
            ("-D -p udp", 0),
            ("-D -s 0.0.0.0/0", 1),
            ("-F", 0),
        ] {
            let (output, count) = left(tool, line);
            assert_eq!((output.exit, count), (Exit::Code(0), rest), "{tool:?} {line}: {output:?}");
            assert!(!output.err().contains("no selection"), "{tool:?} {line}: {output:?}");
        }
        for line in ["-D --all -s 10.0.0.1", "-D --all -p udp", "-L --all", "-U --all -m 1", "-F --all"] {
            let (output, count) = left(tool, line);
            assert_eq!((output.exit, count), (Exit::Code(2), 2), "{tool:?} {line}: {output:?}");
        }
    }
    // A file may contain such a line among others.
    for (tool, code, rest) in [(Tool::Zct, 0, 0), (Tool::ZctByName, 2, 2)] {
        let _ns = Netns::fresh();
        done(Tool::Reference, &[PLAIN, SIX]);
        let output = tool.run_with_stdin(&["-R", "-"], b"-D -s 10.9.9.9\n-D -o id\n");
        let count = [table("-L -f ipv4"), table("-L -f ipv6")].concat().len();
        assert_eq!((output.exit, count), (Exit::Code(code), rest), "{output:?}");
        let said = if code == 0 { SAID } else { "-D --all" };
        assert!(output.err().contains(said) && output.err().contains("-:2"), "{output:?}");
    }
}

fn a_family_is_emptied_alone() {
    for (family, survivor) in [("ipv6", "10.0.0.1"), ("ipv4", "2001:db8::1")] {
        let [theirs, ours] = both(|tool| {
            done(Tool::Reference, &[PLAIN, SIX]);
            done(tool, &[&format!("-F -f {family}")]);
            [table("-L -f ipv4"), table("-L -f ipv6")].concat()
        });
        assert_eq!(theirs, [""; 0], "{family}");
        assert!(ours.len() == 1 && ours[0].contains(survivor), "{family}: {ours:?}");
    }
}

fn each_line_of_a_file_has_its_own_values() {
    let load = |tool: Tool, lines: &str| {
        let output = tool.run_with_stdin(&["-R", "-"], lines.as_bytes());
        (output.exit, table("-L"))
    };
    let marks = "-U -f ipv4 -p udp -m 1\n-U -f ipv4 -p tcp -m 2\n";
    let [(_, theirs), (exit, ours)] = both(|tool| {
        done(Tool::Reference, &[PLAIN, TCP]);
        load(tool, marks)
    });
    assert!(theirs.iter().all(|l| l.contains("mark=2")), "{theirs:?}");
    assert_eq!(exit, Exit::Code(0));
    assert!(ours[0].starts_with("tcp") && ours[0].contains("mark=2"), "{ours:?}");
    assert!(ours[1].starts_with("udp") && ours[1].contains("mark=1"), "{ours:?}");

    let _etc = PrivateEtc::with_labels(Some("0 zero\n1 one\n"));
    let labels = "-U -f ipv4 -p udp --label-add zero\n-U -f ipv4 -p tcp --label-add one\n";
    let [(theirs, _), (ours, _)] = both(|tool| {
        done(Tool::Reference, &[PLAIN, TCP]);
        let (exit, _) = load(tool, labels);
        (exit, if tool == Tool::Zct { assert_labels() } else { Vec::new() })
    });
    assert!(matches!(theirs, Exit::Signal(_)), "{theirs:?}");
    assert_eq!(ours, Exit::Code(0));
}

fn assert_labels() -> Vec<String> {
    let lines = table("-L -o labels");
    assert!(lines[0].starts_with("tcp") && lines[0].ends_with("labels=one"), "{lines:?}");
    assert!(lines[1].starts_with("udp") && lines[1].ends_with("labels=zero"), "{lines:?}");
    lines
}

fn flows_in_a_zone_are_updated() {
    let [theirs, ours] = both(|tool| {
        done(Tool::Reference, &[&format!("{PLAIN} -w 3"), &format!("{ASSURED} -m 9")]);
        on(tool, "-U -f ipv4 -p udp -m 5");
        table("-L")
    });
    let marked = |lines: &[String]| lines.iter().filter(|l| l.contains("mark=5")).count();
    assert_eq!([marked(&theirs), marked(&ours)], [1, 2], "{theirs:?} {ours:?}");
}

/// Calls back with every flow of the table.
struct EachFlow<F>(F);

impl<F: FnMut(&FlowView<'_>) -> ControlFlow<()>> Sink for EachFlow<F> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        (self.0)(&FlowView::index(msg).expect("a flow"))
    }

    fn lost(&mut self, why: Lost) {
        panic!("an answer was lost: {why}");
    }
}

fn each_flow(what: impl FnMut(&FlowView<'_>) -> ControlFlow<()>) {
    let filter = DumpFilter::default();
    Requests::open()
        .expect("a socket")
        .dump(|buf, seq| request::dump(buf, seq, Table::Conntrack, &filter), &mut EachFlow(what))
        .expect("a dump");
}

fn an_update_leaves_window_tracking_alone() {
    /// `IP_CT_TCP_FLAG_BE_LIBERAL` of linux/netfilter/nf_conntrack_tcp.h.
    const BE_LIBERAL: u8 = 0x08;
    // Flags set by another program: the flow was created without liberal tracking.
    let create = |kernel: &mut Kernel| {
        let mut flow = zct_tests::seed::tcp([10, 0, 0, 1], [10, 0, 0, 2], 1, 2, 3);
        if let Some(ProtoInfo::Tcp(tcp)) = &mut flow.protoinfo {
            tcp.flags = [None, None];
        }
        kernel.create(&flow).expect("a flow");
    };
    let [theirs, ours] = both(|tool| {
        create(&mut Kernel::open());
        done(tool, &["-U -f ipv4 -p tcp -m 5"]);
        let mut liberal = Vec::new();
        each_flow(|f| {
            let Ok(Some(ProtoInfo::Tcp(tcp))) = f.protoinfo() else { panic!("no TCP flow") };
            assert_eq!(f.mark().expect("a mark"), Some(5));
            liberal.push(tcp.flags.map(|flags| flags.is_some_and(|f| f.flags & BE_LIBERAL != 0)));
            ControlFlow::Continue(())
        });
        liberal
    });
    assert_eq!([theirs, ours], [[[true, true]], [[false, false]]]);
}

fn every_updated_flow_is_shown() {
    let [theirs, ours] = both(|tool| {
        done(Tool::Reference, &[PLAIN, ASSURED, TCP, &PLAIN.replace("--dport 2", "--dport 9")]);
        on(tool, "-U -f ipv4 -m 7").lines()
    });
    assert!(theirs.len() < 4, "{theirs:?}");
    assert_eq!(ours.len(), 4, "{ours:?}");

    let [theirs, ours] = both(|tool| {
        done(Tool::Reference, &[SIX]);
        let output = on(tool, "-U -p udp -m 7");
        (output.err(), table("-L -f ipv6"))
    });
    assert!(theirs.0.contains("Operation not supported"), "{theirs:?}");
    assert!(theirs.1[0].contains("mark=0"), "{theirs:?}");
    assert!(ours.1[0].contains("mark=7"), "{ours:?}");
}

fn adding_again_updates() {
    let again = format!("{} -m 6", PLAIN.replace("-I", "-A"));
    let [theirs, ours] = both(|tool| {
        done(Tool::Reference, &[PLAIN]);
        let output = on(tool, &again);
        assert_eq!(output.exit, Exit::Code(0));
        (output.err(), table("-L"))
    });
    assert!(
        theirs.0.contains("0 flow entries have been added") && theirs.1[0].contains("mark=0"),
        "{theirs:?}"
    );
    assert!(ours.0.contains("1 flow entries have been added") && ours.1[0].contains("mark=6"), "{ours:?}");
}

fn a_file_that_cannot_be_loaded() {
    let closed = tempfile::NamedTempFile::new().expect("a file");
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o0)).expect("its owner");
    let closed = closed.path().to_str().expect("a path");
    let [theirs, ours] = both(|tool| {
        ["/nonexistent/file", "/dev/null/file", closed, "/proc"].map(|file| {
            let mut command = std::process::Command::new(find("setpriv", "util-linux"));
            command.args(["--bounding-set=-dac_override,-dac_read_search", "--"]);
            command.arg(tool.command().get_program()).args(["-R", file]);
            let output = run(&mut command, b"");
            (file.to_owned(), output.exit, output.err())
        })
    });
    let reasons = ["No such file or directory", "Not a directory", "Permission denied", "Is a directory"];
    for (((file, exit, err), theirs), why) in ours.iter().zip(&theirs).zip(reasons) {
        let words = format!("Failed to open file {file} for reading");
        assert!(*exit == Exit::Code(2) && err.contains(&format!("{words}: {why}\n")), "{exit:?} {err}");
        // The original gives no reason, and for a directory prints nothing at all.
        match file.as_str() {
            "/proc" => assert_eq!((theirs.1, theirs.2.as_str()), (Exit::Code(0), "")),
            _ => assert!(theirs.1 == *exit && theirs.2.contains(&format!("{words}\n")), "{theirs:?}"),
        }
    }
    // An endless file has no second line either; the original would read on.
    let endless = on(Tool::Zct, "-R /dev/zero");
    assert_eq!(endless.exit, Exit::Code(2));
    assert!(endless.err().contains("line too long: more than 10238 bytes (/dev/zero:1)"), "{endless:?}");
}

fn a_flush_that_fails_says_nothing_else() {
    let [theirs, ours] = both(|tool| {
        done(Tool::Reference, &[PLAIN]);
        let mut command = std::process::Command::new(find("setpriv", "util-linux"));
        command.args(["--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"]);
        command.arg(tool.command().get_program()).arg("-F");
        let output = run(&mut command, b"");
        assert_eq!((output.exit, table("-L").len()), (Exit::Code(1), 1));
        output.err()
    });
    for text in [&theirs, &ours] {
        assert!(text.contains("Operation failed: sorry, you must be root"), "{text}");
    }
    assert!(theirs.contains("has been emptied") && !ours.contains("has been emptied"), "{ours}");
}

fn options_of_a_creation_come_in_any_order() {
    let icmp = "-I -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 5 -s 10.0.0.1 -d 10.0.0.2 -t 1000";
    let [theirs, ours] = both(|tool| (on(tool, icmp).exit, table("-L")));
    assert_ne!(theirs.0, Exit::Code(0));
    assert_eq!((ours.0, ours.1.len()), (Exit::Code(0), 1), "{:?}", ours.1);
    assert!(ours.1[0].contains("type=0 code=0 id=5"), "the reply: {:?}", ours.1);

    let reply = "-I -r 10.0.0.2 -q 10.0.0.1 -p udp --sport 1 --dport 2 -t 1000";
    let [theirs, ours] = both(|tool| (on(tool, reply), table("-L")));
    assert!(theirs.1.iter().all(|l| l.starts_with("unknown  0 ")) && !theirs.1.is_empty(), "{theirs:?}");
    assert_eq!((ours.0.exit, ours.1.len()), (Exit::Code(2), 0), "{ours:?}");
}

/// A table that takes so long to read that two commands overlap.
fn many(count: u16) {
    Storm::open().create((1..=count).map(|port| udp([10, 0, 0, 1], [10, 0, 0, 2], port, 53)));
}

fn the_port_of_a_translation_counts() {
    let line = |proto: &str, more: &str| {
        format!("-I -s 10.0.0.1 -d 10.0.0.2 -p {proto} -t 1000 -n 198.51.100.1:4000 {more}")
    };
    let sctp = "--sport 1000 --dport 53 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2";
    for line in [line("udplite", "--sport 1000 --dport 53"), line("sctp", sctp)] {
        let [theirs, ours] = both(|tool| {
            done(tool, &[&line]);
            table("-L")
        });
        assert!(theirs[0].contains("dport=1000"), "{line}: {theirs:?}");
        assert!(ours[0].contains("dport=4000"), "{line}: {ours:?}");
    }
    for line in [line("icmp", "--icmp-type 8 --icmp-code 0"), line("gre", "--srckey 1 --dstkey 2")] {
        let [theirs, ours] = both(|tool| (on(tool, &line), table("-L").len()));
        assert_eq!((theirs.0.exit, theirs.1), (Exit::Code(0), 1), "{line}: {theirs:?}");
        assert_eq!((ours.0.exit, ours.1), (Exit::Code(2), 0), "{line}: {ours:?}");
        let said = ours.0.err();
        assert!(said.contains("`--src-nat' takes an address without a port (`4000')"), "{said}");
    }
}

fn two_deletes_at_once_share_the_work() {
    const FLOWS: u16 = 20_000;
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    many(FLOWS);
    let mut children: Vec<_> = (0..2)
        .map(|_| {
            let mut command = Tool::Zct.command();
            command.args(["-D", "-p", "udp"]).stdout(std::process::Stdio::piped());
            command.stderr(std::process::Stdio::piped()).spawn().expect("zct")
        })
        .collect();
    // Both pipes are read at the same time: either program may be waiting for the other's flows.
    let readers: Vec<_> = children
        .iter_mut()
        .map(|child| {
            let mut stdout = child.stdout.take().expect("a pipe");
            std::thread::spawn(move || {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut stdout, &mut text).expect("text");
                text.lines().count()
            })
        })
        .collect();
    let lines: usize = readers.into_iter().map(|r| r.join().expect("a count")).sum();
    let mut deleted = 0;
    for child in children {
        let output = child.wait_with_output().expect("zct");
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(err.lines().count() == 1 && err.contains("flow entries have been deleted"), "{err}");
        let count: usize = err.split(' ').find_map(|w| w.parse().ok()).expect("a number");
        assert_eq!(output.status.code(), Some(i32::from(count == 0)), "{err}");
        deleted += count;
    }
    assert_eq!((deleted, lines), (usize::from(FLOWS), usize::from(FLOWS)));
    assert_eq!(Kernel::open().count(), 0);
}

/// The ids of the flows with this destination port.
fn ids(port: u16) -> Vec<Option<u32>> {
    let mut ids = Vec::new();
    each_flow(|f| {
        if f.orig().expect("a tuple").and_then(|t| t.dst_port) == Some(port) {
            ids.push(f.id().expect("an id"));
        }
        ControlFlow::Continue(())
    });
    ids
}

fn a_tuple_that_was_used_again_survives() {
    // Between dump and request the flow ends, and its successor has the same tuple. zct has to name the flow
    // that was listed; the original sends the tuple alone, as `Kernel::delete` does.
    let _ns = Netns::fresh();
    let flow = udp([10, 0, 0, 1], [10, 0, 0, 2], 1, 2);
    let mut kernel = Kernel::open();
    kernel.create(&flow).expect("a flow");
    let (first, mut errno) = (ids(2), None);
    each_flow(|f| {
        // The id depends on the tuple and on the place in memory, so other flows are made to take
        // the freed place.
        let mut others = 100..;
        while ids(2) == first {
            kernel.delete(&flow).expect("the first ends");
            let other = udp([10, 0, 0, 1], [10, 0, 0, 2], others.next().expect("no end"), 3);
            kernel.create(&other).expect("another");
            kernel.create(&flow).expect("the second begins");
        }
        let key = f.key().expect("a key");
        let answer = Requests::open().expect("a socket").ask(
            |buf, seq| request::delete(buf, seq, nlm_f::ACK, &key),
            &mut EachFlow(|_: &FlowView<'_>| ControlFlow::Continue(())),
        );
        errno = answer.expect_err("it is another flow").errno();
        // One flow is enough; a second dump might list flows made meanwhile.
        ControlFlow::Break(())
    });
    assert_eq!(errno, Some(nix::errno::Errno::ENOENT as i32));
    assert_eq!(ids(2).len(), 1);
    kernel.delete(&flow).expect("by tuple alone the second ends too");
    assert_eq!(ids(2).len(), 0);
}

fn a_dry_run_changes_nothing() {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    done(Tool::Reference, &[PLAIN, ASSURED, TCP, SIX]);
    assert_eq!(on(Tool::Reference, "-D --dry-run").exit, Exit::Code(2));
    let before = [table("-L -f ipv4"), table("-L -f ipv6")];
    for (line, expected) in [
        ("-D --dry-run", 4),
        ("-D -p udp -f ipv4 --dry-run", 2),
        ("-U -p udp -m 7 --dry-run", 3),
        ("-F --dry-run", 4),
        ("-F -f ipv6 --dry-run", 1),
    ] {
        let output = on(Tool::Zct, line);
        assert_eq!((output.exit, output.lines().len()), (Exit::Code(0), expected), "{line}: {output:?}");
        assert!(output.err().contains("would"), "{line}: {output:?}");
    }
    let file = format!("-D -p udp\n{}\n-F\n", PLAIN.replace("--dport 2", "--dport 77"));
    let output = Tool::Zct.run_with_stdin(&["-R", "-", "--dry-run"], file.as_bytes());
    assert_eq!((output.exit, output.lines().len()), (Exit::Code(0), 8), "{output:?}");
    // Each line is judged by the table as it is now: -D deletes three flows, -F all four.
    assert!(output.err().contains("1 flow entries would be created, 0 updated, 7 deleted"), "{output:?}");
    assert_eq!([table("-L -f ipv4"), table("-L -f ipv6")], before);
}

fn times_have_units() {
    for (time, seconds) in [("1h", 3600), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("90s", 90)] {
        let [theirs, ours] = both(|tool| {
            done(tool, &[&PLAIN.replace("1000", time)]);
            done(Tool::Reference, &["-I -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 3 --dport 4 -t 1000"]);
            done(tool, &[&format!("-U -p udp -f ipv4 --sport 3 -t {time}")]);
            let timeout = |l: &String| l.split_ascii_whitespace().nth(2).and_then(|t| t.parse::<u32>().ok());
            let lines = on(Tool::Reference, "-L").lines();
            lines.iter().filter_map(timeout).collect::<Vec<_>>()
        });
        assert!(theirs.iter().all(|t| *t < 100), "{theirs:?}");
        assert!(
            ours.len() == 2 && ours.iter().all(|t| (seconds / 2..=seconds).contains(t)),
            "{time}: {ours:?}"
        );
    }
}

fn the_timeout_does_not_select() {
    let delete = format!("{} -t 5", PLAIN.replace("-I", "-D").replace(" -t 1000", ""));
    let [theirs, ours] = both(|tool| {
        done(Tool::Reference, &[PLAIN]);
        (on(tool, &delete).exit, table("-L").len())
    });
    assert_eq!([theirs, ours], [(Exit::Code(1), 1), (Exit::Code(0), 0)]);
}

/// A flow with both translations, each with ports of its own, is restored as it was.
#[test]
fn both_translations_and_their_ports_are_restored() {
    let line = "-I -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1000 --dport 53 -n 198.51.100.1:4000 \
                -g 198.51.100.2:5353 -t 1000";
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    done(Tool::Zct, &[line]);
    let before = table("-L");
    assert!(before[0].contains("src=198.51.100.2 dst=198.51.100.1 sport=5353 dport=4000"), "{before:?}");
    let saved = on(Tool::Zct, "-L -o save").stdout;
    done(Tool::Zct, &["-F"]);
    assert_eq!(Tool::Zct.run_with_stdin(&["-R", "-"], &saved).exit, Exit::Code(0));
    assert_eq!(table("-L"), before);
}
