//! The picture of `docs/architecture.md`: the crates, what each is made of, and which uses which, from their
//! manifests and from the modules that they declare.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Folders of the crates, and what each is.
const CRATES: [(&str, &str); 6] = [
    ("cli", "zct, conntrack, nfct"),
    ("syncd", "zctd, conntrackd"),
    ("perf", "measurements"),
    ("tests", "the real kernel and programs"),
    ("engine", "sockets, dumps, events"),
    ("wire", "bytes and their meaning"),
];

/// Sizes, in the picture's units.
const WIDTH: usize = 330;
const GAP: usize = 40;
const LINE: usize = 17;
/// Letters of a line of modules.
const LETTERS: usize = 42;
/// The title, the line below it, and the edges.
const HEAD: usize = 52;

/// One box.
struct Crate {
    folder: &'static str,
    what: &'static str,
    /// Folders of the crates that it uses.
    uses: Vec<&'static str>,
    /// Lines of its modules.
    modules: Vec<String>,
    level: usize,
}

impl Crate {
    fn height(&self) -> usize {
        HEAD + self.modules.len() * LINE
    }
}

fn read(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// The name of the package in a folder.
fn package(root: &Path, folder: &str) -> String {
    let manifest = read(root, &format!("{folder}/Cargo.toml"));
    let name = manifest.lines().find_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"'));
    name.expect("a package has a name").to_owned()
}

/// The crates of [`CRATES`] that the one in `folder` depends on outside its tests.
fn uses(root: &Path, folder: &str) -> Vec<&'static str> {
    let manifest = read(root, &format!("{folder}/Cargo.toml"));
    let (_, after) = manifest.split_once("[dependencies]\n").expect("every crate depends on something");
    let section = after.split("\n[").next().unwrap_or(after);
    let names: Vec<&str> = section.lines().filter_map(|l| l.split(['.', ' ', '=']).next()).collect();
    CRATES.iter().map(|(f, _)| *f).filter(|f| names.contains(&package(root, f).as_str())).collect()
}

/// The modules that a crate's `lib.rs` declares, those of its tests left out, in lines of so many letters.
fn modules(root: &Path, folder: &str) -> Vec<String> {
    let source = read(root, &format!("{folder}/src/lib.rs"));
    let mut lines = vec![String::new()];
    let mut before = "";
    for line in source.lines() {
        let name = line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod "));
        if let Some(name) = name.and_then(|n| n.strip_suffix(';')).filter(|_| before != "#[cfg(test)]") {
            if lines.last().is_some_and(|l| l.len() + 1 + name.len() > LETTERS) {
                lines.push(String::new());
            }
            if let Some(last) = lines.last_mut() {
                *last += if last.is_empty() { "" } else { " " };
                *last += name;
            }
        }
        before = line;
    }
    lines
}

/// How far a crate is from the one that uses none.
fn level(root: &Path, folder: &str) -> usize {
    uses(root, folder).iter().map(|f| level(root, f) + 1).max().unwrap_or(0)
}

/// The picture of the workspace at `root`.
///
/// # Panics
/// A crate that is not there.
pub fn svg(root: &Path) -> String {
    let mut boxes: Vec<Crate> = CRATES
        .iter()
        .map(|(folder, what)| Crate {
            folder,
            what,
            uses: uses(root, folder),
            modules: if *folder == "perf" || *folder == "tests" { Vec::new() } else { modules(root, folder) },
            level: level(root, folder),
        })
        .collect();
    // What is reached by way of another crate needs no arrow of its own.
    let all: Vec<_> = boxes.iter().map(|b| (b.folder, b.uses.clone())).collect();
    for b in &mut boxes {
        let direct = b.uses.clone();
        b.uses.retain(|u| !all.iter().any(|(f, theirs)| direct.contains(f) && theirs.contains(u)));
    }
    let levels = boxes.iter().map(|b| b.level).max().unwrap_or(0) + 1;
    let rows: Vec<Vec<&Crate>> =
        (0..levels).rev().map(|n| boxes.iter().filter(|b| b.level == n).collect()).collect();
    let across = rows.iter().map(Vec::len).max().unwrap_or(0);
    let total = across * (WIDTH + GAP) + GAP;
    let mut places = Vec::new();
    let mut y = GAP;
    for row in &rows {
        let left = (total + GAP - row.len() * (WIDTH + GAP)) / 2;
        places.extend(row.iter().enumerate().map(|(n, b)| (*b, left + n * (WIDTH + GAP), y)));
        y += row.iter().map(|b| b.height()).max().unwrap_or(0) + GAP;
    }
    let mut out = String::new();
    // Writing to a String does not fail.
    _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total} {y}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<title>Which crate uses which</title>\n<style>rect{{fill:#eef2f7;stroke:#57606a}}\
         line{{stroke:#57606a;stroke-width:1.5}}text{{fill:#1f2328}}.m{{font-family:monospace;font-size:12px}}\
         </style>\n<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#57606a\"/></marker></defs>\n\
         <rect width=\"{total}\" height=\"{y}\" style=\"fill:#ffffff;stroke:none\"/>"
    );
    for (b, x, top) in &places {
        for (_, to_x, to_y) in places.iter().filter(|(to, ..)| b.uses.contains(&to.folder)) {
            _ = writeln!(
                out,
                "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{to_y}\" marker-end=\"url(#a)\"/>",
                x + WIDTH / 2,
                top + b.height(),
                to_x + WIDTH / 2
            );
        }
    }
    for (b, x, top) in &places {
        let (text, height) = (x + 12, b.height());
        _ = writeln!(out, "<rect x=\"{x}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>");
        _ = writeln!(out, "<text x=\"{text}\" y=\"{}\" font-weight=\"bold\">{}/</text>", top + 21, b.folder);
        _ = writeln!(out, "<text x=\"{text}\" y=\"{}\">{}</text>", top + 39, b.what);
        for (n, line) in b.modules.iter().enumerate() {
            _ = writeln!(out, "<text class=\"m\" x=\"{text}\" y=\"{}\">{line}</text>", top + 58 + n * LINE);
        }
    }
    out + "</svg>\n"
}
