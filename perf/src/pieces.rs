//! The pieces of work that a flow causes, one by one: `benches/pieces.rs` times them, `micro` counts them.

use crate::mix;
use std::fmt;
use zct::filter::{Direction, Filter, Network, Networks, PortRange, PortRanges};
use zct_wire::WireError;
use zct_wire::consts::{af, ipproto, nlm_f};
use zct_wire::flow::{Dir, FlowView};
use zct_wire::header::{CtMsg, Frames};
use zct_wire::request::{self, NewFlow, REQUEST_MAX};
use zct_wire::text::save::Verb;
use zct_wire::text::{LocalTime, Out, Style, TextContext, TimeZone, json, line, save, xml};
use zct_wire::tuple::Addr;

/// How many bytes of dump are worked on: as many as one receive call brings.
const CHUNK: usize = 32 << 10;
/// Room for their text in the longest of the formats.
const TEXT: usize = 256 << 10;

/// A chunk of a dump of the common mix, and room for what is made from it.
#[derive(Debug)]
pub struct Material {
    chunk: Vec<u8>,
    flows: u64,
    text: Vec<u8>,
    new: Vec<NewFlow<'static>>,
    any: Filter,
    net: Filter,
    dns: Filter,
}

/// A piece of work on every flow of the material. Its result depends on all of the work, so that the
/// compiler can leave nothing out.
#[derive(Clone, Copy)]
pub struct Piece {
    /// Name on the command line and in the tables.
    pub name: &'static str,
    /// Does the work once.
    pub run: fn(&mut Material) -> u64,
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// All pieces. Whatever reads a flow indexes it first, so `index` is part of every piece but the first and
/// the two that build.
pub const PIECES: [Piece; 15] = [
    Piece { name: "frames", run: frames },
    Piece { name: "index", run: |m| each(m, |f| Ok(u64::from(f.family()))) },
    Piece { name: "accessors", run: |m| each(m, accessors) },
    Piece { name: "tuples", run: |m| each(m, tuples) },
    Piece { name: "protoinfo", run: |m| each(m, |f| Ok(u64::from(f.protoinfo()?.is_some()))) },
    Piece { name: "line", run: |m| text(m, |out, f, c| line::flow(out, f, &PLAIN, c)) },
    Piece { name: "line-extended-id", run: |m| text(m, |out, f, c| line::flow(out, f, &EXTENDED, c)) },
    Piece { name: "save", run: |m| text(m, |out, f, _| save::flow(out, f, Verb::Add)) },
    Piece { name: "xml", run: |m| text(m, |out, f, c| xml::flow(out, f, None, None, &PLAIN, c)) },
    Piece { name: "json", run: |m| text(m, |out, f, c| json::flow(out, f, None, &PLAIN, c)) },
    Piece { name: "filter-any", run: |m| filtered(m, |m| &m.any) },
    Piece { name: "filter-net", run: |m| filtered(m, |m| &m.net) },
    Piece { name: "filter-udp-dst-port", run: |m| filtered(m, |m| &m.dns) },
    Piece { name: "build-create", run: creates },
    Piece { name: "build-delete", run: deletes },
];

const PLAIN: Style = Style { extended: false, id: false, ktimestamp: false, timestamp: false };
const EXTENDED: Style = Style { extended: true, id: true, ktimestamp: false, timestamp: false };

/// A time zone that needs no clock.
#[derive(Debug)]
pub struct Utc;

impl TimeZone for Utc {
    fn local(&self, _: i64) -> LocalTime {
        LocalTime::default()
    }
}

impl Default for Material {
    fn default() -> Material {
        let (mut chunk, mut used, mut flows) = (vec![0; CHUNK], 0, 0u32);
        while let Ok(message) = mix::dumped(flows, &mut chunk[used..]) {
            used += message.len().next_multiple_of(4);
            flows += 1;
        }
        chunk.truncate(used);
        let net = |addr, mask| Networks::from_iter([Network { addr: Addr::V4(addr), mask: Addr::V4(mask) }]);
        // This network holds half of the chunk's flows.
        let src = net([10, 0, 0, 0], [255, 255, 255, 192]);
        let dst = net([198, 51, 100, 7], [255; 4]);
        let dst_port = PortRanges::from_iter([PortRange::one(53)]);
        Material {
            chunk,
            flows: u64::from(flows),
            text: vec![0; TEXT],
            new: (0..flows).map(mix::flow).collect(),
            any: Filter::default(),
            net: Filter {
                family: Some(af::INET),
                orig: Direction { src, ..Direction::default() },
                ..Filter::default()
            },
            dns: Filter {
                family: Some(af::INET),
                proto: Some(ipproto::UDP),
                orig: Direction { dst, dst_port, ..Direction::default() },
                ..Filter::default()
            },
        }
    }
}

impl Material {
    /// Flows that one run of a piece works on.
    pub fn flows(&self) -> u64 {
        self.flows
    }
}

fn frames(m: &mut Material) -> u64 {
    Frames::new(&m.chunk).map_while(Result::ok).map(|f| u64::from(f.seq())).sum()
}

/// Indexes every flow and does `work` on it. We make the material ourselves: a flow that cannot be read is
/// a mistake in it.
fn each(m: &mut Material, work: impl Fn(&FlowView<'_>) -> Result<u64, WireError>) -> u64 {
    views(&m.chunk, work)
}

fn views(chunk: &[u8], mut work: impl FnMut(&FlowView<'_>) -> Result<u64, WireError>) -> u64 {
    let mut all = 0u64;
    for frame in Frames::new(chunk) {
        let done = frame.and_then(CtMsg::parse).and_then(FlowView::index).and_then(|f| work(&f));
        all = all.rotate_left(1) ^ done.expect("a flow of the mix is sound");
    }
    all
}

/// What a line needs besides tuples and state.
fn accessors(f: &FlowView<'_>) -> Result<u64, WireError> {
    let words = [f.status()?, f.timeout_s()?, f.mark()?, f.use_count()?, f.id()?];
    let zone = f.zone()?.map_or(0, u64::from);
    let packets = f.counters(Dir::Orig)?.map_or(0, |c| c.packets);
    Ok(words.into_iter().flatten().fold(zone ^ packets, |all, w| all.rotate_left(7) ^ u64::from(w)))
}

/// Both tuples, owned.
fn tuples(f: &FlowView<'_>) -> Result<u64, WireError> {
    let ports = |t: Option<zct_wire::tuple::Tuple>| t.and_then(|t| t.src_port).map_or(0, u64::from);
    Ok(ports(f.orig()?) << 16 ^ ports(f.reply()?))
}

/// Renders every flow as a line; returns the number of bytes.
fn text(
    m: &mut Material,
    render: impl Fn(&mut Out<'_>, &FlowView<'_>, &TextContext<'_>) -> Result<(), WireError>,
) -> u64 {
    let ctx = TextContext { now_s: 0, zone: &Utc, labels: None };
    let mut out = Out::new(&mut m.text);
    views(&m.chunk, |f| {
        render(&mut out, f, &ctx)?;
        out.byte(b'\n');
        Ok(0)
    });
    assert!(!out.is_full(), "the room is for the longest format");
    out.len() as u64
}

/// Counts the flows that the filter admits.
fn filtered(m: &mut Material, which: fn(&Material) -> &Filter) -> u64 {
    let (filter, mut admitted) = (which(m), 0);
    views(&m.chunk, |f| {
        admitted += u64::from(filter.matches(f)?);
        Ok(0)
    });
    admitted
}

/// Builds the request that creates each flow; returns the number of bytes.
fn creates(m: &mut Material) -> u64 {
    let (mut buf, mut bytes) = ([0; REQUEST_MAX], 0);
    for flow in &m.new {
        let built = request::new_flow(&mut buf, 1, nlm_f::CREATE | nlm_f::EXCL, flow);
        bytes += std::hint::black_box(built.expect("a request fits")).len() as u64;
    }
    bytes
}

/// Builds the request that deletes each flow; returns the number of bytes.
fn deletes(m: &mut Material) -> u64 {
    let (mut buf, mut bytes) = ([0; REQUEST_MAX], 0);
    views(&m.chunk, |f| {
        let built = request::delete(&mut buf, 1, 0, &f.key()?);
        bytes += std::hint::black_box(built.expect("a request fits")).len() as u64;
        Ok(0)
    });
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(m: &mut Material, name: &str) -> u64 {
        let piece = PIECES.iter().find(|p| p.name == name).expect("there is such a piece");
        (piece.run)(m)
    }

    #[test]
    fn every_piece_does_its_work_again_and_again() {
        let mut m = Material::default();
        for piece in PIECES {
            let first = (piece.run)(&mut m);
            assert_eq!((piece.run)(&mut m), first, "{}", piece.name);
            assert_ne!(first, 0, "{}", piece.name);
        }
    }

    #[test]
    fn what_the_pieces_say_is_right() {
        let mut m = Material::default();
        let flows = m.flows();
        assert!(flows > 100, "{flows}");
        assert_eq!((run(&mut m, "frames"), run(&mut m, "filter-any")), (flows, flows));
        let in_net = (0..64).filter(|i| i % 10 != 9).count() as u64;
        assert_eq!((run(&mut m, "filter-net"), run(&mut m, "filter-udp-dst-port")), (in_net, 1));
        run(&mut m, "save");
        let text = String::from_utf8_lossy(&m.text).into_owned();
        assert!(text.starts_with("-A -t 30000 -u SEEN_REPLY,ASSURED -m 0 -s 10.0.0.0 "), "{}", &text[..80]);
    }
}
