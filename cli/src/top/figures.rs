//! Figures in few characters.

/// The units of large numbers, in steps of a thousand.
const UNITS: [char; 6] = ['k', 'M', 'G', 'T', 'P', 'E'];

/// A number in at most six characters: `9999`, `12.3k`, `4.56M`.
pub(super) fn amount(n: u64) -> String {
    if n < 10_000 {
        return n.to_string();
    }
    let (mut whole, mut below, mut unit) = (n / 1000, n % 1000, 0);
    while whole >= 1000 && unit + 1 < UNITS.len() {
        (below, whole) = (whole % 1000, whole / 1000);
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or('?');
    match whole {
        0..=9 => format!("{whole}.{:02}{unit}", below / 10),
        10..=99 => format!("{whole}.{}{unit}", below / 100),
        _ => format!("{whole}{unit}"),
    }
}

/// A rate; `-` while it is not known. Below ten a second it has a decimal.
pub(super) fn per_second(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(r) if r > 0.0 && r < 9.95 => format!("{r:.1}"),
        Some(r) => amount(r.round() as u64),
    }
}

/// Seconds with the two largest units that they have: `59s`, `4m05s`, `3h12m`, `2d07h`.
pub(super) fn duration(s: u64) -> String {
    match s {
        0..=59 => format!("{s}s"),
        60..=3599 => format!("{}m{:02}s", s / 60, s % 60),
        3600..=86_399 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_never_rounded_up() {
        for (n, want) in [
            (0, "0"),
            (9999, "9999"),
            (10_000, "10.0k"),
            (12_345, "12.3k"),
            (999_999, "999k"),
            (1_000_000, "1.00M"),
            (4_567_890, "4.56M"),
            (123_456_789_012, "123G"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(amount(n), want);
        }
        for n in (0..64).flat_map(|b| [1u64 << b, (1 << b) - 1]) {
            assert!(amount(n).len() <= 6, "{n}");
        }
    }

    #[test]
    fn rates_and_times() {
        let rates = [None, Some(0.0), Some(0.26), Some(9.94), Some(9.96), Some(1234.4), Some(1e6)];
        assert_eq!(rates.map(per_second), ["-", "0", "0.3", "9.9", "10", "1234", "1.00M"]);
        let times = [0, 59, 60, 245, 3600, 11_520, 86_400, 198_000];
        assert_eq!(times.map(duration), ["0s", "59s", "1m00s", "4m05s", "1h00m", "3h12m", "1d00h", "2d07h"]);
    }
}
