//! The keys that the configuration names: where they are kept, who may read them there, and how they are
//! written.
//!
//! This is not done by [`super::load`], which reads no other file: commands need the configuration, but no
//! key.

use super::settings::{Auth, AuthKey, KeySource, Sync};
use crate::peer::seal::{GroupKey, Settings};
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zct_engine::Error;
use zct_engine::read_file::{Bounds, Unread, read_whole};
use zct_engine::secret::{Secret, open_without_waiting, random};
use zeroize::{Zeroize as _, Zeroizing};

/// The lengths of a key in bytes: keepalived has the same bounds for those of VRRP.
const KEY_LEN: std::ops::RangeInclusive<usize> = 32..=LEN_MAX;
const LEN_MAX: usize = 64;
/// A longer file is not a key.
const FILE: Bounds = Bounds { file: 1024, line: 1024 };
/// What group and others may do with a file.
const OTHERS: u32 = 0o077;
/// Where systemd puts the credentials of a service.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Why a key cannot be had.
#[derive(Debug)]
pub struct KeyError {
    /// The number of the key, if it is about one of them.
    pub number: Option<u8>,
    /// The file that it should be in.
    pub path: Option<PathBuf>,
    /// The reason.
    pub why: KeyFault,
}

/// The reason for a [`KeyError`].
#[derive(Debug)]
pub enum KeyFault {
    /// The file cannot be read.
    Unread(Unread),
    /// Its group or others have rights to the file: its permission bits.
    Exposed(u32),
    /// It is a directory, a device or the like.
    NoFile,
    /// It does not contain 64 to 128 hexadecimal digits and nothing else.
    NoKey,
    /// There is no directory of credentials.
    NoCredentials,
    /// There is no memory for keys.
    System(Error),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, &self.path) {
            (Some(n), Some(path)) => write!(f, "key {n} in `{}': ", path.display())?,
            (Some(n), None) => write!(f, "key {n}: ")?,
            (None, Some(path)) => write!(f, "`{}': ", path.display())?,
            (None, None) => {}
        }
        match &self.why {
            KeyFault::Unread(why) => write!(f, "{why}"),
            KeyFault::Exposed(mode) => {
                write!(f, "its group or others have rights to the file (mode {mode:04o}): it should be 0600")
            }
            KeyFault::NoFile => f.write_str("not a regular file"),
            KeyFault::NoKey => f.write_str("64 to 128 hexadecimal digits are wanted there, and nothing else"),
            KeyFault::NoCredentials => {
                write!(f, "there are no credentials: {CREDENTIALS} is not set, as systemd does for a service")
            }
            KeyFault::System(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for KeyError {}

/// Reads a key in hexadecimal; `None` for anything else.
pub(super) fn from_hex(digits: &[u8]) -> Option<Result<Secret, Error>> {
    let len = digits.len() / 2;
    if digits.len() % 2 != 0 || !KEY_LEN.contains(&len) {
        return None;
    }
    let mut key = Zeroizing::new([0; LEN_MAX]);
    let digit = |d: Option<&u8>| char::from(*d?).to_digit(16);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair.first())? * 16 + digit(pair.last())?) as u8;
    }
    Some(Secret::new(key.get_mut(..len)?))
}

/// Everything that sealing needs, with the keys read from where they are; `None` without `Auth`. `file` is
/// the configuration file, which nobody else may be able to read if there are keys in it.
///
/// # Errors
/// [`KeyError`] for the first key that cannot be had.
pub fn read(sync: &Sync, file: &Path) -> Result<Option<Settings>, KeyError> {
    let (Some(Auth { keys, active, mode }), Some(node)) = (&sync.auth, sync.node_id) else {
        return Ok(None);
    };
    let keys = keys.iter().map(|k| group_key(k, file)).collect::<Result<_, _>>()?;
    Ok(Some(Settings { node, mode: *mode, keys, active: *active, from: None }))
}

fn group_key(key: &AuthKey, config: &Path) -> Result<GroupKey, KeyError> {
    let number = key.number;
    let error = |path: Option<&Path>, why| KeyError { number: Some(number), path: path.map(Into::into), why };
    let secret = match &key.source {
        KeySource::File(path) => from_file(path).map_err(|why| error(Some(path), why))?,
        KeySource::Credential(name) => {
            let dir = std::env::var_os(CREDENTIALS).ok_or_else(|| error(None, KeyFault::NoCredentials))?;
            let path = Path::new(&dir).join(name);
            from_file(&path).map_err(|why| error(Some(&path), why))?
        }
        KeySource::Hex(secret) => {
            let opened =
                File::open(config).map_err(|e| error(Some(config), KeyFault::Unread(Unread::System(e))));
            is_private(&opened?).map_err(|why| error(Some(config), why))?;
            // A copy in memory that this process has locked: locks are not inherited through fork(2), and the
            // daemon may have forked since the file was read.
            Secret::new(&mut Zeroizing::new(secret.bytes().to_vec()))
                .map_err(|e| error(None, KeyFault::System(e)))?
        }
    };
    Ok(GroupKey { number, secret })
}

fn is_private(file: &File) -> Result<(), KeyFault> {
    let about = file.metadata().map_err(|e| KeyFault::Unread(Unread::System(e)))?;
    match about.mode() & 0o7777 {
        mode if mode & OTHERS != 0 => Err(KeyFault::Exposed(mode)),
        _ if !about.is_file() => Err(KeyFault::NoFile),
        _ => Ok(()),
    }
}

fn from_file(path: &Path) -> Result<Secret, KeyFault> {
    // A pipe would wait for somebody to write.
    let file = open_without_waiting(path).map_err(|e| KeyFault::Unread(Unread::System(e)))?;
    is_private(&file)?;
    let text = Zeroizing::new(read_whole(file, FILE).map_err(KeyFault::Unread)?);
    from_hex(text.trim_ascii()).ok_or(KeyFault::NoKey)?.map_err(KeyFault::System)
}

/// Makes a key, and writes it to a new file that nobody else may read, or to `out`.
///
/// # Errors
/// What the system said; a file of this name that is there already is left as it is.
pub fn generate(path: Option<&Path>, out: &mut dyn io::Write) -> io::Result<()> {
    let mut key = Zeroizing::new([0; 32]);
    random(&mut key[..]).map_err(|e| io::Error::other(e.to_string()))?;
    let mut text = Zeroizing::new(Vec::with_capacity(2 * key.len() + 1));
    for byte in key.iter() {
        write!(text, "{byte:02x}")?;
    }
    text.push(b'\n');
    key.zeroize();
    match path {
        Some(path) => {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(&text).and_then(|()| file.sync_all())
        }
        None => out.write_all(&text).and_then(|()| out.flush()),
    }
}
