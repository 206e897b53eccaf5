//! The picture as SVG: sizes and places in pixels, and its colours on light and on dark pages.

use super::tree::{House, Part, Picture};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const WIDTH: usize = 1000;
const EDGE: usize = 20;
const GAP: usize = 46;
const HEAD: usize = 44;
/// The height of a folder's floor, the height of a row of files, and the space between two floors.
const FOLDER: usize = 34;
const FILES: usize = 30;
const FLOOR: usize = 8;
/// Where a folder's number of lines is written, and where its arrows begin.
const NUMBER: usize = 262;
const GUTTER: usize = 276;
/// Where files begin that stand beside folders.
const BESIDE: usize = 430;
/// How many lines a pixel of a bar stands for, and the width of a letter in a file's name.
const LINES_A_PIXEL: usize = 27;
const LETTER: usize = 7;

const STYLE: &str = "
  :root { color-scheme: light dark }
  text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1f2328 }
  .name { font-size: 14px; font-weight: 600 } .crate { font-size: 18px; font-weight: 700 }
  .soft { fill: #656d76 } .right { text-anchor: end }
  .sky { fill: #ffffff } .house { fill: #f6f8fa; stroke: #d0d7de } .file { fill: #ffffff; stroke: #d0d7de }
  .floor { stroke: #d0d7de; stroke-dasharray: 2 4 } .arrow { fill: none; stroke-width: 1.5 }
  .bar { opacity: .28 } .between { stroke: #656d76; fill: none; stroke-width: 2.5 } .tip { fill: #656d76 }
  .c0 { fill: #0969da } .to-c0 { stroke: #0969da } .c1 { fill: #1a7f37 } .to-c1 { stroke: #1a7f37 }
  .c2 { fill: #9a6700 } .to-c2 { stroke: #9a6700 } .c3 { fill: #8250df } .to-c3 { stroke: #8250df }
  .c4 { fill: #0f766e } .to-c4 { stroke: #0f766e } .c5 { fill: #bf3989 } .to-c5 { stroke: #bf3989 }
  .c6 { fill: #57606a } .to-c6 { stroke: #57606a } .back { fill: #d1242f } .to-back { stroke: #d1242f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .soft { fill: #9198a1 }
    .sky { fill: #0d1117 } .house { fill: #151b23; stroke: #3d444d } .file { fill: #0d1117; stroke: #3d444d }
    .floor { stroke: #3d444d } .between { stroke: #9198a1 } .tip { fill: #9198a1 } .bar { opacity: .4 }
    .c0 { fill: #4493f8 } .to-c0 { stroke: #4493f8 } .c1 { fill: #3fb950 } .to-c1 { stroke: #3fb950 }
    .c2 { fill: #d29922 } .to-c2 { stroke: #d29922 } .c3 { fill: #ab7df8 } .to-c3 { stroke: #ab7df8 }
    .c4 { fill: #2dd4bf } .to-c4 { stroke: #2dd4bf } .c5 { fill: #db61a2 } .to-c5 { stroke: #db61a2 }
    .c6 { fill: #9198a1 } .to-c6 { stroke: #9198a1 } .back { fill: #f85149 } .to-back { stroke: #f85149 }
  }
";

/// The picture as SVG.
pub fn draw(picture: &Picture) -> String {
    let house = |name: &str| picture.houses.iter().find(|h| h.name == name).expect("a crate");
    let half = (WIDTH - 3 * EDGE) / 2;
    let mut out = String::new();
    let mut y = EDGE;
    for (at, name) in ["perf", "tests"].into_iter().enumerate() {
        roof(&mut out, house(name), EDGE + at * (half + EDGE), y, half);
    }
    y += HEAD + EDGE;
    let above = ["cli", "syncd"].map(|name| Plan::new(house(name), half));
    let height = above.iter().map(|p| p.height).max().unwrap_or(0);
    for (at, plan) in above.iter().enumerate() {
        plan.draw(&mut out, EDGE + at * (half + EDGE), y, height);
    }
    let ground = y + height;
    // Engine and helpers are narrower, so that arrows from above can pass them to what is below.
    let inset = 3 * EDGE;
    let side = 2 * (WIDTH - 2 * inset) / 5;
    let engine = Plan::new(house("engine"), WIDTH - 2 * inset - side - EDGE);
    let helpers = Plan::new(house("helpers"), side);
    let height = engine.height.max(helpers.height);
    engine.draw(&mut out, inset, ground + GAP, height);
    helpers.draw(&mut out, WIDTH - inset - side, ground + GAP, height);
    let cellar = ground + GAP + height;
    let wire = Plan::new(house("wire"), WIDTH - 2 * EDGE);
    wire.draw(&mut out, EDGE, cellar + GAP, wire.height);
    let ways = [
        ("cli", "engine", WIDTH / 4, ground),
        ("syncd", "engine", WIDTH / 2 + 2 * EDGE, ground),
        ("syncd", "helpers", 3 * WIDTH / 4, ground),
        ("cli", "wire", 2 * EDGE, ground),
        ("syncd", "wire", WIDTH - 2 * EDGE, ground),
        ("engine", "wire", WIDTH / 4, cellar),
        ("helpers", "wire", 3 * WIDTH / 4, cellar),
    ];
    for (from, to, x, from_y) in ways {
        let to_y = if to == "wire" { cellar + GAP } else { ground + GAP };
        if house(from).uses.contains(&to) {
            between(&mut out, x, from_y, to_y);
        }
    }
    let bottom = cellar + GAP + wire.height + EDGE;
    legend(&mut out, bottom);
    let height = bottom + 3 * EDGE;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>The crates of zct, their rooms, and who imports whom</title>\n\
         <!-- Drawn from the sources by `make picture`. -->\n<style>{STYLE}</style>\n\
         <rect class=\"sky\" width=\"{WIDTH}\" height=\"{height}\" rx=\"10\"/>\n{out}</svg>\n"
    )
}

/// Reads the numbers of lines that a picture was drawn with.
pub(super) fn lines(svg: &str) -> BTreeMap<String, usize> {
    let marks = svg.split("data-room=\"").skip(1);
    let told = marks.filter_map(|rest| {
        let (name, rest) = rest.split_once("\" data-lines=\"")?;
        Some((name.to_owned(), rest.split('"').next()?.parse().ok()?))
    });
    told.collect()
}

/// A number with commas between its thousands.
fn number(n: usize) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", number(n / 1000), n % 1000) }
}

fn rect(out: &mut String, class: &str, x: usize, y: usize, width: usize, height: usize) {
    _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
    );
}

fn text(out: &mut String, class: &str, x: usize, y: usize, text: &str) {
    _ = writeln!(out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>");
}

/// The number of a room's lines, to the right of `x`, in a form that [`lines`] can read.
fn size(out: &mut String, x: usize, y: usize, room: &str, lines: usize, word: &str) {
    _ = writeln!(
        out,
        "<text class=\"soft right\" x=\"{x}\" y=\"{y}\" data-room=\"{room}\" data-lines=\"{lines}\">{}{word}</text>",
        number(lines)
    );
}

fn title(out: &mut String, house: &House, x: usize, y: usize, width: usize) {
    text(out, "crate", x + 16, y + 28, house.name);
    let uses = if house.uses.is_empty() { "none of them".to_owned() } else { house.uses.join(", ") };
    let behind = x + 16 + 11 * house.name.len() + 14;
    text(out, "soft", behind, y + 27, &format!("uses {uses}"));
    size(out, x + width - 16, y + 27, house.name, house.lines, " lines");
}

/// A crate on top of all the others, drawn without its rooms.
fn roof(out: &mut String, house: &House, x: usize, y: usize, width: usize) {
    rect(out, "house", x, y, width, HEAD);
    title(out, house, x, y, width);
}

/// An arrow straight down from one crate to another.
fn between(out: &mut String, x: usize, from: usize, to: usize) {
    _ = writeln!(out, "<path class=\"between\" d=\"M{x} {from} V{}\"/>", to - 9);
    _ = writeln!(out, "<path class=\"tip\" d=\"M{x} {to} l-6 -10 h12 z\"/>");
}

fn legend(out: &mut String, y: usize) {
    let words = [
        "A crate, a folder or a file imports only from what stands below it. Arrows are imports between the folders of",
        "a crate; a red one goes up: no file imports one that imports it, but their folders do. Files of tests left out.",
    ];
    for (n, words) in words.iter().enumerate() {
        text(out, "soft", EDGE + 16, y + 14 + 18 * n, words);
    }
}

/// Where all parts of a crate are, relative to its upper left corner.
struct Plan<'h> {
    house: &'h House,
    width: usize,
    height: usize,
    /// The place of each part: x, the middle of its height, and its width.
    places: Vec<(&'h Part, usize, usize, usize)>,
    /// The heights of the lines between floors.
    lines: Vec<usize>,
}

impl<'h> Plan<'h> {
    fn new(house: &'h House, width: usize) -> Plan<'h> {
        let (mut places, mut lines) = (Vec::new(), Vec::new());
        let folders_here = house.parts.iter().any(Part::is_folder);
        // If there is room, files stand beside the folders on their floor.
        let beside = width > WIDTH / 2 && folders_here;
        let mut y = HEAD + 4;
        for floor in house.parts.chunk_by(|a, b| a.floor == b.floor) {
            if !places.is_empty() {
                lines.push(y + FLOOR / 2);
                y += FLOOR;
            }
            let top = y;
            let (files, folders): (Vec<&Part>, Vec<&Part>) = floor.iter().partition(|p| !p.is_folder());
            for part in folders {
                places.push((part, 16, y + FOLDER / 2, NUMBER - 16));
                y += FOLDER;
            }
            let mut row = if beside { top } else { y };
            let left = if beside { BESIDE } else { 16 };
            let wide = |part: &Part| LETTER * stem(&part.name).len() + 22;
            let all: usize = files.iter().map(|p| wide(p) + 8).sum();
            // In a house without folders, files stand in the middle.
            let middle = width.saturating_sub(all) / 2;
            let mut x = if folders_here { left } else { middle.max(left) };
            for (n, part) in files.iter().enumerate() {
                if n > 0 && x + wide(part) > width - 16 {
                    (x, row) = (left, row + FILES);
                }
                places.push((part, x, row + if beside { FOLDER / 2 } else { FILES / 2 }, wide(part)));
                x += wide(part) + 8;
            }
            let end = row
                + if files.is_empty() {
                    0
                } else if beside {
                    FOLDER
                } else {
                    FILES
                };
            y = y.max(end);
        }
        Plan { house, width, height: y + 12, places, lines }
    }

    /// Draws a crate; one that is lower than others stands on the same ground.
    fn draw(&self, out: &mut String, x: usize, y: usize, height: usize) {
        rect(out, "house", x, y, self.width, height);
        title(out, self.house, x, y, self.width);
        let down = y + height - self.height;
        for line in &self.lines {
            let (line, end) = (down + line, x + self.width - 16);
            _ = writeln!(out, "<path class=\"floor\" d=\"M{} {line} H{end}\"/>", x + 16);
        }
        for (n, (part, left, middle, wide)) in self.places.iter().enumerate() {
            let (left, middle) = (x + left, down + middle);
            if part.is_folder() {
                let bar = (part.lines / LINES_A_PIXEL).max(4);
                let colour = colour(n);
                _ = writeln!(
                    out,
                    "<rect class=\"bar {colour}\" x=\"{left}\" y=\"{}\" width=\"{bar}\" \
                     height=\"24\" rx=\"4\"/>",
                    middle - 12
                );
                text(out, "name", left + 8, middle + 5, &part.name);
                let room = format!("{}/{}", self.house.name, part.name);
                size(out, x + NUMBER, middle + 5, &room, part.lines, "");
            } else {
                rect(out, "file", left, middle - 11, *wide, 22);
                text(out, "", left + 10, middle + 4, stem(&part.name));
            }
        }
        self.arrows(out, x, down);
    }

    fn arrows(&self, out: &mut String, x: usize, down: usize) {
        let place = |name: &str| self.places.iter().enumerate().find(|(_, (part, ..))| part.name == *name);
        for (from, to) in &self.house.arrows {
            let (Some((n, a)), Some((_, b))) = (place(from), place(to)) else { continue };
            let back = a.0.floor <= b.0.floor;
            if !(a.0.is_folder() && b.0.is_folder() || back) {
                continue;
            }
            // Arrows leave from the lower half of a floor, and arrive in the upper half.
            let side = |p: &(&Part, usize, usize, usize)| if p.0.is_folder() { GUTTER } else { p.1 + p.3 };
            let (ax, bx) = (x + side(a), x + side(b));
            let (ay, by) =
                if back { (down + a.2 - 4, down + b.2 + 4) } else { (down + a.2 + 4, down + b.2 - 4) };
            let out_to = (ax.max(bx) + 24 + ay.abs_diff(by) * 9 / 20).min(x + self.width - 4);
            let colour = if back { "back" } else { colour(n) };
            _ = writeln!(
                out,
                "<path class=\"arrow to-{colour}\" d=\"M{ax} {ay} C{out_to} {ay} {out_to} {by} \
                 {} {by}\"><title>{from} imports {to}</title></path>",
                bx + 7
            );
            _ = writeln!(out, "<path class=\"{colour}\" d=\"M{bx} {by} l8 -4 v8 z\"/>");
        }
    }
}

fn stem(file: &str) -> &str {
    file.strip_suffix(".rs").unwrap_or(file)
}

/// The colour of a part, and of its arrows.
fn colour(n: usize) -> &'static str {
    ["c0", "c1", "c2", "c3", "c4", "c5", "c6"][n % 7]
}
