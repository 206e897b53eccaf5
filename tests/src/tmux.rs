//! A real terminal for programs that draw on one: a tmux server of its own, in this thread's namespace.
//!
//! Nothing here depends on how long anything takes: a test types, and waits until the screen shows what it
//! has to.

use crate::program::{DEADLINE, Output, find, run};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time between two looks at the screen.
const PAUSE: Duration = Duration::from_millis(20);

/// A terminal with a shell command in it; it ends when this is dropped.
#[derive(Debug)]
pub struct Tmux {
    dir: TempDir,
    program: PathBuf,
}

impl Tmux {
    /// A terminal of this size in which `sh -c` runs the command. When the command has ended, its last screen
    /// stays.
    ///
    /// # Panics
    /// When tmux is missing or does not start.
    pub fn start(width: u16, height: u16, command: &str) -> Tmux {
        let tmux = Tmux { dir: tempfile::tempdir().expect("a directory"), program: find("tmux", "tmux") };
        let (width, height) = (width.to_string(), height.to_string());
        // What is drawn must not depend on whoever runs the tests.
        let command = format!("unset NO_COLOR; {command}; cat");
        let new = ["new-session", "-d", "-x", &width, "-y", &height, "sh", "-c", &command];
        tmux.ask(&new);
        tmux
    }

    fn ask(&self, words: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(self.dir.path().join("socket")).args(words);
        let output = run(command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh"), b"");
        assert!(output.err().is_empty(), "tmux {words:?}: {output:?}");
        output
    }

    /// Types: names of keys as tmux knows them, or text.
    pub fn keys(&self, keys: &[&str]) {
        self.ask(&[&["send-keys"], keys].concat());
    }

    /// Gives the terminal another size.
    pub fn resize(&self, width: u16, height: u16) {
        self.ask(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// What the screen shows, without blanks at the ends of lines.
    pub fn screen(&self) -> Vec<String> {
        self.ask(&["capture-pane", "-p"]).lines()
    }

    /// The same with the escape sequences of its colours.
    pub fn colours(&self) -> String {
        self.ask(&["capture-pane", "-p", "-e"]).out()
    }

    /// The process that the shell has started, once there is one.
    pub fn child(&self) -> i32 {
        let shell = self.ask(&["display-message", "-p", "#{pane_pid}"]).out();
        let shell = shell.trim();
        let path = format!("/proc/{shell}/task/{shell}/children");
        let until = Instant::now() + DEADLINE;
        loop {
            let children = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            if let Some(pid) = children.split_ascii_whitespace().next() {
                return pid.parse().expect("a number");
            }
            assert!(Instant::now() < until, "the shell has no child");
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until the screen is as it should be, and returns it.
    ///
    /// # Panics
    /// When it never is: `what` says what was waited for.
    pub fn wait(&self, what: &str, right: impl Fn(&[String]) -> bool) -> Vec<String> {
        let until = Instant::now() + DEADLINE;
        loop {
            let screen = self.screen();
            if right(&screen) {
                return screen;
            }
            assert!(Instant::now() < until, "{what}: the screen is\n{}", screen.join("\n"));
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until some line contains the text.
    pub fn wait_for(&self, text: &str) -> Vec<String> {
        self.wait(text, |screen| screen.iter().any(|l| l.contains(text)))
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("-S").arg(self.dir.path().join("socket")).arg("kill-server");
        // It may have ended by itself.
        _ = command.output();
    }
}
