//! `helper`: the stubs of userspace helpers (nfct.md §4).

use super::call::Call;
use super::kernel::dump;
use super::known::Helper;
use super::values::{family, helper_name, helper_protocol};
use crate::commands::Outcome;
use crate::fail::Fail;
use std::ops::ControlFlow;
use zct_engine::{Lost, Sink};
use zct_wire::cthelper::{self, HelperView, NewHelper};
use zct_wire::header::CtMsg;

/// `list helper`: shows every stub.
pub(super) fn list(call: &Call<'_>) -> Result<(), Fail> {
    call.show_list()
}

/// The known helper for the name and protocol that the words give, and the family.
fn known(call: &Call<'_>) -> Result<(&'static Helper, u16), Fail> {
    let ([name, l3, l4], _) = call.first()?;
    let (l3, l4) = (family(l3)?, helper_protocol(l4)?);
    let helper = Helper::find(name, l4).ok_or_else(|| Fail::runtime("that helper is not supported"))?;
    Ok((helper, l3))
}

/// `add helper name family protocol`.
pub(super) fn add(call: &Call<'_>) -> Result<(), Fail> {
    let (helper, l3) = known(call)?;
    let new = NewHelper {
        name: helper.name.as_bytes(),
        l3,
        l4: helper.l4,
        // The daemon chooses the queue when it attaches, and enables the stub at that point.
        queue: None,
        status: None,
        priv_data_len: Some(helper.priv_data_len),
        policies: &[helper.policy()],
    };
    call.ask(&|buf, seq| cthelper::add(buf, seq, &new), &|errno| {
        let module = format!("Maybe unload nf_conntrack_{}.ko first?", helper.name);
        (errno == libc::EBUSY).then(|| module.into_bytes())
    })
}

/// `disable helper name family protocol`.
pub(super) fn disable(call: &Call<'_>) -> Result<(), Fail> {
    let (helper, l3) = known(call)?;
    call.ask(
        &|buf, seq| cthelper::disable(buf, seq, helper.name.as_bytes(), l3, helper.l4),
        // The kernel would create a stub that does not exist, which fails with EINVAL without policies.
        &|errno| if errno == libc::EINVAL { missing(call, libc::ENOENT) } else { missing(call, errno) },
    )
}

/// `get helper name [family [protocol]]`.
pub(super) fn get(call: &Call<'_>) -> Result<(), Fail> {
    let hint = |errno| missing(call, errno);
    let (name, which) = selected(call)?;
    let mut shown = 0;
    for which in which {
        shown += call.show(&|buf, seq| cthelper::get(buf, seq, name, which), &hint)?;
    }
    // If family and protocol are given, the kernel only acknowledges a request for a stub that does not
    // exist. The original takes that for success and shows nothing.
    if shown == 0 { Err(call.not_there(&hint)) } else { Ok(()) }
}

/// `delete helper name [family [protocol]]`.
pub(super) fn delete(call: &Call<'_>) -> Result<(), Fail> {
    let (name, selected) = selected(call)?;
    let hint = |errno| match errno {
        libc::EBUSY => Some([b"Helper `", name, b"' is in use"].concat()),
        errno => missing(call, errno),
    };
    if selected.is_empty() {
        return Err(call.not_there(&hint));
    }
    // If one of them is in use, the others are deleted all the same.
    let deleted = selected
        .into_iter()
        .map(|which| call.ask(&|buf, seq| cthelper::delete(buf, seq, name, which), &hint));
    deleted.fold(Ok(()), Result::and)
}

/// `flush helper`: deletes every stub.
pub(super) fn flush(call: &Call<'_>) -> Result<(), Fail> {
    call.ask(&cthelper::flush, &|_| None)
}

/// A stub as a request names it beside its name: by family and protocol, or not at all.
type Which = Option<(u16, u8)>;

/// The name in the words, and the stubs that they select, in the form of a request: by name alone, or by
/// name, family and protocol. Given a family but no protocol, the kernel would look for protocol 0 and find
/// none, so the protocols of existing stubs are looked up.
fn selected<'a>(call: &Call<'a>) -> Result<(&'a [u8], Vec<Which>), Fail> {
    let ([name], rest) = call.first()?;
    let name = helper_name(name)?;
    let which = match rest {
        [l3, l4, ..] => vec![Some((family(l3)?, helper_protocol(l4)?))],
        [l3] => {
            let l3 = family(l3)?;
            let found = Protocols::look_up(call, name, l3)?;
            found.into_iter().map(|l4| Some((l3, l4))).collect()
        }
        [] => vec![None],
    };
    Ok((name, which))
}

/// Collects the protocols of existing stubs with this name and family.
struct Protocols<'a> {
    name: &'a [u8],
    l3: u16,
    found: Vec<u8>,
    outcome: Outcome,
}

impl Sink for Protocols<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        match HelperView::parse(msg) {
            Ok(h) if h.name == Some(self.name) && h.l3 == Some(self.l3) => self.found.extend(h.l4),
            Ok(_) => {}
            Err(e) => self.outcome.lost(Lost::Damaged(e)),
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        self.outcome.lost(why);
    }
}

impl Protocols<'_> {
    fn look_up(call: &Call<'_>, name: &[u8], l3: u16) -> Result<Vec<u8>, Fail> {
        let mut sink = Protocols { name, l3, found: Vec::new(), outcome: Outcome::default() };
        dump(&cthelper::list, &mut sink).map_err(|e| call.refused(&e, &|_| None))?;
        // An incomplete list must not be taken for all of them.
        sink.outcome.check()?;
        Ok(sink.found)
    }
}

fn missing(call: &Call<'_>, errno: i32) -> Option<Vec<u8>> {
    let list = format!("There is no such helper: {} list helper shows those there are", call.name.nfct());
    (errno == libc::ENOENT).then(|| list.into_bytes())
}
