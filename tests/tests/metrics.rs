//! `zct metrics` on the kernel: numbers beside those of other commands, the format beside `promtool`.

use std::fs;
use std::os::unix::fs::symlink;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::promtool;
use zct_tests::seed::{Kernel, tcp, udp};
use zct_tests::traffic::Traffic;
use zct_wire::request::NewFlow;

fn metrics(words: &[&str]) -> Output {
    Tool::ZctByName.run(&[&["metrics"], words].concat())
}

fn good(words: &[&str]) -> String {
    let output = metrics(words);
    assert_eq!((output.exit, output.err().as_str()), (Exit::Code(0), ""), "{words:?}");
    let text = output.out();
    promtool::check(&text);
    text
}

fn in_zone<'a>(flow: NewFlow<'a>, zone: u16) -> NewFlow<'a> {
    flow.with(|it| it.zone = Some(zone))
}

#[test]
fn the_kernels_side_is_what_the_other_commands_say() {
    let _ns = Netns::fresh();
    let mut kernel = Kernel::open();
    for port in 1..=3 {
        kernel.create(&udp([10, 0, 0, 1], [10, 0, 0, 2], port, 53)).expect("a flow");
    }
    let text = good(&[]);
    let samples = promtool::samples(&text);
    assert_eq!(samples["zct_entries"], 3.0);
    assert!(samples["zct_entries_limit"] >= 3.0 && samples["zct_buckets"] >= 1.0);
    assert_eq!(samples["zct_expectations"], 0.0);
    assert!(samples["zct_expectations_limit"] > 0.0 && samples["zct_scrape_duration_seconds"] > 0.0);
    assert!(!text.contains("zct_entries_by"), "the table is not read unless asked for");
    // Nothing happens in this namespace between the two.
    let stats = Tool::Zct.run(&["-S", "-o", "json"]).out();
    let cpus: Vec<serde_json::Value> =
        stats.lines().map(|l| serde_json::from_str(l).expect("an object")).collect();
    assert!(!cpus.is_empty());
    let mut inserted = 0.0;
    for cpu in &cpus {
        for (name, value) in cpu.as_object().expect("an object").iter().filter(|(name, _)| *name != "cpu") {
            let key = format!("zct_stat_{name}_total{{cpu=\"{}\"}}", cpu["cpu"]);
            assert_eq!(Some(samples[&key]), value.as_f64(), "{key}");
        }
        inserted += samples[&format!("zct_stat_insert_total{{cpu=\"{}\"}}", cpu["cpu"])];
    }
    assert_eq!(inserted, 3.0);
}

#[test]
fn expectations_are_counted() {
    let ns = Netns::fresh();
    let mut traffic = Traffic::start(&ns);
    traffic.ftp(5001, 1026);
    traffic.ftp(5002, 1027);
    assert_eq!(Tool::Reference.run(&["-L", "expect"]).lines().len(), 2);
    assert_eq!(promtool::samples(&good(&[]))["zct_expectations"], 2.0);
}

#[test]
fn flows_are_counted_by_what_they_are_when_asked_for() {
    let _ns = Netns::fresh();
    let mut kernel = Kernel::open();
    for port in 1..=4 {
        kernel.create(&tcp([10, 0, 0, 1], [10, 0, 0, 2], port, 80, 3)).expect("a flow");
        kernel.create(&in_zone(udp([10, 0, 0, 1], [10, 0, 0, 2], port, 53), port)).expect("a flow");
    }
    let by_zone = promtool::samples(&good(&["--by-zone"]));
    assert_eq!(by_zone["zct_entries_by{zone=\"0\"}"], 4.0);
    assert_eq!(by_zone["zct_entries_by{zone=\"4\"}"], 1.0);
    let by_protocol = promtool::samples(&good(&["--by-protocol"]));
    let labels = |l4proto: &str, state: &str, zone: &str| {
        format!(
            "zct_entries_by{{family=\"ipv4\",l4proto=\"{l4proto}\",state=\"{state}\",offload=\"none\"{zone}}}"
        )
    };
    assert_eq!(by_protocol[&labels("tcp", "ESTABLISHED", "")], 4.0);
    assert_eq!(by_protocol[&labels("udp", "UNREPLIED", "")], 4.0);
    let both = promtool::samples(&good(&["--by-zone", "--by-protocol"]));
    assert_eq!(both[&labels("tcp", "ESTABLISHED", ",zone=\"0\"")], 4.0);
    assert_eq!(both[&labels("udp", "UNREPLIED", ",zone=\"3\"")], 1.0);
    assert_eq!(both.iter().filter(|(k, _)| promtool::family(k) == "zct_entries_by").count(), 5);
}

#[test]
fn a_file_is_replaced_in_one_step() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let (file, link) = (dir.path().join("zct.prom"), dir.path().join("link.prom"));
    fs::write(&file, "before").expect("a file");
    let output = metrics(&["--textfile", file.to_str().expect("a name")]);
    assert_eq!((output.exit, output.out() + &output.err()), (Exit::Code(0), String::new()));
    let text = fs::read_to_string(&file).expect("the file");
    promtool::check(&text);
    assert_eq!(promtool::samples(&text)["zct_entries"], 0.0);
    assert_eq!(fs::read_dir(dir.path()).expect("the directory").count(), 1, "nothing else is left there");

    symlink("/dev/null", &link).expect("a link");
    for (name, why) in [
        (
            link.to_str().expect("a name"),
            "it is no plain file, which this would replace: choose another name",
        ),
        ("/nonexistent/zct.prom", "No such file or directory"),
    ] {
        let output = metrics(&["--textfile", name]);
        assert_eq!(output.exit, Exit::Code(1), "{name}");
        assert!(output.err().contains("Cannot write ") && output.err().contains(why), "{}", output.err());
    }
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("zct.prom");
    fs::write(&file, "before").expect("a file");
    // A limit on the size of files stands for the disk; the signal that comes with it is ignored.
    let script = format!("trap '' XFSZ; ulimit -f 1; exec \"$0\" metrics --textfile {}", file.display());
    let mut shell = std::process::Command::new("sh");
    let output = zct_tests::program::run(shell.args(["-c", &script]).arg(zct_tests::program::zct()), b"");
    assert_eq!(output.exit, Exit::Code(1), "{output:?}");
    assert!(output.err().contains("File too large"), "{output:?}");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "before");
    assert_eq!(fs::read_dir(dir.path()).expect("the directory").count(), 1);
}

#[test]
fn words_that_it_does_not_know_and_help() {
    let output = metrics(&["--by-mark"]);
    assert_eq!(output.exit, Exit::Code(2));
    assert!(output.err().contains("metrics: invalid option '--by-mark'"), "{}", output.err());
    let help = metrics(&["--help"]);
    assert_eq!(help.exit, Exit::Code(0));
    assert!(help.out().starts_with("zct metrics: ") && help.out().contains("--textfile FILE"));
    // Under the original's name the word means nothing.
    assert!(!Tool::Zct.run(&["metrics"]).out().contains("zct_entries"));
}
