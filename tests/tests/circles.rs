//! No file imports one that imports it, directly or by way of others, so each can be read after those it
//! uses. `zct_tests::imports` says what counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use zct_tests::imports::Room;

#[test]
fn no_file_imports_one_that_imports_it() {
    let mut found = String::new();
    for name in ["wire", "helpers", "engine", "cli", "syncd", "perf", "tests"] {
        let room = Room::of(name);
        let edges: usize = room.edges().values().map(BTreeMap::len).sum();
        let files = room.files().count();
        assert!(files > 10 && edges > 10, "{name}: {edges} imports in {files} files");
        for text in room.circles().into_values() {
            _ = writeln!(found, "{name}/src:\n{text}");
        }
    }
    assert!(found.is_empty(), "files that import each other:\n{found}");
}

/// The circles of a made-up room, as names of files.
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
    // Without one of its imports there is no circle.
    assert!(circles(&[root, ("a.rs", "pub fn a() {}"), b, c, d]).is_empty());
    assert!(
        circles(&[root, a, b, ("c.rs", "// use super::a;\nconst C: &str = \"crate::a::a\";"), d]).is_empty()
    );
    // The names show where to look.
    let text = Room::new([root, a, b, c, d]).circles().into_values().next().expect("the circle");
    assert!(text.contains("  c.rs imports a.rs: super::a::a\n"), "{text}");
}

#[test]
fn parents_and_what_they_hand_on_are_told_apart() {
    let lib = ("lib.rs", "pub mod parts;");
    let one = ("parts/one.rs", "use super::Two;\npub struct One(Two);");
    let two = ("parts/two.rs", "pub struct Two;");
    // Re-exported names are looked through.
    let hands_on = ("parts/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::*;");
    assert!(circles(&[lib, hands_on, one, two]).is_empty());
    let both = [["parts/mod.rs", "parts/one.rs"]].map(|c| c.map(str::to_owned));
    // Here the names are used as well, and the child uses this file.
    let uses = ("parts/mod.rs", "mod one;\npub use one::One;\npub struct Two;\nfn f(_: One) {}");
    assert_eq!(circles(&[lib, uses, one]), both);
    let calls = ("parts/mod.rs", "mod one;\npub struct Two;\nfn f() { one::f() }");
    assert_eq!(circles(&[lib, calls, one]), both);
    // A child that is only declared is not used.
    assert!(circles(&[lib, ("parts/mod.rs", "pub mod one;\npub struct Two;"), one]).is_empty());
    // A ring by way of a re-exported name.
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
    // What follows a test counts again.
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
