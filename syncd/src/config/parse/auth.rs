//! `Auth`, which the original does not have: the keys with which zctd seals what it sends.
//!
//! No message shows a key, not even a part of a wrong one.

use super::super::lexer::TokenKind;
use super::super::report::{At, FilePlace, quoted};
use super::super::settings::{AuthKey, AuthMode, KeySource};
use super::general::{PATH_MAX, set};
use super::parser::{BlockName, Directive, Parser};
use super::raw::{RawAuth, RawSync};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use zeroize::Zeroizing;

pub(super) const AUTH: &[Directive<RawAuth>] = &[
    Directive { word: "Key", read: key },
    Directive {
        word: "ActiveKey",
        read: |p, a, at| set(&mut a.active, p.number(at, "ActiveKey", 1..=u8::MAX.into())),
    },
    Directive { word: "Mode", read: mode },
];

/// `Auth { … }`.
pub(super) fn auth(p: &mut Parser<'_>, sync: &mut RawSync, at: FilePlace) -> Option<()> {
    let new = || RawAuth { place: at, keys: Vec::new(), active: None, mode: None };
    p.block(BlockName { name: "Auth", place: at }, AUTH, sync.auth.get_or_insert_with(new))
}

/// `Mode enforce`, `permissive` or `receive-only`.
fn mode(p: &mut Parser<'_>, auth: &mut RawAuth, at: FilePlace) -> Option<()> {
    const WANTED: &str = "enforce, permissive or receive-only after Mode";
    let (place, text) = p.whole(WANTED)?;
    match AuthMode::ALL.into_iter().find(|m| m.word().as_bytes() == text) {
        Some(value) => auth.mode = Some(At { value, place: at }),
        None => p.error(place, format!("expected {WANTED}, found {}", quoted(&text))),
    }
    Some(())
}

/// `Key NUMBER file:PATH`, `Key NUMBER credential:NAME`, `Key NUMBER hex:DIGITS`.
fn key(p: &mut Parser<'_>, auth: &mut RawAuth, at: FilePlace) -> Option<()> {
    const WANTED: &str =
        "file:PATH, credential:NAME or hex: and 64 to 128 hexadecimal digits after the key's number";
    let t = p.peek();
    let number = std::str::from_utf8(t.text).ok().and_then(|n| n.parse().ok()).filter(|n| *n > 0u8);
    let Some(number) = number.filter(|_| t.kind == TokenKind::Number) else {
        p.error(at, "expected a number from 1 to 255 after Key".into());
        return None;
    };
    p.take();
    if !matches!(p.peek().kind, TokenKind::Word | TokenKind::Path | TokenKind::Address | TokenKind::Stray) {
        p.error(at, format!("expected {WANTED}"));
        return None;
    }
    let (place, text) = p.whole(WANTED)?;
    let text = Zeroizing::new(text);
    match source(&text) {
        Some(source) => {
            auth.keys.retain(|k| k.number != number);
            auth.keys.push(AuthKey { number, source });
        }
        None => p.error(place, format!("expected {WANTED}")),
    }
    Some(())
}

fn source(text: &[u8]) -> Option<KeySource> {
    let path = |p: &[u8]| PathBuf::from(OsStr::from_bytes(p));
    if let Some(p) = text.strip_prefix(b"file:") {
        return (p.starts_with(b"/") && p.len() <= PATH_MAX).then(|| KeySource::File(path(p)));
    }
    if let Some(name) = text.strip_prefix(b"credential:") {
        let usable = !name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..";
        return usable.then(|| KeySource::Credential(path(name)));
    }
    let digits = text.strip_prefix(b"hex:")?;
    super::super::keys::from_hex(digits).and_then(Result::ok).map(KeySource::Hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_nothing_else() {
        assert_eq!(source(b"file:/etc/zctd/keys/1"), Some(KeySource::File("/etc/zctd/keys/1".into())));
        assert_eq!(source(b"credential:zctd.key"), Some(KeySource::Credential("zctd.key".into())));
        let digits = "0123456789abcdef".repeat(4);
        let hex = source(format!("hex:{digits}").as_bytes());
        assert!(matches!(hex, Some(KeySource::Hex(s)) if s.bytes().len() == 32 && s.bytes()[1] == 0x23));
        for text in
            ["file:key", "file:", "credential:", "credential:../x", "hex:", "hex:abc", "/etc/key", &digits]
        {
            assert_eq!(source(text.as_bytes()), None, "{text}");
        }
    }
}
