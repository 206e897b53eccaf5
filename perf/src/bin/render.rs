//! Text rendering alone: `render ROUNDS [KIND...]` renders 32 KiB of dump so often and prints nanoseconds a
//! flow. Under `valgrind --tool=callgrind` it gives repeatable instruction counts: those of 1100 rounds less
//! those of 100, by 1000 times the flows of a round.

use std::time::Instant;
use zct_perf::mix;
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::text::{LocalTime, Out, Style, TextContext, TimeZone, json, line, save, xml};

struct Utc;

impl TimeZone for Utc {
    fn local(&self, _: i64) -> LocalTime {
        LocalTime::default()
    }
}

fn main() {
    let rounds: u32 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(10_000);
    let wanted: Vec<String> = std::env::args().skip(2).collect();
    let mut chunk = vec![0; 32 << 10];
    let (mut used, mut flows) = (0, 0u32);
    while let Ok(m) = mix::dumped(flows, &mut chunk[used..]) {
        used += m.len().next_multiple_of(4);
        flows += 1;
    }
    println!("{flows} flows a round");
    let ctx = TextContext { now_s: 0, zone: &Utc, labels: None };
    let style = Style::default();
    let mut text = vec![0; 128 << 10];
    for kind in ["index", "line", "save", "xml", "json"] {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == kind) {
            continue;
        }
        let begin = Instant::now();
        let mut bytes = 0;
        for _ in 0..rounds {
            let mut out = Out::new(&mut text);
            for frame in Frames::new(&chunk[..used]).flatten() {
                let Ok(f) = CtMsg::parse(frame).and_then(FlowView::index) else { panic!("unreadable mix") };
                let done = match kind {
                    "index" => f.status().map(|s| out.byte(s.unwrap_or(0) as u8)),
                    "line" => line::flow(&mut out, &f, &style, &ctx).map(|()| out.byte(b'\n')),
                    "xml" => xml::flow(&mut out, &f, None, None, &style, &ctx).map(|()| out.byte(b'\n')),
                    "json" => json::flow(&mut out, &f, None, &style, &ctx).map(|()| out.byte(b'\n')),
                    _ => save::flow(&mut out, &f, save::Verb::Add).map(|()| out.byte(b'\n')),
                };
                assert_eq!(done, Ok(()));
            }
            assert!(!out.is_full());
            bytes = out.len();
            std::hint::black_box(out.written());
        }
        let ns = begin.elapsed().as_nanos() as f64 / f64::from(rounds * flows);
        println!("{kind}: {ns:.1} ns a flow, {} bytes a flow", bytes as u32 / flows);
    }
}
