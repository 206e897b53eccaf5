//! What a daemon does to itself: it goes into the background, gives up privileges, sets its scheduling.

use crate::error::Error;
use crate::sys;
use libc::c_int;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// Permission bits that new files do not get (umask(2)). Returns the old mask.
pub fn umask(mask: u32) -> u32 {
    sys::umask(mask)
}

/// The two ends of [`detach`].
#[derive(Debug)]
#[must_use = "both processes go on from here"]
pub enum Detached {
    /// The process that was started: it waits for the child to be ready, and exits.
    Parent(Parent),
    /// The process that goes on as the daemon.
    Child(Child),
}

/// The parent's end: the child's id, and the socket on which it says that it is ready.
#[derive(Debug)]
pub struct Parent {
    /// The child's process id.
    pub pid: u32,
    word: UnixStream,
}

/// The child's end, to say that it is ready.
#[derive(Debug)]
pub struct Child {
    word: UnixStream,
}

/// Forks, and gives the child a session of its own.
///
/// # Errors
/// [`Error::Sys`] of `fork`: EINVAL when the process has more than one thread, because the child would have
/// one thread but the locks of all; EAGAIN past a limit of processes. Also of `socketpair` and `setsid`.
pub fn detach() -> Result<Detached, Error> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(Error::sys("fork", io::Error::from_raw_os_error(libc::EINVAL)));
    }
    let (reader, writer) = UnixStream::pair().map_err(|e| Error::sys("socketpair", e))?;
    match sys::fork().map_err(|e| Error::sys("fork", e))? {
        Some(pid) => Ok(Detached::Parent(Parent { pid, word: reader })),
        None => {
            sys::setsid().map_err(|e| Error::sys("setsid", e))?;
            Ok(Detached::Child(Child { word: writer }))
        }
    }
}

impl Parent {
    /// Waits until the child says that it is ready; false when it ended before that.
    pub fn wait(mut self) -> bool {
        matches!(self.word.read(&mut [0]), Ok(1))
    }
}

impl Child {
    /// Tells the parent that the daemon is ready, and points the standard streams at /dev/null.
    ///
    /// # Errors
    /// [`Error::Sys`] of `open` when /dev/null cannot be opened, of `dup2` when it cannot take the place of a
    /// stream. To the parent this looks like a child that has ended.
    pub fn ready(mut self) -> Result<(), Error> {
        let null = File::options().read(true).write(true).open("/dev/null");
        let null = null.map_err(|e| Error::sys("open", e))?;
        for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
            sys::replace_descriptor(null.as_fd(), stream).map_err(|e| Error::sys("dup2", e))?;
        }
        // If the parent is gone, there is nobody left to tell.
        _ = self.word.write_all(b"1");
        Ok(())
    }
}

/// Locks a file for as long as it is open, here or in a child; false when another process has the lock.
///
/// # Errors
/// [`Error::Sys`] of `flock`: ENOLCK when the kernel has no memory for locks.
pub fn try_lock(file: &File) -> Result<bool, Error> {
    sys::try_lock(file.as_fd()).map_err(|e| Error::sys("flock", e))
}

/// The real-time policies of sched(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// SCHED_RR: threads of the same priority take turns.
    RoundRobin,
    /// SCHED_FIFO: a thread runs until it blocks or one of a higher priority is ready.
    Fifo,
}

/// Asks the kernel for real-time scheduling (sched(7)).
///
/// # Errors
/// [`Error::Sys`] of `sched_setscheduler`: EPERM without CAP_SYS_NICE, EINVAL for a priority outside 1 to 99.
pub fn set_scheduler(policy: Policy, priority: u32) -> Result<(), Error> {
    let policy = match policy {
        Policy::RoundRobin => libc::SCHED_RR,
        Policy::Fifo => libc::SCHED_FIFO,
    };
    let priority = c_int::try_from(priority).unwrap_or(c_int::MAX);
    sys::set_scheduler(policy, priority).map_err(|e| Error::sys("sched_setscheduler", e))
}

/// Sets the nice value, -20 to 19.
///
/// # Errors
/// [`Error::Sys`] of `setpriority`: EACCES for a lower value than now without CAP_SYS_NICE.
pub fn set_nice(nice: i32) -> Result<(), Error> {
    sys::set_nice(nice).map_err(|e| Error::sys("setpriority", e))
}

/// The capabilities a daemon may keep, by their numbers in linux/capability.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Bind ports below 1024.
    NetBindService = 10,
    /// Configure networks: what ctnetlink asks for.
    NetAdmin = 12,
    /// Change one's own scheduling.
    SysNice = 23,
}

const CAP_SETPCAP: u32 = 8;
/// More than any kernel has; the first number that does not exist ends the loop.
const CAPABILITIES: u64 = 64;

/// Gives up all capabilities but `keep`, including those that a later exec would bring. The user id stays,
/// so files of root can still be opened.
///
/// # Errors
/// [`Error::Sys`] of `capget`, `prctl` or `capset`. Some capabilities may have been given up by then.
pub fn keep_capabilities(keep: &[Capability]) -> Result<(), Error> {
    let mut have = sys::capabilities().map_err(|e| Error::sys("capget", e))?;
    // The bounding set can be reduced only with this capability; without it there is little to reduce.
    if have[0].effective & (1 << CAP_SETPCAP) != 0 {
        for capability in 0..CAPABILITIES {
            if keep.iter().any(|k| *k as u64 == capability) {
                continue;
            }
            match sys::process_control(libc::PR_CAPBSET_DROP, capability) {
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => break,
                other => other.map_err(|e| Error::sys("prctl", e))?,
            }
        }
    }
    for (at, words) in have.iter_mut().enumerate() {
        let kept = keep.iter().map(|k| *k as usize).filter(|k| k / 32 == at);
        let mask = kept.fold(0, |mask, k| mask | 1 << (k % 32));
        words.permitted &= mask;
        words.effective = words.permitted;
        words.inheritable = 0;
    }
    sys::set_capabilities(&have).map_err(|e| Error::sys("capset", e))?;
    sys::process_control(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(|e| Error::sys("prctl", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_description_at_a_time() {
        let path = std::env::temp_dir().join(format!("zct-lock-{}", std::process::id()));
        let first = File::create(&path).unwrap();
        let second = File::open(&path).unwrap();
        assert!(try_lock(&first).unwrap());
        assert!(!try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
        std::fs::remove_file(path).unwrap();
    }

    /// In a thread of its own: capabilities belong to threads.
    #[test]
    fn what_is_not_kept_is_gone() {
        std::thread::spawn(|| {
            let had = sys::capabilities().unwrap()[0].permitted;
            keep_capabilities(&[Capability::NetAdmin]).unwrap();
            let now = sys::capabilities().unwrap();
            assert_eq!(now[0].permitted, had & 1 << 12);
            assert_eq!(
                (now[0].effective, now[0].inheritable, now[1]),
                (had & 1 << 12, 0, Default::default())
            );
            // Nothing comes back.
            keep_capabilities(&[Capability::NetAdmin, Capability::SysNice]).unwrap();
            assert_eq!(sys::capabilities().unwrap()[0].permitted, had & 1 << 12);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_process_with_threads_is_not_copied() {
        // The test harness runs tests in threads.
        assert_eq!(detach().unwrap_err().errno(), Some(libc::EINVAL));
    }
}
