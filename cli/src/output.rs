//! Entries on standard output, in the format that was asked for.

use crate::stdout::{PrintError, Printer};
use crate::values::label::LabelMap;
use crate::values::list::Output;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use zct_engine::SystemZone;
use zct_engine::sink::Unsent;
use zct_wire::WireError;
use zct_wire::consts::cta;
use zct_wire::event::Event;
use zct_wire::expect::ExpectView;
use zct_wire::flow::FlowView;
use zct_wire::text::json::{self, EventHead};
use zct_wire::text::save::Verb;
use zct_wire::text::{EventTime, Out, Style, TextContext, expect, line, save, xml};

/// How an entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line for people.
    Line,
    /// One line for `-R`.
    Save,
    /// One XML element.
    Xml,
    /// One JSON object.
    Json,
}

/// The XML document that entries belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// Flows.
    Conntrack,
    /// Expectations.
    Expect,
    /// Single elements without header and footer, as `-D` and `-U` write them.
    Bare,
}

/// What is known about an event besides the entry itself.
#[derive(Clone, Copy, Debug)]
pub struct Happened<'a> {
    /// New, changed or gone.
    pub kind: Event,
    /// When it was reported.
    pub time: EventTime,
    /// Netlink port of the program that caused it; 0 if no program did.
    pub portid: u32,
    /// The program's name, if it was found.
    pub program: Option<&'a [u8]>,
}

/// Writes entries. They are collected and written in large pieces; [`Presenter::flush`] writes out the rest.
///
/// # Allocation
/// The buffer is allocated once; an entry allocates nothing.
#[derive(Debug)]
pub struct Presenter {
    out: Printer,
    format: Format,
    style: Style,
    labels: Option<Arc<LabelMap>>,
    zone: SystemZone,
    document: Document,
    opened: bool,
}

impl Presenter {
    /// Writes to standard output.
    pub fn stdout(
        output: &Output,
        document: Document,
        labels: Option<Arc<LabelMap>>,
    ) -> io::Result<Presenter> {
        // Not std's Stdout, whose line buffering searches everything we write for newlines.
        let to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Presenter::over(to, output, document, labels))
    }

    /// The same, but writes to `to` instead.
    pub fn over(
        to: impl Write + Send + 'static,
        output: &Output,
        document: Document,
        labels: Option<Arc<LabelMap>>,
    ) -> Presenter {
        let mut presenter = Presenter {
            out: Printer::new(to),
            format: Format::Line,
            style: Style::default(),
            labels,
            zone: SystemZone::default(),
            document,
            opened: false,
        };
        presenter.set_output(output);
        presenter
    }

    /// Writes the entries that follow in this format.
    pub fn set_output(&mut self, output: &Output) {
        self.format = match output {
            Output { json: true, .. } => Format::Json,
            Output { xml: true, .. } => Format::Xml,
            // Expectations have no saved form; -o save is ignored there.
            Output { save: true, .. } if self.document != Document::Expect => Format::Save,
            _ => Format::Line,
        };
        self.style = Style {
            extended: output.extended,
            id: output.id,
            ktimestamp: output.ktimestamp,
            timestamp: output.timestamp,
        };
    }

    /// The format in use.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Writes the XML header before the first entry.
    fn open(&mut self) -> Result<(), PrintError> {
        if self.format == Format::Xml && !self.opened {
            self.opened = true;
            let header: &[u8] = match self.document {
                Document::Conntrack => xml::HEADER,
                Document::Expect => xml::EXPECT_HEADER,
                Document::Bare => b"",
            };
            self.out.text(header).map_err(PrintError::Io)?;
        }
        Ok(())
    }

    /// Renders one entry and its newline.
    fn entry(
        &mut self,
        now_s: u64,
        render: &mut dyn FnMut(&mut Out<'_>, &Style, &TextContext<'_>) -> Result<(), WireError>,
    ) -> Result<(), PrintError> {
        self.open()?;
        let labels = self.labels.as_deref().map(|l| l as _);
        let context = TextContext { now_s, zone: &self.zone, labels };
        self.out.print(&mut |out| {
            render(out, &self.style, &context)?;
            out.byte(b'\n');
            Ok(())
        })
    }

    /// Writes a flow of the table; `verb` is for the saved form.
    pub fn flow(&mut self, f: &FlowView<'_>, verb: Verb) -> Result<(), PrintError> {
        let format = self.format;
        self.entry(now_for(f), &mut |out, style, context| match format {
            Format::Line => line::flow(out, f, style, context),
            Format::Save => save::flow(out, f, verb),
            Format::Xml => xml::flow(out, f, None, None, style, context),
            Format::Json => json::flow(out, f, None, style, context),
        })
    }

    /// Writes a flow of which there is no message, in the form of [`Format::Line`], which is the only one that can be
    /// made of it.
    pub fn unsent(&mut self, f: &dyn Unsent) -> Result<(), PrintError> {
        let now_s = if f.has_age() { now().sec } else { 0 };
        self.entry(now_s, &mut |out, style, context| f.line(out, style, context))
    }

    /// Writes an event about a flow.
    pub fn flow_event(&mut self, f: &FlowView<'_>, what: &Happened<'_>) -> Result<(), PrintError> {
        let format = self.format;
        self.entry(now_for(f), &mut |out, style, context| {
            match format {
                Format::Xml => return xml::flow(out, f, Some(what.kind), style.when(what), style, context),
                Format::Json => return json::flow(out, f, Some(&what.json(style)), style, context),
                Format::Line | Format::Save => {}
            }
            if style.timestamp {
                line::timestamp(out, what.time);
            }
            if format == Format::Save {
                save::flow(out, f, what.kind.into())?;
            } else {
                line::tag(out, what.kind);
                line::flow(out, f, style, context)?;
            }
            line::userspace(out, what.portid, what.program);
            Ok(())
        })
    }

    /// Writes an expectation, from the table or from an event.
    pub fn expect(&mut self, e: &ExpectView<'_>, what: Option<&Happened<'_>>) -> Result<(), PrintError> {
        let format = self.format;
        let time = what.map_or_else(now, |w| w.time);
        self.entry(time.sec, &mut |out, style, context| {
            let kind = what.map(|w| w.kind);
            match format {
                Format::Xml => {
                    let when = style.timestamp.then_some(time.sec as i64);
                    return xml::expect(out, e, kind, when, context);
                }
                Format::Json => {
                    let event = what.map(|w| w.json(style));
                    return json::expect(out, e, event.as_ref(), style);
                }
                Format::Line | Format::Save => {}
            }
            if style.timestamp {
                expect::timestamp(out, time);
            }
            if let Some(kind) = kind {
                line::tag(out, kind);
            }
            expect::line(out, e)
        })
    }

    /// In JSON, says on standard output that events were lost; the other formats have no place for it.
    pub fn lost(&mut self, count: u64, time: EventTime) -> Result<(), PrintError> {
        if self.format != Format::Json {
            return Ok(());
        }
        self.out.print(&mut |out| {
            json::lost(out, count, time);
            out.byte(b'\n');
            Ok(())
        })
    }

    /// Ends the document, if it was begun and has an end.
    pub fn close(&mut self) -> Result<(), PrintError> {
        if self.opened {
            let footer: &[u8] = match self.document {
                Document::Conntrack => xml::FOOTER,
                Document::Expect => xml::EXPECT_FOOTER,
                Document::Bare => b"",
            };
            self.out.text(footer).map_err(PrintError::Io)?;
        }
        Ok(())
    }

    /// Writes out what has been collected.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The time to show for an event, as the words of `-o` say.
trait When {
    fn when(&self, what: &Happened<'_>) -> Option<i64>;
}

impl When for Style {
    /// The time of an XML event, if `-o timestamp` asks for it.
    fn when(&self, what: &Happened<'_>) -> Option<i64> {
        self.timestamp.then(|| i64::try_from(what.time.sec).unwrap_or(i64::MAX))
    }
}

impl<'a> Happened<'a> {
    fn json(&self, style: &Style) -> EventHead<'a> {
        let time = style.timestamp.then_some(self.time);
        EventHead { kind: self.kind, portid: self.portid, program: self.program, time }
    }
}

/// The current time, for the age of a flow that has a start time; no other flow needs it, so 0 then.
fn now_for(f: &FlowView<'_>) -> u64 {
    if f.has(cta::TIMESTAMP) { now().sec } else { 0 }
}

/// The time of the local clock.
pub fn now() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime { sec: since.as_secs(), usec: since.subsec_micros() }
}
