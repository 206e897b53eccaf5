//! A setting that may or may not have been given, and the remarks to be made about it.

use super::super::parse::raw::Placed;
use super::super::report::{At, FilePlace, Report, Severity};

/// A setting for which 0 means the default, as in the original.
pub(super) fn or_default(setting: Placed<u32>, word: &str, default: u32, report: &mut Report) -> u32 {
    match setting {
        Some(At { value: 0, place }) => {
            let text = format!("{word} 0 means the default, {default}");
            report.add(Severity::Warning, Some(place), text);
            default
        }
        Some(At { value, .. }) => value,
        None => default,
    }
}

/// A size for which 0 means that it is not set, as in the original.
pub(super) fn or_unset(setting: Placed<u32>, word: &str, report: &mut Report) -> Option<u32> {
    let At { value, place } = setting?;
    if value == 0 {
        warn(report, place, format!("{word} 0 means the system's default"));
    }
    Some(value).filter(|size| *size > 0)
}

/// Warns of something in the file that does not do what one may think.
pub(super) fn warn(report: &mut Report, place: FilePlace, text: impl Into<String>) {
    report.add(Severity::Warning, Some(place), text.into());
}

/// The value without its place.
pub(super) fn value<T>(setting: Placed<T>) -> Option<T> {
    setting.map(|s| s.value)
}
