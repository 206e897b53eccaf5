//! Files that a privileged process writes where others may have been first: logs, locks, exports.
//!
//! In a directory that others can write, somebody may have put something under the file's name so that root
//! writes elsewhere or hangs: a symbolic link, a hard link, a pipe that nobody reads. There the name must
//! belong to a plain file or not exist. In a directory that only root and this user can write, links are
//! followed as usual.
//!
//! Only the last part of the path is checked. Parts before it are followed as usual (Linux itself refuses
//! other users' links in sticky directories, fs.protected_symlinks).
//!
//! Which function is for what:
//!
//! - a log or an export: [`open`] with [`How::Append`] or [`How::Truncate`];
//! - a file that others read at any moment: [`Replacement`], which appears whole or not at all;
//! - a lock or a file of a process id: [`How::New`], which never follows anything (O_EXCL), or, when it
//!   already exists, [`How::Existing`], before it is locked and written;
//! - a Unix socket: [`remove_socket`], then `bind`. Neither unlink(2) nor bind(2) follows a link of that
//!   name, so the danger is a different one: removing something that is not a socket.

use crate::errno_text;
use crate::sys;
use libc::mode_t;
use std::ffi::CString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Permission bits of new files, before umask(2).
const MODE: mode_t = 0o666;
/// Write permission for the group and for all others. With an access control list, the group's bit stands
/// for everybody whom the list allows to write.
const OTHERS_WRITE: u32 = 0o022;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// To append to it. It is created if it does not exist.
    Append,
    /// To replace its contents. It is created if it does not exist.
    Truncate,
    /// To create it. If anything has the name, the error's kind is `AlreadyExists`.
    New,
    /// To write to an existing file without emptying it.
    Existing,
}

/// Why a file was not written.
#[derive(Debug)]
pub struct WriteError {
    /// The file as it was named.
    pub path: PathBuf,
    /// The reason, for callers that name the file in words of their own.
    pub why: Unwritten,
}

/// The reason for a [`WriteError`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Unwritten {
    /// A system call failed.
    System(io::Error),
    /// A symbolic link in this directory, which others can write.
    SymbolicLink(PathBuf),
    /// A file that also has other names, in this directory, which others can write.
    HardLink(PathBuf),
    /// A pipe, a device, a socket or a directory in this directory, which others can write.
    NoFile(PathBuf),
    /// Something that is not a socket has the name that the socket should get.
    NoSocket,
    /// A link, a directory or a device has the name of a file that is to be replaced.
    NoPlainFile,
}

impl WriteError {
    /// The kind of the system's error, if it is one.
    pub fn kind(&self) -> Option<io::ErrorKind> {
        match &self.why {
            Unwritten::System(e) => Some(e.kind()),
            _ => None,
        }
    }
}

/// Opens a file for writing; see the module for what is refused. The descriptor is close-on-exec, and a
/// terminal does not become the process's own.
///
/// # Errors
/// [`WriteError`], whose text is `FILE: REASON`; [`Unwritten`] has the reasons.
pub fn open(path: &Path, how: How) -> Result<File, WriteError> {
    open_in_directory(path, how).map_err(|why| WriteError { path: path.into(), why })
}

fn open_in_directory(path: &Path, how: How) -> Result<File, Unwritten> {
    let errno = |n| Unwritten::System(io::Error::from_raw_os_error(n));
    // A path that is `/` or ends in `..` names no file.
    let name = path.file_name().ok_or_else(|| errno(libc::EISDIR))?;
    let name = CString::new(name.as_bytes()).map_err(|_| errno(libc::EINVAL))?;
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Held open, so that the directory that is checked is the one in which the file is opened. O_PATH needs
    // no permission to read it.
    let held = File::options().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(dir);
    let held = held.map_err(Unwritten::System)?;
    let shared = others_can_write(&held.metadata().map_err(Unwritten::System)?);
    let flags = match how {
        How::Append => libc::O_CREAT | libc::O_APPEND,
        How::Truncate => libc::O_CREAT,
        How::New => libc::O_CREAT | libc::O_EXCL,
        How::Existing => 0,
    };
    // Opening a pipe that has no reader would block.
    let careful = if shared { libc::O_NOFOLLOW | libc::O_NONBLOCK } else { 0 };
    let flags = flags | careful | libc::O_WRONLY | libc::O_NOCTTY;
    let opened = sys::open_at(held.as_fd(), &name, flags, MODE).map(File::from);
    let file = opened.map_err(|e| match e.raw_os_error() {
        Some(libc::ELOOP) if shared => Unwritten::SymbolicLink(dir.into()),
        // A pipe without a reader, or a socket.
        Some(libc::ENXIO) if shared => Unwritten::NoFile(dir.into()),
        _ => Unwritten::System(e),
    })?;
    let meta = file.metadata().map_err(Unwritten::System)?;
    if shared && !meta.is_file() {
        return Err(Unwritten::NoFile(dir.into()));
    }
    if shared && meta.nlink() > 1 {
        return Err(Unwritten::HardLink(dir.into()));
    }
    // Truncated only now that it has been checked.
    if how == How::Truncate && meta.is_file() {
        file.set_len(0).map_err(Unwritten::System)?;
    }
    Ok(file)
}

/// True when somebody other than root and this user can put files into a directory.
fn others_can_write(dir: &Metadata) -> bool {
    dir.mode() & OTHERS_WRITE != 0 || (dir.uid() != 0 && dir.uid() != sys::effective_user())
}

/// A file that takes the place of another in one step, so that a reader finds the old contents or the new
/// ones and never a part. Until [`Replacement::finish`] it has a name of its own in the same directory,
/// `FILE.PID.tmp`; dropped before that, it is removed. It is not synchronised to the disk.
#[derive(Debug)]
pub struct Replacement<'a> {
    path: &'a Path,
    temporary: PathBuf,
    file: File,
    finished: bool,
}

impl<'a> Replacement<'a> {
    /// Begins an empty file that is going to replace `path`.
    ///
    /// # Errors
    /// [`WriteError`] with [`Unwritten::NoPlainFile`] where `path` is a link, a directory or a device, which
    /// would be gone afterwards; otherwise as [`open`] with [`How::New`], and with the name of the temporary
    /// file.
    pub fn begin(path: &'a Path) -> Result<Replacement<'a>, WriteError> {
        if std::fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
            return Err(WriteError { path: path.into(), why: Unwritten::NoPlainFile });
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let mut opened = open(&temporary, How::New);
        // Left behind by a process that was killed and had the same number.
        if matches!(&opened, Err(e) if e.kind() == Some(io::ErrorKind::AlreadyExists)) {
            _ = std::fs::remove_file(&temporary);
            opened = open(&temporary, How::New);
        }
        Ok(Replacement { path, file: opened?, temporary, finished: false })
    }

    /// Where the contents go.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Unwritten::System`] of `rename`.
    pub fn finish(mut self) -> Result<(), WriteError> {
        let renamed = std::fs::rename(&self.temporary, self.path);
        self.finished = renamed.is_ok();
        renamed.map_err(|e| WriteError { path: self.path.into(), why: Unwritten::System(e) })
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if !self.finished {
            _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Makes room for a socket by removing an old one of that name, if there is one.
///
/// # Errors
/// [`Unwritten::NoSocket`] for anything else that has the name, even a link to a socket: it is not ours.
pub fn remove_socket(path: &Path) -> Result<(), WriteError> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => std::fs::remove_file(path).map_err(Unwritten::System),
        Ok(_) => Err(Unwritten::NoSocket),
        Err(e) => Err(Unwritten::System(e)),
    };
    match removed {
        Err(Unwritten::System(e)) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|why| WriteError { path: path.into(), why }),
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, dir) = match self {
            Unwritten::System(e) => {
                return match e.raw_os_error() {
                    Some(errno) => f.write_str(&errno_text(errno)),
                    None => write!(f, "{e}"),
                };
            }
            Unwritten::NoSocket => {
                return f
                    .write_str("something that is no socket has this name: remove it, or choose another");
            }
            Unwritten::NoPlainFile => {
                return f.write_str("it is no plain file, which this would replace: choose another name");
            }
            Unwritten::SymbolicLink(dir) => ("it is a symbolic link", dir),
            Unwritten::HardLink(dir) => ("the file has a second name", dir),
            Unwritten::NoFile(dir) => ("it is no plain file", dir),
        };
        write!(
            f,
            "{what}, and others can write to the directory `{}'; choose a directory of root's",
            dir.display()
        )
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Unwritten::System(e) => Some(e),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;

    /// A directory of this test's own with these permissions.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str, mode: u32) -> Dir {
            let dir = std::env::temp_dir().join(format!("zct-write-{name}-{}", std::process::id()));
            _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
            Dir(dir)
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    const ALL: [How; 4] = [How::Append, How::Truncate, How::New, How::Existing];

    #[test]
    fn links_are_not_followed_where_others_can_write() {
        // World-writable, sticky, group-writable.
        for mode in [0o777, 0o1777, 0o775] {
            let dir = Dir::new(&format!("links-{mode:o}"), mode);
            let (target, link, dangling) = (dir.file("target"), dir.file("link"), dir.file("dangling"));
            fs::write(&target, "kept").unwrap();
            symlink(&target, &link).unwrap();
            symlink(dir.file("made"), &dangling).unwrap();
            for how in [How::Append, How::Truncate, How::Existing] {
                for link in [&link, &dangling] {
                    let e = open(link, how).unwrap_err();
                    let (link, dir) = (link.display(), dir.0.display());
                    let want = format!(
                        "{link}: it is a symbolic link, and others can write to the directory `{dir}'; \
                         choose a directory of root's"
                    );
                    assert_eq!(e.to_string(), want, "{how:?} {mode:o}");
                }
            }
            for link in [&link, &dangling] {
                assert_eq!(open(link, How::New).unwrap_err().kind(), Some(io::ErrorKind::AlreadyExists));
            }
            assert_eq!(fs::read(&target).unwrap(), b"kept");
            assert!(!dir.file("made").exists());
        }
    }

    #[test]
    fn links_of_root_mean_what_they_say() {
        let dir = Dir::new("own", 0o755);
        let (target, link) = (dir.file("target"), dir.file("link"));
        fs::write(&target, "a").unwrap();
        symlink(&target, &link).unwrap();
        write!(open(&link, How::Append).unwrap(), "b").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"ab");
        write!(open(&link, How::Truncate).unwrap(), "c").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"c");
    }

    #[test]
    fn hard_links_and_pipes_are_refused_before_anything_is_cut() {
        let dir = Dir::new("hard", 0o1777);
        let (file, second) = (dir.file("file"), dir.file("second"));
        fs::write(&file, "kept").unwrap();
        fs::hard_link(&file, &second).unwrap();
        let socket = dir.file("socket");
        let _listens = UnixListener::bind(&socket).unwrap();
        for how in [How::Append, How::Truncate, How::Existing] {
            assert!(matches!(open(&second, how).unwrap_err().why, Unwritten::HardLink(_)), "{how:?}");
            assert!(matches!(open(&socket, how).unwrap_err().why, Unwritten::NoFile(_)), "{how:?}");
        }
        assert_eq!(fs::read(&file).unwrap(), b"kept");
    }

    #[test]
    fn plain_files_are_opened_everywhere() {
        for mode in [0o755, 0o777, 0o1777] {
            let dir = Dir::new(&format!("plain-{mode:o}"), mode);
            let file = dir.file("file");
            assert_eq!(open(&file, How::Existing).unwrap_err().kind(), Some(io::ErrorKind::NotFound));
            write!(open(&file, How::New).unwrap(), "one").unwrap();
            assert_eq!(open(&file, How::New).unwrap_err().kind(), Some(io::ErrorKind::AlreadyExists));
            write!(open(&file, How::Append).unwrap(), " two").unwrap();
            write!(open(&file, How::Existing).unwrap(), "ONE").unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"ONE two");
            write!(open(&file, How::Truncate).unwrap(), "x").unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"x");
        }
        // A name without a directory is in the current one.
        let name = format!("zct-write-here-{}", std::process::id());
        drop(open(Path::new(&name), How::New).unwrap());
        fs::remove_file(name).unwrap();
    }

    #[test]
    fn what_cannot_be_a_file_says_why() {
        let said = |path: &str| ALL.map(|how| open(Path::new(path), how).unwrap_err().to_string());
        assert_eq!(said("/nonexistent/file"), ["/nonexistent/file: No such file or directory"; 4]);
        assert_eq!(said("/"), ["/: Is a directory"; 4]);
        assert_eq!(said("/dev/null/file"), ["/dev/null/file: Not a directory"; 4]);
    }

    #[test]
    fn only_sockets_make_room_for_a_socket() {
        let dir = Dir::new("socket", 0o755);
        let (socket, file, link) = (dir.file("socket"), dir.file("file"), dir.file("link"));
        remove_socket(&socket).unwrap();
        drop(UnixListener::bind(&socket).unwrap());
        symlink(&socket, &link).unwrap();
        fs::write(&file, "kept").unwrap();
        for other in [&file, &link] {
            let e = remove_socket(other).unwrap_err();
            let want = "something that is no socket has this name: remove it, or choose another";
            assert_eq!(e.to_string(), format!("{}: {want}", other.display()));
        }
        remove_socket(&socket).unwrap();
        assert!(!socket.exists() && file.exists());
    }

    #[test]
    fn a_replacement_appears_whole_or_not_at_all() {
        let dir = Dir::new("replacement", 0o755);
        let file = dir.file("metrics.prom");
        for (text, whole) in [("first", true), ("second", true), ("third", false)] {
            let mut new = Replacement::begin(&file).unwrap();
            write!(new.file(), "{text}").unwrap();
            let before = fs::read_to_string(&file).unwrap_or_default();
            assert!(!before.contains(text));
            if whole {
                new.finish().unwrap();
            } else {
                drop(new);
            }
            assert_eq!(fs::read_to_string(&file).unwrap(), if whole { text } else { &before });
            assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1, "the temporary file is gone");
        }
        // What a killed process left behind is not in the way.
        fs::write(dir.file(&format!("metrics.prom.{}.tmp", std::process::id())), "old").unwrap();
        Replacement::begin(&file).unwrap().finish().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
    }

    #[test]
    fn only_plain_files_are_replaced() {
        let dir = Dir::new("replaced", 0o755);
        let link = dir.file("link");
        symlink("/dev/stdout", &link).unwrap();
        for path in [&link, &dir.0, Path::new("/dev/null")] {
            let e = Replacement::begin(path).unwrap_err().to_string();
            let want = "it is no plain file, which this would replace: choose another name";
            assert_eq!(e, format!("{}: {want}", path.display()));
        }
        assert!(link.is_symlink());
    }
}
