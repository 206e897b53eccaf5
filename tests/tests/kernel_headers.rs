//! Every kernel number that zct uses, compared with the kernel's own headers by the C compiler.

use std::fmt::Write as _;
use std::process::Command;
use zct_tests::program::{Exit, find, run};
use zct_wire::consts::ALL;

/// Numbers newer than the headers of Debian 12 (Linux 6.1), with the release that introduced them. Older
/// headers cannot check these.
const NEWER: [(&str, &str); 1] = [("CTA_TIMESTAMP_EVENT", "6.14")];

const INCLUDES: &str = "
#include <stdio.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <linux/netlink.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink_cttimeout.h>
#include <linux/netfilter/nfnetlink_cthelper.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
";

/// Compiles a program and returns what it prints, or the compiler's complaints.
fn compile(body: &str) -> Result<String, String> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (source, program) = (dir.path().join("numbers.c"), dir.path().join("numbers"));
    std::fs::write(&source, format!("{INCLUDES}int main(void) {{\n{body}return 0; }}\n"))
        .expect("it is written");
    let compiled = run(Command::new(find("cc", "gcc")).arg("-o").arg(&program).arg(&source), b"");
    if compiled.exit != Exit::Code(0) {
        return Err(compiled.err());
    }
    Ok(run(&mut Command::new(&program), b"").out())
}

fn print_of(name: &str) -> String {
    format!("printf(\"%s=%llu\\n\", \"{name}\", (unsigned long long)({name}));\n")
}

#[test]
fn numbers_are_those_of_the_headers() {
    let all: Vec<(&str, u64)> = ALL.iter().flat_map(|group| group.iter().copied()).collect();
    let checked: Vec<&(&str, u64)> =
        all.iter().filter(|(name, _)| !name.is_empty() && !NEWER.iter().any(|(n, _)| n == name)).collect();
    let body = checked.iter().fold(String::new(), |mut body, (name, _)| {
        body += &print_of(name);
        body
    });
    let printed = compile(&body).unwrap_or_else(|e| panic!("is libc6-dev installed?\n{e}"));
    let mut wrong = String::new();
    let mut lines = printed.lines();
    for (name, value) in &checked {
        let line = lines.next().unwrap_or("nothing");
        if line != format!("{name}={value}") {
            _ = writeln!(wrong, "ours: {name}={value}, the headers: {line}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(checked.len() > 150, "only {} numbers", checked.len());
    println!("{} numbers agree", checked.len());
}

#[test]
fn the_list_of_newer_numbers_is_short_and_right() {
    for (name, since) in NEWER {
        let ours = ALL.iter().flat_map(|g| g.iter()).find(|(n, _)| *n == name);
        let (_, ours) = ours.unwrap_or_else(|| panic!("{name} is not used any more"));
        // Where the headers do have it, it has to be right.
        if let Ok(printed) = compile(&print_of(name)) {
            assert_eq!(printed, format!("{name}={ours}\n"), "since {since}");
        }
    }
}
