//! A time of day of its own for a daemon under test: CLOCK_REALTIME has no namespace, and the machine's clock is
//! nobody's to change.

use crate::program::tool;
use std::fs;
use std::path::PathBuf;

/// A library to be loaded into a process: the time of day plus the seconds in a file.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/syscall.h>

int clock_gettime(clockid_t id, struct timespec *t)
{
    long r = syscall(SYS_clock_gettime, id, t);
    if (r == 0 && id == CLOCK_REALTIME) {
        char text[32] = "";
        int fd = open(getenv("JUMP"), O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            if (read(fd, text, sizeof text - 1) > 0)
                t->tv_sec += atol(text);
            close(fd);
        }
    }
    return (int)r;
}
"#;

/// A clock that is so many seconds ahead of the machine's, or behind it.
#[derive(Debug)]
pub struct Clock {
    dir: tempfile::TempDir,
    words: [String; 3],
}

impl Clock {
    /// One that is right.
    ///
    /// # Panics
    /// Without a C compiler.
    pub fn new() -> Clock {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name).to_str().expect("a path").to_owned();
        let (source, library) = (path("clock.c"), path("clock.so"));
        fs::write(&source, CLOCK).expect("a file");
        tool("cc", &["-shared", "-fPIC", "-o", &library, &source]);
        let words = ["env".into(), format!("LD_PRELOAD={library}"), format!("JUMP={}", path("jump"))];
        let clock = Clock { dir, words };
        clock.set(0);
        clock
    }

    fn jump(&self) -> PathBuf {
        self.dir.path().join("jump")
    }

    /// Sets it this much ahead, also for processes that run.
    pub fn set(&self, seconds: i64) {
        // In one step: a process that reads half a number would be somewhere else.
        let new = self.dir.path().join("new");
        fs::write(&new, seconds.to_string()).and_then(|()| fs::rename(new, self.jump())).expect("a file");
    }

    /// Sets it to this time, in seconds since 1970, from where it goes on.
    pub fn set_to(&self, time: i64) {
        self.set(time - now());
    }

    /// What a command has to begin with to have this clock.
    pub fn words(&self) -> [&str; 3] {
        self.words.each_ref().map(String::as_str)
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

/// The machine's time in seconds since 1970.
///
/// # Panics
/// On a machine that is set to a time before that.
pub fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_secs() as i64
}
