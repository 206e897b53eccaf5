//! A namespace with a table that has everything, and a record of its flows, so that filters can be
//! aimed at them.

use crate::entries::Facts;
use crate::etc::PrivateEtc;
use crate::netns::Netns;
use crate::program::Tool;
use crate::seed::{Kernel, Mix, by_reference, label_bytes, tcp};
use crate::traffic::Traffic;
use fastrand::Rng;
use zct_wire::consts::ipproto;
use zct_wire::proto::{ProtoInfo, SctpInfo};

/// The label file: comments, number bases, names with blanks, lines to be skipped, and long names. [`World`]
/// gives one flow so many of those that the original cannot print its line.
pub fn label_file() -> String {
    let mut text = String::from(
        "# names for tests\n0 zero\n1\tone\n0x2 two words \n05 five\n5 again\n6 zero\n7 under_score\n8\n\
         11 eleven-b\nno-number here\n2000 too-high\n",
    );
    for bit in LONG_LABELS {
        text += &format!("{bit} label-{bit}-{}\n", "long-".repeat(34));
    }
    text
}

/// Files of addresses that flows have, by name. The original takes one network, or a list of one family, from
/// which a listing of several is put together.
pub const ADDRESS_FILES: [(&str, &str); 4] = [
    ("ten", "10.0.0.0/8\n"),
    ("some", "# some hosts\n10.0.0.1 10.0.0.2\n172.16.0.0/12 # and a network\n"),
    ("six", "2001:db8::1\n2001:db8::2 fd00:1::/64\n"),
    ("hosts", "10.0.0.1\n10.0.0.2\n10.0.0.3\n"),
];

const LONG_LABELS: std::ops::Range<u8> = 100..128;
/// With more random flows than this, each needs its own port.
const NARROW: usize = 1000;
/// Those names in [`label_file`] that flows have.
pub const LABEL_NAMES: [&str; 5] = ["zero", "one", "two words", "five", "eleven-b"];

/// Flows that the original itself makes, for its TCP flags and its way with NAT.
const BY_REFERENCE: [&str; 6] = [
    "-I -p tcp -s 10.1.0.1 -d 10.0.0.2 --sport 1000 --dport 443 -t 90000 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 5",
    "-I -p sctp -s 10.1.0.2 -d 10.0.0.2 --sport 1000 --dport 443 -t 90000 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
    "-I -p udp -s 10.1.0.3 -d 10.0.0.2 --sport 1000 --dport 53 -t 90000 -n 198.51.100.1 -w 9",
    // The port alone is translated.
    "-I -p udp -s 10.1.0.5 -d 10.0.0.2 --sport 1000 --dport 53 -t 90000 -n 10.1.0.5:2000",
    "-I -s 10.1.0.4 -d 10.0.0.2 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 3 -t 90000",
    "-I -p gre -s 2001:db8::9 -d 2001:db8::1 --srckey 53 --dstkey 80 -t 90000",
];

/// A flow as the original lists it.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Protocol, addresses and ports.
    pub facts: Facts,
    /// The protocol's number.
    pub proto: u8,
    /// The whole line that the original prints.
    line: String,
}

impl Sample {
    fn of(line: &str) -> Sample {
        let facts = Facts::of(line);
        let mut words = line.split_ascii_whitespace().skip_while(|w| *w != facts.proto);
        let proto = words.nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        Sample { facts, proto, line: line.to_owned() }
    }

    /// The value of the first field with this name; for `id` the last, since a ping has one of its own.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.line.split(' ').filter_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        if name == "id" { found.next_back() } else { found.next() }
    }

    /// The id of a ping, if it is one.
    pub fn ping_id(&self) -> Option<&str> {
        self.line.split_once(" id=")?.1.split(' ').next()
    }

    /// The names of its labels.
    pub fn labels(&self) -> Vec<&str> {
        self.line.split_once(" labels=").map_or(vec![], |(_, l)| l.split(',').collect())
    }

    /// Whether the line contains this word.
    pub fn has(&self, word: &str) -> bool {
        self.line.split(' ').any(|w| w == word)
    }

    /// The state, where the protocol has one.
    pub fn state(&self) -> Option<&str> {
        let mut words = self.line.split_ascii_whitespace().skip_while(|w| *w != self.facts.proto);
        words.nth(3).filter(|w| !w.contains('=') && !w.starts_with('['))
    }

    /// The family's name: `ipv4` or `ipv6`.
    pub fn family(&self) -> &'static str {
        if self.line.starts_with("ipv6") { "ipv6" } else { "ipv4" }
    }
}

/// A filled namespace with label names.
#[derive(Debug)]
pub struct World {
    /// The flows in the table.
    pub samples: Vec<Sample>,
    /// The label file, for `--labelmap`.
    pub labels: tempfile::NamedTempFile,
    /// A directory with the files of [`ADDRESS_FILES`].
    pub addresses: tempfile::TempDir,
    _traffic: Traffic,
    _etc: PrivateEtc,
    _ns: Netns,
}

impl World {
    /// Fills a new namespace with `flows` random flows and real packets. Every second one has accounting, and
    /// every other second timestamps.
    pub fn new(seed: u64, number: usize, flows: usize) -> World {
        let mut ns = Netns::fresh();
        if number % 2 == 0 {
            ns = ns.accounting();
        }
        if number / 2 % 2 == 0 {
            ns = ns.timestamps();
        }
        let etc = PrivateEtc::with_labels(Some(&label_file()));
        let labels = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(labels.path(), label_file()).expect("it can be written");
        let addresses = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in ADDRESS_FILES {
            std::fs::write(addresses.path().join(name), text).expect("it can be written");
        }
        let mut traffic = Traffic::start(&ns);
        traffic.everything();
        by_reference(&BY_REFERENCE);
        let mut kernel = Kernel::open();
        let rng = Rng::with_seed(seed ^ (number as u64) << 32);
        let mut mix = Mix { rng, labels: true, wide: flows > NARROW };
        mix.fill(&mut kernel, flows);
        let many = label_bytes(&LONG_LABELS.chain(0..3).collect::<Vec<_>>());
        let labelled = tcp([10, 0, 0, 1], [10, 0, 0, 2], 2000, 2000, 3);
        kernel
            .create(&labelled.with(|it| it.labels = Some((many, [0xff; 16]))))
            .expect("a flow with many labels");
        let heartbeat = Some(ProtoInfo::Sctp(SctpInfo { state: Some(8), vtag: [Some(1), Some(2)] }));
        let mut sctp = tcp([10, 0, 0, 1], [10, 0, 0, 2], 2001, 2000, 3).with(|it| it.protoinfo = heartbeat);
        for tuple in [&mut sctp.orig, &mut sctp.reply].into_iter().flatten() {
            tuple.proto = Some(ipproto::SCTP);
        }
        kernel.create(&sctp).expect("a flow in a state for which the original has no name");
        let listing = Tool::Reference.run(&["-L", "-o", "extended,id,labels"]);
        let samples = listing.lines().iter().map(|l| Sample::of(l)).collect();
        World { samples, labels, addresses, _traffic: traffic, _etc: etc, _ns: ns }
    }
}
