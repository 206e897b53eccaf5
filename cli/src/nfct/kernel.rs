//! Requests of nfct: how they are sent, their answers shown, and refusals reported.

use super::call::Call;
use super::table::Subsystem;
use crate::commands::{Outcome, Silent, output_failed};
use crate::fail::Fail;
use crate::stdout::{PrintError, Printer};
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use zct_engine::{Error, Lost, Requests, Sink, errno_text};
use zct_wire::WireError;
use zct_wire::build::Full;
use zct_wire::cthelper::{self, HelperView};
use zct_wire::cttimeout::{self, PolicyView};
use zct_wire::header::CtMsg;
use zct_wire::text::{Out, nfct};

impl Subsystem {
    fn list(self, buf: &mut [u8], seq: u32) -> Result<&[u8], Full> {
        if self == Subsystem::Helper { cthelper::list(buf, seq) } else { cttimeout::list(buf, seq) }
    }

    fn render(self, out: &mut Out<'_>, msg: CtMsg<'_>) -> Result<(), WireError> {
        if self == Subsystem::Helper {
            nfct::helper(out, &HelperView::parse(msg)?);
            return Ok(());
        }
        nfct::policy(out, &PolicyView::parse(msg)?)
    }

    /// What to do when the kernel lacks this subsystem.
    fn way_out(self) -> &'static str {
        if self == Subsystem::Helper {
            "This kernel has no userspace helpers: modprobe nfnetlink_cthelper (CONFIG_NF_CT_NETLINK_HELPER)"
        } else {
            "This kernel has no timeout policies: modprobe nfnetlink_cttimeout (CONFIG_NF_CT_NETLINK_TIMEOUT)"
        }
    }

    /// The rights that the kernel requires. Helpers have no namespaces, so a container's root cannot have
    /// them.
    fn rights(self) -> &'static str {
        if self == Subsystem::Helper {
            "It takes root, or the capability CAP_NET_ADMIN, and not in a user namespace"
        } else {
            "It takes root, or the capability CAP_NET_ADMIN"
        }
    }

    /// True when the kernel does not know this subsystem. EINVAL can mean many things, but there is nothing
    /// else that could be wrong with a plain list.
    fn is_missing(self) -> bool {
        let listed = dump(&|buf, seq| self.list(buf, seq), &mut Silent);
        listed.is_err_and(|e| e.errno() == Some(libc::EINVAL))
    }
}

/// Makes a request in the given buffer with the given sequence number.
///
/// This and the sink are trait objects: nfct is in no hurry, and every further type would add a copy of the
/// engine's loops to a program that has to be small.
pub(super) type Build<'a> = &'a dyn for<'b> Fn(&'b mut [u8], u32) -> Result<&'b [u8], Full>;

struct AnySink<'a>(&'a mut dyn Sink);

impl Sink for AnySink<'_> {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        self.0.message(msg)
    }

    fn lost(&mut self, why: Lost) {
        self.0.lost(why);
    }
}

fn ask(build: Build<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
    Requests::open()?.ask(|buf, seq| build(buf, seq), &mut AnySink(sink))
}

/// Sends a dump request and hands every message of the answer to the sink.
pub(super) fn dump(build: Build<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
    Requests::open()?.dump(|buf, seq| build(buf, seq), &mut AnySink(sink)).map(drop)
}

/// Prints the messages of an answer.
struct Show {
    subsystem: Subsystem,
    to: Printer,
    outcome: Outcome,
}

impl Show {
    fn stdout(subsystem: Subsystem) -> Result<Show, Fail> {
        // Not std's Stdout, whose line buffering searches everything we write for newlines.
        let to = io::stdout().as_fd().try_clone_to_owned().map_err(|e| output_failed(&e))?;
        Ok(Show { subsystem, to: Printer::new(File::from(to)), outcome: Outcome::default() })
    }

    /// Writes out what was collected and returns the number of entries, or fails if some are missing.
    fn finish(mut self) -> Result<u64, Fail> {
        if let Err(e) = self.to.flush() {
            self.outcome.note(Err(PrintError::Io(e)));
        }
        self.outcome.check()
    }
}

impl Sink for Show {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let printed = self.to.print(&mut |out| self.subsystem.render(out, msg));
        if self.outcome.note(printed) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn lost(&mut self, why: Lost) {
        self.outcome.lost(why);
    }
}

/// The line that explains a refusal with this errno, if there is one.
pub(super) type Hint<'a> = &'a dyn Fn(i32) -> Option<Vec<u8>>;

impl Call<'_> {
    /// Shows all entries of the subsystem.
    pub(super) fn show_list(&self) -> Result<(), Fail> {
        let subsystem = self.row.subsystem;
        let mut show = Show::stdout(subsystem)?;
        let asked = dump(&|buf, seq| subsystem.list(buf, seq), &mut show);
        let shown = show.finish();
        asked.map_err(|e| self.refused(&e, &|_| None))?;
        shown.map(drop)
    }

    /// Shows the answer to one request, and returns how many entries it had.
    pub(super) fn show(&self, build: Build<'_>, hint: Hint<'_>) -> Result<u64, Fail> {
        let mut show = Show::stdout(self.row.subsystem)?;
        let asked = ask(build, &mut show);
        let shown = show.finish();
        asked.map_err(|e| self.refused(&e, hint))?;
        shown
    }

    /// Sends one request that is answered by an acknowledgement only.
    pub(super) fn ask(&self, build: Build<'_>, hint: Hint<'_>) -> Result<(), Fail> {
        ask(build, &mut Silent).map_err(|e| self.refused(&e, hint))
    }

    /// The original's words and, on a line of its own, what they mean here and the way out.
    pub(super) fn refused(&self, error: &Error, hint: Hint<'_>) -> Fail {
        let Some(errno) = error.errno() else { return Fail::runtime(format!("netlink error: {error}")) };
        let subsystem = self.row.subsystem;
        if matches!(error, Error::Sys { op: "socket", .. }) {
            return Fail::runtime(format!(
                "cannot open netlink: {}\nIs this kernel's netfilter there? modprobe nfnetlink",
                errno_text(errno)
            ));
        }
        let more = if errno == libc::EPERM {
            Some(subsystem.rights().into())
        } else if errno == libc::EINVAL && subsystem.is_missing() {
            Some(subsystem.way_out().into())
        } else {
            hint(errno)
        };
        let mut text = format!("netlink error: {}", errno_text(errno)).into_bytes();
        if let Some(more) = more {
            text.push(b'\n');
            text.extend(more);
        }
        Fail::runtime(text)
    }

    /// The failure for an entry that does not exist, where the kernel does not refuse the request itself.
    pub(super) fn not_there(&self, hint: Hint<'_>) -> Fail {
        self.refused(&Error::Refused { errno: libc::ENOENT, hint: None }, hint)
    }
}
