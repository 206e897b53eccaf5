//! `Metrics`, which the original does not have: where metrics for Prometheus are to be had.

use super::super::report::{At, FilePlace, quoted};
use super::super::settings::Listen;
use super::general::{BYTES_MAX, PATH_MAX, SOCKET_PATH_MAX, path, set};
use super::parser::{BlockName, Directive, Parser};
use super::raw::{Raw, RawMetrics};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

pub(super) const METRICS: &[Directive<RawMetrics>] = &[
    Directive { word: "Listen", read: listen },
    Directive {
        word: "TextFile",
        read: |p, m, at| set(&mut m.text_file, path(p, at, "TextFile", "a path", PATH_MAX)),
    },
    Directive {
        word: "Interval",
        read: |p, m, at| set(&mut m.interval_s, p.number(at, "Interval", 1..=BYTES_MAX)),
    },
];

/// `Metrics { … }`.
pub(super) fn metrics(p: &mut Parser<'_>, raw: &mut Raw, at: FilePlace) -> Option<()> {
    raw.metrics.place.get_or_insert(at);
    p.block(BlockName { name: "Metrics", place: at }, METRICS, &mut raw.metrics)
}

/// `Listen ADDRESS:PORT`, `Listen unix:PATH`.
fn listen(p: &mut Parser<'_>, m: &mut RawMetrics, at: FilePlace) -> Option<()> {
    const WANTED: &str = "ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH after Listen";
    let (place, text) = p.whole(WANTED)?;
    match read(&text) {
        Some(value) => m.listen = Some(At { value, place: at }),
        None => p.error(place, format!("expected {WANTED}, found {}", quoted(&text))),
    }
    Some(())
}

fn read(text: &[u8]) -> Option<Listen> {
    if let Some(path) = text.strip_prefix(b"unix:") {
        let usable = path.starts_with(b"/") && path.len() <= SOCKET_PATH_MAX;
        return usable.then(|| Listen::Unix(PathBuf::from(OsStr::from_bytes(path))));
    }
    let address: std::net::SocketAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    (address.port() > 0).then_some(Listen::Tcp(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_and_nothing_else() {
        let tcp = |text: &str| Some(Listen::Tcp(text.parse().unwrap()));
        assert_eq!(read(b"127.0.0.1:9776"), tcp("127.0.0.1:9776"));
        assert_eq!(read(b"[::1]:65535"), tcp("[::1]:65535"));
        assert_eq!(read(b"unix:/run/zctd/metrics"), Some(Listen::Unix("/run/zctd/metrics".into())));
        for text in [
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "9776",
            ":9776",
            "::1:9776",
            "unix:",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read(b"unix:metrics"), None);
        assert_eq!(read(&[b"unix:/".as_slice(), &[b'x'; 107]].concat()), None);
    }
}
