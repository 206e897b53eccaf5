//! `-L --by`, which the original does not have: every count is compared with one made from the lines that the
//! original prints of the same table.

use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, Tool};
use zct_tests::seed::{Kernel, Storm, udp};
use zct_tests::traffic::Traffic;
use zct_tests::world::World;

fn schema() -> jsonschema::Validator {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/groups-schema.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema")
}

fn split(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn zct(line: &str) -> Output {
    let output = Tool::ZctByName.run(&split(line));
    assert_eq!(output.exit, Exit::Code(0), "{line}: {output:?}");
    output
}

/// A flow as the original prints it, taken apart without knowing anything of zct.
struct Flow {
    words: Vec<String>,
}

impl Flow {
    /// The `nth` value of this name: 0 is that of the original direction.
    fn value(&self, name: &str, nth: usize) -> Option<&str> {
        let mut values = self.words.iter().filter_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        values.nth(nth)
    }

    fn protocol(&self) -> &str {
        &self.words[2]
    }

    fn number(&self, name: &str) -> u64 {
        (0..2).filter_map(|nth| self.value(name, nth)).map(|v| v.parse::<u64>().expect("a number")).sum()
    }

    /// A port or key in decimal.
    fn port(&self, name: &str, nth: usize) -> Option<u64> {
        let key = if name == "sport" { "srckey" } else { "dstkey" };
        let hex = |v: &str| u64::from_str_radix(v.trim_start_matches("0x"), 16).expect("a key");
        let port = self.value(name, nth).map(|v| v.parse().expect("a port"));
        // The original shows ports of 0 where the kernel sends none, because it does not track the protocol.
        let port = port.filter(|p| *p != 0 || self.protocol() != "dccp");
        port.or_else(|| self.value(key, nth).map(hex))
    }

    fn zone(&self) -> String {
        let one = |name: &str, suffix| self.value(name, 0).map(|z| format!("{z}{suffix}"));
        one("zone", "")
            .or_else(|| one("zone-orig", "-orig"))
            .or_else(|| one("zone-reply", "-reply"))
            .unwrap_or("0".into())
    }

    fn state(&self) -> Option<&str> {
        // Behind the protocol's number and the time left.
        let word = self.words.get(5)?;
        word.bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            .then_some(word.as_str())
    }

    fn nat(&self) -> Option<&str> {
        let ping = self.protocol().starts_with("icmp");
        let changed = |addr: &str, port: &str, to_addr: &str, to_port: &str| {
            let differs = self.value(addr, 0) != self.value(to_addr, 1);
            differs || !ping && self.port(port, 0) != self.port(to_port, 1)
        };
        if changed("src", "sport", "dst", "dport") {
            return self.value("dst", 1);
        }
        changed("dst", "dport", "src", "sport").then(|| self.value("src", 1)).flatten()
    }

    /// What one word of `--by` makes of it, as the table shows it.
    fn key(&self, word: &str) -> String {
        let (name, len) = word.split_once('/').map_or((word, None), |(n, l)| (n, Some(l)));
        let value = match name {
            "src" | "dst" => self.value(name, 0).map(str::to_owned),
            "nat" => self.nat().map(str::to_owned),
            "sport" | "dport" => self.port(name, 0).map(|p| p.to_string()),
            "proto" => Some(match self.protocol() {
                "unknown" => self.words[3].clone(),
                name => name.to_owned(),
            }),
            "zone" => Some(self.zone()),
            "mark" => Some(self.value("mark", 0).unwrap_or("0").to_owned()),
            "state" => self.state().map(str::to_owned),
            other => panic!("{other}"),
        };
        match (value, len) {
            (None, _) => "-".to_owned(),
            (Some(value), None) => value,
            (Some(value), Some(len)) => network(&value, len),
        }
    }
}

/// The network of an address; `24` counts for IPv4, `64` for IPv6.
fn network(addr: &str, len: &str) -> String {
    let lens: Vec<u32> = len.split('/').map(|l| l.parse().expect("a length")).collect();
    match (addr.parse().expect("an address"), lens.as_slice()) {
        (IpAddr::V4(a), [len, ..]) if *len <= 32 => {
            let mask = u32::MAX.checked_shl(32 - len).unwrap_or(0);
            format!("{}/{len}", IpAddr::from((u32::from(a) & mask).to_be_bytes()))
        }
        (IpAddr::V6(a), [.., len]) if *len > 32 || lens.len() == 2 => {
            let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
            format!("{}/{len}", IpAddr::from((u128::from(a) & mask).to_be_bytes()))
        }
        _ => addr.to_owned(),
    }
}

/// The flows that the original lists.
fn listed(selection: &str) -> Vec<Flow> {
    let line = format!("-L -o extended {selection}");
    let output = Tool::Reference.run(&split(line.trim_end()));
    assert_eq!(output.exit, Exit::Code(0), "{output:?}");
    let flow = |l: &String| Flow { words: l.split_ascii_whitespace().skip(1).map(str::to_owned).collect() };
    output
        .lines()
        .iter()
        .map(|l| {
            let mut f = flow(l);
            // Layer 3 by number, layer 4 by name and by number.
            f.words.insert(0, String::new());
            f
        })
        .collect()
}

/// Flows, packets, bytes.
type Sums = [u64; 3];

fn count(flows: &[Flow], keys: &str) -> BTreeMap<Vec<String>, Sums> {
    let mut groups: BTreeMap<Vec<String>, Sums> = BTreeMap::new();
    for f in flows {
        let sums = groups.entry(keys.split(',').map(|word| f.key(word)).collect()).or_default();
        sums[0] += 1;
        sums[1] += f.number("packets");
        sums[2] += f.number("bytes");
    }
    groups
}

/// The rows of a table: key and figures. The last are what was left out, if there is any, and the total.
fn rows(output: &Output, keys: usize) -> Vec<(Vec<String>, Sums)> {
    let lines = output.lines();
    let (header, rows) = lines.split_first().expect("a header");
    let names: Vec<&str> = header.split_ascii_whitespace().collect();
    assert!([&["flows", "packets", "bytes"][..], &["flows"]].contains(&&names[keys..]), "{header}");
    let parse = |line: &String| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (key, figures) = words.split_at(words.len() - (names.len() - keys));
        let mut sums = [0; 3];
        for (to, figure) in sums.iter_mut().zip(figures) {
            *to = figure.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
        }
        // Figures end where their column's name ends.
        assert_eq!(line.len(), header.len(), "{line}\n{header}");
        (key.iter().map(|w| (*w).to_owned()).collect(), sums)
    };
    rows.iter().map(parse).collect()
}

fn total(groups: impl IntoIterator<Item = Sums>) -> Sums {
    groups.into_iter().fold([0; 3], |mut all, sums| {
        all.iter_mut().zip(sums).for_each(|(a, b)| *a += b);
        all
    })
}

const KEYS: [&str; 17] = [
    "src",
    "dst",
    "sport",
    "dport",
    "proto",
    "zone",
    "mark",
    "state",
    "nat",
    "src/24",
    "dst/64",
    "src/16/48",
    "nat/24",
    "proto,state",
    "src,dst,dport",
    "mark,zone,nat,proto",
    "src,sport,dst,dport,proto,zone,mark,state,nat",
];

/// The difference "Z groups".
#[test]
fn every_count_is_that_of_the_listing() {
    let schema = schema();
    let _world = World::new(1, 300, 50);
    for selection in ["", "-p tcp", "-f ipv6", "-s 10.0.0.0/16", "-u ASSURED", "-m 5"] {
        let flows = listed(selection);
        assert!(!flows.is_empty(), "{selection}");
        for keys in KEYS {
            let line = format!("-L {selection} --by {keys}").replace("  ", " ");
            let want = count(&flows, keys);
            let output = zct(&line);
            let mut got = rows(&output, keys.split(',').count());
            let (name, all) = got.pop().expect("a total");
            assert_eq!((name, all), (vec!["total".to_owned()], total(want.values().copied())), "{line}");
            let largest_first = got.windows(2).all(|w| w[0].1[0] >= w[1].1[0]);
            assert!(largest_first, "{line}: {output:?}");
            let groups = got.len();
            assert_eq!(got.into_iter().collect::<BTreeMap<_, _>>(), want, "{line}");
            assert_eq!(groups, want.len(), "{line}");
            let said = format!("{} flow entries in {} groups.", flows.len(), want.len());
            assert!(output.err().ends_with(&format!("{said}\n")), "{line}: {output:?}");
            json_says_the_same(&schema, &line, &output);
        }
    }
}

/// The value of one word of `--by` in an object, as the table shows it.
fn member(by: &Value, word: &str) -> String {
    let name = word.split('/').next().expect("a name");
    let zones = [("zone", ""), ("orig_zone", "-orig"), ("reply_zone", "-reply")];
    let (name, suffix) = match name {
        "proto" => ("protocol", ""),
        "zone" => *zones.iter().find(|(name, _)| !by[name].is_null()).expect("a zone"),
        name => (name, ""),
    };
    match by.get(name).unwrap_or_else(|| panic!("no {name}: {by}")) {
        Value::Null => "-".to_owned(),
        Value::String(s) => s.clone(),
        number => format!("{number}{suffix}"),
    }
}

/// Objects in the order of the table, with the same figures and values.
fn json_says_the_same(schema: &jsonschema::Validator, line: &str, table: &Output) {
    let keys: Vec<&str> = line.rsplit(' ').next().expect("the keys").split(',').collect();
    let rows = rows(table, keys.len());
    let objects: Vec<Value> = zct(&format!("{line} -o json"))
        .lines()
        .iter()
        .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")))
        .collect();
    for o in &objects {
        let wrong: Vec<String> = schema.iter_errors(o).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{o}: {wrong:?}");
    }
    assert_eq!(objects.len(), rows.len(), "{line}");
    let figures = |o: &Value| ["flows", "packets", "bytes"].map(|name| o[name].as_u64().unwrap_or(0));
    for (o, (key, sums)) in objects.iter().zip(&rows) {
        if o["by"].is_null() {
            assert_eq!(figures(&o["total"]), *sums, "{o}");
            continue;
        }
        let values: Vec<String> = keys.iter().map(|word| member(&o["by"], word)).collect();
        assert_eq!((&values, figures(o)), (key, *sums), "{line}");
        assert_eq!(o["by"].as_object().map(serde_json::Map::len), Some(keys.len()));
    }
}

#[test]
fn counters_are_added_up_and_put_in_order() {
    let ns = Netns::fresh().accounting();
    let mut traffic = Traffic::start(&ns);
    traffic.everything();
    let flows = listed("");
    for sort in ["flows", "packets", "bytes"] {
        let at = ["flows", "packets", "bytes"].iter().position(|s| *s == sort).expect("a figure");
        for keys in ["dst", "proto,dport", "nat"] {
            let want = count(&flows, keys);
            let output = zct(&format!("-L --by {keys} --sort {sort}"));
            let mut got = rows(&output, keys.split(',').count());
            assert_eq!(got.pop().map(|(_, sums)| sums), Some(total(want.values().copied())));
            assert!(got.windows(2).all(|w| w[0].1[at] >= w[1].1[at]), "{output:?}");
            assert_eq!(got.into_iter().collect::<BTreeMap<_, _>>(), want);
        }
    }
    traffic.close_and_settle();
}

#[test]
fn what_is_left_out_is_counted_too() {
    let _ns = Netns::fresh();
    let mut storm = Storm::open();
    // Source 10.0.0.N has N flows.
    let flows = (1..=40u8).flat_map(|n| (0..n).map(move |i| udp([10, 0, 0, n], [192, 0, 2, i], 1000, 53)));
    storm.create(flows);
    for (top, left) in [(1, 39), (3, 37), (39, 1)] {
        let output = zct(&format!("-L --by src --top {top}"));
        let rows = rows(&output, 1);
        assert_eq!(rows.len(), top + 2, "{output:?}");
        let shown = total(rows[..top].iter().map(|(_, sums)| *sums));
        let word = if left == 1 { "other" } else { "others" };
        assert_eq!(rows[top].0, [left.to_string(), word.to_owned()]);
        assert_eq!(rows[top].1[0] + shown[0], 820);
        assert_eq!(rows[top + 1], (vec!["total".to_owned()], [820, 0, 0]));
        assert_eq!(rows[0], (vec!["10.0.0.40".to_owned()], [40, 0, 0]));
        let json = zct(&format!("-L --by src --top {top} -o json")).lines();
        let last = json.last().expect("a summary");
        let others = 820 - shown[0];
        assert_eq!(
            *last,
            format!(
                "{{\"total\":{{\"groups\":40,\"flows\":820}},\"others\":{{\"groups\":{left},\"flows\":{others}}}}}"
            )
        );
    }
    for top in [40, 41, 1_000_000] {
        assert_eq!(zct(&format!("-L --by src --top {top}")).lines().len(), 42);
    }
    // Nobody counts bytes here, which has to be said.
    let output = zct("-L --by src --sort bytes");
    assert!(output.err().contains("no flow counts bytes: with sysctl net.netfilter.nf_conntrack_acct=1"));
    assert_eq!(zct("-L --by src -s 9.9.9.9").lines(), ["src    flows", "total      0"]);
    Kernel::open().flush();
    assert!(!zct("-L --by dst --sort packets").err().contains("no flow counts"));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let _ns = Netns::fresh();
    for (line, code, says) in [
        ("-L --by", 2, "option `--by' requires an argument"),
        ("-L --by source", 2, "`source' is no key: src, dst and nat"),
        ("-L --by src,src/24", 2, "`--by' has one member twice: `src,src/24'"),
        ("-L --by src/33/32/1", 2, "is no key"),
        ("-L --top 3", 2, "`--top' needs --by"),
        ("-L --sort bytes", 2, "`--sort' needs --by"),
        ("-L --by src --top 0", 1, "unexpected value '0' with --top option: a number from 1"),
        ("-L --by src --top x", 1, "unexpected value 'x' with --top option"),
        ("-L --by src --sort size", 2, "`size' is not one of flows, packets, bytes"),
        ("-L --by src --sort rate", 2, "`rate' is known to zct top; here it is one of flows, packets, bytes"),
        ("-L --by src -o save", 2, "`--by' shows groups, not flows: of -o it takes json alone"),
        ("-L --by src -o xml", 2, "of -o it takes json alone"),
        ("-L --by src -o json,id", 2, "of -o it takes json alone"),
        ("-L --by src --zero", 2, "--by cannot be combined with --zero"),
        ("-L --by src --jobs 2", 2, "--by cannot be combined with --jobs"),
        ("-L ! --by src", 2, "!"),
        ("-L expect --by src", 2, "Illegal option `--by' with this command"),
        ("-D --by src", 2, "Illegal option `--by' with this command"),
        ("-C --by src", 2, "Illegal option `--by' with this command"),
    ] {
        let output = Tool::ZctByName.run(&split(line));
        assert_eq!(output.exit, Exit::Code(code), "{line}: {output:?}");
        assert!(output.err().contains(says), "{line}: {output:?}");
        assert!(output.stdout.is_empty(), "{line}: {output:?}");
    }
    let theirs = Tool::Reference.run(&["-L", "--by", "src"]);
    assert!(theirs.exit == Exit::Code(2) && theirs.err().contains("unknown option `--by'"), "{theirs:?}");
    // The dying list is grouped as well, and an explanation comes before groups.
    assert_eq!(Tool::Zct.run(&["-L", "dying", "--by", "src"]).exit, Exit::Code(0));
    assert!(zct("-L --by src --explain").out().starts_with("asked of the kernel: "));
}
