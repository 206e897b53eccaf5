//! Metrics: warns of a block without an outlet, and of an interval without a file.

use super::super::parse::raw::RawMetrics;
use super::super::report::{At, Report};
use super::super::settings::{Metrics, default};
use super::given::{value, warn};

pub(super) fn metrics(raw: RawMetrics, report: &mut Report) -> Metrics {
    if let (Some(place), None, None) = (raw.place, &raw.listen, &raw.text_file) {
        warn(report, place, "Metrics with neither Listen nor TextFile: there are none");
    }
    if let (Some(At { place, .. }), None) = (raw.interval_s, &raw.text_file) {
        warn(report, place, "Interval without TextFile has no effect: whoever asks is answered at once");
    }
    Metrics {
        listen: value(raw.listen),
        text_file: value(raw.text_file),
        interval_s: value(raw.interval_s).unwrap_or(default::METRICS_INTERVAL_S),
    }
}
