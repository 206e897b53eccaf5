//! What each command does; one file per command.

pub(crate) mod by;
pub mod count;
pub mod create;
pub mod delete;
pub mod event;
pub(crate) mod existing;
pub mod flush;
mod found;
pub mod get;
pub mod help;
pub mod jobs;
pub mod list;
mod pending;
pub mod reconcile;

mod refused;
mod shown;
pub mod stats;
pub mod update;
pub mod version;
mod walk;
pub mod wanted;

use crate::dump_plan::{self, Plan, TableSize};
use crate::fail::{Fail, Name};
use crate::filter::{Filter, Labels};
use crate::flags::args::Args;
use crate::flags::id::Id;
use crate::reader::{self, Reader};
use crate::stdout::PrintError;
use crate::values::label::{self, LabelMap};
use crate::values::list::Output;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use zct_engine::table::Table;
use zct_engine::{Lost, Sink, errno_text};
use zct_wire::header::CtMsg;
use zct_wire::request;

/// The warning where `-c` was given and no flow had a security mark.
const NO_SECMARKS: &[u8] = b"WARNING: --secmark selected nothing: this kernel reports no security marks";

/// A checked command line, ready to be carried out.
#[derive(Debug)]
pub struct Invocation {
    /// The name by which the program was called.
    pub name: Name,
    /// What the options said.
    pub args: Args,
    /// The label file, if an option needs it; it has no names if reading it failed.
    pub labels: Option<Arc<LabelMap>>,
    /// The bits of `-l` and `! -l`.
    pub label_bits: Labels,
}

impl Invocation {
    /// Reads the label file if an option needs it.
    pub fn load_labels(args: &Args) -> Option<Arc<LabelMap>> {
        let names = [&args.labels, &args.labels_not, &args.label_add, &args.label_del];
        let by_bit = !args.output.labels && names.into_iter().flatten().all(|n| label::unnamed(n).is_some());
        args.needs_labels().then(|| Arc::new(label::load(args.labelmap.as_deref(), !by_bit)))
    }

    /// Completes a command line by looking up the bits of its labels in the file that was loaded.
    pub fn new(name: Name, args: Args, labels: Option<Arc<LabelMap>>) -> Result<Invocation, Fail> {
        let bits = |names: &[Vec<u8>]| label::bits(labels.as_deref(), names);
        let label_bits = Labels { set: bits(&args.labels)?, clear: bits(&args.labels_not)? };
        for names in [&args.label_add, &args.label_del] {
            bits(names)?;
        }
        Ok(Invocation { name, args, labels, label_bits })
    }
}

/// The dumps to ask the kernel for, as the options say.
pub(crate) fn plan(args: &Args, filter: &Filter) -> Plan {
    Plan::new(filter, args.kernel_filter, TableSize::read, dump_plan::has_tuple_filter)
}

/// The BPF reader, for a command that changes what it finds. What is shown comes from netlink, so the output
/// format does not matter.
///
/// # Errors
/// Why a dump has to find it.
fn found_by_bpf(args: &Args, filter: &Filter) -> Result<Table, String> {
    let mut table = reader::open(args.reader, request::Table::Conntrack, &Output::default(), filter)?;
    if args.reader == Reader::Auto {
        found::check_few(&mut table, filter, &plan(args, filter))?;
    }
    Ok(table)
}

/// `--explain`: prints the plan in words, and then what `more` says. True when it was given, and nothing else
/// is to be done.
fn explained(args: &Args, filter: &Filter, more: impl FnOnce() -> String) -> Result<bool, Fail> {
    if !args.given.has(Id::Explain) {
        return Ok(false);
    }
    let text = plan(args, filter).explain(filter) + &more();
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| output_failed(&e))?;
    Ok(true)
}

/// The sink for requests that are answered by an acknowledgement only.
pub(crate) struct Silent;

impl Sink for Silent {
    fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {}
}

/// What happened to the entries between the kernel and the output.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many entries were printed.
    pub shown: u64,
    /// The first thing that was lost.
    lost: Option<Lost>,
    /// Why the output failed, after which nothing more is printed.
    output: Option<io::Error>,
}

impl Outcome {
    /// Counts an entry, or remembers why it was not printed. True when the output still works.
    pub fn note(&mut self, printed: Result<(), PrintError>) -> bool {
        match printed {
            Ok(()) => self.shown += 1,
            Err(PrintError::Wire(e)) => self.lost(Lost::Damaged(e)),
            Err(PrintError::Io(e)) => self.output = Some(e),
        }
        self.output.is_none()
    }

    /// Remembers a loss, if it is the first.
    pub fn lost(&mut self, why: Lost) {
        self.lost.get_or_insert(why);
    }

    /// Adds the outcome of another part of the table.
    fn add(&mut self, other: Outcome) {
        self.shown += other.shown;
        self.lost = self.lost.or(other.lost);
        self.output = self.output.take().or(other.output);
    }

    /// The number of entries shown, or a failure if the output failed or the answer was incomplete.
    ///
    /// An incomplete list must not look complete: the user is told, and the exit code is 1.
    pub fn check(self) -> Result<u64, Fail> {
        if let Some(e) = self.output {
            return Err(output_failed(&e));
        }
        match self.lost {
            None => Ok(self.shown),
            Some(why) => {
                Err(Fail::runtime(format!("The list is incomplete ({} shown): {why}; try again", self.shown)))
            }
        }
    }
}

/// The output cannot be written: a full disk, say. A reader that has gone away ends the program by SIGPIPE.
pub fn output_failed(error: &io::Error) -> Fail {
    let words = error.raw_os_error().map_or_else(|| error.to_string(), errno_text);
    Fail::runtime(format!("Cannot write to standard output: {words}"))
}
