//! Listings of the caches and of the kernel's table (conntrackd.md §3). They are rendered piece by piece, by
//! walks that stay valid while the caches change.

use crate::control::request::Listing;
use crate::peer::{Machine, Millis};
use crate::store::{Cursor, ExpectStore, FlowStore, Meta};
use crate::text::{LINE_MAX, Row, ages, expect_line, expect_xml};
use std::ops::{ControlFlow, Range};
use zct_engine::{Error, Lost, Progress, Sink, StepDump, SystemZone};
use zct_wire::WireError;
use zct_wire::consts::ipctnl;
use zct_wire::expect::ExpectView;
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{self, Table};
use zct_wire::text::{Out, Style, TextContext, expect, line, xml};

/// How many bytes are rendered before they are written.
const PIECE: usize = 64 << 10;

/// The caches that listings show. Caches that a mode does not have are empty.
#[derive(Clone, Copy)]
pub struct ShownCaches<'a> {
    /// The internal cache: the kernel's flows.
    pub internal: &'a FlowStore,
    /// The machines, which have the peers' flows and the expectations; none in statistics mode.
    pub machines: &'a [Machine],
    /// The names of their peers, where these have any.
    pub names: &'a [String],
    /// The time on the daemon's clock.
    pub now: Millis,
}

impl ShownCaches<'_> {
    /// Says whose flow it is where several nodes could own it.
    fn owner(&self, listing: Listing, at: usize, out: &mut Out<'_>) {
        if let Some(name) = self.names.get(at).filter(|_| listing.external) {
            out.put(b" [node ");
            out.put(name.as_bytes());
            out.byte(b']');
        }
    }
}

/// What a client has yet to get after the text rendered so far.
#[derive(Debug)]
pub(super) enum Source {
    /// Nothing more.
    Nothing,
    /// The rest of the caches of flows: of that of the next peer, and of those of the peers before the last.
    Flows { listing: Listing, cursor: Cursor, peers: Range<usize> },
    /// The rest of the caches of expectations, in the same way.
    Expects { listing: Listing, cursor: u32, peers: Range<usize> },
    /// The rest of a table of the kernel.
    Kernel(KernelListing),
}

impl Source {
    /// A cache, from its beginning: those of the peers with these numbers.
    pub(super) fn cache(listing: Listing, peers: Range<usize>) -> Source {
        // What the kernel has is the same for all of them.
        let peers = if listing.external { peers } else { 0..1 };
        match listing.expects {
            true => Source::Expects { listing, cursor: 0, peers },
            false => Source::Flows { listing, cursor: Cursor::default(), peers },
        }
    }

    /// Renders the next piece; returns false when that was the last.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, shown: &ShownCaches<'_>) -> bool {
        match self {
            Source::Nothing => false,
            Source::Flows { listing, cursor, peers } => {
                while let Some(at) = peers.clone().next() {
                    let store = match listing.external {
                        false => Some(shown.internal),
                        true => shown.machines.get(at).map(|m| &m.caches().external),
                    };
                    if store.is_some_and(|store| fill_flows(out, store, (*listing, at), cursor, shown)) {
                        return true;
                    }
                    (peers.start, *cursor) = (at + 1, Cursor::default());
                }
                false
            }
            Source::Expects { listing, cursor, peers } => {
                while let Some(at) = peers.clone().next() {
                    let caches = shown.machines.get(at).map(Machine::caches);
                    let store = caches.map(|c| match listing.external {
                        false => &c.internal_expect,
                        true => &c.external_expect,
                    });
                    if store.is_some_and(|store| fill_expects(out, store, (*listing, at), cursor, shown)) {
                        return true;
                    }
                    (peers.start, *cursor) = (at + 1, 0);
                }
                false
            }
            Source::Kernel(listing) => listing.fill(out),
        }
    }
}

fn fill_flows(
    out: &mut Vec<u8>,
    store: &FlowStore,
    (listing, at): (Listing, usize),
    cursor: &mut Cursor,
    shown: &ShownCaches<'_>,
) -> bool {
    while out.len() < PIECE {
        let Some(id) = store.walk(cursor) else { return false };
        let meta = store.meta(id);
        let Some(flow) = store.flow(id).filter(|_| !is_dead(meta)) else { continue };
        let row = match listing.external {
            true => Row::peer(&flow),
            false => Row::local(&flow, meta.map_or(0, |m| m.id_or_heard_s)),
        };
        append(out, |o| {
            if listing.xml {
                return row.xml(o);
            }
            row.line(o);
            let expires = shown.machines.get(at).zip(meta.filter(|_| listing.external));
            let expires = expires.and_then(|(m, meta)| m.expires_in_s(shown.now, meta));
            ages(o, expires, age(meta, shown.now));
            shown.owner(listing, at, o);
        });
    }
    true
}

fn fill_expects(
    out: &mut Vec<u8>,
    store: &ExpectStore,
    (listing, at): (Listing, usize),
    cursor: &mut u32,
    shown: &ShownCaches<'_>,
) -> bool {
    while out.len() < PIECE {
        let Some(id) = store.walk(cursor) else { return false };
        let meta = store.meta(id);
        let Some(e) = store.get(id).filter(|_| !is_dead(meta)) else { continue };
        append(out, |o| {
            if listing.xml {
                return expect_xml(o, e);
            }
            expect_line(o, e);
            ages(o, None, age(meta, shown.now));
            shown.owner(listing, at, o);
        });
    }
    true
}

fn age(meta: Option<Meta>, now: Millis) -> u64 {
    (now / 1000).saturating_sub(meta.map_or(0, |m| m.born_s.into()))
}

fn is_dead(meta: Option<Meta>) -> bool {
    meta.is_some_and(|m| m.flags & Meta::DEAD != 0)
}

/// A listing of one of the kernel's tables, on its way to a client.
#[derive(Debug)]
pub struct KernelListing {
    dump: Box<StepDump>,
    xml: bool,
    // The dump is over; only what has been rendered is left.
    over: bool,
}

impl KernelListing {
    /// Begins a listing of the kernel's table, for a daemon without an internal cache: as lines of `conntrack
    /// -L`, or as elements of its XML.
    ///
    /// # Errors
    /// When the socket cannot be opened, or the request cannot be sent.
    pub fn begin(listing: Listing) -> Result<KernelListing, Error> {
        let mut dump = Box::new(StepDump::open()?);
        let table = if listing.expects { Table::Expect } else { Table::Conntrack };
        dump.begin(|buf, seq| request::dump(buf, seq, table, &DumpFilter::default()))?;
        Ok(KernelListing { dump, xml: listing.xml, over: false })
    }

    fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        while !self.over && out.len() < PIECE {
            let mut sink = ListingLines { out, xml: self.xml, zone: &SystemZone::default() };
            // An error ends the listing where it is, as it would end conntrack -L. So would a dump that had
            // to wait for the kernel, which does not happen today.
            self.over = !matches!(self.dump.step(1, &mut sink), Ok(Progress::More));
        }
        !self.over
    }
}

/// Renders the messages of a dump.
struct ListingLines<'a> {
    out: &'a mut Vec<u8>,
    xml: bool,
    zone: &'a SystemZone,
}

impl ListingLines<'_> {
    fn entry(&mut self, msg: CtMsg<'_>) -> Result<(), WireError> {
        let now_s = crate::host::log::now_s().try_into().unwrap_or(0);
        let ctx = TextContext { now_s, zone: self.zone, labels: None };
        let style = Style::default();
        if msg.kind() == ipctnl::NEW {
            let view = FlowView::index(msg)?;
            return append_checked(self.out, |o| match self.xml {
                true => xml::flow(o, &view, None, None, &style, &ctx),
                false => line::flow(o, &view, &style, &ctx),
            });
        }
        let view = ExpectView::index(msg)?;
        append_checked(self.out, |o| match self.xml {
            true => xml::expect(o, &view, None, None, &ctx),
            false => expect::line(o, &view),
        })
    }
}

impl Sink for ListingLines<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        // An entry that makes no sense is left out; the rest of the table is worth showing.
        _ = self.entry(msg);
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {}
}

/// Appends one line, rendered by `write`.
fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut Out<'_>)) {
    let start = out.len();
    out.resize(start + LINE_MAX, 0);
    let mut text = Out::resume(out, start);
    write(&mut text);
    text.byte(b'\n');
    // No entry is longer than the room for it.
    let len = if text.is_full() { start } else { text.len() };
    out.truncate(len);
}

/// Appends a line, unless it cannot be rendered.
fn append_checked(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Out<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let start = out.len();
    let mut done = Ok(());
    append(out, |o| done = write(o));
    if done.is_err() {
        out.truncate(start);
    }
    done
}
