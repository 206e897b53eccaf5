//! Names from files. Labels with a map that names all of them, with one that lacks some, and
//! without a map: what is shown, what can be given, and which file is blamed for missing names.
//! Protocols in `/etc/protocols`.

use serde_json::Value;
use zct_tests::compare::compare;
use zct_tests::differences::Ledger;
use zct_tests::etc::PrivateEtc;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Kernel, TRACKING, label_bytes, tcp};

/// A map that has all names, and one that lacks bit 17.
const WHOLE: &str = "3 three\n17 seventeen\n";
const HALF: &str = "3 three\n";

/// Flows from ports 1, 2 and 3: with labels 3 and 17, with 17 alone, and without any.
fn table() -> Netns {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    let mut kernel = Kernel::open();
    for (port, bits) in [(1, &[3, 17][..]), (2, &[17]), (3, &[])] {
        let labels = (!bits.is_empty()).then(|| (label_bytes(bits), [0xff; 16]));
        let flow = tcp([10, 0, 0, 1], [10, 0, 0, 2], port, 80, 3).with(|it| it.labels = labels);
        kernel.create(&flow).expect("a flow");
    }
    ns
}

fn zct(words: &str) -> Output {
    Tool::Zct.run(&words.split(' ').collect::<Vec<_>>())
}

/// The labels of each flow as a listing shows them, in the order of source ports.
fn shown(words: &str) -> [String; 3] {
    let output = zct(words);
    assert_eq!(output.exit, Exit::Code(0), "{output:?}");
    let mut all = [const { String::new() }; 3];
    for line in output.lines() {
        let port = line.split_once(" sport=").expect("a port").1.split(' ').next().expect("a word");
        let of: &mut String = &mut all[port.parse::<usize>().expect("a number") - 1];
        *of = line.rsplit_once(" use=1").expect("it comes before labels").1.trim().to_owned();
    }
    all
}

fn in_json(words: &str) -> Vec<Value> {
    let mut objects: Vec<Value> =
        zct(words).lines().iter().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    objects.sort_by_key(|o| o["orig"]["sport"].as_u64());
    objects.into_iter().map(|o| o["labels"].clone()).collect()
}

#[test]
fn a_label_without_a_name_is_shown_by_its_number() {
    let _ns = table();
    for (map, both, one) in [
        (Some(WHOLE), ["three", "seventeen"], "seventeen"),
        (Some(HALF), ["three", "bit-17"], "bit-17"),
        (Some("# nothing\n"), ["bit-3", "bit-17"], "bit-17"),
        (None, ["bit-3", "bit-17"], "bit-17"),
    ] {
        let _etc = PrivateEtc::with_labels(map);
        let want = [format!("labels={}", both.join(",")), format!("labels={one}"), String::new()];
        assert_eq!(shown("-L -o labels"), want, "{map:?}");
        let want = [both.into(), vec![one].into(), Value::Null];
        assert_eq!(in_json("-L -o json,labels"), want, "{map:?}");
        let xml = zct("-L -o xml,labels").out();
        let element = |names: &[&str]| {
            let all: String = names.iter().map(|n| format!("<label>{n}</label>")).collect();
            format!("<labels>{all}</labels>")
        };
        assert!(xml.contains(&element(&both)) && xml.contains(&element(&[one])), "{xml}");
        // Labels are shown only on request.
        assert_eq!(shown("-L"), [const { String::new() }; 3]);
        // In every other respect the original prints the same.
        let mut ledger = Ledger::default();
        for words in
            [&["-L", "-o", "labels"][..], &["-L", "-o", "xml,labels"], &["-L", "-o", "labels,extended"]]
        {
            compare(words, &mut ledger).unwrap_or_else(|report| panic!("{report}"));
        }
        assert_eq!(ledger.count("Z label bits") > 0, map != Some(WHOLE), "{map:?}");
        let nameless = map.is_none_or(|m| m.starts_with('#'));
        assert_eq!(ledger.count("Z labelmap file") > 0, nameless, "{map:?}");
    }
}

/// The difference "Z label numbers".
#[test]
fn what_is_shown_can_be_given() {
    let _ns = table();
    for map in [Some(HALF), None] {
        let _etc = PrivateEtc::with_labels(map);
        let theirs = Tool::Reference.run(&["-L", "-l", "bit-17"]);
        assert_eq!(theirs.exit, Exit::Code(2));
        assert!(theirs.err().contains("unknown label 'bit-17'"), "{theirs:?}");
        let count = |words: &str| zct(words).lines().len();
        assert_eq!((count("-L -l bit-17"), count("-L -l bit-17,bit-3"), count("-L -l bit-4")), (2, 1, 0));
        let none = zct("-L -l bit-128");
        assert_eq!(none.exit, Exit::Code(2));
        assert!(none.err().contains("unknown label 'bit-128' (bits are bit-0 to bit-127)"), "{none:?}");
    }
    let _etc = PrivateEtc::with_labels(None);
    assert_eq!(zct("-U -p tcp --sport 2 --label-add bit-40").exit, Exit::Code(0));
    assert_eq!(shown("-L -o labels")[1], "labels=bit-17,bit-40");
    assert_eq!(zct("-U -p tcp --sport 2 --label-del bit-17").exit, Exit::Code(0));
    assert_eq!(shown("-L -o labels")[1], "labels=bit-40");
    let made =
        zct("-I -p tcp -s 10.0.0.9 -d 10.0.0.2 --sport 3 --dport 81 --state NONE -t 60 --label-add bit-7");
    assert_eq!(made.exit, Exit::Code(0), "{made:?}");
    let by_bit = zct("-L -l bit-7");
    assert_eq!(by_bit.lines().len(), 1);
    assert!(!by_bit.err().contains("nfct_labelmap_new"), "no name is needed: {by_bit:?}");
    let both = zct("-L -l bit-7 -o labels");
    assert!(both.err().starts_with("nfct_labelmap_new: No such file or directory"), "{both:?}");
    assert_eq!(zct("-D -l bit-7").exit, Exit::Code(0));
    assert_eq!(zct("-L -p tcp").lines().len(), 3);
}

/// The difference "Z labelmap file", and files that are no maps. Reading any of them ends.
#[test]
fn a_file_without_names_is_named() {
    let _ns = table();
    let dir = tempfile::tempdir().expect("a directory");
    let long = dir.path().join("long");
    std::fs::write(&long, format!("1 one\n2 {}\n", "x".repeat(70_000))).expect("a file");
    let large = dir.path().join("large");
    std::fs::write(&large, "# nothing\n".repeat(500_000)).expect("a file");
    let long_line = "is longer than 64 KiB, the most that is read";
    for (file, why) in [
        ("/nonexistent/map", "No such file or directory"),
        ("/proc", "Is a directory"),
        ("/dev/null", "Success"),
        ("/dev/zero", &format!("line 1 {long_line}")),
        (long.to_str().expect("a path"), &format!("line 2 {long_line}")),
        (large.to_str().expect("a path"), "more than 4 MiB, the most that is read"),
    ] {
        let listed = Tool::Zct.run(&["-L", "-M", file, "-o", "labels"]);
        let want = format!("nfct_labelmap_new: {why} (no label names in `{file}')\n");
        assert!(listed.err().starts_with(&want), "{listed:?}");
        assert_eq!((listed.exit, listed.lines().len()), (Exit::Code(0), 3), "{listed:?}");
        let unknown = Tool::Zct.run(&["-L", "-M", file, "-l", "three"]);
        assert_eq!(unknown.exit, Exit::Code(2));
        assert!(unknown.err().contains("unknown label 'three'"), "{unknown:?}");
    }
}

/// Protocol names come from the other file that is read as a whole.
#[test]
fn names_of_protocols_are_read_up_to_a_bound() {
    let _ns = Netns::fresh();
    let usual = "esp 50 ESP\n";
    for (text, why) in [
        (usual.to_owned(), None),
        (format!("{usual}# {}\n", "x".repeat(5000)), Some("line 2 is longer than 4 KiB")),
        (format!("{usual}{}", "# nothing\n".repeat(110_000)), Some("more than 1 MiB")),
    ] {
        let _etc = PrivateEtc::with_file("protocols", &text);
        let by_name = zct("-L -p esp");
        let Some(why) = why else {
            assert_eq!((by_name.exit, by_name.stdout.len()), (Exit::Code(0), 0), "{by_name:?}");
            continue;
        };
        assert_eq!(by_name.exit, Exit::Code(2));
        let want = format!("WARNING: no names of protocols: /etc/protocols: {why}, the most that is read\n");
        assert!(by_name.err().starts_with(&want), "{by_name:?}");
        assert!(by_name.err().contains("`esp' unsupported protocol"), "{by_name:?}");
        // What is known without the file does not need it.
        assert_eq!(zct("-L -p tcp").exit, Exit::Code(0));
    }
}
