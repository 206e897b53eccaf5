//! `-F`: everything, or everything of one family.

use super::delete::OneFilter;
use super::{Invocation, Silent, delete};
use crate::fail::{Doing, Fail, operation_failed};
use crate::filter::Filter;
use crate::flags::command::Table;
use crate::flags::id::Id;
use crate::output::{Document, Presenter};
use zct_engine::Requests;
use zct_wire::request;

/// `-F`, `-F expect`. Reports the flush once it has succeeded, whereas the original does so before it knows.
/// Returns how many flows were deleted, or would be, where that is known.
pub fn table(call: &Invocation, table: Table) -> Result<u64, Fail> {
    let expect = table == Table::Expect;
    if call.args.given.has(Id::DryRun) && !expect {
        return dry_run(call);
    }
    let count = match call.args.family {
        // Kernels before 5.3 ignore the family of a flush, and later ones honour it only in a request that
        // older ones take for a plain flush. So the flows of one family are deleted one by one.
        Some(family) if !expect => {
            let filter = Filter { family: Some(family), ..Filter::default() };
            let deleted = delete::run(call.name, OneFilter::plain(filter), None, false, Doing::Other)?;
            deleted.refusals().map_or(Ok(deleted.count), |text| Err(Fail::runtime(text)))?
        }
        _ => Requests::open()
            .and_then(|mut r| r.ask(|buf, seq| request::flush(buf, seq, expect), &mut Silent))
            .map_err(|e| operation_failed(Doing::Other, &e))
            .map(|()| 0)?,
    };
    let what = if expect { "expectation" } else { "connection tracking" };
    call.name.say(format!("{what} table has been emptied.").as_bytes());
    Ok(count)
}

/// Shows what a flush would delete now.
fn dry_run(call: &Invocation) -> Result<u64, Fail> {
    let filter = Filter { family: call.args.family, ..Filter::default() };
    let presenter =
        Presenter::stdout(&call.args.output, Document::Bare, None).map_err(|e| super::output_failed(&e))?;
    let count = delete::run(call.name, OneFilter::plain(filter), Some(presenter), true, Doing::Other)?.count;
    call.name.say(format!("{count} flow entries would be deleted.").as_bytes());
    Ok(count)
}
