//! Progress of long work: on a terminal, where it makes way for everything else and is gone in the end, and
//! nowhere else.
//!
//! The work takes long here because nobody reads the program's output. The program has begun once it waits to
//! write. After longer than it takes for progress to be shown, a piece of the output is read, and the program
//! has to say how far it is before it waits again.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use zct_tests::netns::Netns;
use zct_tests::program::zct;
use zct_tests::seed::{Storm, udp};
use zct_tests::tmux::Tmux;

/// So many that their lines fill the program's buffer, and the pipes, several times.
const FLOWS: u32 = 12_000;
/// Longer than work has to take before progress is shown.
const LONG: Duration = Duration::from_millis(600);
/// More bytes than the program collects before it writes, and fewer than it writes in all.
const PIECE: usize = 300 << 10;

struct World {
    _ns: Netns,
    dir: TempDir,
}

fn world() -> World {
    let ns = Netns::fresh();
    Storm::open().create((0..FLOWS).map(|n| {
        let [_, _, a, b] = n.to_be_bytes();
        udp([10, 0, a, b], [192, 0, 2, 1], 1000, 53)
    }));
    World { _ns: ns, dir: tempfile::tempdir().expect("a directory") }
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of lines, each of which creates a flow that is not there yet.
    fn lines(&self) -> String {
        let line = |n: u32| {
            let [_, _, a, b] = n.to_be_bytes();
            format!("-A -s 10.1.{a}.{b} -d 192.0.2.1 -p udp --sport 1000 --dport 53 -t 100000\n")
        };
        let file = self.path("lines");
        std::fs::write(&file, (0..FLOWS).map(line).collect::<String>()).expect("a file");
        file.display().to_string()
    }

    /// The shell command that runs zct with these words, its output in the pipe of [`World::output`], and its
    /// standard error where `stderr` redirects it to, if anywhere.
    fn command(&self, words: &str, stderr: &str) -> String {
        let (zct, pipe) = (zct().display(), self.path("pipe"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        format!("echo before; {zct} {words} {stderr} >{}; echo exit $?", pipe.display())
    }

    fn output(&self) -> Slow {
        // Opening the pipe here would wait for zct to open it, even if zct failed before that.
        let mut cat = Command::new("cat").arg(self.path("pipe")).stdout(Stdio::piped()).spawn().expect("cat");
        let out = BufReader::with_capacity(1, cat.stdout.take().expect("a pipe"));
        Slow { cat, out }
    }
}

struct Slow {
    cat: Child,
    out: BufReader<ChildStdout>,
}

impl Slow {
    /// Lets the program wait for a long time, then takes a piece of what it writes.
    fn take_slowly(&mut self) {
        assert!(!self.out.fill_buf().expect("output").is_empty(), "it has begun");
        std::thread::sleep(LONG);
        let mut piece = vec![0; PIECE];
        self.out.read_exact(&mut piece).expect("a piece of the output");
    }

    /// Takes all the rest.
    fn finish(mut self) {
        std::io::copy(&mut self.out, &mut std::io::sink()).expect("the rest of the output");
        assert!(self.cat.wait().expect("cat").success());
    }
}

/// Whether the line is a count, `of` and the number of all if that is known in advance, and then `rest`.
fn is_count(line: &str, all: Option<u32>, rest: &str) -> bool {
    let Some((count, of)) = line.split_once(' ') else { return false };
    count.parse::<u32>().is_ok_and(|n| n > 0 && n <= FLOWS)
        && of.starts_with(&all.map_or(rest.to_owned(), |all| format!("of {all} {rest}")))
}

/// Runs it on a terminal: `shown` has to be there while it runs, and `end` alone afterwards.
fn on_a_terminal(words: impl Fn(&World) -> String, shown: impl Fn(&str) -> bool, end: &str) {
    let world = world();
    let tmux = Tmux::start(150, 24, &world.command(&words(&world), ""));
    let mut output = world.output();
    output.take_slowly();
    let screen = tmux.wait("progress", |s| s.iter().any(|l| shown(l)));
    assert_eq!(screen[0], "before", "{screen:?}");
    assert!(screen[2..].iter().all(String::is_empty), "one line: {screen:?}");
    output.finish();
    let screen = tmux.wait_for("exit ");
    let lines: Vec<&String> = screen.iter().filter(|l| !l.is_empty()).collect();
    assert!(lines.len() == 3 && lines[1].ends_with(end) && *lines[2] == "exit 0", "{screen:?}");
}

#[test]
fn a_deletion_says_how_many_flows_are_read_and_deleted() {
    let words = |_: &World| "-D -p udp --reader=netlink --kernel-filter=never".to_owned();
    let shown = |line: &str| is_count(line, Some(FLOWS), "flows read, ") && line.ends_with(" deleted");
    on_a_terminal(words, shown, &format!(": {FLOWS} flow entries have been deleted."));
}

#[test]
fn the_kernel_is_asked_for_a_part_whose_size_is_not_known() {
    let words = |_: &World| "-D -f ipv4 -p udp --reader=netlink --dry-run".to_owned();
    let shown = |line: &str| is_count(line, None, "flows read, ") && line.ends_with(" would be deleted");
    on_a_terminal(words, shown, &format!(": {FLOWS} flow entries would be deleted."));
}

#[test]
fn flows_that_bpf_has_found_are_counted_too() {
    let words = |_: &World| "-D --all --reader=bpf".to_owned();
    let shown = |line: &str| is_count(line, None, "flows read, ") && line.ends_with(" deleted");
    on_a_terminal(words, shown, &format!(": {FLOWS} flow entries have been deleted."));
}

#[test]
fn an_update_says_how_many_flows_are_read_and_updated() {
    let words = |_: &World| "-U -p udp -m 7 --reader=netlink --kernel-filter=never".to_owned();
    let shown = |line: &str| is_count(line, Some(FLOWS), "flows read, ") && line.ends_with(" updated");
    on_a_terminal(words, shown, &format!(": {FLOWS} flow entries have been updated."));
}

#[test]
fn so_does_reconcile() {
    let words = |world: &World| {
        let keep = world.path("keep");
        std::fs::write(&keep, "203.0.113.1\n").expect("a file");
        format!("reconcile --keep-dst @{} -p udp --reader=netlink", keep.display())
    };
    // The list has addresses of one family only, so the kernel is asked for that family's flows.
    let shown = |line: &str| is_count(line, None, "flows read, ") && line.ends_with(" deleted");
    on_a_terminal(words, shown, &format!(": {FLOWS} flow entries have been deleted."));
}

#[test]
fn a_batch_file_says_how_many_lines_are_done() {
    let words = |world: &World| format!("-R {} --dry-run", world.lines());
    let end =
        format!("dry run: {FLOWS} flow entries would be created, 0 updated, 0 deleted; 0 lines would fail.");
    on_a_terminal(words, |line| is_count(line, Some(FLOWS), "lines"), &end);
}

/// Runs it slowly in a terminal, and returns what stands between the first line and the last.
fn said(environment: &str, words: &str, stderr: &str) -> Vec<String> {
    let world = world();
    let command = world.command(&format!("{words} --reader=netlink"), stderr);
    let tmux = Tmux::start(150, 24, &format!("{environment} cd {}; {command}", world.dir.path().display()));
    let mut output = world.output();
    output.take_slowly();
    output.finish();
    let screen = tmux.wait_for("exit 0");
    let mut lines: Vec<String> = screen.into_iter().filter(|l| !l.is_empty()).collect();
    assert_eq!(lines.pop().as_deref(), Some("exit 0"));
    assert_eq!(lines.remove(0), "before");
    if let Ok(file) = std::fs::read_to_string(world.path("said")) {
        lines.extend(file.lines().map(str::to_owned));
    }
    lines
}

#[test]
fn nothing_is_shown_where_standard_error_is_no_terminal_or_a_dumb_one() {
    for words in ["-D -p udp", "-U -p udp -m 7"] {
        let what = if words.starts_with("-D") { "deleted" } else { "updated" };
        for (environment, stderr) in [("", "2>said"), ("export TERM=dumb;", ""), ("unset TERM;", "")] {
            let said = said(environment, words, stderr);
            let ends = format!(": {FLOWS} flow entries have been {what}.");
            assert!(said.len() == 1 && said[0].ends_with(&ends), "{environment}{words} {stderr}: {said:?}");
            assert!(!said[0].contains(['\r', '\x1b']), "{said:?}");
        }
    }
}
