//! Links the unwinder into the released program.
//!
//! Only the text of a panic needs it, but as a shared library it is loaded whenever the program starts, which
//! was a seventh of the time that `zct --version` takes (perf/NOTES.md). A static program has it already.
//! Where the compiler has no archive of it, as where musl is the C library, everything stays as rustc does
//! it.

use std::env::var;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, what: &str| var(name).is_ok_and(|v| v.split(',').any(|v| v == what));
    if !is("PROFILE", "release")
        || !is("CARGO_CFG_TARGET_ENV", "gnu")
        || is("CARGO_CFG_TARGET_FEATURE", "crt-static")
    {
        return;
    }
    let linker = var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into());
    let found = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output();
    // The compiler answers with the bare name when it has none.
    if found.is_ok_and(|o| String::from_utf8(o.stdout).is_ok_and(|p| Path::new(p.trim()).is_absolute())) {
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
