//! The control socket's server side (spec/conntrackd.md §3).
//!
//! Many clients at once, none of which is waited for: one that says nothing, says too little, or does not read
//! what it asked for takes its buffer and no time. Listings are rendered piece by piece as the client takes them,
//! from walks that stay valid while the caches change.

use crate::control::request::{Listing, Request};
use crate::control::text::{LINE_MAX, Row, ages, expect_line, expect_xml};
use crate::host::lock::reason;
use crate::peer::{Caches, Machine, Millis};
use crate::store::{Cursor, ExpectStore, FlowStore, Meta};
use std::io::{self, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use zct_engine::write_file::{self, Unwritten};
use zct_engine::{Error, Interest, Lost, Progress, Reactor, Sink, StepDump, SystemZone, Token, Turn};
use zct_wire::WireError;
use zct_wire::consts::ipctnl;
use zct_wire::expect::ExpectView;
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{Table, dump};
use zct_wire::text::{Out, Style, TextContext, expect, line, xml};

/// Clients at once; the one that has been silent longest makes room for another.
const CLIENTS_MAX: usize = 128;
/// Bytes rendered before they are written.
const PIECE: usize = 64 << 10;
/// Pieces written to one client in one turn.
const PIECES_A_TURN: usize = 2;
/// A client that has asked for nothing by then is sent away.
const SILENT_MS: Millis = 30_000;

/// Names a client until its answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId {
    slot: usize,
    serial: u64,
}

/// A request that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One that we know; with `status` it wants to hear how it went.
    Known {
        /// What is asked for.
        request: Request,
        /// Whether a status is wanted.
        status: bool,
    },
    /// A number that means nothing.
    Unknown,
    /// Fewer than four bytes, and then the end.
    Short,
}

/// What a client gets.
#[derive(Debug)]
pub enum Reply {
    /// Nothing: the connection is closed.
    Close,
    /// This text.
    Text(String),
    /// A listing of a cache.
    List(Listing),
    /// A listing of a table of the kernel: see [`kernel_listing`].
    Kernel(KernelListing),
    /// Something later: the connection stays.
    Wait,
}

/// A table of the kernel on its way to a client.
#[derive(Debug)]
pub struct KernelListing {
    dump: Box<StepDump>,
    xml: bool,
    // The dump is over: what is rendered is all.
    over: bool,
}

/// What caches a listing shows. Caches that a mode does not have are empty.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The kernel's flows.
    pub internal: &'a FlowStore,
    /// The peer's flows and the expectations.
    pub caches: Option<&'a Caches>,
    /// The machine, which knows when things expire; none in statistics mode.
    pub machine: Option<&'a Machine>,
    /// The daemon's clock.
    pub now: Millis,
}

#[derive(Debug)]
enum State {
    /// Has not said what it wants; so many bytes of it are there.
    Asking { bytes: [u8; 4], got: usize },
    /// Has asked, and is not answered yet.
    Waiting,
    /// Gets what is in `out`, and then more of this.
    Answered(Source),
}

#[derive(Debug)]
enum Source {
    Nothing,
    Flows { listing: Listing, cursor: Cursor },
    Expects { listing: Listing, cursor: u32 },
    Kernel(KernelListing),
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    serial: u64,
    since: Millis,
    state: State,
    out: Vec<u8>,
    sent: usize,
    /// The socket takes no more for now.
    blocked: bool,
}

/// The listening socket and its clients.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<Option<Client>>,
    serial: u64,
    first_token: usize,
}

impl Server {
    /// Listens at `path`, in place of whatever socket was there, and of nothing else. `first_token` and the next
    /// [`Server::TOKENS`] are its own.
    ///
    /// # Errors
    /// What was in the way, as text.
    pub fn open(path: &Path, first_token: usize) -> Result<Server, String> {
        write_file::remove_socket(path).map_err(|e| reason(path, &e.why))?;
        let listener = UnixListener::bind(path).and_then(|l| l.set_nonblocking(true).map(|()| l));
        let listener = listener.map_err(|e| reason(path, &Unwritten::System(e)))?;
        let clients = (0..CLIENTS_MAX).map(|_| None).collect();
        Ok(Server { listener, path: path.into(), clients, serial: 0, first_token })
    }

    /// How many tokens it uses.
    pub const TOKENS: usize = CLIENTS_MAX + 1;

    /// Removes the socket.
    pub fn remove(&self) {
        // Gone already is as good, and what has taken its place is not ours.
        _ = write_file::remove_socket(&self.path);
    }

    /// Registers the listening socket.
    pub fn watch(&self, reactor: &mut Reactor) -> Result<(), Error> {
        reactor.watch(&self.listener, Token(self.first_token))
    }

    fn client_token(&self, slot: usize) -> Token {
        Token(self.first_token + 1 + slot)
    }

    /// One of its tokens is ready: accepts clients, and hands out what one of them asks for.
    pub fn ready(
        &mut self,
        token: usize,
        now: Millis,
        reactor: &mut Reactor,
    ) -> Result<(Turn, Option<(ClientId, Asked)>), Error> {
        match token.checked_sub(self.first_token + 1) {
            None => Ok((self.accept(now, reactor)?, None)),
            Some(slot) => {
                if let Some(Some(c)) = self.clients.get_mut(slot) {
                    // It may have become writable: what waits for it is written when the turn settles.
                    c.blocked = false;
                }
                Ok((Turn::Drained, self.read(slot)))
            }
        }
    }

    fn accept(&mut self, now: Millis, reactor: &mut Reactor) -> Result<Turn, Error> {
        // As many as a well-meant script brings at once; the others wait their turn in the backlog.
        for _ in 0..16 {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if stream.set_nonblocking(true).is_err() {
                        continue;
                    }
                    let Some(slot) = self.free_slot() else { continue };
                    let token = self.client_token(slot);
                    reactor.watch_for(&stream, token, Interest::READABLE | Interest::WRITABLE)?;
                    self.serial += 1;
                    let state = State::Asking { bytes: [0; 4], got: 0 };
                    let (serial, out) = (self.serial, Vec::new());
                    let client = Client { stream, serial, since: now, state, out, sent: 0, blocked: false };
                    if let Some(c) = self.clients.get_mut(slot) {
                        *c = Some(client);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Drained),
                // The client is gone again, or descriptors are short: nothing to do about it now.
                Err(_) => return Ok(Turn::Drained),
            }
        }
        Ok(Turn::More)
    }

    /// A free slot, if need be that of the client that has said nothing for longest.
    fn free_slot(&mut self) -> Option<usize> {
        if let Some(free) = self.clients.iter().position(Option::is_none) {
            return Some(free);
        }
        let silent = self.clients.iter().enumerate().filter_map(|(slot, c)| {
            let c = c.as_ref()?;
            matches!(c.state, State::Asking { .. } | State::Answered(_)).then_some((c.since, slot))
        });
        let (_, slot) = silent.min()?;
        self.close(slot);
        Some(slot)
    }

    fn close(&mut self, slot: usize) {
        // Dropping the stream takes it out of the poll.
        if let Some(c) = self.clients.get_mut(slot) {
            *c = None;
        }
    }

    fn read(&mut self, slot: usize) -> Option<(ClientId, Asked)> {
        let c = self.clients.get_mut(slot)?.as_mut()?;
        let id = ClientId { slot, serial: c.serial };
        loop {
            let mut more = [0; 64];
            let into = match &mut c.state {
                State::Asking { bytes, got } => bytes.get_mut(*got..).unwrap_or_default(),
                // Whatever comes after the request means nothing.
                _ => &mut more[..],
            };
            match c.stream.read(into) {
                Ok(0) => {
                    let State::Asking { got, .. } = c.state else {
                        // It has closed its sending half only, or is gone: writing will tell.
                        return None;
                    };
                    let short = got > 0;
                    self.close(slot);
                    return short.then_some((id, Asked::Short));
                }
                Ok(n) => {
                    let State::Asking { bytes, got } = &mut c.state else { continue };
                    *got += n;
                    if *got < bytes.len() {
                        continue;
                    }
                    let code = u32::from_ne_bytes(*bytes);
                    c.state = State::Waiting;
                    let asked = match Request::from_code(code) {
                        Some((request, status)) => Asked::Known { request, status },
                        None => Asked::Unknown,
                    };
                    return Some((id, asked));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.close(slot);
                    return None;
                }
            }
        }
    }

    /// Answers a client. One that is gone is passed over.
    pub fn reply(&mut self, id: ClientId, reply: Reply) {
        let Some(Some(c)) = self.clients.get_mut(id.slot) else { return };
        if c.serial != id.serial {
            return;
        }
        c.state = match reply {
            Reply::Close => return self.close(id.slot),
            Reply::Wait => State::Waiting,
            Reply::Text(text) => {
                c.out.extend_from_slice(text.as_bytes());
                State::Answered(Source::Nothing)
            }
            Reply::List(listing) if listing.expects => {
                State::Answered(Source::Expects { listing, cursor: 0 })
            }
            Reply::List(listing) => State::Answered(Source::Flows { listing, cursor: Cursor::default() }),
            Reply::Kernel(listing) => State::Answered(Source::Kernel(listing)),
        };
    }

    /// Writes what clients will take, in pieces; true when there is more to do at once.
    pub fn settle(&mut self, shown: &Shown<'_>) -> bool {
        let mut more = false;
        for slot in 0..self.clients.len() {
            let Some(Some(c)) = self.clients.get_mut(slot) else { continue };
            let done = match c.state {
                State::Asking { .. } => shown.now.saturating_sub(c.since) >= SILENT_MS,
                State::Waiting => false,
                State::Answered(_) => match c.write(shown) {
                    Wrote::All => true,
                    Wrote::Blocked => false,
                    Wrote::More => {
                        more = true;
                        false
                    }
                },
            };
            if done {
                self.close(slot);
            }
        }
        more
    }

    /// When to look at silent clients again.
    pub fn deadline(&self) -> Option<Millis> {
        let silent = self.clients.iter().flatten().filter(|c| matches!(c.state, State::Asking { .. }));
        silent.map(|c| c.since + SILENT_MS).min()
    }

    /// Says goodbye to everybody who waits: what is written by now is what they get.
    pub fn last_words(&mut self, shown: &Shown<'_>) {
        self.settle(shown);
        self.clients.iter_mut().for_each(|c| *c = None);
    }
}

/// What became of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrote {
    /// The answer is complete, or the client is gone.
    All,
    /// It takes no more for now.
    Blocked,
    /// The turn's share is used up.
    More,
}

impl Client {
    fn write(&mut self, shown: &Shown<'_>) -> Wrote {
        if self.blocked {
            return Wrote::Blocked;
        }
        for _ in 0..PIECES_A_TURN {
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
                let State::Answered(source) = &mut self.state else { return Wrote::Blocked };
                if !source.fill(&mut self.out, shown) && self.out.is_empty() {
                    return Wrote::All;
                }
            }
            while let Some(rest) = self.out.get(self.sent..).filter(|r| !r.is_empty()) {
                match self.stream.write(rest) {
                    Ok(n) => {
                        self.sent += n;
                        self.since = shown.now;
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        self.blocked = true;
                        return Wrote::Blocked;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Wrote::All,
                }
            }
        }
        Wrote::More
    }
}

impl Source {
    /// Renders the next piece; false when that was all.
    fn fill(&mut self, out: &mut Vec<u8>, shown: &Shown<'_>) -> bool {
        match self {
            Source::Nothing => false,
            Source::Flows { listing, cursor } => match (listing.external, shown.caches) {
                (false, _) => fill_flows(out, shown.internal, *listing, cursor, shown),
                (true, Some(caches)) => fill_flows(out, &caches.external, *listing, cursor, shown),
                (true, None) => false,
            },
            Source::Expects { listing, cursor } => match (listing.external, shown.caches) {
                (false, Some(caches)) => fill_expects(out, &caches.internal_expect, *listing, cursor, shown),
                (true, Some(caches)) => fill_expects(out, &caches.external_expect, *listing, cursor, shown),
                (_, None) => false,
            },
            Source::Kernel(listing) => listing.fill(out),
        }
    }
}

impl KernelListing {
    fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        while !self.over && out.len() < PIECE {
            let mut sink = Lines { out, xml: self.xml, zone: &SystemZone::default() };
            // An error ends the listing where it is, as it would end conntrack -L. A dump that has to wait for
            // the kernel, which none does today, ends there too.
            self.over = !matches!(self.dump.step(1, &mut sink), Ok(Progress::More));
        }
        !self.over
    }
}

/// Appends one line that `write` renders.
fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut Out<'_>)) {
    let start = out.len();
    out.resize(start + LINE_MAX, 0);
    let mut text = Out::resume(out, start);
    write(&mut text);
    text.byte(b'\n');
    // No entry is longer than the room.
    let len = if text.is_full() { start } else { text.len() };
    out.truncate(len);
}

fn age(meta: Option<Meta>, now: Millis) -> u64 {
    (now / 1000).saturating_sub(meta.map_or(0, |m| m.born_s.into()))
}

fn is_dead(meta: Option<Meta>) -> bool {
    meta.is_some_and(|m| m.flags & Meta::DEAD != 0)
}

fn fill_flows(
    out: &mut Vec<u8>,
    store: &FlowStore,
    listing: Listing,
    cursor: &mut Cursor,
    shown: &Shown<'_>,
) -> bool {
    while out.len() < PIECE {
        let Some(id) = store.walk(cursor) else { return false };
        let meta = store.meta(id);
        let Some(flow) = store.flow(id).filter(|_| !is_dead(meta)) else { continue };
        let row = match listing.external {
            true => Row::peer(&flow),
            false => Row::local(&flow, meta.map_or(0, |m| m.note)),
        };
        append(out, |o| {
            if listing.xml {
                return row.xml(o);
            }
            row.line(o);
            let expires = shown.machine.zip(meta.filter(|_| listing.external));
            let expires = expires.and_then(|(m, meta)| m.expires_in_s(shown.now, meta));
            ages(o, expires, age(meta, shown.now));
        });
    }
    true
}

fn fill_expects(
    out: &mut Vec<u8>,
    store: &ExpectStore,
    listing: Listing,
    cursor: &mut u32,
    shown: &Shown<'_>,
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
        });
    }
    true
}

/// Begins a listing of the kernel's table, for a daemon without an internal cache: in the lines of
/// `conntrack -L`, or elements of its XML.
///
/// # Errors
/// A socket that cannot be opened, or a request that cannot be sent.
pub fn kernel_listing(listing: Listing) -> Result<Reply, Error> {
    let mut step = StepDump::open()?;
    let table = if listing.expects { Table::Expect } else { Table::Conntrack };
    step.begin(|buf, seq| dump(buf, seq, table, &DumpFilter::default()))?;
    Ok(Reply::Kernel(KernelListing { dump: Box::new(step), xml: listing.xml, over: false }))
}

struct Lines<'a> {
    out: &'a mut Vec<u8>,
    xml: bool,
    zone: &'a SystemZone,
}

impl Lines<'_> {
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

impl Sink for Lines<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        // What makes no sense is left out; the rest of the table is worth showing.
        _ = self.entry(msg);
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {}
}
