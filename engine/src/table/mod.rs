//! Reading the table of flows by a BPF program instead of a netlink dump (bpf-table.md).
//!
//! [`Table::open`] says whether that is possible here, and if not, why. What is read arrives in a [`Sink`] as
//! the messages that a dump would have brought, without their ids.

mod ask;
mod btf;
mod entry;
mod flow;
#[allow(missing_docs)] // registers and operations, as in the kernel's header
mod insn;
mod lane;
#[allow(missing_docs)] // members of the kernel's structures, under their own names
mod layout;
mod locate;
mod message;
mod pass;
mod probe;
mod program;
mod select;
mod selftest;
mod turn;
mod walk;

use crate::dump::End;
use crate::sink::{Lost, Sink};
use crate::sys::bpf::Shared;
use layout::Layout;
use locate::{TablePlace, refused};
use pass::{Pass, Share};
pub use select::{OneOf, Part, Selection, Test, Way, word};
use walk::{ROOM, Walker};

/// A sample is one of this many equal parts. The number of buckets is a multiple of 512, so that of a part is
/// a multiple of eight.
pub const SAMPLE: u32 = 64;

/// The table, found and ready to be read.
#[derive(Debug)]
pub struct Table {
    layout: Layout,
    place: TablePlace,
    walker: Walker,
    /// Whether the kernel has taken the selection, if there is one.
    selected: Option<Result<(), String>>,
    /// The selection, for more walks.
    selection: Option<Selection>,
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
        let (place, _) = locate::locate(&layout, &mut memory)?.ok_or("the table is empty")?;
        let mut walker = Walker::new(&layout, memory)?;
        selftest::compare(&layout, &place, &mut walker)?;
        Ok(Table { layout, place, walker, selected: None, selection: None })
    }

    /// Leaves out flows that this selection surely does not want, from now on. Others that it does not want
    /// may come all the same, and all come when the kernel does not take the program: `Display` says so.
    pub fn select(&mut self, selection: &Selection) {
        if !selection.is_everything() {
            self.selected = Some(self.walker.select(&self.layout, selection));
            self.selection = Some(selection.clone());
        }
    }

    /// Reads all flows of this namespace, or those that [`select`](Table::select) leaves.
    ///
    /// # Errors
    /// Why it does not work after all. Nothing has been handed to the sink then, and netlink is the way.
    pub fn read(&mut self, sink: &mut dyn Sink) -> Result<End, String> {
        Pass::new(&self.layout, &mut self.walker, self.place, Share { number: 0, of: 1 })?.read(sink)
    }

    /// Reads one of [`SAMPLE`] equal parts of the table. Flows are spread by a hash, so it is a fair sample.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn sample(&mut self, sink: &mut dyn Sink) -> Result<End, String> {
        Pass::new(&self.layout, &mut self.walker, self.place, Share { number: 0, of: SAMPLE })?.read(sink)
    }

    /// The same with one thread for each sink, which gets an equal part of the table: 1, 2 or 4 of them.
    ///
    /// # Errors
    /// As [`Table::read`], and for any other number of sinks.
    ///
    /// # Panics
    /// With the panic of a sink.
    pub fn read_in_parts<S: Sink + Send>(&mut self, sinks: &mut [S]) -> Result<End, String> {
        if let [one] = sinks {
            return self.read(one);
        }
        let selection = self.selection.as_ref().filter(|_| self.selected == Some(Ok(())));
        let mut ends = vec![End::Done; sinks.len()];
        let mut work: Vec<_> = sinks
            .iter_mut()
            .zip(&mut ends)
            .map(|(sink, end)| {
                move |mut pass: Pass<'_>| match pass.read(sink) {
                    // Other parts may have been delivered already, so it is too late to read by netlink.
                    Err(_) => sink.lost(Lost::Unread),
                    Ok(ended) => *end = ended,
                }
            })
            .collect();
        let work = work.iter_mut().map(|w| w as &mut Work<'_>).collect();
        in_parts(&self.layout, self.place, &mut self.walker, selection, work)?;
        Ok(if ends.contains(&End::Stopped) { End::Stopped } else { End::Done })
    }

    /// Counts the flows of this namespace that are selected, in 1, 2 or 4 parts with one thread each. The
    /// kernel applies the whole selection, and says of each flow no more than where it is.
    ///
    /// # Errors
    /// Why it does not work: then the flows have to be read, which is still possible if the kernel cannot
    /// apply all of this selection.
    pub fn count(&mut self, selection: &Selection, parts: usize) -> Result<u64, String> {
        if !selection.is_complete(&self.layout) {
            return Err("the kernel cannot apply all of the selection".to_owned());
        }
        let mut walker = self.walker.counting(&self.layout, selection)?;
        let mut counts = vec![Ok(0); parts];
        let mut work: Vec<_> =
            counts.iter_mut().map(|count| move |mut pass: Pass<'_>| *count = pass.count()).collect();
        let work = work.iter_mut().map(|w| w as &mut Work<'_>).collect();
        in_parts(&self.layout, self.place, &mut walker, Some(selection), work)?;
        counts.into_iter().sum()
    }
}

/// What is done with a part of the table. A trait object, so that the program has the threads' code once.
type Work<'a> = dyn FnMut(Pass<'_>) + Send + 'a;

/// Does each of the `work` with one of as many equal parts of the table, 1, 2 or 4, on a thread each. `walker`
/// reads the last part, and others like it the rest.
fn in_parts(
    layout: &Layout,
    place: TablePlace,
    walker: &mut Walker,
    selection: Option<&Selection>,
    work: Vec<&mut Work<'_>>,
) -> Result<(), String> {
    let of = match work.len() {
        1 | 2 | 4 => work.len() as u32,
        _ => return Err("the table has 1, 2 or 4 parts".to_owned()),
    };
    let mut others = (1..of).map(|_| walker.another(layout, selection)).collect::<Result<Vec<_>, _>>()?;
    let mut passes = Vec::with_capacity(work.len());
    for (number, walker) in (0..).zip(others.iter_mut().chain([walker])) {
        passes.push(Pass::new(layout, walker, place, Share { number, of })?);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            passes.into_iter().zip(work).map(|(pass, work)| scope.spawn(move || work(pass))).collect();
        for thread in threads {
            // A panic in a part continues in this thread.
            thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
        }
    });
    Ok(())
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
