//! The three plots of a full measurement.

use crate::curves::{LISTENERS, LISTINGS};
use crate::results::{Report, named};
use crate::row::{Metric, Row, Work, spread};
use crate::sample::Who;
use crate::svg::{self, Axis, Bar, Curve, Scale};

const BLUE: &str = "#2f6fb3";
const ORANGE: &str = "#d97a1f";
const GREY: &str = "#8a9199";

fn colour(who: Who) -> &'static str {
    match who {
        Who::Original => ORANGE,
        Who::Zct => BLUE,
        Who::Floor => GREY,
    }
}

/// Wall time of zct as a share of the original's, for every row that has both.
pub fn comparison(report: &Report<'_>) -> String {
    let bar = |row: &Row| {
        let median = |who| spread(report.samples, row.name, who, "", Metric::Wall).map(|s| s.median);
        let original = median(Who::Original)?;
        let of_original = |g: &&crate::row::Goal| g.metric == Metric::Wall && g.of == Some(Who::Original);
        Some(Bar {
            name: row.title.clone(),
            value: median(Who::Zct)? / original,
            goal: row.goals.iter().find(of_original).map(|g| g.at_most),
            floor: median(Who::Floor).map(|f| f / original),
        })
    };
    let rows = report.rows.iter().filter(|r| !matches!(r.work, Work::Storm(..)));
    let bars: Vec<Bar> = rows.filter_map(bar).collect();
    let title = format!("Wall time on {} flows; the original is 1", report.flows);
    svg::bars(&title, ["zct", "the kernel's part alone", "goal"], &bars)
}

/// Seconds that a listing takes, against the size of the table.
pub fn sizes(report: &Report<'_>) -> String {
    let curves = LISTINGS.map(|(who, variant, line)| Curve {
        name: match who {
            Who::Floor => "netlink's part alone".into(),
            _ => format!("{}: {line}", who.name()),
        },
        colour: colour(who),
        dashed: who == Who::Floor || !variant.is_empty(),
        points: report.size_points(who, variant),
    });
    let all = || curves.iter().flat_map(|c| c.points.iter().copied());
    let x = Axis { title: "flows", scale: Scale::Log, ticks: svg::decades(all().map(|p| p.0)) };
    let y = Axis { title: "seconds", scale: Scale::Log, ticks: svg::decades(all().map(|p| p.1)) };
    svg::curves("Listing a table to /dev/null", &x, &y, &curves)
}

/// Percent of new flows whose event was delivered, against their rate.
pub fn rates(report: &Report<'_>) -> String {
    let curves = LISTENERS.map(|(who, variant, _)| Curve {
        name: named(who, variant),
        colour: colour(who),
        dashed: variant != "16 MiB",
        points: report.rate_points(who, variant),
    });
    let most = curves.iter().flat_map(|c| &c.points).map(|p| p.0).fold(0.0, f64::max);
    // A tick for every 25,000, up to the highest rate.
    let ticks = (0..=(most / 25_000.0).ceil().max(1.0) as u32).map(|i| f64::from(i) * 25_000.0).collect();
    let x = Axis { title: "new flows a second", scale: Scale::Linear, ticks };
    let percent = [0.0, 20.0, 40.0, 60.0, 80.0, 100.0].into();
    let y = Axis { title: "% of NEW events delivered", scale: Scale::Linear, ticks: percent };
    svg::curves("New flows by packets: events that arrive", &x, &y, &curves)
}
