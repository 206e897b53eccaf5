//! Asks netlink for single entries: those of which memory does not say all.

use super::message::{MESSAGE_MAX, first_message};
use crate::error::{Error, errno};
use crate::request::Requests;
use crate::sink::{Lost, Sink};
use std::ops::ControlFlow;
use zct_wire::attr::Attrs;
use zct_wire::consts::cta;
use zct_wire::flow::FlowView;
use zct_wire::header::{ATTRS_AT, CtMsg};
use zct_wire::request::get;

/// Asks for the entry that a message made from memory is about. Nothing arrives when it is gone.
///
/// # Errors
/// As [`Requests::ask`], and [`Error::Wire`] for a message that names no entry.
pub(crate) fn ask(requests: &mut Requests, about: CtMsg<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
    let view = FlowView::index(about)?;
    let (orig, zone) = (view.orig()?, view.zone()?);
    match requests.ask(|buf, seq| get(buf, seq, view.family(), orig.as_ref(), None, zone), sink) {
        Err(Error::Refused { errno: errno::ENOENT, .. }) => Ok(()),
        asked => asked,
    }
}

/// True when both messages have the same original tuple. A question finds an entry by the tuple of either
/// direction, and where the two directions are in zones of their own that can be another entry's.
pub(crate) fn is_about(ours: CtMsg<'_>, theirs: CtMsg<'_>) -> bool {
    let orig = |msg| FlowView::index(msg).ok().and_then(|f| f.raw(cta::TUPLE_ORIG));
    orig(ours) == orig(theirs)
}

/// The answer to the last question, as a dump would have had it.
pub(crate) struct Asked {
    requests: Option<Requests>,
    answer: TableAnswer,
}

struct TableAnswer {
    bytes: Box<[u8]>,
    len: usize,
}

impl Default for Asked {
    fn default() -> Asked {
        Asked { requests: None, answer: TableAnswer { bytes: Box::default(), len: 0 } }
    }
}

impl Sink for TableAnswer {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        if let Some(room) = self.bytes.get_mut(..msg.bytes.len()) {
            room.copy_from_slice(msg.bytes);
            self.len = msg.bytes.len();
            release(room);
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {}
}

/// To answer, netlink holds the entry, which counts as one more use of it than a dump shows.
fn release(message: &mut [u8]) {
    let attrs = message.get(ATTRS_AT..).unwrap_or_default();
    let mut at = ATTRS_AT;
    for a in Attrs::new(attrs).flatten() {
        let value = at + 4;
        if a.kind == cta::USE {
            if let Some(count) = message.get_mut(value..).and_then(|v| v.first_chunk_mut()) {
                *count = u32::from_be_bytes(*count).saturating_sub(1).to_be_bytes();
            }
            return;
        }
        at = value + a.value.len().next_multiple_of(4);
    }
}

impl Asked {
    /// What netlink says of this entry; `None` when it is gone.
    ///
    /// # Allocation
    /// A socket and buffers for the first question.
    pub(crate) fn message<'a>(&'a mut self, about: CtMsg<'a>) -> Option<CtMsg<'a>> {
        if self.requests.is_none() {
            self.requests = Some(Requests::open().ok()?);
            self.answer.bytes = vec![0; 2 * MESSAGE_MAX].into();
        }
        self.answer.len = 0;
        ask(self.requests.as_mut()?, about, &mut self.answer).ok()?;
        let answer = first_message(self.answer.bytes.get(..self.answer.len)?)?;
        Some(if is_about(about, answer) { answer } else { about })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::build::{Builder, Head};

    #[test]
    fn an_answer_has_the_use_count_of_a_dump() {
        let mut buf = [0; 128];
        let mut b = Builder::new(&mut buf, Head::new(0x100, 1).family(2));
        b.put_str(cta::SECCTX, b"odd").put_be32(cta::USE, 3).put_be32(cta::ID, 3);
        let len = b.finish().unwrap().len();
        release(&mut buf[..len]);
        let view = FlowView::index(first_message(&buf[..len]).unwrap()).unwrap();
        assert_eq!((view.use_count(), view.id()), (Ok(Some(2)), Ok(Some(3))));
    }
}
