//! Control clients and command lines of any bytes: a request is four known bytes; anything else closes the
//! connection or waits for more, and none of it panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use zct_engine::Reactor;
use zctd::control::client;
use zctd::control::listings::ShownCaches;
use zctd::control::request::Request;
use zctd::control::selection::{SELECTION_LEN, Selection};
use zctd::control::server::{Asked, Reply, Server};
use zctd::store::FlowStore;

struct Bench {
    server: Server,
    reactor: Reactor,
    path: PathBuf,
    flows: FlowStore,
    now: u64,
}

fn bench() -> Bench {
    let path = std::env::temp_dir().join(format!("zctd-fuzz-{}", std::process::id()));
    let server = Server::open(&path, 0).expect("a socket");
    let reactor = Reactor::new().expect("a reactor");
    Bench { server, reactor, path, flows: FlowStore::new(16, [1, 2]), now: 0 }
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(bench());
}

fuzz_target!(|data: &[u8]| {
    let words = data.split(|b| *b == b' ').map(|w| OsString::from_vec(w.to_vec()));
    let args = client::parse(words, Path::new("/etc/zctd/zctd.conf"));
    if let Ok(client::Args { action: client::Action::Ask(request, selection), .. }) = args {
        assert_eq!(Selection::read(&selection.bytes()), Some(selection));
        assert!(Request::from_code(request.code(false)).is_some());
    }
    BENCH.with_borrow_mut(|b| {
        b.now += 1;
        let mut stream = UnixStream::connect(&b.path).expect("a connection");
        stream.write_all(data).expect("room for a little");
        let half = data.len() % 2 == 0;
        if half {
            stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
        }
        let mut asked = Vec::new();
        for token in 0..Server::TOKENS {
            let (_, request) = b.server.ready(token, b.now, &mut b.reactor).expect("no error of the system");
            asked.extend(request);
        }
        let code = data.first_chunk().map(|c| u32::from_ne_bytes(*c));
        let limited = code.is_some_and(|code| Request::from_selected_code(code).is_some());
        // Some requests are followed by what they are limited to.
        let whole = if limited { 4 + SELECTION_LEN } else { 4 };
        match code.filter(|_| data.len() >= whole) {
            Some(code) => {
                let [(_, what)] = asked[..] else { panic!("{asked:?}") };
                let selection = data[4..].first_chunk().and_then(Selection::read);
                let known = if limited { selection.is_some() } else { Request::from_code(code).is_some() };
                assert_eq!(matches!(what, Asked::Known { .. }), known);
            }
            // Too few bytes and then the end are reported once; no bytes at all need no report.
            None if half && !data.is_empty() => assert!(matches!(asked[..], [(_, Asked::Short)])),
            None => assert!(asked.is_empty()),
        }
        for (client, what) in asked {
            let reply = match what {
                Asked::Known { request: Request::List(l), .. } => Reply::List(l, 0..1, String::new()),
                _ => Reply::Close,
            };
            b.server.reply(client, reply);
        }
        let shown = ShownCaches { internal: &b.flows, machines: &[], names: &[], now: b.now };
        while b.server.settle(&shown) {}
        // The client goes away; the rest of its request must not be taken for anybody else's.
        drop(stream);
        for token in 0..Server::TOKENS {
            _ = b.server.ready(token, b.now, &mut b.reactor).expect("no error of the system");
        }
    });
});
