//! Plots as SVG: just enough for lines over two axes, and for bars.

use std::fmt::Write as _;

/// Size of a plot in pixels.
const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 78.0;
const RIGHT: f64 = 24.0;
const BOTTOM: f64 = 56.0;
/// Colours of text, of lines that are not data, and of the background, readable on light and dark pages.
const INK: &str = "#1b1f24";
const GRID: &str = "#d7dbe0";
const PAPER: &str = "#ffffff";

/// How values are turned into positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps, beginning at zero.
    Linear,
    /// Equal factors, for positive values only.
    Log,
}

/// An axis of a plot.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its title, with the unit.
    pub title: &'static str,
    /// How its values are spaced.
    pub scale: Scale,
    /// The values that are marked, from one end to the other.
    pub ticks: Vec<f64>,
}

impl Axis {
    fn place(&self, v: f64) -> f64 {
        let of = |v: f64| if self.scale == Scale::Log { v.max(f64::MIN_POSITIVE).log10() } else { v };
        let (first, last) = (self.ticks.first().copied(), self.ticks.last().copied());
        let (lo, hi) = (of(first.unwrap_or(0.0)), of(last.unwrap_or(1.0)));
        ((of(v) - lo) / (hi - lo)).clamp(0.0, 1.0)
    }
}

/// The powers of ten that enclose all of `values`.
pub fn decades(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let logs: Vec<f64> = values.into_iter().filter(|v| *v > 0.0).map(f64::log10).collect();
    let lo = logs.iter().copied().fold(f64::INFINITY, f64::min).floor();
    let hi = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
    if !(lo.is_finite() && hi.is_finite()) {
        return vec![1.0, 10.0];
    }
    (lo as i32..=(hi as i32).max(lo as i32 + 1)).map(|e| 10f64.powi(e)).collect()
}

/// A line in a plot.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Its colour, as SVG writes it.
    pub colour: &'static str,
    /// Whether it is dashed.
    pub dashed: bool,
    /// Its points, in the order they are joined.
    pub points: Vec<(f64, f64)>,
}

/// A bar, with marks on it.
#[derive(Clone, Debug)]
pub struct Bar {
    /// The text on its left.
    pub name: String,
    /// Its length.
    pub value: f64,
    /// Where the goal is marked.
    pub goal: Option<f64>,
    /// Where the floor is marked.
    pub floor: Option<f64>,
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

struct Svg(String);

impl Svg {
    fn new(width: f64, height: f64, title: &str) -> Svg {
        let mut s = String::new();
        _ = write!(
            s,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n<title>{0}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{PAPER}\"/>\n",
            escaped(title)
        );
        let mut svg = Svg(s);
        _ = writeln!(
            svg.0,
            "<text x=\"16\" y=\"24\" font-size=\"16\" font-weight=\"bold\" fill=\"{INK}\">{}</text>",
            escaped(title)
        );
        svg
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str, width: f64) {
        _ = writeln!(
            self.0,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        );
    }

    /// Draws a straight piece of a curve.
    fn stroke(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), curve: &Curve) {
        self.polyline(&format!("{x1:.1},{y1:.1} {x2:.1},{y2:.1}"), curve);
    }

    fn polyline(&mut self, points: &str, curve: &Curve) {
        let dash = if curve.dashed { " stroke-dasharray=\"7 4\"" } else { "" };
        _ = writeln!(
            self.0,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2.5\"{dash}/>",
            curve.colour
        );
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{INK}\">{}</text>",
            escaped(text)
        );
    }

    fn rect(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), colour: &str) {
        _ = writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" fill=\"{colour}\"/>"
        );
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// Writes 10000 as `10k`, and 0.01 as it is.
fn short(v: f64) -> String {
    if v >= 1e6 {
        format!("{}M", v / 1e6)
    } else if v >= 1e3 {
        format!("{}k", v / 1e3)
    } else {
        format!("{v}")
    }
}

/// Draws lines over two axes.
pub fn curves(title: &str, x: &Axis, y: &Axis, curves: &[Curve]) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT, title);
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let px = |v: f64| LEFT + x.place(v) * (right - LEFT);
    let py = |v: f64| bottom - y.place(v) * (bottom - TOP);
    for tick in &x.ticks {
        svg.line((px(*tick), TOP), (px(*tick), bottom), GRID, 1.0);
        svg.text(px(*tick), bottom + 18.0, "middle", &short(*tick));
    }
    for tick in &y.ticks {
        svg.line((LEFT, py(*tick)), (right, py(*tick)), GRID, 1.0);
        svg.text(LEFT - 8.0, py(*tick) + 4.0, "end", &short(*tick));
    }
    svg.text((LEFT + right) / 2.0, HEIGHT - 16.0, "middle", x.title);
    svg.text(LEFT, TOP - 8.0, "start", y.title);
    for curve in curves {
        let points: Vec<String> =
            curve.points.iter().map(|(a, b)| format!("{:.1},{:.1}", px(*a), py(*b))).collect();
        svg.polyline(&points.join(" "), curve);
        for (a, b) in &curve.points {
            _ = writeln!(
                svg.0,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{}\"/>",
                px(*a),
                py(*b),
                curve.colour
            );
        }
    }
    let mut at = 16.0;
    for curve in curves {
        svg.stroke((at, 42.0), (at + 28.0, 42.0), curve);
        svg.text(at + 34.0, 46.0, "start", &curve.name);
        at += 60.0 + 7.2 * curve.name.len() as f64;
    }
    svg.finish()
}

/// Draws bars from left to right; the line at 1 is what they are compared with.
pub fn bars(title: &str, legend: [&str; 3], bars: &[Bar]) -> String {
    const NAMES: f64 = 330.0;
    const STEP: f64 = 26.0;
    const BLUE: &str = "#2f6fb3";
    const GREY: &str = "#8a9199";
    const RED: &str = "#c0392b";
    let height = 96.0 + STEP * bars.len() as f64;
    let right = WIDTH - 70.0;
    let most = bars.iter().map(|b| b.value).fold(1.0, f64::max);
    let px = |v: f64| NAMES + v / most * (right - NAMES);
    let mut svg = Svg::new(WIDTH, height, title);
    let end = 60.0 + STEP * bars.len() as f64;
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (colour, width) = if tick == 1.0 { (INK, 1.5) } else { (GRID, 1.0) };
        svg.line((px(tick), 56.0), (px(tick), end), colour, width);
        svg.text(px(tick), end + 18.0, "middle", &format!("{tick}"));
    }
    for (i, bar) in bars.iter().enumerate() {
        let y = 62.0 + STEP * i as f64;
        svg.text(NAMES - 10.0, y + 13.0, "end", &bar.name);
        svg.rect((NAMES, y), (px(bar.value) - NAMES, 17.0), BLUE);
        if let Some(floor) = bar.floor {
            svg.rect((NAMES, y + 6.0), (px(floor) - NAMES, 5.0), GREY);
        }
        if let Some(goal) = bar.goal {
            svg.line((px(goal), y - 3.0), (px(goal), y + 20.0), RED, 2.5);
        }
        svg.text(
            px(bar.value).max(px(bar.goal.unwrap_or(0.0))) + 6.0,
            y + 13.0,
            "start",
            &format!("{:.2}", bar.value),
        );
    }
    let mut x = 16.0;
    for (name, colour) in legend.into_iter().zip([BLUE, GREY, RED]) {
        svg.rect((x, 36.0), (14.0, 10.0), colour);
        svg.text(x + 20.0, 45.0, "start", name);
        x += 44.0 + 7.0 * name.len() as f64;
    }
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_enclose() {
        assert_eq!(decades([0.02, 5.0]), [0.01, 0.1, 1.0, 10.0]);
        assert_eq!(decades([100.0]), [100.0, 1000.0]);
        assert_eq!(decades([]), [1.0, 10.0]);
    }

    #[test]
    fn places_run_from_end_to_end() {
        let log = Axis { title: "", scale: Scale::Log, ticks: vec![1.0, 10.0, 100.0] };
        assert_eq!([1.0, 10.0, 100.0, 1000.0].map(|v| log.place(v)), [0.0, 0.5, 1.0, 1.0]);
        let linear = Axis { title: "", scale: Scale::Linear, ticks: vec![0.0, 50.0, 100.0] };
        assert_eq!([0.0, 25.0].map(|v| linear.place(v)), [0.0, 0.25]);
    }

    #[test]
    fn text_is_escaped() {
        let bar = Bar { name: "a<b & c".into(), value: 0.5, goal: Some(0.4), floor: None };
        assert!(bars("t", ["x", "y", "z"], &[bar]).contains("a&lt;b &amp; c"));
    }
}
