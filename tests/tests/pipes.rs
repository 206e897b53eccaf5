//! Where output goes and who asks: full disks, readers that go away, signals, and missing privileges.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use zct_tests::listener::{FLOW_GROUPS, joined};
use zct_tests::netns::Netns;
use zct_tests::program::{DEADLINE, Exit, Output, Tool, find, reference, run, zct};
use zct_tests::seed::{Kernel, Storm, udp};

const GET: [&str; 11] =
    ["-G", "-p", "udp", "-s", "10.0.0.1", "-d", "10.0.0.2", "--sport", "1", "--dport", "2"];

fn one_flow() -> Netns {
    let ns = Netns::fresh();
    Kernel::open().create(&udp([10, 0, 0, 1], [10, 0, 0, 2], 1, 2)).expect("a flow");
    ns
}

/// Runs with standard output on a device that is always full.
fn to_full_disk(tool: Tool, args: &[&str]) -> Output {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = tool.command();
    let child = command.args(args).stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it starts");
    let mut stderr = Vec::new();
    child.stderr.take().expect("a pipe").read_to_end(&mut stderr).expect("read");
    Output { stdout: Vec::new(), stderr, exit: child.wait().expect("wait").into() }
}

/// The difference "Z output".
#[test]
fn a_full_disk_is_an_error() {
    let _ns = one_flow();
    let message =
        "conntrack v1.4.9 (conntrack-tools): Cannot write to standard output: No space left on device\n";
    let commands: [&[&str]; 9] = [
        &["-L"],
        &["-L", "-o", "xml"],
        &["-L", "-o", "save"],
        &["-L", "-o", "json"],
        &GET,
        &["-C"],
        &["-S"],
        &["-V"],
        &["-h"],
    ];
    for args in commands {
        let ours = to_full_disk(Tool::Zct, args);
        assert_eq!((ours.err().as_str(), ours.exit), (message, Exit::Code(1)), "{args:?}");
        if !args.contains(&"json") {
            assert_eq!(
                to_full_disk(Tool::Reference, args).exit,
                Exit::Code(0),
                "{args:?}: the original cares"
            );
        }
    }
    // Printing nothing cannot fail.
    let empty = to_full_disk(Tool::Zct, &["-L", "-p", "tcp"]);
    assert_eq!(empty.exit, Exit::Code(0), "{empty:?}");
}

#[test]
fn events_to_a_full_disk_end_with_an_error() {
    let _ns = Netns::fresh();
    let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = Tool::Zct.command();
    let mut child = command.arg("-E").stdout(full).stderr(Stdio::piped()).spawn().expect("it starts");
    listening(&mut child);
    Kernel::open().create(&udp([10, 0, 0, 1], [10, 0, 0, 2], 1, 2)).expect("a flow");
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("read");
    assert!(said.ends_with("Cannot write to standard output: No space left on device\n"), "{said}");
    assert_eq!(Exit::from(child.wait().expect("wait")), Exit::Code(1));
}

#[test]
fn without_a_standard_output_it_works_and_prints_nowhere() {
    let _ns = one_flow();
    for tool in [Tool::Reference, Tool::Zct] {
        let program = if tool == Tool::Zct { zct() } else { reference() };
        let mut command = Command::new(find("sh", "dash"));
        command.args(["-c", "exec \"$0\" -L >&-"]).arg(program);
        let output = run(&mut command, b"");
        assert_eq!((output.out().as_str(), output.exit), ("", Exit::Code(0)), "{tool:?}: {output:?}");
        assert!(output.err().ends_with("1 flow entries have been shown.\n"), "{tool:?}: {output:?}");
    }
}

/// Waits until the child has joined the groups of flow events.
fn listening(child: &mut Child) {
    let end = Instant::now() + DEADLINE;
    while joined(child.id()) != Some(FLOW_GROUPS) {
        assert!(Instant::now() < end && child.try_wait().expect("wait").is_none(), "it does not listen");
        std::thread::yield_now();
    }
}

/// A table whose listing fills any pipe.
fn large_table() -> Netns {
    let ns = Netns::fresh();
    let flow = |n: u16| udp([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]], [192, 0, 2, 1], 1000, 53);
    Storm::open().create((0..20_000).map(flow));
    ns
}

fn listing(tool: Tool) -> Child {
    let mut command = tool.command();
    command
        .arg("-L")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// What the child wrote to standard error, and how it ended.
fn rest(mut child: Child) -> (String, Exit) {
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("read");
    (said, child.wait().expect("wait").into())
}

#[test]
fn a_reader_that_goes_away_ends_a_listing_silently() {
    let _ns = large_table();
    for tool in [Tool::Reference, Tool::Zct] {
        let mut child = listing(tool);
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut [0; 4096]).expect("the beginning");
        drop(stdout);
        let (said, exit) = rest(child);
        assert_eq!(exit, Exit::Signal(Signal::SIGPIPE as i32), "{tool:?}: {said}");
        assert!(!said.contains("shown") && !said.contains("write"), "{tool:?}: {said}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_events_silently() {
    let _ns = Netns::fresh();
    for tool in [Tool::Reference, Tool::Zct] {
        let mut command = tool.command();
        let mut child =
            command.arg("-E").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        listening(&mut child);
        drop(child.stdout.take());
        let mut kernel = Kernel::open();
        // Writing the first event fails, which ends the program.
        kernel.create(&udp([10, 0, 0, 1], [10, 0, 0, 2], 1, 2)).expect("a flow");
        let (said, exit) = rest(child);
        assert_eq!((said.as_str(), exit), ("", Exit::Signal(Signal::SIGPIPE as i32)), "{tool:?}");
        kernel.flush();
    }
}

#[test]
fn a_signal_ends_a_listing_at_once() {
    let _ns = large_table();
    for tool in [Tool::Reference, Tool::Zct] {
        let mut child = listing(tool);
        // It has begun to write, and nobody reads on: without the signal it would wait forever.
        child.stdout.as_mut().expect("a pipe").read_exact(&mut [0; 4096]).expect("the beginning");
        kill(Pid::from_raw(i32::try_from(child.id()).expect("pids are small")), Signal::SIGINT)
            .expect("kill");
        let exit: Exit = child.wait().expect("wait").into();
        assert_eq!(exit, Exit::Signal(Signal::SIGINT as i32), "{tool:?}");
    }
}

/// Runs without the right to ask about connections, even inside a user namespace.
fn without_privilege(tool: Tool, args: &[&str]) -> Output {
    let program = if tool == Tool::Reference { reference() } else { zct() };
    let mut command = Command::new(find("setpriv", "util-linux"));
    command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
    // setpriv starts a program by its path; the shell in between sets the name that messages begin with.
    command.args(["bash", "-c", "exec -a conntrack \"$0\" \"$@\""]).arg(program).args(args);
    command.env("LC_ALL", "C").arg0("setpriv");
    run(&mut command, b"")
}

#[test]
fn without_privilege_the_words_are_the_original_s() {
    let _ns = one_flow();
    let create = "-I -p udp -s 1.1.1.1 -d 2.2.2.2 --sport 1 --dport 2 -t 10";
    let add = create.replace("-I", "-A");
    let lines = [
        "-L",
        "-L expect",
        "-L dying",
        "-G",
        "-D",
        "-U -m 1",
        create,
        &add,
        "-C",
        "-C expect",
        "-S",
        "-S expect",
        "-V",
        "-E expect",
    ];
    for line in lines {
        let args: Vec<&str> = if line == "-G" { GET.to_vec() } else { line.split(' ').collect() };
        let mut theirs = without_privilege(Tool::Reference, &args);
        theirs.stdout = theirs.out().replace("v1.4.7", "v1.4.9").into();
        theirs.stderr = theirs.err().replace("v1.4.7", "v1.4.9").into();
        assert_eq!(without_privilege(Tool::Zct, &args), theirs, "{line}");
    }
    let denied = "Operation failed: sorry, you must be root or get CAP_NET_ADMIN capability to do this\n";
    for line in ["-L", "-F", "-F expect"] {
        // The original first claims that it has emptied the table (W23).
        let ours = without_privilege(Tool::Zct, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(ours.err(), format!("conntrack v1.4.9 (conntrack-tools): {denied}"), "{line}");
        assert_eq!(ours.exit, Exit::Code(1));
    }
    assert_eq!(Tool::Reference.run(&["-C"]).out(), "1\n", "something was changed without the right to");
}

/// The difference "Z denied".
#[test]
fn without_privilege_events_say_what_is_missing() {
    let _ns = Netns::fresh();
    let (theirs, ours) = (without_privilege(Tool::Reference, &["-E"]), without_privilege(Tool::Zct, &["-E"]));
    let shared = theirs.err().trim_end().replace("v1.4.7", "v1.4.9");
    assert_eq!(ours.err(), format!("{shared}: listening to events needs CAP_NET_ADMIN\n"));
    assert_eq!((ours.exit, theirs.exit), (Exit::Code(1), Exit::Code(1)));
}

#[test]
fn messages_can_be_followed_on_standard_error() {
    let _ns = one_flow();
    let follow =
        |words: &str, args: &[&str]| run(Tool::ZctByName.command().args(args).env("ZCT_DEBUG", words), b"");
    let plain = Tool::ZctByName.run(&GET);
    let followed = follow("netlink", &GET);
    // The rest of the line tells the seconds that are left.
    let shown = |o: &Output| (o.exit, o.out().contains(" src=10.0.0.1 dst=10.0.0.2 "), o.lines().len());
    assert_eq!([shown(&plain), shown(&followed)], [(Exit::Code(0), true, 1); 2], "{followed:?}");
    assert!(!plain.err().contains("netlink "), "{}", plain.err());
    let told: Vec<String> =
        followed.err().lines().filter(|l| l.starts_with("netlink ")).map(str::to_owned).collect();
    // A request, the flow, and the acknowledgement, each with the number of the request.
    let parts = [
        ["sent type=IPCTNL_MSG_CT_GET", "(REQUEST|ACK)", " len="],
        ["received type=IPCTNL_MSG_CT_NEW", " flags=", " len="],
        ["received type=NLMSG_ERROR", " len=", " errno=0"],
    ];
    assert_eq!(told.len(), parts.len(), "{told:#?}");
    for (line, parts) in told.iter().zip(parts) {
        assert!(parts.iter().all(|part| line.contains(part)) && line.contains(" seq=1 "), "{line}");
    }
    let refused = follow("netlink", &["-D", "-p", "udp", "-s", "10.0.0.9"]).err();
    assert!(refused.contains(" sent type=IPCTNL_MSG_CT_GET flags=0x301(REQUEST) "), "{refused}");
    assert!(refused.contains(" received type=NLMSG_DONE "), "{refused}");
    // A word that means nothing is not kept quiet about, and stops nobody.
    let wrong = follow("netlnk", &GET);
    assert_eq!(shown(&wrong), shown(&plain), "{wrong:?}");
    assert!(wrong.err().starts_with("zct: ZCT_DEBUG: there is nothing called `netlnk'"), "{}", wrong.err());
}
