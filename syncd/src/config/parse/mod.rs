//! The grammar: from words to what the file says. Whether it makes sense together is asked later, in
//! [`super::check`].

mod filter;
mod general;
mod link;
mod parser;
pub(crate) mod raw;
mod sync;
pub(crate) mod unique;
mod words;

use super::lexer::Kind;
use super::protocols::Protocols;
use super::report::{Place, Report};
use parser::{Parser, place};
use raw::{LinkKind, Raw, RawLink};

/// What reads a section after its name.
type Section = fn(&mut Parser<'_>, &mut Raw, Place) -> Option<()>;

/// Reads a file. What could not be read is missing in the result and in the report as an error.
pub(crate) fn parse(text: &[u8], protocols: &Protocols) -> (Raw, Report) {
    let mut p = Parser::new(text, protocols);
    let mut raw = Raw::default();
    loop {
        p.at_top();
        let t = p.peek();
        if t.kind == Kind::End {
            return (raw, p.report);
        }
        let section: Option<Section> = match t.text {
            _ if t.kind != Kind::Word => None,
            b"General" => Some(general::general),
            b"Sync" => Some(sync::sync),
            b"Stats" => Some(general::stats),
            b"Helper" => Some(helper),
            _ => None,
        };
        let read = match section {
            Some(read) => {
                p.take();
                read(&mut p, &mut raw, place(&t))
            }
            None => {
                p.unknown("the file", words::SECTIONS.into_iter());
                p.take();
                None
            }
        };
        if read.is_none() {
            p.skip();
        }
    }
}

/// `Helper { … }`: the daemon would look as if it tracked these protocols, and would not.
fn helper(p: &mut Parser<'_>, _: &mut Raw, at: Place) -> Option<()> {
    p.error(
        at,
        "Helper: userspace helpers are not supported by zctd; use the kernel's own helpers, or take this block \
         out"
        .into(),
    );
    // The whole block is passed over.
    None
}

impl RawLink {
    fn new(kind: LinkKind, place: Place) -> Self {
        RawLink {
            kind,
            place,
            is_default: false,
            interface: None,
            v4: None,
            v6: None,
            v4_peer: None,
            v6_peer: None,
            v4_interface: None,
            port: None,
            send_buffer: None,
            receive_buffer: None,
            checksum: None,
            error_queue_length: None,
        }
    }
}
