//! Rules about the code itself: which room may use which, where unsafe code is allowed, what the programs
//! depend on, and that docs/differences.md lists the differences as they are.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use zct_tests::differences::markdown;
use zct_tests::picture::{Picture, draw};
use zct_tests::program::run;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// What cargo knows about the workspace and all its dependencies, for the machines it is built for.
fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let args =
            "metadata --format-version 1 --locked --offline --filter-platform x86_64-unknown-linux-gnu";
        let output = run(Command::new(cargo).args(args.split(' ')).current_dir(root()), b"");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("cargo metadata: {e}\n{output:?}"))
    })
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn member(name: &str) -> &'static Value {
    let packages = list(&metadata()["packages"]);
    packages.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("no package {name}"))
}

/// The names of a package's dependencies, without those for tests.
fn dependencies(package: &Value) -> BTreeSet<&str> {
    let used = list(&package["dependencies"]).iter().filter(|d| d["kind"] != "dev");
    used.map(|d| text(&d["name"])).collect()
}

#[test]
fn no_arrow_goes_back() {
    let allowed: [(&str, &[&str]); 5] = [
        ("zct-wire", &[]),
        ("zct-helpers", &["zct-wire"]),
        ("zct-engine", &["zct-wire"]),
        ("zct", &["zct-engine", "zct-wire"]),
        ("zctd", &["zct-engine", "zct-helpers", "zct-wire"]),
    ];
    let rooms: BTreeSet<&str> =
        list(&metadata()["workspace_members"]).iter().map(|id| text(&named(id)["name"])).collect();
    assert_eq!(
        rooms,
        ["zct", "zct-engine", "zct-helpers", "zct-perf", "zct-tests", "zct-wire", "zctd"].into()
    );
    for (room, may) in allowed {
        let uses = dependencies(member(room));
        let wrong: Vec<_> = uses.iter().filter(|u| rooms.contains(**u) && !may.contains(u)).collect();
        assert!(wrong.is_empty(), "{room} uses {wrong:?}");
    }
    // Only bytes and their meaning: it uses no operating system.
    let wire = dependencies(member("zct-wire"));
    assert!(wire.is_subset(&["zerocopy", "memchr"].into()), "zct-wire uses {wire:?}");
    // Only what packets say: payload of strangers is read with nothing at hand.
    let helpers = dependencies(member("zct-helpers"));
    assert_eq!(helpers, ["zct-wire"].into(), "zct-helpers");
}

fn named(id: &Value) -> &'static Value {
    list(&metadata()["packages"]).iter().find(|p| p["id"] == *id).expect("every id is a package")
}

/// What the programs may depend on, indirectly too.
const ALLOWED: [&str; 36] = [
    "mio",
    "zerocopy",
    "memchr",
    "smallvec",
    "lexopt",
    "crossbeam-channel",
    "libc",
    "hashbrown",
    "blake2",
    "chacha20poly1305",
    "zeroize",
    "log",
    "cfg-if",
    // A dependency of crossbeam-channel.
    "crossbeam-utils",
    // A dependency of hashbrown.
    "allocator-api2",
    "equivalent",
    "foldhash",
    // Dependencies of chacha20poly1305 and blake2.
    "aead",
    "block-buffer",
    "chacha20",
    "cipher",
    "cmov",
    "cpufeatures",
    "crypto-common",
    "ctutils",
    "digest",
    "hybrid-array",
    "inout",
    "poly1305",
    "typenum",
    "universal-hash",
    // zerocopy's derive macros, which run only while it is built.
    "zerocopy-derive",
    "proc-macro2",
    "quote",
    "syn",
    "unicode-ident",
];

#[test]
fn programs_depend_on_what_is_listed_only() {
    let nodes = list(&metadata()["resolve"]["nodes"]);
    let mut todo: Vec<&Value> = ["zct", "zctd"].iter().map(|n| &member(n)["id"]).collect();
    let mut seen: Vec<&Value> = Vec::new();
    while let Some(id) = todo.pop() {
        if seen.contains(&id) {
            continue;
        }
        seen.push(id);
        let node = nodes.iter().find(|n| n["id"] == *id).expect("every package is resolved");
        let runtime = |dep: &&Value| list(&dep["dep_kinds"]).iter().any(|k| k["kind"] != "dev");
        todo.extend(list(&node["deps"]).iter().filter(runtime).map(|d| &d["pkg"]));
    }
    let names: BTreeSet<&str> = seen.iter().map(|id| text(&named(id)["name"])).collect();
    assert_eq!(names.len(), seen.len(), "the programs have a library twice");
    let others: Vec<_> = names.iter().filter(|n| !n.starts_with("zct") && !ALLOWED.contains(n)).collect();
    assert!(others.is_empty(), "not on the list of runtime dependencies: {others:?}");
    assert!(names.contains("mio") && names.contains("zerocopy"), "the walk saw {names:?}");
}

/// The value of a list of words in deny.toml, which stands on one line.
fn denied(key: &str) -> BTreeSet<String> {
    let file = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let line = file.lines().find_map(|l| l.strip_prefix(key)?.trim_start().strip_prefix('='));
    let words = line.unwrap_or_else(|| panic!("no {key} in deny.toml")).trim().trim_matches(['[', ']']);
    words.split(',').map(|w| w.trim().trim_matches('"').to_owned()).collect()
}

/// True when a licence expression can be satisfied with these licences: everything between AND has to have an
/// alternative that is among them. Cargo still knows `/` for OR.
fn permits(expression: &str, licences: &BTreeSet<String>) -> bool {
    let alternatives = |part: &str| {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')').replace('/', " OR ");
        part.split(" OR ").any(|one| licences.contains(one.trim()))
    };
    expression.split(" AND ").all(alternatives)
}

/// cargo-deny checks the same, and more, where it is installed.
#[test]
fn licences_are_those_that_deny_toml_allows() {
    let allowed = denied("allow");
    for (expression, fits) in [
        ("MIT", true),
        ("GPL-2.0-only", false),
        ("GPL-2.0-only OR MIT", true),
        ("Unlicense/MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-2.0-only", false),
    ] {
        assert_eq!(permits(expression, &allowed), fits, "{expression}");
    }
    let packages = list(&metadata()["packages"]);
    let other = packages.iter().filter(|p| !p["license"].as_str().is_some_and(|l| permits(l, &allowed)));
    let other: Vec<_> = other.map(|p| format!("{}: {}", p["name"], p["license"])).collect();
    assert!(packages.len() > 50 && other.is_empty(), "not allowed by deny.toml: {other:#?}");
}

#[test]
fn every_room_names_the_oldest_rust() {
    for id in list(&metadata()["workspace_members"]) {
        let package = named(id);
        assert_eq!(package["rust_version"], "1.85", "{}", package["name"]);
        assert_eq!(package["edition"], "2024", "{}", package["name"]);
    }
}

/// Lines outside tests that bring in a library by `extern crate`.
fn libraries(source: &str) -> Vec<&str> {
    let lines: Vec<&str> = source.lines().collect();
    let brought = lines.iter().enumerate().filter(|(_, l)| l.trim_start().starts_with("extern crate"));
    let tests_only = |at: usize| lines[at.saturating_sub(2)..at].contains(&"#[cfg(test)]");
    brought.filter(|(at, _)| !tests_only(*at)).map(|(_, line)| *line).collect()
}

/// The rule that the build for a bare target in `make lint` enforces, for machines without such a target.
#[test]
fn wire_and_helpers_bring_in_no_standard_library() {
    assert_eq!(libraries("#[cfg(test)]\nextern crate std;\n\nextern crate alloc;"), ["extern crate alloc;"]);
    for room in ["wire", "helpers"] {
        let room = root().join(room).join("src");
        let mut files = Vec::new();
        rust_files(&room, &mut files);
        for file in &files {
            let source = fs::read_to_string(file).expect("a source file");
            assert_eq!(libraries(&source), [""; 0], "{}", file.display());
        }
        let lib = fs::read_to_string(room.join("lib.rs")).expect("lib.rs");
        assert!(lib.contains("\n#![no_std]\n"), "{} is no_std, in tests too", room.display());
    }
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())).flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Lines with unsafe code, comments left out.
fn unsafe_lines(source: &str) -> Vec<&str> {
    let code = |line: &&str| {
        let line = line.split("//").next().unwrap_or("");
        let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.any(|w| w == "unsafe") || line.contains("allow(unsafe_code")
    };
    source.lines().filter(code).collect()
}

#[test]
fn unsafe_code_is_in_one_module() {
    assert_eq!(unsafe_lines("// unsafe {\nunsafe { x }\nforbid(unsafe_code)"), ["unsafe { x }"]);
    let root = root();
    let mut files = Vec::new();
    for room in ["wire/src", "helpers/src", "engine/src", "cli/src", "syncd/src"] {
        rust_files(&root.join(room), &mut files);
    }
    assert!(files.len() > 40, "only {} files", files.len());
    let only = root.join("engine/src/sys.rs");
    let parts = root.join("engine/src/sys");
    for file in files.iter().filter(|f| **f != only && !f.starts_with(&parts)) {
        let source = fs::read_to_string(file).expect("a source file");
        let lines = unsafe_lines(&source);
        assert!(lines.is_empty(), "{}: {lines:?}", file.display());
    }
    assert!(!unsafe_lines(&fs::read_to_string(&only).expect("sys.rs")).is_empty());
    for (file, lint) in [
        ("wire/src/lib.rs", "#![forbid(unsafe_code)]"),
        ("helpers/src/lib.rs", "#![forbid(unsafe_code)]"),
        ("cli/src/lib.rs", "#![forbid(unsafe_code)]"),
        ("cli/src/main.rs", "#![forbid(unsafe_code)]"),
        ("syncd/src/main.rs", "#![forbid(unsafe_code)]"),
        ("engine/src/lib.rs", "#![deny(unsafe_code)]"),
    ] {
        assert!(fs::read_to_string(root.join(file)).expect(file).contains(lint), "{file}: {lint}");
    }
}

/// The source of a file, or of every file in a folder.
fn source(path: &Path) -> String {
    if !path.is_dir() {
        return fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let mut files = Vec::new();
    rust_files(path, &mut files);
    files.iter().map(|f| source(f)).collect()
}

/// True when `source` defines the last part of `name`: `run`, `Plan::new`.
fn defines(source: &str, name: &str) -> bool {
    let name = name.rsplit("::").next().unwrap_or(name);
    ["fn", "struct", "enum", "trait", "mod", "const", "type"].iter().any(|word| {
        let start = format!("{word} {name}");
        source
            .match_indices(&start)
            .any(|(at, _)| !source[at + start.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// Follows the text between backquotes in one line: files and folders, and the names after a file, which has
/// to define them. Returns the number of both.
fn follow_signposts(line: &str) -> Result<(usize, usize), String> {
    let (mut files, mut names, mut last) = (0, 0, None);
    for word in line.split('`').skip(1).step_by(2) {
        let is_name = word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':');
        if word.contains('/') && !word.contains([' ', '*', '<']) {
            let path = root().join(word);
            if !path.exists() {
                return Err(format!("there is no {word}"));
            }
            files += 1;
            last = Some((word, path));
        } else if let Some((file, path)) = last.as_ref().filter(|_| is_name) {
            if !defines(&source(path), word) {
                return Err(format!("{file} does not define {word}"));
            }
            names += 1;
        }
    }
    Ok((files, names))
}

#[test]
fn signposts_lead_somewhere() {
    assert_eq!(follow_signposts("`tests/tests/code_rules.rs`: `root`, `zctd -i`"), Ok((1, 1)));
    assert!(follow_signposts("`tests/tests/code_rule.rs`").is_err());
    assert!(follow_signposts("`tests/tests/code_rules.rs`: `roo`").is_err());
    let part = |file: &str, from: &str, to: &str| {
        let text = source(&root().join(file));
        let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{file}: no {from}"));
        rest.split_once(to).unwrap_or_else(|| panic!("{file}: no {to}")).0.to_owned()
    };
    let questions = part("CONTRIBUTING.md", "\n## Where is \u{2026}?\n", "\n## ");
    assert!(questions.lines().filter(|l| l.starts_with("| \u{2026} ")).count() >= 20, "{questions}");
    let ways = part("docs/architecture.md", "Inside the daemon:", "## Five decisions");
    let (mut files, mut names) = (0, 0);
    // A list item may continue on the next line.
    for item in questions.lines().map(str::to_owned).chain([ways.replace("\n   ", " ").replace("\n  ", " ")])
    {
        for line in item.lines() {
            let (f, n) = follow_signposts(line).unwrap_or_else(|why| panic!("{line}: {why}"));
            (files, names) = (files + f, names + n);
        }
    }
    assert!(files >= 70 && names >= 30, "only {files} files and {names} names");
}

/// The files under version control, or all files where there is none.
fn tracked() -> Vec<PathBuf> {
    let root = root();
    let output = run(Command::new("git").args(["ls-files", "-z"]).current_dir(&root), b"");
    let listed: Vec<PathBuf> =
        output.out().split('\0').filter(|f| !f.is_empty()).map(|f| root.join(f)).collect();
    if !listed.is_empty() {
        return listed;
    }
    let mut files = Vec::new();
    for room in ["wire", "helpers", "engine", "cli", "syncd", "perf/src", "tests/src", "tests/tests"] {
        rust_files(&root.join(room), &mut files);
    }
    files
}

#[test]
fn files_say_nothing_about_one_machine_or_about_tools() {
    // Split, so that this file does not contain them either.
    let words = [
        ["/ro", "ot/"],
        ["/wo", "rk/"],
        ["/ho", "me/"],
        ["cla", "ude"],
        ["anth", "ropic"],
        ["open", "ai"],
        ["co", "pilot"],
        ["chat", "gpt"],
        ["language ", "model"],
        ["sub", "agent"],
    ]
    .map(|halves| halves.concat());
    let mut read = 0;
    for file in tracked() {
        let Ok(source) = fs::read_to_string(&file) else { continue };
        read += 1;
        let source = source.to_ascii_lowercase();
        let found: Vec<_> = words.iter().filter(|w| source.contains(w.as_str())).collect();
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }
    assert!(read > 60, "only {read} files were read");
}

#[test]
fn the_page_tells_the_differences_as_they_are() {
    let page = fs::read_to_string(root().join("docs/differences.md")).expect("docs/differences.md");
    let (_, section) = page.split_once("\n## Differences").expect("the section");
    let table: String = section
        .lines()
        .skip_while(|l| !l.starts_with('|'))
        .take_while(|l| l.starts_with('|'))
        .fold(String::new(), |all, line| all + line + "\n");
    assert_eq!(table, markdown(), "cargo run -p zct-tests --bin differences prints the table");
}

#[test]
fn the_picture_of_the_house_shows_what_imports_what() {
    let file = root().join("docs/rooms.svg");
    let drawn = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut picture = Picture::of_the_tree();
    let wrong = picture.nearly(&drawn);
    assert!(wrong.is_empty(), "make picture: {wrong:#?}");
    let now = draw(&picture);
    let other: Vec<&str> = now.lines().filter(|line| !drawn.lines().any(|l| l == *line)).collect();
    assert!(now == drawn, "docs/rooms.svg is not what the sources import: make picture\n{other:#?}");
    let up: Vec<&str> = now.lines().filter(|line| line.contains("arrow to-back")).collect();
    assert!(up.is_empty(), "folders that import each other: move what lies in the wrong one\n{up:#?}");
}
