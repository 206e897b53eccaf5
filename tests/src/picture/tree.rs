//! The crates, and their parts on floors, according to which files import which.

use crate::imports::Room;
use std::collections::{BTreeMap, BTreeSet};

/// A folder of a crate, or a file outside any folder.
#[derive(Debug)]
pub(crate) struct Part {
    /// The name; that of a folder ends with a slash.
    pub(crate) name: String,
    pub(crate) lines: usize,
    /// The number of floors below it.
    pub(crate) floor: usize,
}

impl Part {
    pub(crate) fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }
}

/// A crate of the workspace.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) name: &'static str,
    pub(crate) lines: usize,
    /// The other crates that it uses.
    pub(crate) uses: Vec<&'static str>,
    /// Its parts, highest floor first.
    pub(crate) parts: Vec<Part>,
    /// Which part imports which other.
    pub(crate) arrows: BTreeSet<(String, String)>,
}

/// The workspace as it is drawn.
#[derive(Debug)]
pub struct Picture {
    pub(crate) houses: Vec<House>,
}

/// The crates by folder, each with the name that sources use for it.
const CRATES: [(&str, &str); 7] = [
    ("perf", "zct_perf"),
    ("tests", "zct_tests"),
    ("cli", "zct"),
    ("syncd", "zctd"),
    ("engine", "zct_engine"),
    ("helpers", "zct_helpers"),
    ("wire", "zct_wire"),
];

/// The first this many are not part of any program.
const ROOFS: usize = 2;

impl Picture {
    /// The picture of the sources as they are now.
    pub fn of_the_tree() -> Picture {
        let mut houses: Vec<House> =
            CRATES.iter().map(|(name, _)| House::new(name, &Room::of(name))).collect();
        // What is on top of everything is drawn without its inside.
        houses.iter_mut().take(ROOFS).for_each(|house| house.parts.clear());
        Picture { houses }
    }
}

/// The folder that a file is in, or the file itself.
fn part_of(file: &str) -> String {
    file.split_once('/').map_or_else(|| file.to_owned(), |(folder, _)| format!("{folder}/"))
}

impl House {
    fn new(name: &'static str, room: &Room) -> House {
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        for (file, n) in room.files() {
            *lines.entry(part_of(file)).or_default() += n;
        }
        // How many files of one part import something from the other.
        let mut imports: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (file, others) in room.edges() {
            let to: BTreeSet<String> = others.keys().map(|f| part_of(f)).collect();
            for to in to.into_iter().filter(|to| *to != part_of(file)) {
                *imports.entry((part_of(file), to)).or_default() += 1;
            }
        }
        let uses = CRATES.iter().filter(|(other, words)| *other != name && room.names_crate(words));
        let floors = floors(&lines.keys().cloned().collect(), imports.clone());
        let total = lines.values().sum();
        let arrows: BTreeSet<(String, String)> = imports.into_keys().collect();
        // A root that only declares its modules gets no floor.
        let root = |p: &Part| p.name == "lib.rs" && !arrows.iter().any(|(from, _)| *from == p.name);
        let parts = lines.into_iter().map(|(name, lines)| Part { floor: floors[&name], name, lines });
        let mut parts: Vec<Part> = parts.filter(|p| !root(p)).collect();
        parts.sort_by(|a, b| (b.floor, b.is_folder(), &a.name).cmp(&(a.floor, a.is_folder(), &b.name)));
        House { name, lines: total, uses: uses.map(|(other, _)| *other).collect(), parts, arrows }
    }
}

/// The number of floors below each part. Where two parts import each other (though their files do not), the
/// arrow that stands for fewer files does not count.
fn floors(
    parts: &BTreeSet<String>,
    mut imports: BTreeMap<(String, String), usize>,
) -> BTreeMap<String, usize> {
    let reaches = |imports: &BTreeMap<(String, String), usize>, from: &str, goal: &str| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(part) = todo.pop() {
            if part == goal {
                return true;
            }
            if seen.insert(part.clone()) {
                todo.extend(imports.keys().filter(|(from, _)| *from == part).map(|(_, to)| to.clone()));
            }
        }
        false
    };
    while let Some((_, back)) = imports
        .iter()
        .filter(|((from, to), _)| reaches(&imports, to, from))
        .map(|(pair, files)| (*files, pair.clone()))
        .min()
    {
        imports.remove(&back);
    }
    let mut floors: BTreeMap<String, usize> = parts.iter().map(|part| (part.clone(), 0)).collect();
    loop {
        let higher = imports.keys().find(|(from, to)| floors[from] <= floors[to]);
        let Some((from, to)) = higher else { return floors };
        let floor = floors[to] + 1;
        floors.insert(from.clone(), floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(sources: &[(&str, &str)]) -> House {
        House::new("cli", &Room::new(sources.iter().copied()))
    }

    #[test]
    fn what_is_imported_is_on_a_lower_floor() {
        let house = house(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;"),
            ("a/mod.rs", "mod x;\nuse crate::b::B;\nfn f() { crate::c::f(); zct_wire::f() }"),
            ("a/x.rs", "pub struct X;\nfn x() { crate::b::B; crate::c::f() }"),
            ("b/mod.rs", "mod y;\nuse crate::c::f;\npub struct B;\nfn g() { f() }"),
            ("b/y.rs", "fn y() { crate::c::f() }"),
            ("c.rs", "use crate::a::x::X;\npub fn f() -> X { X }"),
        ]);
        let floors: Vec<(&str, usize)> = house.parts.iter().map(|p| (p.name.as_str(), p.floor)).collect();
        // That c imports from a counts least, because only one file does.
        assert_eq!(floors, [("a/", 2), ("b/", 1), ("c.rs", 0)]);
        let arrows: Vec<(&str, &str)> = house.arrows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(arrows, [("a/", "b/"), ("a/", "c.rs"), ("b/", "c.rs"), ("c.rs", "a/")]);
        assert_eq!((house.uses, house.lines), (vec!["wire"], 15));
    }
}
