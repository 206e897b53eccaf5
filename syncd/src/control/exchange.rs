//! One request on the control socket, and its answer (conntrackd.md §3).

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The outcome of a request.
#[derive(Debug)]
pub enum Answer {
    /// Done; or it may have failed, since an original does not say.
    Done,
    /// The daemon says that it failed, and why.
    Failed(String),
    /// No daemon answers.
    NoDaemon,
    /// The connection broke.
    Broken(io::Error),
}

/// Sends a request's number to the daemon behind the socket at `path`, and writes all of the answer to `out`.
pub(crate) fn exchange(path: &Path, code: u32, out: &mut dyn io::Write) -> Answer {
    exchange_within(path, &code.to_ne_bytes(), None, out)
}

/// As [`exchange`], with all bytes of the request; when the daemon writes nothing for that long, the connection is
/// [broken](Answer::Broken) with [`io::ErrorKind::WouldBlock`].
pub(crate) fn exchange_within(
    path: &Path,
    request: &[u8],
    patience: Option<Duration>,
    out: &mut dyn io::Write,
) -> Answer {
    let Ok(mut stream) = UnixStream::connect(path) else { return Answer::NoDaemon };
    let talk = || -> io::Result<()> {
        stream.set_read_timeout(patience)?;
        stream.write_all(request)?;
        let mut buf = vec![0; 64 << 10];
        loop {
            match stream.read(&mut buf) {
                Ok(0) => return out.flush(),
                Ok(n) => out.write_all(buf.get(..n).unwrap_or_default())?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    };
    match { talk }() {
        Ok(()) => Answer::Done,
        Err(e) => Answer::Broken(e),
    }
}
