//! A private `/etc` for both programs, with label names or with files missing, that leaves the machine's own
//! files alone.
//!
//! The original reads `/etc/xtables/connlabel.conf` and takes no other path, so the file has to be there, but
//! only for this thread and the programs it starts. A mount namespace does that: `/etc` becomes a directory
//! of links to what was there, with one name replaced or left out.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::marker::PhantomData;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// This thread's view of `/etc`, until it is dropped.
#[derive(Debug)]
pub struct PrivateEtc {
    before: File,
    /// A directory that is empty outside the namespace; inside, everything is mounted on it.
    base: PathBuf,
    _this_thread: PhantomData<*const ()>,
}

const NONE: Option<&str> = None;

impl PrivateEtc {
    /// Gives this thread an `/etc` with these label names: lines of `BIT NAME`. `None` means no such file.
    pub fn with_labels(labels: Option<&str>) -> PrivateEtc {
        PrivateEtc::of("xtables", |ours| {
            let xtables = ours.join("xtables");
            fs::create_dir(&xtables).expect("a directory");
            if let Some(text) = labels {
                fs::write(xtables.join("connlabel.conf"), text).expect("the label file");
            }
        })
    }

    /// Gives this thread an `/etc` in which this file has this text.
    pub fn with_file(name: &str, text: &str) -> PrivateEtc {
        PrivateEtc::of(name, |ours| fs::write(ours.join(name), text).expect("the file"))
    }

    /// Gives this thread an `/etc` in which this name is missing.
    pub fn without(name: &str) -> PrivateEtc {
        PrivateEtc::of(name, |_| {})
    }

    /// Keeps all of `/etc` but one name, which `make` may put into the new directory.
    fn of(name: &str, make: impl FnOnce(&Path)) -> PrivateEtc {
        let before = File::open("/proc/thread-self/ns/mnt").expect("/proc is mounted");
        let base =
            tempfile::Builder::new().prefix("zct-etc-").tempdir().expect("a temporary directory").keep();
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        // From here on, nothing we mount shows elsewhere, and all of it disappears with this thread.
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).expect("private mounts");
        mount(Some("none"), &base, Some("tmpfs"), MsFlags::empty(), NONE).expect("tmpfs");
        let (real, ours) = (base.join("real"), base.join("etc"));
        fs::create_dir(&real).and_then(|()| fs::create_dir(&ours)).expect("directories");
        mount(Some("/etc"), &real, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE).expect("the real /etc");
        link_all(&real, &ours, name);
        make(&ours);
        mount(Some(&ours), "/etc", NONE, MsFlags::MS_BIND, NONE).expect("our /etc");
        PrivateEtc { before, base, _this_thread: PhantomData }
    }
}

fn link_all(from: &Path, to: &Path, but: &str) {
    for entry in fs::read_dir(from).expect("/etc can be read").flatten() {
        if entry.file_name() != but {
            symlink(entry.path(), to.join(entry.file_name())).expect("a link");
        }
    }
}

/// Threads started from this one share its root and working directory, and setns refuses to move
/// such a thread.
fn move_to(ns: &File) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_FS)?;
    setns(ns, CloneFlags::CLONE_NEWNS)
}

impl Drop for PrivateEtc {
    fn drop(&mut self) {
        // Outside the namespace the directory is empty, and `remove_dir` removes only an empty one.
        if move_to(&self.before).is_ok() {
            _ = fs::remove_dir(&self.base);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Exit, run};
    use std::process::Command;

    #[test]
    fn only_this_thread_and_its_children_see_the_file() {
        let cat = || run(Command::new("cat").arg("/etc/xtables/connlabel.conf"), b"");
        let machine = fs::read("/etc/xtables/connlabel.conf").ok();
        {
            let etc = PrivateEtc::with_labels(Some("0 zero\n"));
            assert_eq!(cat().out(), "0 zero\n");
            assert!(Path::new("/etc/passwd").exists());
            let outside = std::thread::scope(|s| {
                let other = s.spawn(|| {
                    move_to(&etc_before()).expect("setns");
                    fs::read("/etc/xtables/connlabel.conf").ok()
                });
                other.join().expect("no panic")
            });
            assert_eq!(outside, machine);
            assert!(etc.base.exists());
        }
        assert_eq!(fs::read("/etc/xtables/connlabel.conf").ok(), machine);
        {
            let _none = PrivateEtc::with_labels(None);
            assert_ne!(cat().exit, Exit::Code(0));
        }
        let _less = PrivateEtc::without("passwd");
        assert!(!Path::new("/etc/passwd").exists() && Path::new("/etc/group").exists());
    }

    fn etc_before() -> File {
        // The first thread of the process is still in the machine's namespace.
        File::open(format!("/proc/{}/ns/mnt", std::process::id())).expect("/proc")
    }
}
