//! Text rendering alone: `render ROUNDS [KIND...]` renders 32 KiB of dump that many times and prints
//! nanoseconds per flow. Under `valgrind --tool=callgrind` it gives repeatable instruction counts: subtract
//! those of 100 rounds from those of 1100, and divide by 1000 times the flows in a round.

use lexopt::prelude::*;
use std::process::ExitCode;
use std::time::Instant;
use zct_perf::mix;
use zct_perf::pieces::Utc;
use zct_wire::flow::FlowView;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::text::{Out, Style, TextContext, json, line, save, xml};

/// The formats that can be measured, and indexing alone.
const KINDS: [&str; 5] = ["index", "line", "save", "xml", "json"];

/// How many rounds of what; every kind when none is named.
fn parse(mut words: lexopt::Parser) -> Result<(u32, Vec<String>), lexopt::Error> {
    let (mut rounds, mut wanted) = (None, Vec::new());
    while let Some(word) = words.next()? {
        match word {
            Value(number) if rounds.is_none() => rounds = Some(number.parse()?),
            Value(kind) if KINDS.iter().any(|k| kind == *k) => wanted.push(kind.string()?),
            _ => return Err(word.unexpected()),
        }
    }
    Ok((rounds.unwrap_or(10_000), wanted))
}

fn main() -> ExitCode {
    match parse(lexopt::Parser::from_env()) {
        Ok((rounds, wanted)) => render(rounds, &wanted),
        Err(e) => {
            eprintln!("render: {e}\nrender [ROUNDS [{}]...]", KINDS.join("|"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn render(rounds: u32, wanted: &[String]) {
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
    for kind in KINDS {
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
