//! Every renderer of `zct_wire::text` under one type, so that each is held to the same properties.

use super::{Hostile, Plain, context};
use zct_wire::error::WireError;
use zct_wire::event::Event;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::stats::CpuStats;
use zct_wire::text::json::EventHead;
use zct_wire::text::stats::CounterSet;
use zct_wire::text::{EventTime, LabelNames, Out, Style, expect, json, line, save, stats, xml};

/// What a text has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Words for people; text from outside goes in as it is.
    Line,
    /// Words for `conntrack -R`; nothing from outside goes in.
    Save,
    /// One element.
    Xml,
    /// One object.
    Json,
}

/// One way of rendering a message.
pub struct Renderer {
    pub name: &'static str,
    pub format: Format,
    pub run: fn(&mut Out<'_>, CtMsg<'_>) -> Result<(), WireError>,
}

const ALL_WORDS: Style = Style { extended: true, id: true, ktimestamp: true, timestamp: true };
const NO_WORDS: Style = Style { extended: false, id: false, ktimestamp: false, timestamp: false };
/// The time of the events made up here.
const WHEN: EventTime = EventTime { sec: 1_795_452_143, usec: 4211 };

fn flow_line(
    out: &mut Out<'_>,
    msg: CtMsg<'_>,
    style: Style,
    labels: Option<&dyn LabelNames>,
) -> Result<(), WireError> {
    line::flow(out, &FlowView::index(msg)?, &style, &context(labels))
}

fn flow_event_line(out: &mut Out<'_>, msg: CtMsg<'_>) -> Result<(), WireError> {
    line::timestamp(out, WHEN);
    line::tag(out, Event::of(&msg).unwrap_or(Event::New));
    flow_line(out, msg, NO_WORDS, None)?;
    line::userspace(out, 4711, Some(b"conntrack"));
    Ok(())
}

fn flow_xml(
    out: &mut Out<'_>,
    msg: CtMsg<'_>,
    kind: Option<Event>,
    style: Style,
    labels: Option<&dyn LabelNames>,
) -> Result<(), WireError> {
    let when = kind.map(|_| WHEN.sec as i64);
    xml::flow(out, &FlowView::index(msg)?, kind, when, &style, &context(labels))
}

fn hostile_event() -> EventHead<'static> {
    EventHead {
        kind: Event::Destroy,
        portid: u32::MAX,
        program: Some(super::message::HOSTILE_TEXT),
        time: Some(EventTime { sec: u64::MAX, usec: u32::MAX }),
    }
}

fn flow_json(
    out: &mut Out<'_>,
    msg: CtMsg<'_>,
    event: Option<EventHead<'_>>,
    style: Style,
    labels: Option<&dyn LabelNames>,
) -> Result<(), WireError> {
    json::flow(out, &FlowView::index(msg)?, event.as_ref(), &style, &context(labels))
}

fn save_verb(out: &mut Out<'_>, msg: CtMsg<'_>, verb: save::Verb) -> Result<(), WireError> {
    save::flow(out, &FlowView::index(msg)?, verb)
}

/// The renderers of flows.
pub const FLOW: &[Renderer] = &[
    Renderer { name: "line", format: Format::Line, run: |o, m| flow_line(o, m, NO_WORDS, None) },
    Renderer {
        name: "line, all",
        format: Format::Line,
        run: |o, m| flow_line(o, m, ALL_WORDS, Some(&Plain)),
    },
    Renderer { name: "line, event", format: Format::Line, run: flow_event_line },
    Renderer { name: "save", format: Format::Save, run: |o, m| save_verb(o, m, save::Verb::Add) },
    Renderer { name: "save -D", format: Format::Save, run: |o, m| save_verb(o, m, save::Verb::Delete) },
    Renderer { name: "xml", format: Format::Xml, run: |o, m| flow_xml(o, m, None, NO_WORDS, None) },
    Renderer {
        name: "xml, event",
        format: Format::Xml,
        run: |o, m| flow_xml(o, m, Some(Event::Update), ALL_WORDS, Some(&Hostile)),
    },
    Renderer { name: "json", format: Format::Json, run: |o, m| flow_json(o, m, None, NO_WORDS, None) },
    Renderer {
        name: "json, all",
        format: Format::Json,
        run: |o, m| flow_json(o, m, None, ALL_WORDS, Some(&Plain)),
    },
    Renderer {
        name: "json, event",
        format: Format::Json,
        run: |o, m| flow_json(o, m, Some(hostile_event()), ALL_WORDS, Some(&Hostile)),
    },
];

/// The renderers of expectations.
pub const EXPECT: &[Renderer] = &[
    Renderer {
        name: "expectation line",
        format: Format::Line,
        run: |out, msg| {
            expect::timestamp(out, WHEN);
            expect::line(out, &ExpectView::index(msg)?)
        },
    },
    Renderer {
        name: "expectation xml",
        format: Format::Xml,
        run: |out, msg| xml::expect(out, &ExpectView::index(msg)?, None, None, &context(None)),
    },
    Renderer {
        name: "expectation xml, event",
        format: Format::Xml,
        run: |out, msg| {
            let kind = Some(Event::New);
            xml::expect(out, &ExpectView::index(msg)?, kind, Some(WHEN.sec as i64), &context(None))
        },
    },
    Renderer {
        name: "expectation json",
        format: Format::Json,
        run: |out, msg| json::expect(out, &ExpectView::index(msg)?, None, &NO_WORDS),
    },
    Renderer {
        name: "expectation json, event",
        format: Format::Json,
        run: |out, msg| json::expect(out, &ExpectView::index(msg)?, Some(&hostile_event()), &ALL_WORDS),
    },
];

/// The renderers of counters.
pub const STATS: &[Renderer] = &[
    Renderer {
        name: "counters line",
        format: Format::Line,
        run: |out, msg| stats::line(out, &CpuStats::new(msg), CounterSet::Flows),
    },
    Renderer {
        name: "counters json",
        format: Format::Json,
        run: |out, msg| stats::json(out, &CpuStats::new(msg), CounterSet::Flows),
    },
    Renderer {
        name: "expectation counters json",
        format: Format::Json,
        run: |out, msg| stats::json(out, &CpuStats::new(msg), CounterSet::Expectations),
    },
];

/// Every renderer: any of them may be handed any message.
pub fn all() -> impl Iterator<Item = &'static Renderer> {
    [FLOW, EXPECT, STATS].into_iter().flatten()
}
