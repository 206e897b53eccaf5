//! The lock file: only one daemon at a time, and a dead one's leftovers are not in the way
//! (conntrackd.md §2).
//!
//! The original only creates the file, and after a crash somebody has to remove it. Here the file is also
//! locked for as long as the process lives. So a file without a lock is a leftover, unless an original lives
//! behind it, which then answers on its control socket.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use zct_engine::Error;
use zct_engine::process::try_lock;
use zct_engine::write_file::{self, How, WriteError};

/// The lock, while it is held.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    // Locked for as long as it is open.
    file: File,
    /// True if it replaced the lock of a dead process.
    pub replaced: bool,
}

/// Why the lock cannot be had.
#[derive(Debug)]
pub enum LockError {
    /// Another daemon holds it.
    Held,
    /// There is a directory, a pipe or a device of that name.
    NoFile,
    /// The file cannot be created.
    Unwritten(WriteError),
    /// It cannot be locked, and not because somebody holds the lock.
    Unlocked(Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held => f.write_str("a daemon holds it"),
            LockError::NoFile => f.write_str("it is no plain file"),
            LockError::Unwritten(e) => f.write_str(&reason(e)),
            LockError::Unlocked(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for LockError {}

impl Lock {
    /// Takes the lock, from a dead process if need be. `control` is where a living one would answer.
    ///
    /// # Errors
    /// [`LockError`] says what is in the way.
    pub fn take(path: &Path, control: &Path) -> Result<Lock, LockError> {
        let (file, replaced) = match write_file::open(path, How::New) {
            Ok(file) => (file, false),
            Err(e) if e.kind() == Some(io::ErrorKind::AlreadyExists) => {
                // Opening a pipe would block, whoever has made it.
                if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
                    return Err(LockError::NoFile);
                }
                (write_file::open(path, How::Existing).map_err(LockError::Unwritten)?, true)
            }
            Err(e) => return Err(LockError::Unwritten(e)),
        };
        if !try_lock(&file).map_err(LockError::Unlocked)? {
            return Err(LockError::Held);
        }
        if replaced && UnixStream::connect(control).is_ok() {
            return Err(LockError::Held);
        }
        let mut lock = Lock { path: path.into(), file, replaced };
        lock.write_pid();
        Ok(lock)
    }

    /// Writes our process id into the file. It is for people, no program reads it: so a full disk does not
    /// keep the daemon from starting.
    fn write_pid(&mut self) {
        use std::io::{Seek as _, SeekFrom};
        let file = &mut self.file;
        let emptied = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
        _ = emptied.and_then(|_| writeln!(file, "{}", std::process::id()));
    }

    /// Removes the file, which ends the lock.
    pub fn remove(self) {
        // It may be gone already.
        _ = std::fs::remove_file(&self.path);
    }
}

/// Why a file or socket cannot be created. A missing directory is named, since a path contains several.
pub(crate) fn reason(e: &WriteError) -> String {
    let missing = (e.kind() == Some(io::ErrorKind::NotFound)).then(|| missing_directory(&e.path)).flatten();
    missing
        .map_or_else(|| e.why.to_string(), |dir| format!("the directory `{}' does not exist", dir.display()))
}

/// The first directory of a path that does not exist.
fn missing_directory(path: &Path) -> Option<&Path> {
    let mut dirs: Vec<_> = path.ancestors().skip(1).collect();
    dirs.reverse();
    dirs.into_iter().find(|dir| !dir.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_leftover_is_replaced_and_a_living_daemon_is_not() {
        let base = std::env::temp_dir().join(format!("zctd-lock-{}", std::process::id()));
        let (path, control) = (base.with_extension("lock"), base.with_extension("ctl"));
        let lock = Lock::take(&path, &control).unwrap();
        assert!(!lock.replaced);
        assert!(matches!(Lock::take(&path, &control), Err(LockError::Held)));
        // As after SIGKILL: the file exists, and nobody holds the lock.
        drop(lock);
        let lock = Lock::take(&path, &control).unwrap();
        assert!(lock.replaced);
        lock.remove();
        assert!(!path.exists());
        // As with a living original: a file without a lock, and a socket that answers.
        std::fs::write(&path, "").unwrap();
        let socket = UnixListener::bind(&control).unwrap();
        assert!(matches!(Lock::take(&path, &control), Err(LockError::Held)));
        drop(socket);
        // A socket that nobody listens on is a leftover too.
        let lock = Lock::take(&path, &control).unwrap();
        assert!(lock.replaced);
        lock.remove();
        std::fs::remove_file(&control).unwrap();
        let said = |path: &Path| match Lock::take(path, &control) {
            Err(e) => e.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(said(Path::new("/nonexistent/deeper/l")), "the directory `/nonexistent' does not exist");
        assert_eq!(said(&std::env::temp_dir()), "it is no plain file");
        // In a directory of others, the target of a symbolic link stays as it is.
        std::fs::write(&control, "kept").unwrap();
        std::os::unix::fs::symlink(&control, &path).unwrap();
        assert!(said(&path).starts_with("it is a symbolic link, and others can write to the directory"));
        assert_eq!(std::fs::read(&control).unwrap(), b"kept");
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(&control).unwrap();
    }
}
