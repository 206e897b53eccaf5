//! Reading the table of flows by a BPF program instead of a netlink dump (bpf-table.md).
//!
//! [`Table::open`] says whether that is possible here, and if not, why. What is read arrives in a [`Sink`] as
//! the messages that a dump would have brought, without their ids.

mod ask;
mod btf;
mod entry;
#[allow(missing_docs)] // registers and operations, as in the kernel's header
mod insn;
#[allow(missing_docs)] // members of the kernel's structures, under their own names
mod layout;
mod locate;
mod program;
mod select;
mod selftest;
mod walk;

use crate::dump::End;
use crate::sink::{Lost, Sink};
use crate::sys::bpf::Shared;
use ask::Asked;
use entry::{MESSAGE_MAX, first_message};
use layout::Layout;
use locate::{Place, refused};
pub use select::{OneOf, Part, Selection, Test, Way, word};
use walk::{ROOM, Walker};

/// The table, found and ready to be read.
#[derive(Debug)]
pub struct Table {
    layout: Layout,
    place: Place,
    walker: Walker,
    /// Whether the kernel has taken the selection, if there is one.
    selected: Option<Result<(), String>>,
}

impl Table {
    /// Finds the table of this network namespace.
    ///
    /// # Errors
    /// Why it cannot be read in this way, in words for `--explain`. That is normal: it takes CAP_BPF and
    /// CAP_PERFMON, a kernel with BTF, and at least one flow.
    pub fn open() -> Result<Table, String> {
        if size_of::<usize>() != 8 {
            return Err("it takes a 64-bit machine".to_owned());
        }
        let mut memory = Shared::new(ROOM).map_err(|e| refused(&e))?;
        let layout = Layout::read()?;
        let place = locate::locate(&layout, &mut memory, ROOM)?;
        let mut walker = Walker::new(&layout, memory)?;
        selftest::compare(&layout, &place, &mut walker)?;
        Ok(Table { layout, place, walker, selected: None })
    }

    /// Leaves out flows that this selection surely does not want, from now on. Others that it does not want may come
    /// all the same, and all come when the kernel does not take the program: `Display` says so.
    pub fn select(&mut self, selection: &Selection) {
        if !selection.is_everything() {
            self.selected = Some(self.walker.select(&self.layout, selection));
        }
    }

    /// Reads all flows of this namespace, or those that [`select`](Table::select) leaves.
    ///
    /// # Errors
    /// Why it does not work after all. Nothing has been handed to the sink then, and netlink is the way.
    pub fn read(&mut self, sink: &mut dyn Sink) -> Result<End, String> {
        let mut buf = [0; MESSAGE_MAX];
        let (mut next, mut any) = (0, false);
        let mut asked = Asked::default();
        while next < self.place.buckets {
            next = match self.walker.run(&self.place, next, self.place.buckets) {
                Ok(next) => next,
                Err(why) if !any => return Err(why.to_string()),
                Err(_) => {
                    sink.lost(Lost::Resized);
                    return Ok(End::Done);
                }
            };
            let clock = self.walker.clock();
            for entry in self.walker.entries(&self.layout) {
                any = true;
                let message = match entry.message(clock, &mut buf) {
                    Some(made) if !entry.needs_netlink() => first_message(made),
                    Some(made) => first_message(made).and_then(|ours| asked.message(ours)),
                    None => None,
                };
                let Some(message) = message else { continue };
                if sink.message(message).is_break() {
                    return Ok(End::Stopped);
                }
            }
        }
        if crate::request::buckets() != Some(u64::from(self.place.buckets)) {
            sink.lost(Lost::Resized);
        }
        Ok(End::Done)
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} buckets, some flows compared with netlink", self.place.buckets)?;
        match &self.selected {
            None => Ok(()),
            Some(Ok(())) => f.write_str(", what is not selected left out where it can be told"),
            Some(Err(why)) => write!(f, ", nothing left out ({why})"),
        }
    }
}
