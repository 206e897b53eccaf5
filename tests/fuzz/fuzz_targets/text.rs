//! Every renderer on any message: JSON that parses, XML that is well formed and one line, and a buffer that
//! is too small says so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt::{self, Formatter};
use zct_fuzz::{message, parsed};
use zct_wire::consts::{ipctnl, ipctnl_exp};
use zct_wire::error::WireError;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::stats::CpuStats;
use zct_wire::text::stats::Counters;
use zct_wire::text::{
    EventKind, EventTime, LabelNames, LocalTime, Out, Style, TextContext, TimeZone, expect, json, line, save,
    stats, xml,
};

struct World;

impl TimeZone for World {
    fn local(&self, unix_s: i64) -> LocalTime {
        LocalTime { year: i32::MIN, month: unix_s as u8, wday: 255, ..LocalTime::default() }
    }
}

impl LabelNames for World {
    fn name(&self, bit: u16) -> Option<&[u8]> {
        // Label names come from a file: anything may be in them.
        match bit % 5 {
            0 => Some(b"plain"),
            1 => Some(b"<&>\"\\\x00\x1b\n\xff"),
            2 => Some(b""),
            _ => None,
        }
    }
}

/// Every entity XML knows by itself, and references to characters it allows.
fn reference(name: &[u8]) -> bool {
    matches!(name, b"amp" | b"lt" | b"gt" | b"quot" | b"#10" | b"#13")
}

/// One element, on one line, and nothing after it.
fn well_formed(text: &[u8]) {
    let text = std::str::from_utf8(text).expect("XML is UTF-8");
    assert!(!text.contains(['\n', '\r']), "more than one line: {text}");
    assert!(
        text.chars().all(|c| matches!(c, '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
    );
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut depth, mut roots) = (0usize, 0usize);
    loop {
        match reader.read_event().unwrap_or_else(|e| panic!("{e}: {text}")) {
            Event::Start(tag) => {
                assert!(tag.attributes().all(|a| a.is_ok()), "{text}");
                roots += usize::from(depth == 0);
                depth += 1;
            }
            Event::End(_) => depth -= 1,
            Event::Empty(_) => assert!(depth > 0),
            Event::Text(_) => assert!(depth > 0, "text outside: {text}"),
            Event::GeneralRef(r) => assert!(depth > 0 && reference(&r), "{text}"),
            Event::Eof => break,
            other => panic!("{other:?} in {text}"),
        }
    }
    assert_eq!((depth, roots), (0, 1), "{text}");
}

/// Any JSON value in which no object has a member twice: programs do not agree on which one counts.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Unique)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Unique;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("what the renderers write")
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Unique, A::Error> {
        while list.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Unique, A::Error> {
        let mut seen = HashSet::new();
        while let Some((key, _)) = object.next_entry::<String, Unique>()? {
            if let Some(twice) = seen.replace(key) {
                return Err(A::Error::custom(format_args!("{twice} is there twice")));
            }
        }
        Ok(Unique)
    }
}

/// One object on one line.
fn object(text: &[u8]) {
    if let Err(e) = serde_json::from_slice::<Unique>(text) {
        panic!("{e}: {}", String::from_utf8_lossy(text));
    }
    assert!(text.first() == Some(&b'{') && !text.contains(&b'\n'));
}

/// The longest piece that a renderer writes and may take back: the start of an empty `<meta>`.
const TAKEN_BACK: usize = b"<meta direction=\"independent\">".len();

/// Renders into enough room, then into `part` of 256 of what that took, and hands the text to `check`.
fn rendered(part: u8, check: fn(&[u8]), mut render: impl FnMut(&mut Out<'_>) -> Result<(), WireError>) {
    let mut buf = vec![0xa5; 64 << 10];
    let mut out = Out::new(&mut buf);
    let result = render(&mut out);
    assert!(!out.is_full());
    let text = out.written().to_vec();
    if result.is_ok() {
        check(&text);
    }
    let room = (text.len() + 2 * TAKEN_BACK) * usize::from(part) / 256;
    let mut small = vec![0xa5; room];
    let mut out = Out::new(&mut small);
    assert_eq!(render(&mut out), result, "the room has no say in what can be read");
    // What an error leaves behind is taken back by the caller, whatever its length.
    if result.is_ok() {
        // Blanks and empty elements are written and taken back, so a little more room than the text may be
        // wanted; but what is not full is complete.
        assert!(out.is_full() || out.written() == text, "cut short in {room} of {}", text.len());
        assert!(!out.is_full() || room < text.len() + TAKEN_BACK, "full in {room} of {}", text.len());
    }
    out.rewind(0);
    assert!(out.is_empty() && !out.is_full());
}

fn any(_: &[u8]) {}

fuzz_target!(|data: &[u8]| {
    let Some((&[family, options, part], attrs)) = data.split_first_chunk() else { return };
    let bit = |n: u32| options >> n & 1 == 1;
    let style = Style { extended: bit(0), id: bit(1), ktimestamp: bit(2), timestamp: bit(3) };
    let labels = bit(4).then_some(&World as &dyn LabelNames);
    let ctx = TextContext { now_s: 1_795_452_143, zone: &World, labels };
    let time = EventTime { sec: u64::from(part) << 56, usec: 999_999 };
    let kind = match options >> 5 & 3 {
        0 => None,
        1 => Some(EventKind::New),
        2 => Some(EventKind::Update),
        _ => Some(EventKind::Destroy),
    };
    let when = kind.map(|_| i64::from(part));
    let event = kind.map(|kind| json::Event {
        kind,
        portid: u32::from(part),
        program: bit(7).then_some(attrs.get(..8).unwrap_or(attrs)),
        time: Some(time),
    });

    let bytes = message(ipctnl::NEW, family, attrs);
    if let Ok(f) = FlowView::index(parsed(&bytes)) {
        rendered(part, any, |out| line::flow(out, &f, &style, &ctx));
        rendered(part, any, |out| save::flow(out, &f, kind.map_or(save::Verb::Add, save::Verb::from)));
        rendered(part, well_formed, |out| xml::flow(out, &f, kind, when, &style, &ctx));
        rendered(part, object, |out| json::flow(out, &f, event.as_ref(), &style, &ctx));
    }
    let bytes = message(ipctnl_exp::NEW, family, attrs);
    if let Ok(e) = ExpectView::index(parsed(&bytes)) {
        rendered(part, any, |out| {
            expect::timestamp(out, time);
            expect::line(out, &e)
        });
        rendered(part, well_formed, |out| xml::expect(out, &e, kind, when, &ctx));
        rendered(part, object, |out| json::expect(out, &e, event.as_ref(), &style));
    }
    for which in [Counters::Flows, Counters::Expectations] {
        let cpu = CpuStats::new(parsed(&bytes));
        rendered(part, any, |out| stats::line(out, &cpu, which));
        rendered(part, object, |out| stats::json(out, &cpu, which));
    }
});
