//! Flows on their way to standard output: those that match, counted.

use super::{Invocation, Outcome, output_failed};
use crate::fail::Fail;
use crate::filter::Filter;
use crate::flags::selection;
use crate::output::{Document, Format, Presenter};
use crate::stdout::PrintError;
use std::ops::ControlFlow;
use zct_engine::sink::Unsent;
use zct_engine::{Lost, Sink};
use zct_wire::consts::cta;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::text::save::Verb;

/// Prints the flows that match.
pub(super) struct Flows {
    pub(super) filter: Filter,
    pub(super) presenter: Presenter,
    pub(super) outcome: Outcome,
    /// True when any flow carried a security mark to compare.
    pub(super) secmark_seen: bool,
    /// True when a line is all that is made of a flow, and every flow is shown.
    is_plain: bool,
}

impl Flows {
    pub(super) fn new(call: &Invocation) -> Result<Flows, Fail> {
        let args = &call.args;
        let presenter = Presenter::stdout(&args.output, Document::Conntrack, call.labels.clone())
            .map_err(|e| output_failed(&e))?;
        let filter = selection::checked_filter(args, call.label_bits.clone())?;
        Ok(Flows::over(filter, presenter))
    }

    pub(super) fn over(filter: Filter, presenter: Presenter) -> Flows {
        let is_plain = filter == Filter::default() && presenter.format() == Format::Line;
        Flows { filter, presenter, outcome: Outcome::default(), secmark_seen: false, is_plain }
    }

    /// Writes what is left in the buffer, and the end of the document if `footer`.
    pub(super) fn finish(&mut self, footer: bool) {
        if footer {
            if let Err(e) = self.presenter.close() {
                self.outcome.note(Err(e));
            }
        }
        if let Err(e) = self.presenter.flush() {
            self.outcome.note(Err(PrintError::Io(e)));
        }
    }
}

impl Sink for Flows {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let matched = FlowView::index(msg).and_then(|f| Ok((f, self.filter.matches(&f)?)));
        match matched {
            Ok((f, true)) => {
                self.secmark_seen |= f.has(cta::SECMARK);
                if !self.outcome.note(self.presenter.flow(&f, Verb::Add)) {
                    return ControlFlow::Break(());
                }
            }
            Ok((_, false)) => {}
            Err(e) => self.outcome.lost(Lost::Damaged(e)),
        }
        ControlFlow::Continue(())
    }

    fn unsent(&mut self, flow: &dyn Unsent) -> Option<ControlFlow<()>> {
        if !self.is_plain {
            return None;
        }
        let goes_on = self.outcome.note(self.presenter.unsent(flow));
        Some(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    fn lost(&mut self, why: Lost) {
        self.outcome.lost(why);
    }
}
