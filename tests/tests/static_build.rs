//! The static build is one file that needs nothing else: it runs with an empty directory as root directory.

use std::path::PathBuf;
use std::process::Command;
use zct_tests::mask::Mask;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool, find, run, tool, zct};

/// The file that `make static` built, for a target whose directory is beside the release's.
fn built(name: &str) -> PathBuf {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let found =
        zct().parent().and_then(|release| release.parent()).map(|dir| dir.join(target).join("release"));
    let file = found.map(|dir| dir.join(name)).filter(|f| f.is_file());
    file.unwrap_or_else(|| panic!("no static {name}: make static"))
}

/// A directory that holds the program with its names, and nothing else.
struct Empty(tempfile::TempDir);

impl Empty {
    fn with(name: &str, links: &[&str]) -> Empty {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::copy(built(name), dir.path().join(name)).expect("copy");
        for link in links {
            std::os::unix::fs::symlink(name, dir.path().join(link)).expect("a link");
        }
        Empty(dir)
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(find("chroot", "coreutils"));
        command.arg(self.0.path()).args(line.split(' ')).env_clear();
        run(&mut command, b"")
    }
}

#[test]
fn zct_runs_in_an_empty_root_directory() {
    let _ns = Netns::fresh();
    let root = Empty::with("zct", &["conntrack", "nfct"]);
    for line in [
        "/zct -I -s 10.0.0.1 -d 10.0.0.2 -p tcp --sport 1 --dport 2 -t 1000 --state ESTABLISHED",
        "/conntrack -I -s fd00::1 -d fd00::2 -p udp --sport 1 --dport 2 -t 1000",
        "/conntrack -L -o extended,timestamp,ktimestamp",
        "/conntrack -L -p udp -o json",
        "/conntrack -U -f ipv4 -p tcp -m 7",
        "/conntrack -S",
        "/conntrack -C",
        "/conntrack --help",
        "/nfct add timeout t inet tcp ESTABLISHED 100",
        "/nfct list timeout",
        "/nfct delete timeout t",
    ] {
        let output = root.run(line);
        assert_eq!(output.exit, Exit::Code(0), "{line}: {output:?}");
    }
    let listed = |output: Output| {
        let mask = Mask::TIMEOUT | Mask::USE;
        let mut lines: Vec<String> = mask.apply(&output.out()).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(listed(root.run("/conntrack -L -f ipv4")), listed(Tool::Reference.run(&["-L", "-f", "ipv4"])));
    assert_eq!(listed(root.run("/conntrack -L -f ipv6")), listed(Tool::Reference.run(&["-L", "-f", "ipv6"])));
    // Labels get their names from a file; without it the original says so and goes on.
    let labels = root.run("/conntrack -L -o labels");
    assert!(labels.exit == Exit::Code(0) && labels.err().contains("nfct_labelmap_new"), "{labels:?}");
    let mistake = root.run("/conntrack -L -p nope");
    assert_eq!((mistake.exit, mistake.err().lines().count()), (Exit::Code(2), 2), "{mistake:?}");
}

#[test]
fn it_asks_for_no_loader_and_no_library() {
    for name in ["zct", "zctd"] {
        let path = built(name);
        let headers =
            tool("readelf", &["--program-headers", "--dynamic", "--wide", path.to_str().expect("UTF-8")]);
        assert!(headers.contains("LOAD"), "{headers}");
        assert!(!headers.contains("INTERP") && !headers.contains("NEEDED"), "{name}: {headers}");
    }
}
