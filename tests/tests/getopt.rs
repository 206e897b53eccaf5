//! How words become options: abbreviations, clusters, permutation, `--`, attached and missing values,
//! ambiguity, repeats, names of tables, and random lines of such words. Both programs read them, on
//! an empty table.

use fastrand::Rng;
use std::process::Command;
use std::sync::Mutex;
use zct_tests::compare::compare;
use zct_tests::differences::{Ledger, SeenIn};
use zct_tests::etc::PrivateEtc;
use zct_tests::netns::Netns;
use zct_tests::options::{COMMANDS, OPTIONS, protocol_options};
use zct_tests::program::{Exit, Tool, run, zct};
use zct_tests::seed::{Kernel, udp};

fn split(words: &str) -> Vec<String> {
    // `.` stands for an empty word.
    words.split(' ').map(|w| if w == "." { String::new() } else { w.to_owned() }).collect()
}

/// A namespace with one flow and one label name.
fn world() -> (Netns, PrivateEtc) {
    let ns = Netns::fresh();
    let etc = PrivateEtc::with_labels(Some("1 one\n2 two\n"));
    Kernel::open().create(&udp([1, 1, 1, 1], [2, 2, 2, 2], 5, 6)).expect("a flow");
    (ns, etc)
}

const LINES: &[&str] = &[
    // Commands and their tables.
    "-L",
    "--dump",
    "--du",
    "-L conntrack",
    "-L c",
    "-L e",
    "-L exp",
    "-L .",
    "-L d",
    "-L unc",
    "-L x",
    "-L Expect",
    "-C",
    "--count",
    "--counter",
    "-C e",
    "-Ce",
    "-C dying",
    "--stats",
    "-S expect",
    "--stats=x",
    "--stat",
    "--sta",
    "-V",
    "-V expect",
    "-V foo",
    "-h",
    "-h foo",
    "--help",
    "--vers",
    "-E -L",
    "-L -L",
    "-LL",
    "-L -D",
    "-CL",
    "-LC",
    "-LV",
    "--dump --counter",
    "-G",
    "-U expect",
    "-A expect",
    "-F expect -f ipv4",
    // Permutation and stray words.
    "foo",
    "foo -L",
    "-L -s 1.1.1.1 foo bar",
    "-s 1.1.1.1 -L foo",
    "-L -- -D",
    "-- -L",
    "-s 1.1.1.1 -- -L",
    "-",
    "-L -",
    ". -L",
    "-L -o id expect",
    "-L -o id -- expect",
    "foo -C bar",
    // Values: apart, attached, missing, empty.
    "-L -s1.1.1.1",
    "-L --src=1.1.1.1",
    "-L --src 1.1.1.1",
    "-L -s=1.1.1.1",
    "-L --src=",
    "-L -s",
    "-L --src",
    "-L -s .",
    "-L --sport",
    "-L -p udp --sport",
    "-L -p",
    "-L -oxml",
    "-L -o xml",
    "-L --output=xml",
    "-L -o",
    "-L -o .",
    "-L -oid,",
    "-L -o ,id",
    "-L -u .",
    "-L -u ASSURED,",
    "-L -m",
    "-L --mark=5/7",
    "-L -m .",
    "-L --zero=1",
    "-L -w .",
    "-L --orig-zone=3",
    "-L --reply-zone",
    "-L -l",
    "-L --label=one",
    // Optional values.
    "-L -n",
    "-L -n 2.2.2.2",
    "-L -n -s 1.1.1.1",
    "-L -n !x",
    "-L -n !",
    "-L -g -L",
    "-L -j",
    "-L --src-nat",
    "-L --any-nat -f ipv4",
    "-L -n foo",
    "-L -n .",
    // Abbreviations.
    "-L --sr 1.1.1.1",
    "-L --src 1.1.1.1",
    "-L --s 1.1.1.1",
    "-L --orig-s 1.1.1.1",
    "-L --orig 1.1.1.1",
    "-L --d 1",
    "-L --dst 2.2.2.2",
    "-L --reply-s 2.2.2.2",
    "-L --reply 1",
    "-L --proto udp",
    "-L --pro udp",
    "-L --p udp",
    "-L --sta ASSURED",
    "-L --stat ASSURED",
    "-L --statu ASSURED",
    "-L --ou id",
    "-L --o id",
    "-L --fam ipv4",
    "-L --f ipv4",
    "-L --zon 3",
    "-L --z",
    "-L --ze",
    "-L --ma 1",
    "-L --mar 1",
    "-L --mark 1",
    "-L --mask 1",
    "-L --mask-s 255.0.0.0",
    "-L --lab one",
    "-L --label one",
    "-L --label- one",
    "-L --i 5",
    "-L --any",
    "-L --an",
    "-L --sec 1",
    "-L --se 1",
    "-L --e NEW",
    "-L --eve",
    "-E --event NEW -D",
    "-L --t 5",
    "-L --tu 5",
    "-L --ti 5",
    "-L --b 5",
    "-L --nat x",
    "-L -p tcp --sta ESTABLISHED",
    "-L -p tcp --state ESTABLISHED",
    "-L -p tcp --stat ESTABLISHED",
    "-L -p udp --spo 5",
    "-L -p udp --sp 5",
    "-L -p udp --orig-port-s 5",
    "-L -p udp --orig-port 5",
    "-L -p udp --dp 6",
    "-L -p udp --reply-port-s 6",
    "-L -p udp --reply-port 6",
    "-L -p icmp --icmp-t 8",
    "-L -p icmp --icmp 8",
    "-L -p gre --src 1.1.1.1",
    "-L -p gre --srck 5",
    "-L -p gre --ds 5",
    "-L -p tcp --s 5",
    // Protocols and when their options are known.
    "-L --sport 5 -p udp",
    "-L --dport 6 --sport=5 -s 1.1.1.1 -p udp",
    "-L --dport=7 -p udp",
    "-L --state ESTABLISHED -p tcp -o id",
    "-L --spo 5 -p udp",
    "-L --dport 6",
    "-L --dport 6 -s foo",
    "-L --icmp-type 8 -t 5",
    "-L --dport",
    "--srckey 6 -L -p udp",
    "-L -p udp --sport 5 -p tcp",
    "-L -p tcp -p udp --sport 5",
    "-L -p udp -p udp --sport 5",
    "-L -p tcp --state ESTABLISHED -p udp",
    "-L -p UDP --sport 5",
    "-L -p 17 --sport 5",
    "-L -p 0x11 --sport 5",
    "-L -p 021 --sport 5",
    "-L -p ipv6-icmp",
    "-L -p ipv6-icmp --icmpv6-type 1",
    "-L -p esp",
    "-L -p ESP",
    "-L -p Esp",
    "-L -p 256",
    "-L -p -1",
    "-L -p foo",
    "-L -p .",
    "-L -p 6x",
    "-L -p udp --state X",
    "-L -p icmp --sport 5",
    "-L -p tcp --state established",
    "-L -p tcp --state LISTEN",
    "-L -p dccp --state open",
    "-L -p dccp --role c",
    // Clusters.
    "-zL",
    "-Lz",
    "-zzL",
    "-zC",
    "-Lo id",
    "-Loid",
    "-zLo id",
    "-Ls",
    "-Lf ipv4",
    "-Lfipv4",
    "-zLs 1.1.1.1",
    "-Lzx",
    "-xL",
    "-L -xz",
    "-zx",
    "-x",
    "-L -x",
    "-L --xyz",
    "-L --",
    "-L -zx",
    "-Lx",
    "-Lexpect",
    "-Dx",
    "-Gfoo",
    "-Ez -s",
    "-Cz",
    "-Vx",
    "-hx",
    "-L -[ 1.1.1.1",
    "-L -{ 255.0.0.0",
    "-L -( 1",
    "-L -> 1",
    "-L -M",
    "-L -1",
    "-L -é",
    // Repeats.
    "-L -s 1.1.1.1 -s 3.3.3.3",
    "-L -s 3.3.3.3 -s 1.1.1.1",
    "-L -s 3.3.3.3/8 -s 1.1.1.1/32",
    "-L -s 3.3.3.3/8 -s 1.1.1.1/16 -s 2.2.2.2",
    "-L -d 2001::/16 -d ::1 -p udp --sport 5 --sport 6 -p udp",
    "-L -g 1.1.1.1:5 -g 2.2.2.2",
    "-L -s 10.1 -s 1.1",
    "-L -o id -o extended -oxml",
    "-L -o save -o id",
    "-L -o save,id",
    "-L -o save -o userspace",
    "-L -f ipv4 -f ipv4",
    "-L -f ipv4 -f ipv6",
    "-L -s 1.1.1.1 -f ipv6",
    "-L -s 1.1.1.1 -d 2001::1",
    "-L -m 1 -m 0",
    "-L -w 1 -w 0",
    "-L -l one -l two",
    "-L -z -z",
    "-L -p tcp -p udp",
    "-U -m 1 --label-add one --label-del two",
    "-U --label-del --label-add one",
    "-L -n -j",
    "-L -j -g 1.1.1.1",
    // Values that are no values.
    "-L -s 1.1.1",
    "-L -s 0x01010101",
    "-L -s 1.1.1.1/33",
    "-L -s 1.1.1.1/-1",
    "-L -s 1.1.1.1/x",
    "-L -s 1.1.1.1/",
    "-L -s 1.1.1.1/255.0.0.0",
    "-L -s foo",
    "-L -s 1.1.1.1.1",
    "-L -s 2001::/129",
    "-L -r 1.1.1.0/24",
    "-L -q ::1/64",
    "-L --mask-src 1.1.1.1/8 -s 1.1.1.1",
    "-L -n 1.1.1.1/8",
    "-L -n 1.1.1.1:",
    "-L -n 1.1.1.1:x",
    "-L -n 1.1.1.1:70000",
    "-L -n 1.1.1.1:1-2",
    "-L -n [::1",
    "-L -n []:80",
    "-L -n [::1]",
    "-L -n :80",
    "-L -n [::1]:",
    "-L -g ::1",
    "-L -j 1.1.1.1:0",
    "-L -f ipv4x",
    "-L -f IPV4",
    "-L -f 4",
    "-L -f .",
    "-L -u foo",
    "-L -u ASSURED,foo,NEW",
    "-L -u !foo",
    "-L -u !",
    "-L -u a",
    "-L -u UNREPLIEDx",
    "-L -u unreplied",
    "-L -u !UNREPLIED",
    "-L -o foo",
    "-L -o id,foo,xml",
    "-L -o X",
    "-L -e foo",
    "-E -e foo",
    "-E -e NEW,",
    "-E -e .",
    "-E -o foo",
    "-E -s foo",
    "-L -l three",
    "-L -l one,three",
    "-U --label-add three",
    "-U --label-del three",
    "-L -m 1/",
    "-L -m /1",
    "-L -w -1",
    "-L -t 5",
    "-L -i 5",
    "-L -b 5",
    "-L -a foo",
    "-L -a",
    "-C -a foo",
    "-C -f ipv4",
    "-S -o xml",
    "-V -s 1.1.1.1",
    // Options without a command.
    "-s 1.1.1.1",
    "-p tcp",
    "-p tcp --sport 5",
    "-o xml",
    "-z",
    "-a x",
    "-f ipv4",
    "-n",
    "-l one",
    // Messages in the order of the mistakes.
    "-L -t 5 -s foo",
    "-L -s foo -t 5",
    "-L -x -s foo",
    "-L -s foo -x",
    "-L -n -j -t 5",
    "-L -l three -t 5",
    "-L -l three -n -j",
    "-L -l three -x",
    "-L -l three -s foo",
    "-G -p tcp --tuple-port-src 5",
    "-I -t 5 -p foo",
];

#[test]
fn words_mean_what_they_mean_to_the_original() {
    let (_ns, _etc) = world();
    let mut ledger = Ledger::default();
    let mut failures = Vec::new();
    for line in LINES {
        if let Err(report) = compare(&split(line), &mut ledger) {
            failures.push(report);
        }
        if failures.len() >= 20 {
            break;
        }
    }
    assert!(failures.is_empty(), "{} disagreements:\n{}", failures.len(), failures.join("\n"));
    let missing = ledger.missing(SeenIn::Getopt);
    assert!(missing.is_empty(), "intended differences that were not seen: {missing:?}");
}

#[test]
fn the_name_it_is_called_by_decides_how_messages_start() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let link = dir.path().join("conntrack");
    std::os::unix::fs::symlink(zct(), &link).expect("a link");
    let version = run(Command::new(&link).arg("-V"), b"");
    assert_eq!(version.out(), "conntrack v1.4.9 (conntrack-tools)\n");
    let wrong = run(Command::new(&link).arg("-x"), b"");
    assert_eq!(wrong.err(), Tool::Zct.run(&["-x"]).err());
    let by_name = Tool::ZctByName.run(&["-L"]);
    assert!(by_name.err().starts_with("zct v") && by_name.err().contains(" (conntrack-tools 1.4.9): 0 flow"));
}

/// The words that random lines are made of.
fn vocabulary() -> Vec<String> {
    let mut words: Vec<String> = split(
        "-L -L -C -E -G -D -z -n -g -j -zL -Ls -x -- - foo expect 1.1.1.1 10.0.0.0/8 2001::1 udp tcp 5 0x11 id xml save ASSURED \
         UNREPLIED !ASSURED one three ipv4 ipv6 . 255.0.0.0 1.1.1.1:80 ESTABLISHED 8 -1 7/3 NEW",
    );
    for option in OPTIONS.iter().filter(|o| !["labelmap", "secmark"].contains(&o.names[0])) {
        words.extend(option.short.map(|c| format!("-{c}")));
        words.extend(option.names.iter().map(|n| format!("--{n}")));
    }
    for proto in ["tcp", "udp", "gre", "icmp"] {
        words.extend(protocol_options(proto).iter().map(|o| format!("--{}", o.names[0])));
    }
    words.extend(COMMANDS.iter().map(|c| format!("--{}", c.names[0])));
    words
}

/// Leaves out what would change the table, listen, or trigger a difference that has a test of its own.
fn leave_out(line: &[String]) -> bool {
    let has = |prefixes: &[&str]| {
        line.iter().any(|w| {
            let word = w.split('=').next().unwrap_or(w);
            let long = word.strip_prefix("--").filter(|l| !l.is_empty());
            prefixes.iter().any(|p| {
                w == p || long.is_some_and(|l| p.strip_prefix("--").is_some_and(|p| p.starts_with(l)))
            })
        })
    };
    // A label that is left out is looked up without its `!`.
    let negated_label =
        line.windows(2).any(|w| w[1] == "!ASSURED" && (w[0].starts_with("-l") || w[0].starts_with("--la")));
    negated_label
        || has(&[
            "-E", "--event", "-F", "--flush", "-D", "--delete", "-U", "--update", "-I", "--create", "-A",
            "--add",
        ])
        || has(&["-i", "--id", "-h", "--help", "-c"])
}

#[test]
fn random_words_agree() {
    let seed: u64 = std::env::var("ZCT_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let failures = Mutex::new(Vec::new());
    let refused = Mutex::new(0);
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (failures, refused) = (&failures, &refused);
            scope.spawn(move || {
                let (_ns, _etc) = world();
                let mut rng = Rng::with_seed(seed * 2 + worker);
                let words = vocabulary();
                let mut ledger = Ledger::default();
                for _ in 0..1000 {
                    let count = rng.usize(1..7);
                    let mut line: Vec<String> =
                        (0..count).map(|_| words[rng.usize(..words.len())].clone()).collect();
                    if rng.bool() {
                        line.insert(0, "-L".into());
                    }
                    if let Some(word) = line.iter_mut().find(|w| w.starts_with("--") && w.len() > 5) {
                        if rng.u8(..3) == 0 {
                            word.truncate(rng.usize(3..word.len()));
                        } else if rng.u8(..4) == 0 {
                            word.push_str("=5");
                        }
                    }
                    if leave_out(&line) {
                        continue;
                    }
                    match compare(&line, &mut ledger) {
                        Err(report) => failures.lock().expect("no panic while locked").push(report),
                        Ok(agreed) => {
                            *refused.lock().expect("unlocked") += u32::from(agreed.ours.exit == Exit::Code(2))
                        }
                    }
                }
            });
        }
    });
    println!("{} lines were refused by both", refused.lock().expect("unlocked"));
    let failures = failures.into_inner().expect("no panic while locked");
    let shown: String = failures.iter().take(20).map(|f| format!("{f}\n")).collect();
    assert!(failures.is_empty(), "{} disagreements with ZCT_SEED={seed}:\n{shown}", failures.len());
}
