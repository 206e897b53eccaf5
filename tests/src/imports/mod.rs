//! What each file of a crate imports from the others, read from the sources.
//!
//! What counts is what a file names of its own crate, in `use` and in paths, and the file where that is
//! defined: a `mod.rs` that re-exports names of its folder is looked through. Tests do not count, whether in
//! a file of their own or at the end of one; nor do declarations of modules.

mod source;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use source::{File, Import, Names};

/// The files of a room, by module name.
pub struct Room(BTreeMap<Names, File>);

impl Room {
    /// The room with this name, without the programs beside its library: each of those is a crate of its own.
    pub fn of(name: &str) -> Room {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut sources = Vec::new();
        read(&root.join(name).join("src"), "", &mut sources);
        let library = sources.iter().any(|(name, _)| name == "lib.rs");
        sources.retain(|(name, _)| !(name.starts_with("bin/") || library && name == "main.rs"));
        Room::new(sources.iter().map(|(name, source)| (name.as_str(), source.as_str())))
    }

    /// A room made of these files, each given by name and text.
    pub fn new<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Room {
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

    /// The names of the files, each with its number of lines.
    pub fn files(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.values().map(|file| (file.name.as_str(), file.lines))
    }

    /// Whether a file that counts uses anything from this other crate.
    pub fn names_crate(&self, name: &str) -> bool {
        let of = |import: &Import| import.names.first().is_some_and(|first| first == name);
        self.0.values().any(|file| file.imports.iter().chain(&file.paths).any(of))
    }

    /// The module of the file that defines a name of `module`; `None` if another crate does.
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

    /// As [`Room::home`], for names as they are written in a file or in a module inside it.
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
                // A crate may have the same name as the import: `use libc;`.
                let whole = [&import.names[..], &names[1..]].concat();
                return self.resolve(module, within, &whole, hops - 1);
            }
            _ => return None,
        }
        // A module inside a file is defined in that file.
        if here.len() > module.len() && here.starts_with(module) {
            return Some(module.to_vec());
        }
        self.home(&here, rest, hops)
    }

    /// The files that each file imports, and the names it imports from them.
    pub fn edges(&self) -> BTreeMap<&str, BTreeMap<&str, BTreeSet<String>>> {
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

    /// For each file in a circle the shortest circle it is in, described in words; no circle twice.
    pub fn circles(&self) -> BTreeMap<BTreeSet<String>, String> {
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
