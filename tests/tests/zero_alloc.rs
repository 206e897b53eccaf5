//! A message costs no allocation: a listing of many flows allocates as often as one of few, counted over the
//! whole process and for every kind of output, and events allocate nothing at all.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use zct::filter::Labels;
use zct::flags::args::Args;
use zct::flags::selection;
use zct::output::{Document, Happened, Presenter, now};
use zct::values::list;
use zct_engine::{Lost, Requests, Sink, Subscription, Turn};
use zct_tests::alloc::{Counting, allocs_during};
use zct_tests::netns::Netns;
use zct_tests::seed::{Storm, TRACKING, label_bytes, tcp};
use zct_tests::world::label_file;
use zct_wire::consts::nfnlgrp;
use zct_wire::event::Event;
use zct_wire::filter::{DumpFilter, Masked};
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{self, NewFlow, Table};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// More than one slab of receive buffers holds, so that both listings use the second thread.
const FEW: u32 = 3_000;
const MANY: u32 = 12_000;

/// Allocations that two threads may make when they first wait for each other, which depends on chance. Far
/// fewer than one for each buffer that [`MANY`] flows pass through, let alone one per message.
const WAITS: u64 = 4;

/// A flow with everything that a line can show: helper, labels, mark, state.
fn flow(n: u32) -> NewFlow<'static> {
    let [_, hi, mid, lo] = n.to_be_bytes();
    tcp([10, hi, mid, lo], [192, 0, 2, 1], 1000, 80, 3).with(|it| {
        it.mark = Some(Masked { value: n, mask: u32::MAX });
        it.labels = Some((label_bytes(&[1, 5]), [0xff; 16]));
        it.helper = Some(b"ftp");
    })
}

/// Runs zct in this process with its output thrown away; returns how often it allocated.
fn allocations_of(words: &[&str]) -> u64 {
    let words: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
    let null = OpenOptions::new().write(true).open("/dev/null").expect("/dev/null");
    io::stdout().flush().expect("flush");
    let before = io::stdout().as_fd().try_clone_to_owned().expect("standard output");
    nix::unistd::dup2_stdout(&null).expect("dup2");
    let (count, code) = allocs_during(|| zct::run(&words));
    nix::unistd::dup2_stdout(&before).expect("dup2");
    assert_eq!(code, 0, "{words:?}");
    count
}

/// Prints events as `-E` does, except for the names of programs, which are looked up once each.
struct Events {
    presenter: Presenter,
    filter: zct::filter::Filter,
    seen: u32,
}

impl Sink for Events {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        let kind = Event::of(&msg).expect("an event");
        let flow = FlowView::index(msg).expect("a flow");
        if self.filter.matches(&flow).expect("it can be read") {
            let happened = Happened { kind, time: now(), portid: msg.port(), program: None };
            self.presenter.flow_event(&flow, &happened).expect("it is printed");
            self.seen += 1;
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        panic!("the buffer is large enough: {why}");
    }
}

fn allocations_of_events(output: &str) -> u64 {
    let groups = [nfnlgrp::CONNTRACK_NEW, nfnlgrp::CONNTRACK_UPDATE, nfnlgrp::CONNTRACK_DESTROY];
    let mut size = 0;
    let set_up = |socket: &zct_engine::NetlinkSocket| {
        size = socket.set_receive_buffer(32 << 20)?;
        Ok(())
    };
    let mut events = Subscription::prepare(set_up, &groups).expect("a subscription");
    let mut words = list::Output::default();
    list::output(output.as_bytes(), &mut words).expect("words of -o");
    let mut sink = Events {
        presenter: Presenter::over(io::sink(), &words, Document::Conntrack, None),
        filter: selection::filter(&Args::default(), Labels::default()),
        seen: 0,
    };
    // Each flow makes two events of 1280 bytes; without privileges the buffer is smaller.
    let flows = u32::try_from(size / 2560 * 9 / 10).map_or(2000, |n| n.min(2000));
    let mut storm = Storm::open();
    let round = |events: &mut Subscription, sink: &mut Events, storm: &mut Storm| {
        storm.create((MANY..MANY + flows).map(flow));
        storm.delete((MANY..MANY + flows).map(flow));
        let (count, ()) = allocs_during(|| {
            while events.drain(16, sink).expect("events").0 == Turn::More {}
            sink.presenter.flush().expect("flush");
        });
        count
    };
    // The first round makes what is made only once: the header, the time zone.
    round(&mut events, &mut sink, &mut storm);
    let count = round(&mut events, &mut sink, &mut storm);
    assert_eq!(sink.seen, 4 * flows, "every event of both rounds");
    count
}

/// Counts messages and does nothing else.
struct Count(u32);

impl Sink for Count {
    fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
        self.0 += 1;
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        panic!("nothing is lost of so small a table: {why}");
    }
}

/// A table that fits one datagram needs no slab and no thread. This is part of the only test here, because
/// the allocations of every thread in the process are counted.
fn one_datagram_costs_no_allocation(storm: &mut Storm) {
    let mut requests = Requests::open().expect("a socket");
    for (from, flows) in [(0, 0), (0, 1), (1, 20)] {
        storm.create((from..flows).map(flow));
        let mut sink = Count(0);
        let everything = DumpFilter::default();
        let (count, ended) = allocs_during(|| {
            requests.dump_table(|buf, seq| request::dump(buf, seq, Table::Conntrack, &everything), &mut sink)
        });
        assert_eq!((count, sink.0), (0, flows), "allocations and flows: {ended:?}");
    }
}

#[test]
fn a_message_costs_no_allocation() {
    // The counter itself must work.
    assert!(allocs_during(|| Vec::<u8>::with_capacity(100)).0 >= 1);
    let ns = Netns::fresh().accounting().timestamps();
    ns.nft(TRACKING);
    let labels = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(labels.path(), label_file()).expect("it can be written");
    let file = labels.path().to_str().expect("a path");
    // By one reader each: left to itself, zct reads the small table by netlink and the large one by BPF.
    // BPF reads the large one in parts, which have allocations of their own.
    let (netlink, bpf): (&[&str], &[&str]) = (&["--reader", "netlink"], &["--reader", "bpf", "--jobs", "1"]);
    let listings: [(&[&str], &[&str]); 12] = [
        (&["-L"], netlink),
        (&["-L", "-o", "xml,ktimestamp"], netlink),
        (&["-L", "-o", "save"], netlink),
        (&["-L", "-o", "json,id,ktimestamp"], netlink),
        (&["-L", "-o", "extended,id,ktimestamp,labels", "-M", file], netlink),
        (&["-L", "-o", "json,labels", "-M", file], netlink),
        (
            &["-L", "-s", "10.0.0.0/9", "-p", "tcp", "--state", "ESTABLISHED", "--kernel-filter", "never"],
            netlink,
        ),
        (&["-L", "-l", "five", "-M", file, "-n", "-m", "0/0x1"], netlink),
        (&["-L"], bpf),
        (&["-L", "-o", "save"], bpf),
        (&["-L", "-o", "json,ktimestamp"], bpf),
        (&["-L", "-s", "10.0.0.0/9", "-p", "tcp", "--state", "ESTABLISHED"], bpf),
    ];
    let run = |(words, reader): &(&[&str], &[&str])| {
        let words = [&["conntrack"], *words, reader].concat();
        // One run beforehand, for what the process makes only once.
        allocations_of(&words);
        allocations_of(&words)
    };
    let mut storm = Storm::open();
    one_datagram_costs_no_allocation(&mut storm);
    storm.create((20..FEW).map(flow));
    let few: Vec<u64> = listings.iter().map(run).collect();
    storm.create((FEW..MANY).map(flow));
    let many: Vec<u64> = listings.iter().map(run).collect();
    assert!(few.iter().all(|n| *n > 0), "nothing was counted: {few:?}");
    assert!(
        few.iter().zip(&many).all(|(few, many)| few.abs_diff(*many) <= WAITS),
        "allocations of {FEW} and of {MANY} flows: {few:?}, {many:?}: {listings:?}"
    );
    for output in ["extended,id", "xml,ktimestamp,timestamp", "save", "json,id,timestamp"] {
        assert_eq!(allocations_of_events(output), 0, "events as {output}");
    }
    eprintln!("allocations a listing, whatever its length: {few:?}");
}
