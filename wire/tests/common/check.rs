//! Properties of the text of any message, however broken. Each function panics when one does not hold.

use super::render::{Format, Renderer};
use quick_xml::Reader;
use quick_xml::events::Event;
use zct_wire::error::WireError;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::text::Out;

/// The nfnetlink messages of a datagram, as far as they can be read.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = CtMsg<'_>> {
    Frames::new(datagram).flatten().filter_map(|frame| CtMsg::parse(frame).ok())
}

/// A buffer in which any text of a message of `len` bytes fits: every byte of hostile text becomes six,
/// and a name of some 30 bytes is written for each of 128 label bits.
pub fn room(len: usize) -> usize {
    len * 6 + 16_384
}

/// Renders into a buffer that is large enough, whatever was in it before.
pub fn render(r: &Renderer, msg: CtMsg<'_>) -> (Vec<u8>, Result<(), WireError>) {
    let mut buf = vec![0xa5; room(msg.bytes.len())];
    let mut out = Out::new(&mut buf);
    let result = (r.run)(&mut out, msg);
    assert!(!out.is_full(), "{}: a text longer than any message can have", r.name);
    (out.written().to_vec(), result)
}

/// Everything here, with buffers of the sizes `too_small` picks for a text of a given length.
pub fn text<I: IntoIterator<Item = usize>>(
    r: &Renderer,
    msg: CtMsg<'_>,
    too_small: impl FnOnce(usize) -> I,
) -> Option<Vec<u8>> {
    let (text, result) = render(r, msg);
    if result.is_ok() {
        well_formed(r, msg, &text);
    }
    for size in too_small(text.len()) {
        overflow(r, msg, (&text, result), size);
    }
    result.is_ok().then_some(text)
}

/// Bytes that a renderer may write and take back: a blank at the end, or an element without content.
const TAKEN_BACK: usize = 32;

/// A buffer that is too small says so, whatever piece it ends in, and the next one gets the same text.
///
/// `size` may also be as large as the text or larger; then all of it has to be there, but for the few bytes
/// that are written and taken back.
pub fn overflow(r: &Renderer, msg: CtMsg<'_>, (text, result): (&[u8], Result<(), WireError>), size: usize) {
    const BEFORE: &[u8] = b"earlier line\n";
    let mut buf = vec![0xa5; BEFORE.len() + size];
    buf[..BEFORE.len()].copy_from_slice(BEFORE);
    let mut out = Out::resume(&mut buf, BEFORE.len());
    assert_eq!((r.run)(&mut out, msg), result, "{}: the buffer's size is no reason to fail", r.name);
    if out.is_full() {
        assert!(size < text.len() + TAKEN_BACK, "{}: {} bytes do not fit into {size}", r.name, text.len());
        assert!(out.written().is_empty(), "{}: a text cut short was handed out", r.name);
    } else {
        assert_eq!(
            out.written()[BEFORE.len()..].escape_ascii().to_string(),
            text.escape_ascii().to_string(),
            "{}: another text in {size} bytes",
            r.name
        );
    }
    out.rewind(BEFORE.len());
    assert_eq!(out.written(), BEFORE, "{}: what was there before has changed", r.name);
}

/// What every complete text of a format is.
pub fn well_formed(r: &Renderer, msg: CtMsg<'_>, text: &[u8]) {
    match r.format {
        Format::Json => {
            let members = json(text).len();
            // Counters are written as they come; two of the same name would be read differently by
            // different programs. Nothing but the separator has a colon there.
            if r.name.contains("counters") {
                let names = text.iter().filter(|b| **b == b':').count();
                assert_eq!(names, members, "{}: {}", r.name, text.escape_ascii());
            }
        }
        Format::Xml => xml(text),
        Format::Save => save(text),
        Format::Line => {}
    }
    let newlines = |text: &[u8]| text.iter().filter(|b| **b == b'\n').count();
    let allowed = match r.format {
        Format::Line => outside(msg).into_iter().map(newlines).sum(),
        _ => 0,
    };
    assert!(newlines(text) <= allowed, "{}: {}", r.name, text.escape_ascii());
}

/// Text that came with the message and goes into lines as it is.
fn outside(msg: CtMsg<'_>) -> Vec<&[u8]> {
    let mut all = Vec::new();
    if let Ok(f) = FlowView::index(msg) {
        all.extend(f.helper().ok().flatten());
        all.extend(f.secctx().ok().flatten());
    }
    if let Ok(e) = ExpectView::index(msg) {
        all.extend(e.helper());
    }
    all
}

/// Parses a text as one JSON object.
pub fn json(text: &[u8]) -> serde_json::Map<String, serde_json::Value> {
    match serde_json::from_slice(text) {
        Ok(serde_json::Value::Object(map)) => map,
        Ok(_) => panic!("not an object: {}", text.escape_ascii()),
        Err(e) => panic!("{e}: {}", text.escape_ascii()),
    }
}

/// One element with everything in it balanced, no character that XML 1.0 forbids, no entity that needs a
/// declaration, and nothing that only text from outside could have smuggled in.
fn xml(text: &[u8]) {
    let shown = || text.escape_ascii().to_string();
    let document = core::str::from_utf8(text).unwrap_or_else(|e| panic!("{e}: {}", shown()));
    let forbidden =
        |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    assert!(!document.contains(forbidden), "{}", shown());
    let mut reader = Reader::from_str(document);
    reader.config_mut().check_end_names = true;
    let (mut depth, mut roots) = (0u32, 0u32);
    loop {
        match reader.read_event().unwrap_or_else(|e| panic!("{e}: {}", shown())) {
            Event::Start(e) => {
                e.attributes().for_each(|a| _ = a.unwrap_or_else(|e| panic!("{e}: {}", shown())));
                roots += u32::from(depth == 0);
                depth += 1;
            }
            Event::Empty(_) => assert!(depth > 0, "{}", shown()),
            Event::End(_) => depth -= 1,
            Event::Text(t) => {
                assert!(depth > 0, "text outside the element: {}", shown());
                assert!(!t.contains(&b'>'), "{}", shown());
            }
            Event::GeneralRef(name) => {
                let known: [&[u8]; 6] = [b"amp", b"lt", b"gt", b"quot", b"#10", b"#13"];
                assert!(known.contains(&&name[..]), "{}", shown());
            }
            Event::Eof => break,
            other => panic!("{other:?}: {}", shown()),
        }
    }
    assert_eq!((depth, roots), (0, 1), "{}", shown());
}

/// Words with single blanks between them, nothing but printable ASCII.
fn save(text: &[u8]) {
    let mut words = text.split(|b| *b == b' ');
    let verb = words.next().unwrap_or_default();
    assert!([&b"-A"[..], b"-U", b"-D"].contains(&verb), "{}", text.escape_ascii());
    for word in words {
        assert!(!word.is_empty() && word.iter().all(u8::is_ascii_graphic), "{}", text.escape_ascii());
    }
}
