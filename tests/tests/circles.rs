//! No file imports one that imports it, directly or by way of others: each can be read after those it uses.
//!
//! What counts is what a file names of its own crate, in `use` and in paths, and where that is defined: a
//! `mod.rs` that hands on the names of its folder is looked through. Tests do not count, whether they have a
//! file of their own or stand at the end of one; nor do declarations of modules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const KEYWORDS: [&str; 11] =
    ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod", "impl", "use"];

/// Words and signs of a source, without comments, lifetimes and what is in quotes.
fn tokens(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => quoted(rest),
            '\'' => quote_or_lifetime(rest),
            c if c.is_alphanumeric() || c == '_' => {
                let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(len);
                let raw = behind.trim_start_matches('#');
                if matches!(word, "r" | "br" | "cr") && raw.starts_with('"') {
                    let end = format!("\"{}", "#".repeat(behind.len() - raw.len()));
                    let body = rest.len() - raw.len() + 1;
                    rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len())
                } else {
                    found.push(word);
                    len
                }
            }
            ':' if rest.starts_with("::") => {
                found.push("::");
                2
            }
            c => {
                if !c.is_whitespace() {
                    found.push(&rest[..c.len_utf8()]);
                }
                c.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    found
}

/// The length of a text in double quotes.
fn quoted(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, b)) = bytes.next() {
        match b {
            b'\\' => _ = bytes.next(),
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character in quotes, or of a lifetime.
fn quote_or_lifetime(text: &str) -> usize {
    let inner = &text[1..];
    if let Some(escaped) = inner.strip_prefix('\\') {
        let one = escaped.chars().next().map_or(0, char::len_utf8);
        return escaped[one..].find('\'').map_or(text.len(), |at| 2 + one + at + 1);
    }
    let one = inner.chars().next().map_or(0, char::len_utf8);
    if inner[one..].starts_with('\'') {
        return one + 2;
    }
    inner.find(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(text.len(), |at| at + 1)
}

/// Where the attribute ends that begins at `at`, and whether it makes its item one of tests.
fn attribute(tokens: &[&str], at: usize) -> Option<(usize, bool)> {
    let open = match tokens.get(at..at + 2)? {
        ["#", "["] => at + 1,
        ["#", "!"] if tokens.get(at + 2) == Some(&"[") => at + 2,
        _ => return None,
    };
    let inner = &tokens[open + 1..];
    let test =
        inner.starts_with(&["cfg", "(", "test", ")"]) || inner.starts_with(&["cfg", "(", "all", "(", "test"]);
    Some((close(tokens, open), test))
}

/// The place behind what closes the bracket at `open`.
fn close(tokens: &[&str], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Where the item ends that begins at `at`: behind its body, its semicolon, or the comma of a member.
fn item_end(tokens: &[&str], at: usize) -> usize {
    let item =
        |t: &&&str| KEYWORDS.contains(*t) || matches!(**t, "unsafe" | "extern" | "async" | "macro_rules");
    let member = tokens[at..]
        .iter()
        .find(|t| item(t) || matches!(**t, ":" | "," | "=" | "}"))
        .is_none_or(|t| !item(&t));
    let mut at = at;
    while let Some(token) = tokens.get(at) {
        at = match *token {
            "{" if !member => {
                let end = close(tokens, at);
                return if tokens.get(end) == Some(&";") { end + 1 } else { end };
            }
            ";" => return at + 1,
            "," if member => return at + 1,
            "}" => return at,
            "(" | "[" | "{" => close(tokens, at),
            _ => at + 1,
        };
    }
    at
}

/// Drops what is compiled for tests only; the names of modules among it go to `modules`.
fn without_tests<'a>(tokens: &[&'a str], modules: &mut BTreeSet<String>) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let (mut at, mut test) = (0, false);
    while at < tokens.len() {
        if let Some((end, of_tests)) = attribute(tokens, at) {
            if of_tests && tokens[at + 1] == "!" {
                return Vec::new();
            }
            test |= of_tests;
            at = end;
        } else if std::mem::take(&mut test) {
            let end = item_end(tokens, at);
            let declared = tokens[at..end].windows(3).find(|w| w[0] == "mod" && w[2] == ";");
            modules.extend(declared.map(|w| w[1].to_owned()));
            at = end;
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// Names with `::` between them, as they are written.
type Names = Vec<String>;

/// A name that `use` brings in, or that a path begins with.
#[derive(Debug)]
struct Import {
    names: Names,
    /// What it is called here; `*` for all that is there.
    called: String,
    /// Handed on to others.
    public: bool,
    /// The modules within the file in which it stands.
    within: Names,
}

/// What a file says of others.
#[derive(Debug, Default)]
struct File {
    /// Where it is, within the room.
    name: String,
    children: BTreeSet<String>,
    tests: BTreeSet<String>,
    imports: Vec<Import>,
    paths: Vec<Import>,
    defines: BTreeSet<String>,
    /// All words but those of `use` and of declarations of modules.
    words: BTreeSet<String>,
}

impl File {
    fn parse(name: &str, source: &str) -> File {
        let mut file = File { name: name.to_owned(), ..File::default() };
        let tokens = without_tests(&tokens(source), &mut file.tests);
        let mut within: Vec<(String, usize)> = Vec::new();
        let (mut at, mut depth) = (0, 0usize);
        while at < tokens.len() {
            let next = |n: usize| tokens.get(at + n).copied().unwrap_or("");
            let before = |n: usize| at.checked_sub(n).map_or("", |at| tokens[at]);
            match tokens[at] {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    if within.last().is_some_and(|(_, opened)| *opened == depth) {
                        within.pop();
                    }
                }
                "mod" if next(2) == ";" => {
                    file.children.insert(next(1).to_owned());
                    at += 2;
                }
                "mod" if next(2) == "{" => {
                    file.defines.insert(next(1).to_owned());
                    within.push((next(1).to_owned(), depth));
                    depth += 1;
                    at += 2;
                }
                "use" if next(1) != "<" => {
                    let end = at + tokens[at..].iter().position(|t| *t == ";").unwrap_or(tokens.len() - at);
                    let within: Names = within.iter().map(|(name, _)| name.clone()).collect();
                    let public = matches!(before(1), "pub" | ")");
                    let mut leaves = Vec::new();
                    use_tree(&tokens[at + 1..end], &[], &mut leaves);
                    file.imports.extend(leaves.into_iter().map(|(names, called)| Import {
                        names,
                        called,
                        public,
                        within: within.clone(),
                    }));
                    at = end;
                }
                word if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                    if KEYWORDS.contains(&word) || (word == "macro_rules" && next(1) == "!") {
                        let skip = if word == "macro_rules" { 2 } else { 1 };
                        file.defines.insert(next(skip).to_owned());
                    }
                    file.words.insert(word.to_owned());
                    let begins =
                        next(1) == "::" && before(1) != "::" && !(before(1) == "in" && before(2) == "(");
                    if begins {
                        let mut names = vec![word.to_owned()];
                        let mut end = at;
                        while tokens.get(end + 1) == Some(&"::") {
                            let Some(word) =
                                tokens.get(end + 2).filter(|w| w.starts_with(char::is_alphabetic))
                            else {
                                break;
                            };
                            names.push((*word).to_owned());
                            end += 2;
                        }
                        let within = within.iter().map(|(name, _)| name.clone()).collect();
                        file.paths.push(Import { names, called: String::new(), public: false, within });
                    }
                }
                _ => {}
            }
            at += 1;
        }
        file
    }
}

/// Adds what a `use` brings in, each with what it is called.
fn use_tree(tokens: &[&str], before: &[String], leaves: &mut Vec<(Names, String)>) {
    let mut names = before.to_vec();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match *token {
            "::" => {}
            "{" => {
                let inner = &tokens[at + 1..close(tokens, at) - 1];
                let (mut depth, mut from) = (0usize, 0);
                for (i, token) in inner.iter().enumerate() {
                    match *token {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        "," if depth == 0 => {
                            use_tree(&inner[from..i], &names, leaves);
                            from = i + 1;
                        }
                        _ => {}
                    }
                }
                if from < inner.len() {
                    use_tree(&inner[from..], &names, leaves);
                }
                return;
            }
            "*" => return leaves.push((names, "*".to_owned())),
            "as" => {
                let called = tokens.get(at + 1).map_or("_", |t| t);
                return leaves.push((names, called.to_owned()));
            }
            // `x::{self}` is x.
            "self" if !names.is_empty() => {}
            name => names.push(name.to_owned()),
        }
        at += 1;
    }
    let called = names.last().cloned().unwrap_or_default();
    leaves.push((names, called));
}

/// The files of a room by the names of their modules.
struct Room(BTreeMap<Names, File>);

impl Room {
    fn new<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Room {
        let mut files: BTreeMap<Names, File> = BTreeMap::new();
        for (name, source) in sources {
            let stem = name.strip_suffix(".rs").unwrap_or(name);
            let mut module: Names = stem.split('/').map(str::to_owned).collect();
            if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
                module.pop();
            }
            files.insert(module, File::parse(name, source));
        }
        let tests: Vec<Names> = files
            .iter()
            .flat_map(|(m, f)| f.tests.iter().map(|t| [&m[..], std::slice::from_ref(t)].concat()))
            .collect();
        files.retain(|m, _| !tests.iter().any(|t| m.starts_with(t)));
        Room(files)
    }

    /// The module of the file in which a name of `module` is defined; `None` for one of another crate.
    fn home(&self, module: &[String], names: &[String], hops: usize) -> Option<Names> {
        let file = self.0.get(module)?;
        let Some((first, rest)) = names.split_first() else { return Some(module.to_vec()) };
        let child = [module, std::slice::from_ref(first)].concat();
        if file.children.contains(first) && self.0.contains_key(&child) {
            return self.home(&child, rest, hops);
        }
        let named = file.imports.iter().find(|i| i.called == *first && i.within.is_empty());
        if let Some(import) = named.filter(|_| hops > 0) {
            let whole = [&import.names[..], rest].concat();
            return self.resolve(module, &import.within, &whole, hops - 1);
        }
        if !file.defines.contains(first) && hops > 0 {
            let globs = file.imports.iter().filter(|i| i.called == "*" && i.public);
            for glob in globs {
                let Some(there) = self.resolve(module, &glob.within, &glob.names, hops - 1) else { continue };
                let has = |f: &File| f.defines.contains(first) || f.children.contains(first);
                if there != module && self.0.get(&there).is_some_and(has) {
                    return self.home(&there, names, hops - 1);
                }
            }
        }
        Some(module.to_vec())
    }

    /// The same for names as they are written in a file, in modules within it.
    fn resolve(&self, module: &[String], within: &[String], names: &[String], hops: usize) -> Option<Names> {
        let file = self.0.get(module)?;
        let first = names.first()?;
        let mut here = [module, within].concat();
        let mut rest = names;
        match first.as_str() {
            "crate" => (here, rest) = (Vec::new(), &names[1..]),
            "self" => rest = &names[1..],
            "super" => {
                while let Some((_, more)) = rest.split_first().filter(|(name, _)| *name == "super") {
                    here.pop()?;
                    rest = more;
                }
            }
            name if within.is_empty() && file.children.contains(name) => {}
            name if within.is_empty() && hops > 0 => {
                let import = file
                    .imports
                    .iter()
                    .find(|i| i.called == name && i.within.is_empty() && i.names != names)?;
                // A crate of the same name as the import: `use libc;`.
                let whole = [&import.names[..], &names[1..]].concat();
                return self.resolve(module, within, &whole, hops - 1);
            }
            _ => return None,
        }
        // A module within a file is in that file.
        if here.len() > module.len() && here.starts_with(module) {
            return Some(module.to_vec());
        }
        self.home(&here, rest, hops)
    }

    /// What each file imports, with the names it does so for.
    fn edges(&self) -> BTreeMap<&str, BTreeMap<&str, BTreeSet<String>>> {
        const HOPS: usize = 8;
        let mut edges: BTreeMap<&str, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
        for (module, file) in &self.0 {
            let from = edges.entry(&file.name).or_default();
            let handed_on = |i: &&Import| i.public && !file.words.contains(&i.called);
            for import in file.imports.iter().filter(|i| !handed_on(i)).chain(&file.paths) {
                let Some(home) = self.resolve(module, &import.within, &import.names, HOPS) else { continue };
                let to = self.0.get(&home).filter(|f| f.name != file.name);
                if let Some(to) = to {
                    from.entry(&to.name).or_default().insert(import.names.join("::"));
                }
            }
        }
        edges
    }

    /// For each file in a circle the shortest one it is in, every circle once, in words.
    fn circles(&self) -> BTreeMap<BTreeSet<String>, String> {
        let edges = self.edges();
        let mut circles = BTreeMap::new();
        for start in edges.keys() {
            let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
            let mut todo = VecDeque::from([*start]);
            while let Some(file) = todo.pop_front() {
                for to in edges[file].keys() {
                    if !came_from.contains_key(to) {
                        came_from.insert(to, file);
                        todo.push_back(to);
                    }
                }
            }
            let Some(mut from) = came_from.get(start).copied() else { continue };
            let mut way = vec![*start, from];
            while from != *start {
                from = came_from[from];
                way.push(from);
            }
            way.reverse();
            let mut text = String::new();
            for pair in way.windows(2) {
                let names: Vec<&str> = edges[pair[0]][pair[1]].iter().map(String::as_str).collect();
                _ = writeln!(text, "  {} imports {}: {}", pair[0], pair[1], names.join(", "));
            }
            circles.entry(way.iter().map(|f| (*f).to_owned()).collect()).or_insert(text);
        }
        circles
    }
}

fn read(dir: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())).flatten() {
        let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().to_string_lossy()));
        if path.is_dir() {
            read(&path, &format!("{name}/"), found);
        } else if name.ends_with(".rs") {
            found.push((
                name,
                fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
            ));
        }
    }
}

/// The room of this name, without programs beside its library: each is a crate of its own.
fn room(name: &str) -> Room {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut sources = Vec::new();
    read(&root.join(name).join("src"), "", &mut sources);
    let library = sources.iter().any(|(name, _)| name == "lib.rs");
    sources.retain(|(name, _)| !(name.starts_with("bin/") || library && name == "main.rs"));
    Room::new(sources.iter().map(|(name, source)| (name.as_str(), source.as_str())))
}

#[test]
fn no_file_imports_one_that_imports_it() {
    let mut found = String::new();
    for name in ["wire", "engine", "cli", "syncd", "perf", "tests"] {
        let room = room(name);
        let edges: usize = room.edges().values().map(BTreeMap::len).sum();
        assert!(room.0.len() > 10 && edges > 10, "{name}: {edges} imports in {} files", room.0.len());
        for text in room.circles().into_values() {
            _ = writeln!(found, "{name}/src:\n{text}");
        }
    }
    assert!(found.is_empty(), "files that import each other:\n{found}");
}

/// The circles of a made-up room, as the names of their files.
fn circles(sources: &[(&str, &str)]) -> Vec<Vec<String>> {
    Room::new(sources.iter().copied()).circles().into_keys().map(|c| c.into_iter().collect()).collect()
}

#[test]
fn a_circle_is_found() {
    let root = ("lib.rs", "pub mod a;\npub mod b;\nmod c;\nmod d;\n");
    let c = ("c.rs", "pub(crate) fn c() { super::a::a() }");
    let d = ("d.rs", "use crate::c;\nfn d() { c::c() }");
    let b = ("b.rs", "use crate::c::{self as x, c};\npub struct B;");
    let a = ("a.rs", "pub fn a() { let _ = crate::b::B; }");
    assert_eq!(circles(&[root, a, b, c, d]), [["a.rs", "b.rs", "c.rs"]].map(|c| c.map(str::to_owned)));
    // Without one of its imports it is none.
    assert!(circles(&[root, ("a.rs", "pub fn a() {}"), b, c, d]).is_empty());
    assert!(
        circles(&[root, a, b, ("c.rs", "// use super::a;\nconst C: &str = \"crate::a::a\";"), d]).is_empty()
    );
    // The names say where to look.
    let text = Room::new([root, a, b, c, d]).circles().into_values().next().expect("the circle");
    assert!(text.contains("  c.rs imports a.rs: super::a::a\n"), "{text}");
}

#[test]
fn parents_and_what_they_hand_on_are_told_apart() {
    let lib = ("lib.rs", "pub mod parts;");
    let one = ("parts/one.rs", "use super::Two;\npub struct One(Two);");
    let two = ("parts/two.rs", "pub struct Two;");
    // Names that are handed on are looked through.
    let hands_on = ("parts/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::*;");
    assert!(circles(&[lib, hands_on, one, two]).is_empty());
    let both = [["parts/mod.rs", "parts/one.rs"]].map(|c| c.map(str::to_owned));
    // Names that are used here as well, and the child uses this.
    let uses = ("parts/mod.rs", "mod one;\npub use one::One;\npub struct Two;\nfn f(_: One) {}");
    assert_eq!(circles(&[lib, uses, one]), both);
    let calls = ("parts/mod.rs", "mod one;\npub struct Two;\nfn f() { one::f() }");
    assert_eq!(circles(&[lib, calls, one]), both);
    // A child that is only declared is not used.
    assert!(circles(&[lib, ("parts/mod.rs", "pub mod one;\npub struct Two;"), one]).is_empty());
    // A ring through a name that is handed on.
    let back = ("parts/two.rs", "use crate::parts::One;\npub struct Two;");
    let ring = [["parts/one.rs", "parts/two.rs"]].map(|c| c.map(str::to_owned));
    assert_eq!(circles(&[lib, hands_on, one, back]), ring);
}

#[test]
fn tests_do_not_count() {
    let lib = ("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod lab;");
    let b = ("b.rs", "use crate::a::A;\npub struct B(A);");
    let lab = ("lab.rs", "use crate::b::B;");
    for test in [
        "#[cfg(test)]\nmod tests {\n use super::*;\n use crate::b::B;\n}",
        "#[cfg(test)]\nuse crate::b::B;",
        "#[cfg(test)]\n#[derive(Debug)]\nstruct T { b: crate::b::B }",
        "#[cfg(all(test, unix))]\nfn f() -> [u8; 2] { crate::b::B; [1, 2] }",
        "#[cfg(test)]\nuse crate::lab;",
    ] {
        let a = format!("pub struct A;\n{test}\nconst LAST: u8 = b'\\'';");
        assert!(circles(&[lib, ("a.rs", &a), b, lab]).is_empty(), "{test}");
        let a = a.replace("#[cfg(test)]", "").replace("#[cfg(all(test, unix))]", "");
        let is_file_of_tests = test.contains("lab");
        assert_eq!(circles(&[lib, ("a.rs", &a), b, lab]).is_empty(), is_file_of_tests, "{a}");
    }
    // What stands behind a test counts again.
    for test in ["#[cfg(test)]\nmod tests {}", "struct S {\n #[cfg(test)]\n t: T,\n}", "#[cfg(not(test))]"] {
        let a = format!("pub struct A;\n{test}\nuse crate::b::B;");
        assert_eq!(circles(&[lib, ("a.rs", &a), b, lab]).len(), 1, "{test}");
    }
}

#[test]
fn modules_within_a_file_are_part_of_it() {
    let lib = ("lib.rs", "mod a;\nmod b;");
    let a =
        ("a.rs", "pub struct A;\npub mod inner { use super::A; pub fn f(_: A) {} }\nfn g() { inner::f(A) }");
    let b = ("b.rs", "use crate::a::inner::f;\nfn b<'a>(_: &'a str) -> char { f(); 'b' }");
    assert!(circles(&[lib, a, b]).is_empty());
    let a = ("a.rs", "pub mod inner { use super::super::b; pub fn f() {} }");
    assert_eq!(circles(&[lib, a, b]).len(), 1);
}
