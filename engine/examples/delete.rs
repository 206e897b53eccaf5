//! Deletes the flow with one tuple, and no other.
//!
//! ```text
//! cargo run -p zct-engine --example delete tcp 10.0.0.1:40000 10.0.0.2:80    # as root, or with CAP_NET_ADMIN
//! ```
//!
//! A delete request without addresses would empty the table. [`delete_tuple`] cannot be called with such a
//! tuple: it takes [`Addressed`], which has both.

use std::error::Error;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::process::ExitCode;
use zct_engine::{Lost, Requests, Sink, errno};
use zct_wire::consts::{ipproto, nlm_f};
use zct_wire::header::CtMsg;
use zct_wire::request::delete_tuple;
use zct_wire::tuple::{Addr, Addressed, Tuple};

/// A delete is answered by an acknowledgement alone, which [`Requests::ask`] returns.
struct Nothing;

impl Sink for Nothing {
    fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn lost(&mut self, why: Lost) {
        eprintln!("{why}");
    }
}

fn addr(of: &SocketAddr) -> Addr {
    match of {
        SocketAddr::V4(a) => Addr::V4(a.ip().octets()),
        SocketAddr::V6(a) => Addr::V6(a.ip().octets()),
    }
}

fn tuple(args: &[String]) -> Result<Tuple, Box<dyn Error>> {
    let [proto, source, destination] = args else {
        return Err("usage: delete tcp|udp SOURCE:PORT DESTINATION:PORT".into());
    };
    let proto = match proto.as_str() {
        "tcp" => ipproto::TCP,
        "udp" => ipproto::UDP,
        other => return Err(format!("{other}: tcp or udp is wanted").into()),
    };
    let (source, destination): (SocketAddr, SocketAddr) = (source.parse()?, destination.parse()?);
    Ok(Tuple {
        src: Some(addr(&source)),
        dst: Some(addr(&destination)),
        proto: Some(proto),
        src_port: Some(source.port()),
        dst_port: Some(destination.port()),
        ..Tuple::default()
    })
}

fn delete(args: &[String]) -> Result<(), Box<dyn Error>> {
    let orig = Addressed::try_from(&tuple(args)?)?;
    let mut requests = Requests::open()?;
    match requests.ask(|buf, seq| delete_tuple(buf, seq, nlm_f::ACK, &orig, None), &mut Nothing) {
        Err(e) if e.errno() == Some(errno::ENOENT) => Err("there is no such flow".into()),
        done => Ok(done?),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match delete(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
