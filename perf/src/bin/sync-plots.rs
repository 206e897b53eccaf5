//! `sync-plots RAW SIZES RATES`: draws what `perf/sync.sh` has measured over the size of the table, and over
//! the rate of new flows. RAW is its raw/sync.csv; the plots are written to the other two files.

use std::collections::BTreeMap;
use std::process::ExitCode;
use zct_perf::svg::{self, Axis, Curve, Scale};

const ORANGE: &str = "#d97a1f";
const BLUE: &str = "#2f6fb3";

/// Medians by row, by program and by what they were measured at.
type Medians = BTreeMap<(String, String), Vec<(f64, f64)>>;

fn medians(text: &str) -> Result<Medians, String> {
    let mut values: BTreeMap<(String, String, u64), Vec<f64>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let wrong = || format!("not a measurement: {line}");
        let [_, program, row, at, value] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(wrong());
        };
        let key = (row.to_owned(), program.to_owned(), at.parse().map_err(|_| wrong())?);
        values.entry(key).or_default().push(value.parse().map_err(|_| wrong())?);
    }
    let mut all = Medians::new();
    for ((row, program, at), mut seen) in values {
        seen.sort_by(f64::total_cmp);
        all.entry((row, program)).or_default().push((at as f64, seen[(seen.len() - 1) / 2]));
    }
    Ok(all)
}

/// The curves of two rows, each with both programs in real time.
fn curves(all: &Medians, rows: [(&str, &str, bool); 2], least: f64) -> Vec<Curve> {
    let mut out = Vec::new();
    for (program, colour) in [("conntrackd", ORANGE), ("zctd", BLUE)] {
        for (row, what, dashed) in rows {
            let points = all.get(&(row.to_owned(), format!("{program}-rr"))).cloned().unwrap_or_default();
            let points = points.into_iter().filter(|p| p.0 >= least).collect();
            out.push(Curve { name: format!("{program}: {what}"), colour, dashed, points });
        }
    }
    out
}

fn plot(title: &str, x: &'static str, y: &'static str, curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|c| c.points.iter().copied());
    let x = Axis { title: x, scale: Scale::Log, ticks: svg::decades(all().map(|p| p.0)) };
    let y = Axis { title: y, scale: Scale::Log, ticks: svg::decades(all().map(|p| p.1)) };
    svg::curves(title, &x, &y, curves)
}

fn draw() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    let [raw, sizes, rates] = &files[..] else { return Err("sync-plots RAW SIZES RATES".into()) };
    let all = medians(&std::fs::read_to_string(raw)?)?;
    let by_size = curves(&all, [("commit-s", "commit", false), ("resync-s", "resync", true)], 1.0);
    std::fs::write(sizes, plot("Commit and resync", "flows", "seconds", &by_size))?;
    // At 0 they were made as fast as the kernel makes them.
    let by_rate = curves(&all, [("active-cpu-us", "active", false), ("backup-cpu-us", "backup", true)], 1.0);
    std::fs::write(rates, plot("CPU of the daemons", "new flows a second", "microseconds a flow", &by_rate))?;
    Ok(())
}

fn main() -> ExitCode {
    match draw() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("sync-plots: {e}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_all_rounds() {
        let text = "round,program,row,at,value\n1,zctd-rr,commit-s,1000,3\n2,zctd-rr,commit-s,1000,1\n\
                    3,zctd-rr,commit-s,1000,2\n1,zctd-rr,commit-s,10,0.5\n1,zctd,commit-s,10,9\n";
        let all = medians(text).unwrap();
        let drawn = curves(&all, [("commit-s", "commit", false), ("resync-s", "resync", true)], 1.0);
        let points: Vec<_> = drawn.iter().map(|c| c.points.clone()).collect();
        assert_eq!(points, [vec![], vec![], vec![(10.0, 0.5), (1000.0, 2.0)], vec![]]);
        assert!(medians("head\n1,zctd,commit-s,x,1\n").is_err());
        assert!(plot("t", "x", "y", &drawn).ends_with("</svg>\n"));
    }
}
