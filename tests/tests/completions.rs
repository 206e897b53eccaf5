//! Completion files, tried in the shells that load them.

use std::path::PathBuf;
use std::process::Command;
use zct_tests::cluster::Which;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Tool, find, run, zct};
use zct_tests::tmux::Tmux;

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/completions")).join(name)
}

const FILES: [(&str, [&str; 3]); 3] = [
    ("bash", ["zct.bash", "nfct.bash", "zctd.bash"]),
    ("zsh", ["_zct", "_nfct", "_zctd"]),
    ("fish", ["zct.fish", "nfct.fish", "zctd.fish"]),
];

#[test]
fn every_shell_can_read_its_file() {
    for (shell, files) in FILES {
        for name in files {
            let output = run(Command::new(find(shell, shell)).arg("-n").arg(file(name)), b"");
            assert_eq!((output.exit, output.err().as_str()), (Exit::Code(0), ""), "{shell} {name}");
        }
    }
}

/// What bash offers for the last word of a line.
fn offered(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let quoted: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
    let script = format!(
        "source {}; source {}\nCOMP_WORDS=({}); COMP_CWORD={}\n\
         _{} {}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        file("zct.bash").display(),
        file("nfct.bash").display(),
        quoted.join(" "),
        words.len() - 1,
        words[0],
        words[0],
    );
    // nfct itself is asked for the names of policies.
    let dir = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink(zct(), dir.path().join("nfct")).expect("a link");
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    let output = run(Command::new(find("bash", "bash")).args(["-c", &script]).env("PATH", path), b"");
    assert_eq!((output.exit, output.err().as_str()), (Exit::Code(0), ""), "{line}");
    output.lines().into_iter().filter(|l| !l.is_empty()).collect()
}

#[test]
fn bash_offers_what_fits() {
    for (line, some) in [
        ("zct --dst-n", &["--dst-nat"][..]),
        ("zct -L -o js", &["json"]),
        ("zct -p tcp --stat", &["--state", "--status"]),
        ("zct met", &["metrics"]),
        ("zct metrics --by-", &["--by-protocol", "--by-zone"]),
        ("zct rec", &["reconcile"]),
        ("zct reconcile --keep-r", &["--keep-reply-src", "--keep-reply-dst"]),
        ("zct reconcile -p udp --dp", &["--dport"]),
        ("nfct de", &["delete", "default-set", "default-get"]),
        ("nfct default-set h", &[]),
        ("nfct disable ", &["helper"]),
        ("nfct add timeout ", &[]),
        ("nfct add timeout x ine", &["inet", "inet6"]),
        ("nfct add timeout x inet sc", &["sctp"]),
        ("nfct add timeout x inet udp REP", &["REPLIED"]),
        ("nfct add timeout x inet udp REPLIED ", &[]),
        ("nfct add timeout x inet udp REPLIED 10 UN", &["UNREPLIED"]),
        ("nfct default-get timeout inet ic", &["icmp", "icmpv6"]),
        ("nfct add helper tf", &["tftp"]),
        ("nfct add helper tftp inet u", &["udp"]),
    ] {
        let mut offers = offered(line);
        let mut expected: Vec<String> = some.iter().map(|w| (*w).to_owned()).collect();
        // The line may have room for options other than those.
        if line.starts_with("zct") {
            offers.retain(|o| expected.contains(o));
        }
        offers.sort();
        expected.sort();
        assert_eq!(offers, expected, "{line}");
    }
}

#[test]
fn policies_are_offered_by_their_names() {
    let _ns = zct_tests::netns::Netns::fresh();
    let nfct = zct_tests::program::Tool::Nfct;
    for name in ["slow", "swift"] {
        let added = nfct.run(&["add", "timeout", name, "inet", "udp", "REPLIED", "10"]);
        assert_eq!(added.exit, Exit::Code(0), "{added:?}");
    }
    let mut offers = offered("nfct get timeout s");
    offers.sort();
    assert_eq!(offers, ["slow", "swift"]);
}

/// Zones and marks are those that flows have, asked of the table.
#[test]
fn every_shell_offers_what_the_table_has() {
    let _ns = Netns::fresh();
    let flow =
        |end: &str| format!("-A -p udp -s 10.0.0.9 -d 10.96.0.10 --sport 5000 --dport 53 -t 600 {end}\n");
    let made = Tool::ZctByName.run_with_stdin(&["-R", "-"], (flow("-w 31") + &flow("-m 77")).as_bytes());
    assert_eq!(made.exit, Exit::Code(0), "{made:?}");
    let dir = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink(zct(), dir.path().join("zct")).expect("a link");
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    // fish says behind a tab what an offer means.
    let ask = |shell: &str, script: String| {
        let output = run(Command::new(find(shell, shell)).args(["-c", &script]).env("PATH", &path), b"");
        assert_eq!(output.exit, Exit::Code(0), "{shell}: {output:?}");
        let offers = output.lines().into_iter().map(|l| l.split('\t').next().unwrap_or_default().to_owned());
        offers.collect::<Vec<_>>().join(" ").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for (key, option, seen) in [("zone", "-w", ["0", "31"]), ("mark", "-m", ["0", "77"])] {
        let words =
            format!("COMP_WORDS=(zct -L {option} ''); COMP_CWORD=3; _zct zct; echo ${{COMPREPLY[@]}}");
        assert_eq!(
            ask("bash", format!("source {}; {words}", file("zct.bash").display())),
            seen,
            "bash {key}"
        );
        let fish = format!("source {}; complete -C 'zct -L {option} '", file("zct.fish").display());
        assert_eq!(ask("fish", fish), seen, "fish {key}");
        // Completions of zsh work within its line editor; what they are made from can be called.
        let zsh = "compadd() { shift; print -- $*; }; compdef() { :; }; _arguments() { :; }; words=(zct -L)";
        let zsh = format!("{zsh}; CURRENT=3; source {}; _zct_seen {key}", file("_zct").display());
        assert_eq!(ask("zsh", zsh), seen, "zsh {key}");
    }
}

/// Where the program is not in PATH, as for most users of Debian, nothing is offered and nothing said.
#[test]
fn fish_says_nothing_where_there_is_no_program() {
    for (name, line) in
        [("zct.fish", "zct -L -w "), ("nfct.fish", "nfct get timeout "), ("zctd.fish", "zctd -e --from ")]
    {
        let script = format!("source {}; complete -C '{line}'", file(name).display());
        let output = run(Command::new(find("fish", "fish")).args(["-c", &script]).env("PATH", "/none"), b"");
        assert_eq!((output.out().as_str(), output.err().as_str()), ("", ""), "{line}");
    }
}

/// Commands, options and words of `zctd -h`, each of which every shell is told of.
#[test]
fn every_shell_knows_what_zctd_does() {
    let help = run(Command::new(Which::Zctd.path()).arg("-h"), b"").out();
    let lines = help.lines().filter_map(|l| l.strip_prefix("  ")).map(|l| {
        // Behind the words a sentence says what they do.
        l.split_once(", ").map_or(l, |(words, _)| words)
    });
    let parts = |l: &str| l.split(['[', ']', '|', ' ']).map(str::to_owned).collect::<Vec<_>>();
    let written = |w: &String| w.starts_with('-') || w.len() > 1 && !w.contains(char::is_uppercase);
    let mut words: Vec<String> = lines.flat_map(parts).filter(written).collect();
    words.retain(|w| w != "configfile");
    assert!(
        words.len() > 40 && ["status", "--synced", "rsqueue"].iter().all(|k| words.iter().any(|w| w == k))
    );
    for (shell, [.., name]) in FILES {
        let text = std::fs::read_to_string(file(name)).expect("a file");
        // fish is told of `-l json` and `-o d`.
        let text = text.replace(" -l ", " --").replace(" -o ", " -");
        let told: Vec<&str> = text.split(['\'', '"', ' ', ':', ')', '|', '\n']).collect();
        for word in &words {
            assert!(told.contains(&word.as_str()), "{shell}: {word}");
        }
    }
}

/// What Tab makes of a line, in the line editors themselves: values behind `=`, the next one of a list, the states of
/// the protocol, zones of the table, and what there is help on.
#[test]
fn every_line_editor_completes_values() {
    let _ns = Netns::fresh();
    let flow = b"-A -p udp -s 10.0.0.9 -d 10.96.0.10 --sport 5000 --dport 53 -t 600 -w 31\n";
    let made = Tool::ZctByName.run_with_stdin(&["-R", "-"], flow);
    assert_eq!(made.exit, Exit::Code(0), "{made:?}");
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path();
    std::os::unix::fs::symlink(zct(), home.join("zct")).expect("a link");
    let completions = file("").display().to_string();
    let write = |name: &str, text: String| std::fs::write(home.join(name), text).expect("a file");
    write("a list of flows", String::new());
    let list = home.join("a").display().to_string();
    let named = |before: &str| (format!("{before}{list}"), format!(r"{before}{list}\ list\ of\ flows"));
    let files = ["zct -R ", "zct metrics --textfile=", "zctd -C "].map(named);
    write(
        "bashrc",
        format!("PS1='ready> '\nsource {completions}/zct.bash\nsource {completions}/zctd.bash\n"),
    );
    let zsh = "autoload -Uz compinit\ncompinit -u -D";
    write(".zshrc", format!("PS1='ready> '\nfpath=({completions} $fpath)\n{zsh}\n"));
    let fish = "function fish_prompt; echo -n 'ready> '; end\nset -g fish_autosuggestion_enabled 0";
    write("fish", format!("{fish}\nsource {completions}/zct.fish\nsource {completions}/zctd.fish\n"));
    for (shell, start) in [
        ("bash", format!("--noprofile --rcfile {}/bashrc -i", home.display())),
        ("zsh", "-i".to_owned()),
        ("fish", format!("--no-config -i -C 'source {}/fish'", home.display())),
    ] {
        let set = format!("export HOME={0} ZDOTDIR={0} PATH={0}:$PATH", home.display());
        let tmux = Tmux::start(150, 24, &format!("{set}; {} {start}", find(shell, shell).display()));
        for (typed, completed) in [
            ("zct hel", "zct help"),
            ("zct help recon", "zct help reconcile"),
            ("zct -L --reader=n", "zct -L --reader=netlink"),
            ("zct -L --zone=3", "zct -L --zone=31"),
            ("zct -L -w ", "zct -L -w 31"),
            ("zct -L -u ASSURED,SEE", "zct -L -u ASSURED,SEEN_REPLY"),
            ("zct -L --status=ASSURED,SEE", "zct -L --status=ASSURED,SEEN_REPLY"),
            ("zct -L -p sctp --state CLOSED,COOKIE_E", "zct -L -p sctp --state CLOSED,COOKIE_ECHOED"),
            ("zct -L --protonum=tcp --state ES", "zct -L --protonum=tcp --state ESTABLISHED"),
            ("zct -L -p tcp --state LI", "zct -L -p tcp --state LISTEN"),
            ("zct -L -p sctp --state S", "zct -L -p sctp --state SHUTDOWN_"),
            ("zct top --so", "zct top --sort"),
            ("zct reconcile --keep-s", "zct reconcile --keep-src"),
            ("zctd sta", "zctd status"),
            ("zctd wait --sy", "zctd wait --synced"),
            ("zctd -C /dev/null -s rsq", "zctd -C /dev/null -s rsqueue"),
            ("zctd -e --fr", "zctd -e --from"),
        ]
        .into_iter()
        .chain(files.iter().map(|(typed, completed)| (&**typed, &**completed)))
        {
            let last = |s: &[String]| s.iter().rfind(|l| !l.is_empty()).cloned().unwrap_or_default();
            tmux.keys(&["C-u"]);
            tmux.wait(shell, |s| last(s) == "ready>");
            tmux.keys(&[typed, "Tab"]);
            tmux.wait(&format!("{shell}: {typed}"), |s| {
                s.iter().any(|l| l.starts_with(&format!("ready> {completed}")))
            });
        }
    }
}
