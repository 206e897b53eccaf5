//! Every command that the documents for people show is run as it stands there.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use zct::flags::examples::EXAMPLES;
use zct_tests::cluster::{Which, eventually, needs_root};
use zct_tests::netns::Netns;
use zct_tests::pages::{Block, blocks};
use zct_tests::program::{Exit, Output, Tool, find, reference, run, tool, zct};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents whose commands are run: those for people, not the facts of `docs/reference`.
fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("docs").map(|e| e.expect("an entry").path());
    let mut all: Vec<_> = docs.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    all.push(root().join("README.md"));
    all.sort();
    all
}

/// What a service manager would do with these names, since there is none in a namespace.
const SYSTEMCTL: &str = r#"#!/bin/sh
case "$1 $2" in
"start zctd") exec zctd -d ;;
"stop zctd") exec zctd -k ;;
"start conntrackd") exec conntrackd -d ;;
"stop conntrackd") exec conntrackd -k ;;
*) echo "systemctl: not for $*" >&2; exit 1 ;;
esac
"#;

/// A directory with the programs under the names that the pages use.
fn programs() -> TempDir {
    let dir = TempDir::new().expect("a directory");
    for (name, target) in [
        ("zct", zct().clone()),
        ("conntrack", reference().clone()),
        ("zctd", Which::Zctd.path()),
        ("conntrackd", Which::Original.path()),
    ] {
        symlink(fs::canonicalize(target).expect("a program"), dir.path().join(name)).expect("a link");
    }
    let manager = dir.path().join("systemctl");
    fs::write(&manager, SYSTEMCTL).expect("a script");
    fs::set_permissions(&manager, fs::Permissions::from_mode(0o755)).expect("a script");
    dir
}

fn path_with(programs: &TempDir) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}:/usr/sbin:/sbin", programs.path().display())
}

fn succeeded(block: &Block, output: &Output) -> Result<(), String> {
    let place = block.place();
    match output.exit {
        Exit::Code(0) => Ok(()),
        _ => Err(format!("{place}:\n{}{output:?}", block.text)),
    }
}

#[test]
fn commands_of_one_machine() {
    let programs = programs();
    let mut count = 0;
    for document in documents() {
        let shell = |b: &Block| b.language == "sh" && b.nodes().is_empty() && !b.has("by-hand");
        let commands: Vec<_> = blocks(&document).into_iter().filter(shell).collect();
        if commands.is_empty() {
            continue;
        }
        let _ns = Netns::fresh().accounting();
        let here = TempDir::new().expect("a directory");
        let flow = "-A -p udp -s 10.0.0.9 -d 10.96.0.10 --sport 5000 --dport 53 -t 600\n";
        let made = Tool::ZctByName.run_with_stdin(&["-R", "-"], flow.as_bytes());
        assert_eq!(made.exit, Exit::Code(0), "{made:?}");
        // The blocks of a page follow each other, in one directory.
        for block in commands {
            let mut shell = Command::new("bash");
            shell.args(["-euo", "pipefail", "-c", &block.text]).current_dir(here.path());
            let output = run(shell.env("PATH", path_with(&programs)), b"");
            succeeded(&block, &output).unwrap_or_else(|why| panic!("{why}"));
            count += 1;
        }
    }
    assert!(count >= 6, "only {count} blocks were found");
}

/// A machine of a pair: namespaces of its own for the network and for the files that its daemon writes.
struct Node(Child);

impl Node {
    fn new() -> Node {
        let mut hold = Command::new("unshare");
        // It says when it has its namespaces, and ends with its standard input.
        hold.args(["--net", "--mount", "--propagation", "private", "sh", "-c", "echo; read end"]);
        let mut child = hold.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
        let mut byte = [0];
        let out = child.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(out, &mut byte).expect("namespaces");
        let node = Node(child);
        let settle = "mount -t tmpfs tmpfs /run && mkdir /run/lock
            mount -t tmpfs tmpfs /mnt && cp -a /etc/. /mnt && mount --move /mnt /etc
            mkdir -p /etc/conntrackd /etc/zctd && rm -f /etc/conntrackd/*
            mount -t tmpfs tmpfs /var/log && ip link set lo up
            echo 1 >/proc/sys/net/netfilter/nf_conntrack_events";
        // As the package leaves it.
        let example = root().join("dist/zctd.conf").display().to_string();
        let settle = format!("{settle}; cp {example} /etc/zctd/zctd.conf");
        let output = run(node.shell(&settle, &std::env::var("PATH").unwrap_or_default()), b"");
        assert_eq!(output.exit, Exit::Code(0), "{output:?}");
        node
    }

    /// A shell in there. `-n` and not `--net=FILE`: the mounts come with it.
    fn shell(&self, text: &str, path: &str) -> &'static mut Command {
        let pid = self.0.id().to_string();
        let mut command = Command::new(find("nsenter", "util-linux"));
        command.args(["-t", &pid, "-n", "-m", "bash", "-euo", "pipefail", "-c", text]).env("PATH", path);
        Box::leak(Box::new(command))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Two machines with a cable between their `eth2`.
struct Pair {
    programs: TempDir,
    nodes: [Node; 2],
}

impl Pair {
    fn new() -> Pair {
        needs_root("a mount namespace");
        let pair = Pair { programs: programs(), nodes: [Node::new(), Node::new()] };
        let [a, b] = pair.nodes.each_ref().map(|n| n.0.id().to_string());
        let made = "link add eth2 netns A type veth peer name eth2 netns B".split(' ').map(|w| match w {
            "A" => a.as_str(),
            "B" => b.as_str(),
            word => word,
        });
        tool("ip", &made.collect::<Vec<_>>());
        for (name, end) in [("A", 1), ("B", 2)] {
            let text = format!("ip addr add 192.0.2.{end}/24 dev eth2; ip link set eth2 up");
            let output = pair.run(name, &text);
            assert_eq!(output.exit, Exit::Code(0), "{output:?}");
        }
        pair
    }

    fn run(&self, node: &str, text: &str) -> Output {
        let node = if node == "A" { &self.nodes[0] } else { &self.nodes[1] };
        run(node.shell(text, &path_with(&self.programs)), b"")
    }

    fn carry_out(&self, block: &Block) {
        for node in block.nodes() {
            match block.language.as_str() {
                "conf" => {
                    let name = block.text.lines().next().and_then(|l| l.strip_prefix("# "));
                    let name = name.unwrap_or_else(|| panic!("{}: no file is named", block.place()));
                    let text = format!("cat >{name} <<'END OF FILE'\n{}END OF FILE\n", block.text);
                    succeeded(block, &self.run(node, &text)).unwrap_or_else(|why| panic!("{why}"));
                }
                "sh" if block.has("eventually") => {
                    eventually(&block.place(), || succeeded(block, &self.run(node, &block.text)));
                }
                "sh" => {
                    let done = succeeded(block, &self.run(node, &block.text));
                    done.unwrap_or_else(|why| panic!("on {node}: {why}\n{}", self.log(node)));
                }
                other => panic!("{}: {other} on a node", block.place()),
            }
        }
    }

    fn log(&self, node: &str) -> String {
        self.run(node, "cat /var/log/conntrackd.log").out()
    }

    /// Ends what a page has left running.
    fn stop(&self) {
        for node in ["A", "B"] {
            let left = self.run(node, "for d in zctd conntrackd; do $d -k; done 2>/dev/null || true");
            assert_eq!(left.exit, Exit::Code(0), "{left:?}");
        }
    }
}

fn page_of_a_pair(name: &str, least: usize) {
    let blocks: Vec<_> = blocks(&root().join("docs").join(name)).into_iter().collect();
    let blocks: Vec<_> = blocks.iter().filter(|b| !b.nodes().is_empty()).collect();
    assert!(blocks.len() >= least, "{name}: only {} blocks", blocks.len());
    let pair = Pair::new();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for block in blocks {
            pair.carry_out(block);
        }
    }));
    pair.stop();
    if let Err(why) = outcome {
        std::panic::resume_unwind(why);
    }
}

#[test]
fn high_availability_in_ten_minutes() {
    page_of_a_pair("high-availability.md", 8);
}

#[test]
fn from_conntrackd_and_back() {
    page_of_a_pair("from-conntrackd.md", 15);
}

#[test]
fn pages_of_pairs_are_all_tried() {
    let tried = ["high-availability.md", "from-conntrackd.md"];
    for document in documents() {
        let name = document.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
        let pair = blocks(&document).iter().any(|b| !b.nodes().is_empty());
        assert_eq!(pair, tried.contains(&name.as_str()), "{name}");
    }
}

/// A table with what the examples of `zct help` speak of.
const FLOWS: &str = "-A -p udp -s 10.0.0.9 -d 10.96.0.10 --sport 5000 --dport 53 -t 600
-A -p tcp -s 10.0.0.2 -d 198.51.100.7 --sport 5001 --dport 443 --state ESTABLISHED -t 600 -u ASSURED
-A -p udp -s fd00::1 -d fd00::2 --sport 5000 --dport 53 -t 600
";

#[test]
fn examples_of_zct_help() {
    let programs = programs();
    for example in EXAMPLES {
        let _ns = Netns::fresh();
        let here = TempDir::new().expect("a directory");
        let made = Tool::ZctByName.run_with_stdin(&["-R", "-"], FLOWS.as_bytes());
        assert_eq!(made.exit, Exit::Code(0), "{made:?}");
        let mut shell = Command::new("bash");
        // Events are watched until somebody ends it.
        let ends = if example.line.contains(" -E ") { "timeout -s INT 0.2 " } else { "" };
        shell.args(["-euo", "pipefail", "-c", &format!("{ends}{}", example.line)]).current_dir(here.path());
        let output = run(shell.env("PATH", path_with(&programs)), b"");
        let right = if ends.is_empty() { 0 } else { 124 };
        assert_eq!(output.exit, Exit::Code(right), "{}: {output:?}", example.line);
        let shown = Tool::ZctByName.run(&["help", example.command]);
        assert!(shown.out().contains(example.line), "{shown:?}");
    }
    let unknown = Tool::ZctByName.run(&["help", "lost"]);
    assert_eq!(unknown.exit, Exit::Code(2), "{unknown:?}");
    assert!(unknown.err().contains("neither a command nor a protocol: `lost'"), "{unknown:?}");
}

#[test]
fn manual_pages_are_sound_and_their_configurations_too() {
    let mut count = 0;
    for page in ["zct.8", "nfct.8", "zctd.8", "zctd.conf.5"] {
        let file = root().join("docs").join(page);
        let lint =
            run(Command::new(find("mandoc", "mandoc")).args(["-T", "lint", "-W", "warning"]).arg(&file), b"");
        // A date would change with every build.
        let found: Vec<_> = lint.lines().into_iter().filter(|l| !l.contains("missing date")).collect();
        assert!(found.is_empty(), "{found:?}");
        let text = fs::read_to_string(&file).expect("a page");
        assert!(text.contains("\n.SH EXAMPLES\n"), "{page} has no examples");
        for example in text.split("\n.nf\n").skip(1).filter_map(|rest| rest.split("\n.fi\n").next()) {
            if !example.contains("General {") {
                continue;
            }
            let dir = TempDir::new().expect("a directory");
            let conf = dir.path().join("zctd.conf");
            fs::write(&conf, example.replace("\\-", "-")).expect("a file");
            let checked = run(Command::new(Which::Zctd.path()).args(["--check", "-C"]).arg(&conf), b"");
            assert_eq!(checked.exit, Exit::Code(0), "{page}: {checked:?}");
            count += 1;
        }
    }
    assert!(count >= 2, "only {count} configurations were found");
}

/// What is not run names targets of the Makefile and files that there are.
#[test]
fn what_is_done_by_hand_is_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).expect("the Makefile");
    let mut count = 0;
    for document in documents() {
        for block in blocks(&document).iter().filter(|b| b.language == "sh" && b.has("by-hand")) {
            for line in block.text.lines() {
                let words: Vec<_> = line.split_whitespace().take_while(|w| !w.starts_with('#')).collect();
                let target = match words.as_slice() {
                    ["make", target, ..] => target,
                    [script, ..] if script.starts_with("scripts/") => {
                        assert!(root().join(script).is_file(), "{}: {script}", block.place());
                        continue;
                    }
                    _ => continue,
                };
                assert!(makefile.contains(&format!("\n{target}:")), "{}: make {target}", block.place());
                count += 1;
            }
        }
    }
    assert!(count >= 8, "only {count} targets were found");
}

/// A block that says neither `sh` nor what else it is would be left out of all this unnoticed.
#[test]
fn every_block_says_what_it_is() {
    let mut count = 0;
    for document in documents() {
        for block in blocks(&document) {
            let known =
                ["sh", "conf", "text", "json", "rust", "toml", "yaml"].contains(&block.language.as_str());
            assert!(known, "{}: `{}'", block.place(), block.language);
            count += 1;
        }
    }
    assert!(count > 30, "only {count} blocks");
}

/// Links between the documents lead to files.
#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a document");
        let folder = document.parent().expect("a folder");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if link.is_empty() || link.contains("://") || link.contains([' ', '…', '<']) {
                continue;
            }
            assert!(folder.join(link).exists(), "{}: {link}", document.display());
            count += 1;
        }
    }
    assert!(count > 40, "only {count} links were found");
}
