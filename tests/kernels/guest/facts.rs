//! What this kernel does with filters that zct must not trust: printed beside the verdicts, so that a run
//! shows under which faults the other checks were made (ctnetlink.md §4).

use crate::lab::{self, By, Verdicts};
use std::ops::ControlFlow;
use zct_engine::{Lost, Requests, Sink};
use zct_wire::attr::NLA_F_NESTED;
use zct_wire::build::{Builder, Full, Head};
use zct_wire::consts::{af, cta, cta_filter, cta_ip, cta_tuple, ipctnl, nlm_f};
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{self, Table};

const FLOWS: &[&str] = &[
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 -w 1",
    "-I -t 100 -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 -w 2",
    "-I -t 100 -p udp -s fd00::1 -d fd00::9 --sport 1 --dport 2",
    "-I -t 100 -p udp -s fd00::2 -d fd00::9 --sport 1 --dport 2",
];

/// The flows in an answer: their zone, and the last byte of their source address.
#[derive(Default)]
struct Answer(Vec<(u16, u8)>);

impl Sink for Answer {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        if let Ok(f) = FlowView::index(msg) {
            let source = f.orig().ok().flatten().and_then(|t| t.src);
            let last = source.and_then(|a| a.bytes().last().copied()).unwrap_or_default();
            self.0.push((f.zone().ok().flatten().unwrap_or_default(), last));
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {}
}

fn ask(
    build: impl FnOnce(&mut [u8], u32) -> Result<&[u8], Full>,
    want: &[(u16, u8)],
    inverted: &[(u16, u8)],
) -> Result<&'static str, String> {
    let mut answer = Answer::default();
    Requests::open().and_then(|mut r| r.dump(build, &mut answer)).map_err(|e| e.to_string())?;
    answer.0.sort_unstable();
    Ok(match answer.0 {
        all if all == want => "works",
        all if all == inverted => "INVERTED: the kernel answers with all others",
        all if all.len() >= inverted.len() + want.len() => "IGNORED: the kernel answers with everything",
        _ => "does something else",
    })
}

fn source_v6(buf: &mut [u8], seq: u32) -> Result<&[u8], Full> {
    let mut addr = [0; 16];
    (addr[0], addr[15]) = (0xfd, 1);
    let mut b =
        Builder::new(buf, Head::new(ipctnl::GET, seq).flags(nlm_f::REQUEST | nlm_f::DUMP).family(af::INET6));
    b.nest(cta::TUPLE_ORIG, |b| {
        b.nest(cta_tuple::IP, |b| _ = b.put(cta_ip::V6_SRC, &addr));
    });
    b.nest(cta::FILTER | NLA_F_NESTED, |b| _ = b.put(cta_filter::ORIG_FLAGS, &1u32.to_ne_bytes()));
    b.finish()
}

pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    lab::seed(FLOWS)?;
    let zone = DumpFilter::default().with(|it| it.zone = Some(1));
    let zones = ask(
        |buf, seq| request::dump(buf, seq, Table::Conntrack, &zone),
        &[(1, 1)],
        &[(0, 1), (0, 2), (2, 1)],
    )?;
    println!("note  asked for a zone, it {zones}");
    let sources = ask(source_v6, &[(0, 1)], &[(0, 2)])?;
    println!("note  asked for an IPv6 source address, it {sources}");
    let told = lab::run(lab::ZCT, "-L -p udp -s 10.0.0.1 --kernel-filter=always --explain", "");
    // If zct did not ask the kernel for it, the checks of the planner would check nothing.
    let asks = told.out.contains("original source 10.0.0.1");
    v.add("zct asks this kernel for tuples", if asks { Ok(()) } else { Err(told.wrong("it does not")) });
    let inverts = lab::run(lab::ZCT, "-L -s fd00::1 -w 1 --kernel-filter=always --explain", "");
    let trusts = inverts.out.contains("source fd00");
    v.add("and never for IPv6 addresses", if trusts { Err(inverts.wrong("it does")) } else { Ok(()) });
    lab::must(By::Original.path(), "-F", "").map(drop)
}
