//! nfct beside Debian's nfct: the same words in twin namespaces have to give the same output, messages, exit
//! code and policies, but for the differences listed here.
//!
//! Helpers have no namespaces. The test that changes them is ignored but for a machine of its own:
//! `cargo test -p zct-tests --test nfct -- --ignored`, best in a virtual machine.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// What is different on purpose: id, what triggers it, and how.
type Difference = (&'static str, &'static str, &'static str);

/// Those that are seen everywhere.
const DIFFERENCES: &[Difference] = &[
    ("Z-hint", "the kernel refuses", "one more line on stderr: what it means here, and the way out"),
    (
        "Z-help",
        "help, --help or -h as one of the first two words",
        "a help text, exit 0; the original has none",
    ),
    ("Z-version", "version", "other text below the first line; one word, --version and -V are enough"),
    ("Z-policy-name", "a policy name of more than 31 bytes", "refused; the original cuts it: another policy"),
    ("Z-protocol", "a protocol of /etc/protocols above 255", "unknown; the original takes mptcp for tcp"),
];

/// Those that are seen where the kernel has helpers.
const HELPER_DIFFERENCES: &[Difference] = &[
    ("Z-hint", "the kernel refuses", "as above"),
    (
        "Z-helper-get",
        "get helper of a family and protocol there is none for",
        "ENOENT; the original: nothing, exit 0",
    ),
    ("Z-helper-family", "get or delete helper with a family alone", "works; the original never finds one"),
    ("Z-helper-name", "a helper name of more than 15 bytes", "refused; the original cuts it"),
];

type Words = Vec<Vec<u8>>;

/// What a program wrote, and its exit code; -1 stands for a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Output {
    stdout: String,
    stderr: String,
    code: i32,
}

/// A program on the search path, those for root included.
fn find(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(more).map(|d| d.join(program)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{program} is not installed: apt-get install {package}"))
}

fn reference() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("nfct", "nfct"))
}

/// The release binary next to this test, or `ZCT_BIN`.
fn zct() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("ZCT_BIN") {
            return PathBuf::from(path);
        }
        let this = std::env::current_exe().expect("the path of this test");
        let found = this.ancestors().skip(2).map(|dir| dir.join("release/zct")).find(|p| p.is_file());
        found.unwrap_or_else(|| panic!("no release/zct beside {}: cargo build --release", this.display()))
    })
}

/// Ours under the name nfct: a link, since nsenter starts programs under their own names.
fn ours() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nfct-link");
        let link = dir.join("nfct");
        if std::fs::read_link(&link).is_ok_and(|to| to == zct()) {
            return link;
        }
        std::fs::create_dir_all(&dir).expect("a directory for the link");
        _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(zct(), &link).expect("a link named nfct");
        link
    })
}

/// A network namespace, held by a process that ends with its standard input: whatever happens to the test,
/// it ends too.
struct Netns {
    holder: Child,
}

impl Netns {
    fn fresh() -> Netns {
        let mut holder = Command::new(find("unshare", "util-linux"))
            .args(["--net", "sh", "-c", "echo ready; read -r line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut ready = [0; 6];
        let told = holder.stdout.as_mut().expect("a pipe").read_exact(&mut ready);
        assert!(told.is_ok(), "no network namespace: run as root, or through scripts/test.sh");
        Netns { holder }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(find("nsenter", "util-linux"));
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id()));
        command.arg("--").arg(program).env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    fn run(&self, program: &Path, words: &Words) -> Output {
        output(self.command(program).args(words.iter().map(|w| OsStr::from_bytes(w))))
    }

    /// The policies of the namespace, as the original shows them.
    fn policies(&self) -> String {
        let list = self.run(reference(), &words("list timeout"));
        assert_eq!((list.code, list.stderr.as_str()), (0, ""), "no nfnetlink_cttimeout in this kernel?");
        list.stdout
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        _ = self.holder.wait();
    }
}

fn output(command: &mut Command) -> Output {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => e.into_bytes().escape_ascii().to_string(),
    };
    Output { stdout: text(out.stdout), stderr: text(out.stderr), code: out.status.code().unwrap_or(-1) }
}

/// The words of a line; `''` is an empty one.
fn words(line: &str) -> Words {
    let word = |w: &str| if w == "''" { Vec::new() } else { w.as_bytes().to_vec() };
    line.split(' ').filter(|w| !w.is_empty()).map(word).collect()
}

fn shown(words: &Words) -> String {
    words.iter().map(|w| format!(" {:?}", OsString::from_vec(w.clone()))).collect()
}

/// What the original wrote, with the release whose behaviour is ours in place of its own.
fn of_our_release(mut theirs: Output) -> Output {
    static RELEASE: OnceLock<String> = OnceLock::new();
    let release = RELEASE.get_or_init(|| {
        let version = output(Command::new(reference()).args(["version", "list"])).stdout;
        version.split(':').next().expect("nfct vN.N.N: ...").to_owned()
    });
    for text in [&mut theirs.stdout, &mut theirs.stderr] {
        *text = text.replace(&format!("{release}:"), "nfct v1.4.9:");
        // Some messages have the program's path.
        *text = text.replace(&*reference().to_string_lossy(), &ours().to_string_lossy());
    }
    theirs
}

/// The difference that these two outputs show: `Ok(None)` for none, `Err` for one that is not allowed.
fn judge(words: &Words, ours: &Output, theirs: &Output) -> Result<Option<&'static str>, ()> {
    const VERSION: &str = "nfct v1.4.9: utility for the Netfilter's Connection Tracking System";
    if ours == theirs {
        return Ok(None);
    }
    let is =
        |at: usize, among: &[&str]| words.get(at).is_some_and(|w| among.iter().any(|a| a.as_bytes() == w));
    let among = |among: &[&str]| is(0, among) || is(1, among);
    let name_len = words.get(2).map_or(0, Vec::len);
    let refused = |message: &str| {
        let said = ours.stderr.strip_prefix("nfct v1.4.9: ").is_some_and(|rest| rest.contains(message));
        ours.code == 1 && ours.stdout.is_empty() && said && ours.stderr.lines().count() == 1
    };
    let hint = ours.stderr.strip_prefix(&theirs.stderr).unwrap_or_default();
    let one_hint = hint.lines().count() == 1 && !hint.starts_with("nfct v");
    let kernel = theirs.stderr.strip_prefix("nfct v1.4.9: netlink error: ");
    let else_same = ours.stdout == theirs.stdout && ours.code == theirs.code;
    let nothing = theirs.stdout.is_empty() && theirs.stderr.is_empty() && theirs.code == 0;
    let id = if kernel.is_some() && else_same && one_hint {
        Some("Z-hint")
    } else if among(&["help", "--help", "-h"]) {
        let text =
            ours.stdout.starts_with("nfct: timeout policies") && ours.stdout.contains("\nUsage: nfct ");
        (ours.code == 0 && ours.stderr.is_empty() && text).then_some("Z-help")
    } else if ours.stdout.starts_with(VERSION) {
        let alone = words.len() == 1 && is(0, &["version", "--version", "-V"]);
        let same = theirs.stdout.lines().next() == Some(VERSION) && theirs.code == 0;
        ((alone || same) && ours.code == 0 && ours.stderr.is_empty()).then_some("Z-version")
    } else if among(&["timeout"]) && name_len > 31 {
        refused("is too long").then_some("Z-policy-name")
    } else if among(&["helper"]) && name_len > 15 {
        refused("is too long").then_some("Z-helper-name")
    } else if words.iter().any(|w| w == b"mptcp") {
        refused("unknown layer 4 protocol").then_some("Z-protocol")
    } else if among(&["helper"]) && among(&["get", "delete"]) && words.len() == 4 {
        // What ours does instead is checked where the helpers are.
        (nothing || kernel == Some("No such file or directory\n")).then_some("Z-helper-family")
    } else if among(&["helper"]) && among(&["get"]) && nothing {
        let said = ours.stderr.starts_with("nfct v1.4.9: netlink error: No such file or directory\n");
        (said && ours.code == 1 && ours.stdout.is_empty()).then_some("Z-helper-get")
    } else {
        None
    };
    id.map(Some).ok_or(())
}

/// Which differences have been seen.
#[derive(Default)]
struct Seen {
    ids: Vec<&'static str>,
    compared: usize,
}

impl Seen {
    fn compare(&mut self, words: &Words, ours: &Output, theirs: Output) -> Option<&'static str> {
        let theirs = of_our_release(theirs);
        self.compared += 1;
        match judge(words, ours, &theirs) {
            Ok(id) => {
                self.ids.extend(id);
                id
            }
            Err(()) => panic!("nfct{}\n--- ours\n{ours:#?}\n--- the original\n{theirs:#?}", shown(words)),
        }
    }

    /// Every difference of the first list has been seen, or it is none; no others but those of the second.
    fn check(&self, list: &[Difference], also: &[Difference]) {
        for (id, trigger, how) in list {
            assert!(self.ids.contains(id), "{id} ({trigger}: {how}) was never seen");
        }
        let unlisted = self.ids.iter().find(|seen| !list.iter().chain(also).any(|(id, _, _)| id == *seen));
        assert_eq!(unlisted, None);
    }
}

/// Words in every combination that decides how they are taken.
const LINES: &str = "
'' timeout|list ''|'' ''|'' helper|lists timeout|list timeouts|timeoutx list|x|foo bar|list list|-l timeout|list -t
timeout timeout|timeout helper|helper helper|version version|version add extra|list version extra|v v|v l|version
version x|timeout version|helper version|--version|-V|--help|-h|help|help list|list help|help help|timeout --help
-h timeout|hel list|he l|h l|l h|l hel|version list a b c|list timeout --|list timeout '' |list helper x
add timeout a inet tcp|add timeout a inet6 udp|add timeout a inet esp|add timeout a inet esp foo
add timeout a inet esp foo 1|add timeout a foo tcp close 1|add timeout a inet foo close 1|add timeout a foo foo x
add timeout a '' tcp close 1|add timeout a inet '' close 1|add timeout a inet tcp '' 1|add timeout a inet tcp close ''
add timeout a INET tcp close 1|add timeout a inet 6 close 1|add timeout a inet tcp CLOS 1|add timeout a inet tcp closed 1
add timeout '' inet udp replied 1|get timeout ''|delete timeout ''|delete timeout ''|get timeout ''
add timeout p inet tcp close 1 established 2 close 3|get timeout p|add timeout p inet tcp close 1|get timeout p
add timeout p inet udp replied 9|add timeout q inet tcp foo 1 close|add timeout q inet tcp close 1 foo 2 x
add timeout q inet tcp close 1 established|get timeout q|get timeout p q|get timeout p q r s|delete timeout p q
delete timeout q|delete timeout p|get timeout p|delete timeout p|flush timeout x|flush timeout|flush timeout
add timeout café inet udp replied 1|get timeout café|list timeout|delete timeout café
timeout add r inet6 icmpv6 timeout 5|t g r|timeout get r|timeout list|t d r|timeout flush
default-get timeout inet tcp extra words|default-get timeout foo tcp|default-get timeout inet foo|default-get t '' ''
default-set timeout foo tcp close 1|default-set timeout inet foo close 1|default-set timeout inet tcp close
default-set timeout inet tcp foo 1|default-set timeout inet tcp close 1 foo|default-set timeout inet esp timeout 1
default-set timeout inet tcp close abc|default-get timeout inet tcp|add timeout d inet tcp established 1|get timeout d
default-set timeout inet tcp close 10 established 432000|default-get timeout inet6 tcp|get timeout d|delete timeout d
disable timeout a b c d e|default-set helper a b c|helper default-get|helper default-set|default-get helper a
add helper ftp foo tcp|add helper ftp inet foo|add helper ftp inet sctp|add helper ftp inet TCP|add helper ftp inet 6
add helper ftp inet udp|add helper FTP inet tcp|add helper nope inet tcp|add helper '' inet tcp|add helper nope foo foo
add helper tftp inet tcp|add helper sane inet udp|add helper tns inet udp|add helper ../ftp inet tcp|add helper ftp foo foo
disable helper nope inet tcp|disable helper ftp foo tcp|disable helper ftp inet icmp|disable helper ftp inet udp
get helper ftp foo|get helper ftp inet foo|get helper ftp foo foo|get helper ftp foo foo x|get helper ftp inet tcp x
delete helper ftp foo|delete helper ftp inet foo|delete helper ftp foo tcp|delete helper ftp foo tcp x
add timeout m inet mptcp established 1|default-get timeout inet mptcp|default-get timeout inet ip
add timeout n inet CPHB timeout 1|add timeout n inet ICMPV6 timeout 1|add timeout n inet Generic timeout 1
";

/// Seconds as people, scripts and accidents write them.
const SECONDS: &[&str] = &[
    "0",
    "1",
    "60",
    "432000",
    "-1",
    "+5",
    " 5",
    "5 5",
    "5x",
    "x5",
    "abc",
    "''",
    "0x10",
    "010",
    "1e3",
    "1.5",
    "- 5",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "-4294967295",
    "17179869",
    "99999999999999999999",
    "-99999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "\t7",
    "7\n",
];

/// Protocols with a state each: those with timeouts, by name and alias, and some without.
const PROTOCOLS: &[(&str, &[&str])] = &[
    (
        "tcp",
        &[
            "SYN_SENT",
            "SYN_RECV",
            "ESTABLISHED",
            "FIN_WAIT",
            "CLOSE_WAIT",
            "LAST_ACK",
            "TIME_WAIT",
            "CLOSE",
            "SYN_SENT2",
            "RETRANS",
            "UNACKNOWLEDGED",
            "LISTEN",
            "UNACK",
            "NONE",
        ],
    ),
    ("TCP", &["close"]),
    ("udp", &["UNREPLIED", "REPLIED", "timeout"]),
    ("UDP", &["replied"]),
    ("udplite", &["UNREPLIED", "REPLIED"]),
    ("UDPLite", &["Replied"]),
    ("icmp", &["TIMEOUT", "replied"]),
    ("icmpv6", &["TIMEOUT", "replied"]),
    ("ipv6-icmp", &["timeout"]),
    ("IPv6-ICMP", &["Timeout"]),
    (
        "sctp",
        &[
            "CLOSED",
            "COOKIE_WAIT",
            "COOKIE_ECHOED",
            "ESTABLISHED",
            "SHUTDOWN_SENT",
            "SHUTDOWN_RECD",
            "SHUTDOWN_ACK_SENT",
            "HEARTBEAT_SENT",
            "HEARTBEAT_ACKED",
            "NONE",
        ],
    ),
    (
        "dccp",
        &["REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "TIME_WAIT", "NONE"],
    ),
    ("gre", &["UNREPLIED", "REPLIED"]),
    ("generic", &["TIMEOUT", "replied"]),
    ("esp", &["TIMEOUT"]),
    ("ipencap", &["TIMEOUT"]),
    ("igmp", &["TIMEOUT"]),
];

/// Every beginning of a word.
fn beginnings(word: &str) -> impl Iterator<Item = &str> {
    (1..=word.len()).map(|n| &word[..n])
}

/// The whole table, in an order that leaves something to find for most of it.
fn table() -> Vec<Words> {
    let mut out: Vec<Words> = LINES.split(['|', '\n']).filter(|l| !l.is_empty()).map(words).collect();
    let commands = ["list", "add", "delete", "get", "flush", "disable", "default-set", "default-get"];
    // Every number of words, from none. No such helper, no harm: but a flush would be real.
    for command in commands {
        let harmless = |n: usize| command != "flush" || n > 0;
        for n in 0..=7 {
            let rest = &["zct-test", "inet", "tcp", "close", "7", "established", "8"][..n];
            out.push(words(&format!("{command} timeout {}", rest.join(" "))));
            let rest = &rest[rest.len().min(1)..];
            out.push(words(&format!("timeout {command} {}", rest.join(" "))));
        }
        for n in (0..=5).filter(|n| harmless(*n)) {
            let rest = &["zct-test", "inet", "tcp", "x", "y"][..n];
            out.push(words(&format!("{command} helper {}", rest.join(" "))));
        }
        for short in beginnings(command) {
            out.push(words(&format!("{short} timeout zct-test")));
            out.push(words(&format!("t {short}")));
        }
    }
    for subsystem in ["timeout", "helper", "version"] {
        for short in beginnings(subsystem) {
            out.push(words(&format!("list {short}")));
            out.push(words(&format!("{short} get zct-test")));
        }
    }
    // Every state of every protocol, alone and all at once, as policies and as defaults.
    out.push(words("flush timeout"));
    for (protocol, states) in PROTOCOLS {
        for family in ["inet", "inet6"] {
            out.push(words(&format!("default-get timeout {family} {protocol}")));
            let mut all = format!("add timeout all {family} {protocol}");
            for (i, state) in states.iter().enumerate() {
                out.push(words(&format!("add timeout {protocol}-{i} {family} {protocol} {state} {}", i + 1)));
                out.push(words(&format!("default-set timeout {family} {protocol} {state} {}", i + 1001)));
                all += &format!(" {} {}", state.to_lowercase(), i + 2001);
            }
            out.push(words(&all));
            out.push(words(&format!("default-get timeout {family} {protocol}")));
            out.push(words(&format!("get timeout {protocol}-0")));
            out.push(words("flush timeout"));
        }
    }
    // Words with blanks in them do not come from lines.
    for seconds in SECONDS {
        let seconds = if *seconds == "''" { "" } else { seconds };
        for line in ["add timeout s inet tcp close", "default-set timeout inet udp replied"] {
            let mut words = words(line);
            words.push(seconds.into());
            out.push(words);
        }
        out.push(words("delete timeout s"));
    }
    for name in [&b"a b"[..], b"\xff\xfe", b"-x", b"--", b"new\nline", b"%s%n", b"} = {"] {
        for line in ["add timeout NAME inet udp replied 3", "get timeout NAME", "delete timeout NAME"] {
            let named = |w: Vec<u8>| if w == b"NAME" { name.to_vec() } else { w };
            out.push(words(line).into_iter().map(named).collect());
        }
    }
    // The longest name, and longer ones that begin like it.
    for len in [31, 32, 40, 200] {
        let name = "n".repeat(len);
        for line in ["get timeout", "delete timeout", "get timeout"] {
            out.push(words(&format!("add timeout {} inet udp replied 3", "n".repeat(31))));
            out.push(words(&format!("{line} {name}")));
        }
        out.push(words(&format!("add timeout {name} inet udp replied 4")));
    }
    out
}

/// Goal: nobody who calls nfct can tell the two apart but by the listed differences. Method: every line of
/// the table by both, in a namespace each; the policies afterwards are compared through the original.
#[test]
fn the_same_words_give_the_same_answers() {
    let (mine, twin) = (Netns::fresh(), Netns::fresh());
    let mut seen = Seen::default();
    let mut before = mine.policies();
    for words in table() {
        let answer = mine.run(ours(), &words);
        let id = seen.compare(&words, &answer, twin.run(reference(), &words));
        let after = mine.policies();
        if id == Some("Z-policy-name") {
            assert_eq!(after, before, "nfct{}: refused, but something changed", shown(&words));
            for ns in [&mine, &twin] {
                ns.run(reference(), &self::words("flush timeout"));
            }
            before = mine.policies();
            assert_eq!(before, twin.policies());
            continue;
        }
        assert_eq!(after, twin.policies(), "policies after nfct{}", shown(&words));
        before = after;
    }
    assert!(seen.compared > 600, "{} lines are not the whole table", seen.compared);
    // Where the kernel has helpers, some lines look for one that is not there.
    seen.check(DIFFERENCES, HELPER_DIFFERENCES);
    println!("{} lines compared", seen.compared);
}

/// Goal: without the right to ask, and without a subsystem to ask, both say the same first line and ours
/// the way out. Method: a shell without capabilities; helpers, if the kernel does not have them.
#[test]
fn refusals_name_the_way_out() {
    let ns = Netns::fresh();
    let bare = |program: &Path, line: &str| {
        let mut command = ns.command(&find("setpriv", "util-linux"));
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(program);
        output(command.args(words(line).iter().map(|w| OsStr::from_bytes(w))))
    };
    for line in
        ["list timeout", "get timeout a", "add timeout a inet tcp close 1", "flush timeout", "list helper"]
    {
        let (mine, theirs) = (bare(ours(), line), of_our_release(bare(reference(), line)));
        assert_eq!(judge(&words(line), &mine, &theirs), Ok(Some("Z-hint")), "{line}: {mine:#?} {theirs:#?}");
        assert!(mine.stderr.contains("\nIt takes root, or the capability CAP_NET_ADMIN"), "{mine:#?}");
    }
    for (line, hint) in [
        ("add timeout a inet tcp", "A policy needs at least one state and its timeout in seconds"),
        ("add timeout a inet tcp close 1", ""),
        ("add timeout a inet tcp close 1", "There is already a policy `a': nfct delete timeout a"),
        ("get timeout b", "There is no policy `b': nfct list timeout shows those there are"),
        ("delete timeout b", "There is no policy `b': nfct list timeout shows those there are"),
        (
            "default-get timeout inet esp",
            "This kernel has no timeouts for protocol `esp'; generic are those of all others",
        ),
    ] {
        let said = ns.run(ours(), &words(line)).stderr;
        assert_eq!(said.lines().nth(1).unwrap_or_default(), hint, "{line}");
    }
    let list = ns.run(ours(), &words("list helper"));
    let theirs = ns.run(reference(), &words("list helper"));
    assert_eq!(list.code, theirs.code, "{list:#?}");
    assert_eq!(
        list.stderr.contains("modprobe nfnetlink_cthelper"),
        theirs.stderr.contains("Invalid argument"),
        "{list:#?}"
    );
}

/// Goal: a full disk is no success; the original ends with 0. Method: /dev/full.
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let ns = Netns::fresh();
    ns.run(ours(), &words("add timeout a inet udp replied 1"));
    for line in ["list timeout", "get timeout a", "default-get timeout inet udp", "help", "version"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let mut command = ns.command(ours());
        let out = output(command.args(line.split(' ')).stdout(full));
        let want = "nfct v1.4.9: Cannot write to standard output: No space left on device\n";
        assert_eq!((out.code, out.stderr.as_str()), (1, want), "{line}");
    }
}

/// Goal: small systems without `/etc/protocols` can set timeouts too (Z-no-protocols); the original knows
/// only icmpv6 and generic there. Method: an empty file over it, in a mount namespace.
#[test]
fn protocols_are_known_without_their_file() {
    let ns = Netns::fresh();
    let without = |program: &Path, line: &str| {
        let mut command = ns.command(&find("unshare", "util-linux"));
        let script = "mount --bind /dev/null /etc/protocols && exec \"$@\"";
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(program);
        output(command.args(words(line).iter().map(|w| OsStr::from_bytes(w))))
    };
    for protocol in ["tcp", "udp", "udplite", "icmp", "sctp", "gre", "icmpv6", "generic"] {
        let line = format!("default-get timeout inet {protocol}");
        let with = ns.run(reference(), &words(&line));
        assert_eq!((without(ours(), &line), with.code), (with, 0), "{line}");
        let theirs = without(reference(), &line);
        let special = ["icmpv6", "generic"].contains(&protocol);
        assert_eq!(theirs.stderr.contains("unknown layer 4 protocol"), !special, "{line}: {theirs:#?}");
    }
    assert!(without(ours(), "default-get timeout inet TCP").stderr.ends_with(": unknown layer 4 protocol\n"));
}

/// Goal: `zct nfct` is nfct, with its own name in what it says. Method: some lines of each kind.
#[test]
fn the_command_of_zct_is_the_same_program() {
    let ns = Netns::fresh();
    let by_name = |line: &str| ns.run(zct(), &words(&format!("nfct {line}")));
    assert_eq!(by_name("add timeout a inet gre replied 7").code, 0);
    for line in ["list timeout", "get timeout a", "default-get timeout inet6 gre"] {
        assert_eq!(by_name(line), ns.run(reference(), &words(line)), "{line}");
    }
    let usage = by_name("list");
    assert_eq!(
        (usage.code, usage.stderr.as_str()),
        (1, "Usage: zct nfct command subsystem [parameters]...\n")
    );
    let wrong = by_name("get timeout").stderr;
    assert!(wrong.starts_with("zct v") && wrong.ends_with(": missing timeout policy name\n"), "{wrong}");
    assert!(by_name("--help").stdout.contains("\nUsage: zct nfct COMMAND"));
}

/// Every helper for every family and protocol, then what can be done with them.
fn helper_table() -> Vec<Words> {
    let mut out = vec![words("list helper")];
    for helper in ["amanda", "dhcpv6", "ftp", "mdns", "rpc", "sane", "slp", "ssdp", "tftp", "tns", "nope"] {
        for family in ["inet", "inet6"] {
            for protocol in ["tcp", "udp"] {
                out.push(words(&format!("add helper {helper} {family} {protocol}")));
                out.push(words(&format!("get helper {helper} {family} {protocol}")));
            }
        }
        out.push(words(&format!("get helper {helper}")));
        out.push(words(&format!("disable helper {helper} inet tcp")));
    }
    let more = "list helper|add helper ftp inet tcp|add helper ftp inet tcp extra|disable helper ftp inet tcp extra
get helper nope|get helper ''|delete helper nope|delete helper ''|delete helper nope inet tcp|delete helper tns inet udp
delete helper tns inet6 tcp|get helper tns inet6 tcp|get helper tns inet tcp|disable helper tns inet6 tcp
delete helper rpc|get helper rpc|delete helper rpc|get helper fifteen-letters|get helper sixteen-letters-
delete helper sixteen-letters-|list helper|flush helper|list helper|flush helper|get helper ftp|disable helper ftp inet tcp";
    out.extend(more.split(['|', '\n']).map(words));
    out
}

/// Goal and method as for policies, but one program after the other: there is one list of helpers for all
/// namespaces, and this test empties it.
#[test]
#[ignore = "deletes every helper of the machine: run it in a virtual machine"]
fn helpers_of_a_machine_of_its_own() {
    let ns = Netns::fresh();
    let run = |program: &Path| -> Vec<(Output, String)> {
        ns.run(reference(), &words("flush helper"));
        let list = || ns.run(reference(), &words("list helper")).stdout;
        helper_table().iter().map(|w| (ns.run(program, w), list())).collect()
    };
    let (mine, theirs) = (run(ours()), run(reference()));
    let mut seen = Seen::default();
    for (words, (mine, theirs)) in helper_table().iter().zip(mine.into_iter().zip(theirs)) {
        seen.compare(words, &mine.0, theirs.0);
        assert_eq!(mine.1, theirs.1, "helpers after nfct{}", shown(words));
    }
    // With a family alone: the original sends protocol 0 and never finds one.
    for line in ["add helper rpc inet tcp", "add helper rpc inet udp", "add helper rpc inet6 tcp"] {
        assert_eq!(ns.run(ours(), &words(line)).code, 0, "{line}");
    }
    for line in ["get helper rpc inet", "get helper ftp inet", "delete helper ftp inet"] {
        let theirs = ns.run(reference(), &words(line));
        let mine = ns.run(ours(), &words(line));
        seen.compare(&words(line), &mine, theirs);
        assert_eq!(mine.stdout.matches(".name = rpc").count(), if line.contains("rpc") { 2 } else { 0 });
        assert_eq!(mine.code, i32::from(!line.contains("rpc")), "{line}: {mine:#?}");
    }
    assert_eq!(ns.run(reference(), &words("delete helper rpc inet")).code, 1);
    assert_eq!(ns.run(ours(), &words("delete helper rpc inet")).code, 0);
    let left = ns.run(reference(), &words("list helper")).stdout;
    assert!(left.matches(".name = ").count() == 1 && left.contains(".l3protonum = 10"), "{left}");
    ns.run(reference(), &words("flush helper"));
    seen.check(HELPER_DIFFERENCES, &[]);
    println!("{} lines compared", seen.compared);
}
