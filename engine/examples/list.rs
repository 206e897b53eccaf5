//! Lists the flows of this network namespace, a line each, as conntrack(8) writes them.
//!
//! ```text
//! cargo run -p zct-engine --example list            # as root, or with CAP_NET_ADMIN
//! cargo run -p zct-engine --example list 10.0.0.1   # the kernel leaves out all other sources
//! ```

use std::io::{BufWriter, Stdout, Write as _, stdout};
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::process::ExitCode;
use zct_engine::{Lost, Requests, Sink, SystemZone};
use zct_wire::consts::af;
use zct_wire::filter::{DumpFilter, TupleFilter};
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{Table, dump};
use zct_wire::text::{Out, Style, TextContext, line};

/// Turns messages into lines. What is made here once is all that is allocated, however long the list is.
struct Lines {
    room: Box<[u8]>,
    to: BufWriter<Stdout>,
    complete: bool,
}

impl Sink for Lines {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let mut out = Out::new(&mut self.room);
        let context = TextContext { now_s: 0, zone: &SystemZone::default(), labels: None };
        let flow = FlowView::index(msg);
        match flow.and_then(|f| line::flow(&mut out, &f, &Style::default(), &context)) {
            Err(e) => self.lost(Lost::Damaged(e)),
            Ok(()) => {
                out.byte(b'\n');
                if self.to.write_all(out.written()).is_err() {
                    // Nobody reads on: the dump ends here.
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        eprintln!("the list is incomplete: {why}");
        self.complete = false;
    }
}

fn main() -> ExitCode {
    let mut filter = DumpFilter::default();
    if let Some(source) = std::env::args().nth(1) {
        let Ok(source) = source.parse::<Ipv4Addr>() else {
            eprintln!("usage: list [IPV4-SOURCE]");
            return ExitCode::FAILURE;
        };
        filter.family = af::INET;
        filter.orig = TupleFilter::default().with(|it| it.src = Some(source.octets()));
    }
    let mut lines = Lines { room: vec![0; 4096].into(), to: BufWriter::new(stdout()), complete: true };
    let done = Requests::open().and_then(|mut requests| {
        requests.dump_table(|buf, seq| dump(buf, seq, Table::Conntrack, &filter), &mut lines)
    });
    if let Err(e) = done {
        eprintln!("cannot list: {e}");
        return ExitCode::FAILURE;
    }
    if lines.to.flush().is_err() || !lines.complete { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
