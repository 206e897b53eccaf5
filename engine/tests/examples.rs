//! The examples on the real kernel, in a network namespace of their own.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use zct_engine::{Lost, Requests, Sink};
use zct_wire::consts::{af, ipproto, ips, nlm_f};
use zct_wire::header::CtMsg;
use zct_wire::request::{NewFlow, new_flow};
use zct_wire::tuple::{Addr, Tuple};

/// Set for the process that is inside the namespace.
const INSIDE: &str = "ZCT_EXAMPLES_INSIDE";

/// The program of an example, which cargo has built beside this test.
fn example(name: &str) -> Command {
    let test = env::current_exe().expect("this program");
    let built: PathBuf = test.ancestors().nth(2).expect("target/PROFILE").join("examples").join(name);
    assert!(built.exists(), "{}: cargo test builds it", built.display());
    Command::new(built)
}

fn output(command: &mut Command) -> (bool, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("a program that starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.success(), text(stdout), text(stderr))
}

struct Nothing;

impl Sink for Nothing {
    fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    fn lost(&mut self, why: Lost) {
        panic!("{why}");
    }
}

/// Makes a UDP flow from 10.0.0.`last`.
fn make(last: u8) {
    let orig = Tuple {
        src: Some(Addr::V4([10, 0, 0, last])),
        dst: Some(Addr::V4([192, 0, 2, 7])),
        proto: Some(ipproto::UDP),
        src_port: Some(1000),
        dst_port: Some(53),
        ..Tuple::default()
    };
    let flow = NewFlow::default().with(|it| {
        it.family = af::INET;
        it.orig = Some(orig);
        it.reply = orig.inverse();
        it.timeout_s = Some(300);
        it.status = Some(ips::CONFIRMED);
    });
    let flags = nlm_f::CREATE | nlm_f::EXCL | nlm_f::ACK;
    let made =
        Requests::open().and_then(|mut r| r.ask(|b, seq| new_flow(b, seq, flags, &flow), &mut Nothing));
    made.expect("a flow");
}

#[test]
fn the_examples_do_what_they_say() {
    if env::var_os(INSIDE).is_some() {
        return inside();
    }
    let mut again = Command::new("unshare");
    again.arg("--net").arg(env::current_exe().expect("this program"));
    again.args(["--exact", "the_examples_do_what_they_say", "--nocapture"]).env(INSIDE, "1");
    let (done, out, err) = output(&mut again);
    assert!(done, "{out}{err}");
    assert!(out.contains("1 passed"), "{out}");
}

fn inside() {
    let mut watch = example("watch")
        .arg("3")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example watch");
    // It says so when it has joined its groups: nothing is missed from here on.
    let mut said = String::new();
    BufReader::new(watch.stderr.as_mut().expect("a pipe")).read_line(&mut said).expect("a line");
    assert_eq!(said, "watching\n");

    make(1);
    make(2);
    let (done, list, _) = output(&mut example("list"));
    assert!(done && list.lines().count() == 2, "{list}");
    let one = "src=10.0.0.1 dst=192.0.2.7 sport=1000 dport=53 [UNREPLIED]";
    let (done, list, _) = output(example("list").arg("10.0.0.1"));
    assert!(done && list.lines().count() == 1 && list.contains(one), "{list}");

    let words = ["udp", "10.0.0.1:1000", "192.0.2.7:53"];
    assert_eq!(output(example("delete").args(words)), (true, String::new(), String::new()));
    let gone = output(example("delete").args(words));
    assert_eq!(gone, (false, String::new(), "there is no such flow\n".into()));
    let (_, list, _) = output(&mut example("list"));
    assert!(list.lines().count() == 1 && list.contains("src=10.0.0.2"), "{list}");

    let Output { status, stdout, .. } = watch.wait_with_output().expect("the example watch");
    let events = String::from_utf8(stdout).expect("text");
    let kinds: Vec<_> = events.lines().filter_map(|l| l.split_whitespace().next()).collect();
    assert!(status.success() && kinds == ["new", "new", "destroy"], "{events}");
}
