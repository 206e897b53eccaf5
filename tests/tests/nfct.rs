//! nfct beside Debian's nfct: the same words have to give the same output, messages, exit code and policies,
//! except for the differences of the table.
//!
//! Helpers belong to no namespace, so the test that makes and deletes them is ignored except on a machine of
//! its own, best a virtual one whose kernel has nfnetlink_cthelper. There, run the tests as root, one at a
//! time: `cargo test -p zct-tests --test nfct -- --include-ignored --test-threads=1`, or without cargo this
//! test's executable with the same two options and `ZCT_BIN=/path/to/zct`.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::process::Command;
use zct_engine::{Error, Lost, Requests, Sink};
use zct_tests::differences::{Ledger, SeenIn};
use zct_tests::etc::PrivateEtc;
use zct_tests::netns::Netns;
use zct_tests::nfct_words::{History, Words, helpers, histories, words};
use zct_tests::program::{Exit, Output, Tool, find, nfct_reference, run, zct};
use zct_tests::rules::nfct::{Case, with_release};
use zct_wire::build::Full;
use zct_wire::header::{ATTRS_AT, CtMsg};
use zct_wire::{cthelper, cttimeout};

/// What the kernel has, message by message as the kernel sends it, with no program to read it for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State(Vec<Vec<u8>>);

impl Sink for State {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        // The headers contain a sequence number and a port, which differ.
        self.0.push(msg.bytes[ATTRS_AT..].to_vec());
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        panic!("a message was lost: {why}");
    }
}

type List = fn(&mut [u8], u32) -> Result<&[u8], Full>;

impl State {
    fn now(list: List) -> Result<State, Error> {
        let mut state = State::default();
        Requests::open()?.dump(list, &mut state)?;
        Ok(state)
    }

    /// The policies of this thread's namespace.
    fn policies() -> State {
        State::now(cttimeout::list)
            .unwrap_or_else(|e| panic!("{e}: does this kernel have nfnetlink_cttimeout?"))
    }
}

fn on(tool: Tool, line: &str) -> Output {
    tool.run(&words(line))
}

/// The original's answer to a line, with the differences applied that ours has to show.
fn reference(words: &[OsString], ledger: &mut Ledger) -> Output {
    let (output, replaced) = with_release(Tool::NfctReference.run(words));
    if replaced {
        ledger.saw("1.4.9 nfct");
    }
    output
}

fn compare(words: &[OsString], ours: &Output, theirs: &Output, ledger: &mut Ledger) -> Option<&'static str> {
    let id = Case { words, theirs, ours }.judge().unwrap_or_else(|report| panic!("{report}"));
    id.iter().for_each(|id| ledger.saw(id));
    id
}

/// Runs a history with ours and with the original, each in its own namespace; returns the number of lines
/// after which there were policies to compare.
fn both(history: &History, ledger: &mut Ledger) -> usize {
    let ours: Vec<(Output, State)> = {
        let _ns = Netns::fresh();
        history.iter().map(|w| (Tool::Nfct.run(w), State::policies())).collect()
    };
    let _ns = Netns::fresh();
    let (mut before, mut some) = (State::default(), 0);
    for (n, (words, (ours, after))) in history.iter().zip(ours).enumerate() {
        let theirs = reference(words, ledger);
        let difference = compare(words, &ours, &theirs, ledger);
        if [Some("Z nfct policy name"), Some("Z nfct seconds")].contains(&difference) {
            // The original goes on with another policy or timeout, so there is nothing left to compare.
            assert_eq!(after, before, "refused, but something changed: nfct {words:?}");
            assert_eq!(n + 1, history.len(), "lines after nfct {words:?}");
            return some;
        }
        assert_eq!(after, State::policies(), "policies after nfct {words:?}");
        some += usize::from(after != State::default());
        before = after;
    }
    some
}

/// Goal: nobody who calls nfct can tell the two apart except by the differences of the table, all of which
/// exist. Method: many lines by both; the policies afterwards are compared as the kernel sends them.
#[test]
fn the_same_words_give_the_same_answers() {
    let mut ledger = Ledger::default();
    let histories = histories();
    let compared: usize = histories.iter().map(Vec::len).sum();
    let with_policies: usize = histories.iter().map(|history| both(history, &mut ledger)).sum();
    println!("{compared} lines compared, after {with_policies} there were policies");
    assert!(compared > 600 && with_policies > 200, "{compared} and {with_policies} are not all lines");
    without_the_file_of_protocols(&mut ledger);
    without_room_for_output(&mut ledger);
    let missing = ledger.missing(SeenIn::Nfct);
    assert!(missing.is_empty(), "intended differences that were not seen: {missing:?}");
}

/// Small systems without the file can set timeouts too.
fn without_the_file_of_protocols(ledger: &mut Ledger) {
    let _ns = Netns::fresh();
    let lines = ["tcp", "udp", "udplite", "icmp", "sctp", "gre", "icmpv6", "generic"]
        .map(|protocol| words(&format!("default-get timeout inet {protocol}")));
    let with = lines.each_ref().map(|line| Tool::NfctReference.run(line));
    let _etc = PrivateEtc::without("protocols");
    for (line, with) in lines.iter().zip(with) {
        assert_eq!((Tool::Nfct.run(line), Exit::Code(0)), (with.clone(), with.exit), "nfct {line:?}");
        if Tool::NfctReference.run(line) != with {
            ledger.saw("Z nfct no protocols");
        }
    }
    let unknown = on(Tool::Nfct, "default-get timeout inet TCP").err();
    assert!(unknown.ends_with(": unknown layer 4 protocol\n"), "{unknown}");
}

/// Times may have units, up to a limit: a policy with the longest time works, and one second more would end
/// flows at once.
#[test]
fn times_have_units_and_a_limit() {
    let _ns = Netns::fresh();
    let shown = |line: &str| {
        let done = on(Tool::Nfct, &format!("default-set timeout inet tcp {line}"));
        assert_eq!((done.exit, done.err()), (Exit::Code(0), String::new()), "{line}");
        let all = on(Tool::NfctReference, "default-get timeout inet tcp").out();
        let of = |state: &str| {
            let line = all.lines().find(|l| l.contains(&format!(".{state} = "))).expect("a state");
            line.split_once(" = ").expect("a value").1.trim_end_matches(',').parse::<u32>().expect("seconds")
        };
        (of("ESTABLISHED"), of("CLOSE"))
    };
    assert_eq!(shown("established 1h close 90s"), (3600, 90));
    assert_eq!(shown("established 1d12h close 5m"), (129_600, 300));
    assert_eq!(shown("established 24d20h31m23s close 0"), (2_147_483, 0));
    let refused = on(Tool::Nfct, "default-set timeout inet tcp close 7 established 99999999").err();
    let start = "unexpected value '99999999' with established: seconds, or with units";
    assert!(refused.contains(start), "{refused}");
    let longest = refused.rsplit_once("at most ").expect("a limit").1.trim_end();
    let longest: u32 = longest.parse().expect("a number");
    assert_eq!(shown(&format!("established {longest}")), (longest, 0));
    let over = on(Tool::Nfct, &format!("default-set timeout inet tcp established {}", longest + 1));
    assert_eq!(over.exit, Exit::Code(1));
}

/// A full disk is reported as a failure.
fn without_room_for_output(ledger: &mut Ledger) {
    let _ns = Netns::fresh();
    on(Tool::Nfct, "add timeout a inet udp replied 1");
    let to_full_disk = |tool: Tool, line: &str| {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let out = tool.command().args(words(line)).stdout(full).output().expect("it starts");
        (String::from_utf8(out.stderr).expect("a message"), Exit::from(out.status))
    };
    let message = "nfct v1.4.9: Cannot write to standard output: No space left on device\n";
    for line in ["list timeout", "get timeout a", "default-get timeout inet udp", "help", "version list"] {
        assert_eq!(to_full_disk(Tool::Nfct, line), (message.into(), Exit::Code(1)), "nfct {line}");
        if line != "help" {
            assert_eq!(
                to_full_disk(Tool::NfctReference, line),
                (String::new(), Exit::Code(0)),
                "nfct {line}"
            );
            ledger.saw("Z nfct output");
        }
    }
}

/// Runs without capabilities. It is started by its path, which therefore has to end in the right name.
fn without_rights(tool: Tool, line: &str) -> Output {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nfct");
    symlink(if tool == Tool::Nfct { zct() } else { nfct_reference() }, &path).expect("a link");
    let mut command = Command::new(find("setpriv", "util-linux"));
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(path).args(words(line));
    run(command.env("LC_ALL", "C"), b"")
}

/// Goal: without the right to ask, or without a subsystem to ask, both print the same first line, and ours
/// adds the way out. Method: a program without capabilities; helpers, if the kernel does not have them.
#[test]
fn refusals_name_the_way_out() {
    let _ns = Netns::fresh();
    for line in
        ["list timeout", "get timeout a", "add timeout a inet tcp close 1", "flush timeout", "list helper"]
    {
        let ours = without_rights(Tool::Nfct, line);
        let theirs = with_release(without_rights(Tool::NfctReference, line)).0;
        let case = Case { words: &words(line), theirs: &theirs, ours: &ours };
        assert_eq!(case.judge(), Ok(Some("Z nfct hint")), "{line}");
        assert!(ours.err().contains("\nIt takes root, or the capability CAP_NET_ADMIN"), "{ours:?}");
    }
    for (line, hint) in [
        ("add timeout a inet tcp", "A policy needs at least one state and its timeout in seconds"),
        ("add timeout a inet tcp close 1", ""),
        ("add timeout a inet tcp close 1", "There is already a policy `a': nfct delete timeout a"),
        ("get timeout b", "There is no policy `b': nfct list timeout shows those there are"),
        ("delete timeout b", "There is no policy `b': nfct list timeout shows those there are"),
        (
            "default-get timeout inet esp",
            "This kernel has no timeouts for protocol `esp'; generic are those of all others",
        ),
    ] {
        let said = on(Tool::Nfct, line).err();
        assert_eq!(said.lines().nth(1).unwrap_or_default(), hint, "{line}");
    }
    let list = on(Tool::Nfct, "list helper");
    let theirs = on(Tool::NfctReference, "list helper");
    assert_eq!(list.exit, theirs.exit, "{list:?}");
    let missing = theirs.err().contains("Invalid argument");
    assert_eq!(list.err().contains("modprobe nfnetlink_cthelper"), missing, "{list:?}");
}

/// Goal: `zct nfct` is nfct, with its own name in what it prints. Method: some lines of each kind.
#[test]
fn the_command_of_zct_is_the_same_program() {
    let _ns = Netns::fresh();
    let by_name = |line: &str| on(Tool::ZctByName, &format!("nfct {line}"));
    assert_eq!(by_name("add timeout a inet gre replied 7").exit, Exit::Code(0));
    for line in ["list timeout", "get timeout a", "default-get timeout inet6 gre"] {
        assert_eq!(by_name(line), on(Tool::NfctReference, line), "{line}");
    }
    let usage = by_name("list");
    let text = "Usage: zct nfct command subsystem [parameters]...\n";
    assert_eq!((usage.err().as_str(), usage.exit), (text, Exit::Code(1)));
    let wrong = by_name("get timeout").err();
    assert!(wrong.starts_with("zct v") && wrong.ends_with(": missing timeout policy name\n"), "{wrong}");
    assert!(by_name("--help").out().contains("\nUsage: zct nfct COMMAND"));
}

/// Goal and method as for policies, but one program after the other: a single list of helpers serves all
/// namespaces, and this test empties it.
#[test]
#[ignore = "deletes every helper of the machine: run it in a virtual machine"]
fn helpers_of_a_machine_of_its_own() {
    let now = || State::now(cthelper::list);
    assert!(now().is_ok(), "{:?}: this test needs a kernel with nfnetlink_cthelper", now());
    let history = helpers();
    let mut ledger = Ledger::default();
    let mut by = |tool: Tool| -> Vec<(Output, State)> {
        on(Tool::NfctReference, "flush helper");
        let mut answer = |w: &Words| match tool {
            Tool::Nfct => tool.run(w),
            _ => reference(w, &mut ledger),
        };
        history.iter().map(|w| (answer(w), now().expect("a list"))).collect()
    };
    let (ours, theirs) = (by(Tool::Nfct), by(Tool::NfctReference));
    for (words, (ours, theirs)) in history.iter().zip(ours.iter().zip(&theirs)) {
        compare(words, &ours.0, &theirs.0, &mut ledger);
        assert_eq!(ours.1, theirs.1, "helpers after nfct {words:?}");
    }
    println!("{} lines compared", history.len());
    with_a_family_alone(&mut ledger);
    on(Tool::NfctReference, "flush helper");
    let missing = ledger.missing(SeenIn::NfctHelpers);
    assert!(missing.is_empty(), "intended differences that were not seen: {missing:?}");
}

/// The original sends protocol 0, so it never finds one.
fn with_a_family_alone(ledger: &mut Ledger) {
    for line in ["add helper rpc inet tcp", "add helper rpc inet udp", "add helper rpc inet6 tcp"] {
        assert_eq!(on(Tool::Nfct, line).exit, Exit::Code(0), "{line}");
    }
    for (line, count) in
        [("get helper rpc inet", 2), ("get helper ftp inet", 0), ("delete helper ftp inet", 0)]
    {
        let theirs = reference(&words(line), ledger);
        let ours = on(Tool::Nfct, line);
        compare(&words(line), &ours, &theirs, ledger);
        assert_eq!(ours.out().matches(".name = rpc").count(), count, "{line}");
        assert_eq!(ours.exit, Exit::Code(i32::from(count == 0)), "{line}: {ours:?}");
    }
    assert_eq!(on(Tool::NfctReference, "delete helper rpc inet").exit, Exit::Code(1));
    assert_eq!(on(Tool::Nfct, "delete helper rpc inet").exit, Exit::Code(0));
    let left = on(Tool::NfctReference, "list helper").out();
    assert!(left.matches(".name = ").count() == 1 && left.contains(".l3protonum = 10"), "{left}");
}
