//! Writes the messages of the tests as seeds: `seeds DIR` makes `DIR/TARGET/NAME` for every target.

#[path = "../../../wire/tests/common/mod.rs"]
mod common;

use common::message;
use std::path::Path;
use std::{env, fs, io};

fn write(dir: &Path, target: &str, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    let dir = dir.join(target);
    fs::create_dir_all(&dir)?;
    fs::write(dir.join(name.replace(' ', "-")), parts.concat())
}

fn main() -> io::Result<()> {
    let Some(dir) = env::args_os().nth(1) else {
        return Err(io::Error::other("usage: seeds DIR"));
    };
    let dir = Path::new(&dir);
    let families = [
        ("flow", message::flows()),
        ("expect", message::expectations()),
        ("expect", message::statistics()),
        ("attr", message::errors()),
    ];
    for (target, samples) in families {
        for sample in samples {
            let (name, bytes) = (format!("{target} {}", sample.name), &sample.bytes[..]);
            write(dir, target, &name, &[bytes])?;
            write(dir, "attr", &name, &[bytes])?;
            // This target reads a buffer size in front of the message.
            write(dir, "text", &name, &[&[120, 1], bytes])?;
            // The attributes alone, and the inside of the first one, which is a tuple.
            write(dir, "attr", &format!("{name} attributes"), &[bytes.get(20..).unwrap_or_default()])?;
            let tuple = bytes.get(24..72.min(bytes.len())).unwrap_or_default();
            write(dir, "attr", &format!("{name} tuple"), &[tuple])?;
        }
    }
    for (name, how, question, payload) in ANNOUNCEMENTS {
        let before = u8::try_from(question.len()).map_err(io::Error::other)?;
        write(dir, "helpers", name, &[&[*how, before], question, payload])?;
    }
    let length = u32::try_from(QUEUED.len() + 16).map_err(io::Error::other)?;
    write(dir, "nfqueue", "packet", &[&length.to_ne_bytes(), &0x300_u16.to_ne_bytes(), &[0; 10], QUEUED])
}

/// Bits of the first byte of target `helpers`: what is announced by whom, and to where.
const TRANSLATED: u8 = 2;
const REPLY: u8 = TRANSLATED | 4;
const FIRST: u8 = 8;
const MASTER: u8 = 64;
const GROUP: u8 = 128;

/// What each helper is for: a name, the circumstances, what is sent before, and the announcement.
#[rustfmt::skip]
const ANNOUNCEMENTS: &[(&str, u8, &[u8], &[u8])] = &[
    ("amanda", REPLY, b"Amanda 2.4 REQ", b"Amanda 2.4 REP HANDLE 000-00000000 SEQ 1080\nCONNECT DATA 50000 MESG 50001 INDEX -1\nOPTIONS ;\n"),
    ("dhcpv6", GROUP | FIRST | 1, b"", b"\x01\0\0\x01"),
    ("ftp port", TRANSLATED, b"", b"USER u\r\nPORT 10,1,0,2,200,5\r\n"),
    ("ftp eprt", TRANSLATED, b"", b"EPRT |1|10.1.0.2|50000|\r\n"),
    ("ftp pasv", REPLY, b"PASV\r\n", b"227 Entering Passive Mode (10,2,0,2,200,5)\r\n"),
    ("ftp epsv", REPLY, b"EPSV\r\n", b"229 Entering Extended Passive Mode (|||50000|)\r\n"),
    ("mdns", GROUP | FIRST, b"", b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x01x\x05local\0\0\x01\0\x01"),
    ("rpc port", REPLY, b"\0\0\0\x07\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x86\xa3\0\0\0\x03\0\0\0\x06\0\0\0\0",
        b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xc3\x50"),
    ("rpc address", REPLY, b"\0\0\0\x07\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x04\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x86\xa3\0\0\0\x03\0\0\0\x03tcp\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0f10.2.0.2.195.80\0"),
    ("sane", REPLY, b"\0\0\0\x07\0\0\0\x01", b"\0\0\0\0\0\0\xc3\x50\0\0\x12\x34\0\0\0\0"),
    ("slp", GROUP | FIRST, b"", b"\x02\x01\0\0\x38\x20\0\0\0\0\x12\x34\0\x02en\0\0\0\x17service:printer:lpr://x\0\x07DEFAULT\0\0\0\0"),
    ("ssdp search", GROUP | FIRST, b"", b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMX: 1\r\nST: ssdp:all\r\n\r\n"),
    ("ssdp answer", MASTER, b"", b"HTTP/1.1 200 OK\r\nST: x\r\nLOCATION: http://10.1.0.2:8080/d.xml\r\n\r\n"),
    ("ssdp subscription", MASTER | TRANSLATED, b"", b"SUBSCRIBE /e HTTP/1.1\r\nCALLBACK: <http://10.1.0.2:50000/cb>\r\nNT: upnp:event\r\n\r\n"),
    ("tftp", TRANSLATED | FIRST, b"", b"\0\x01file\0octet\0"),
    ("tns", REPLY, b"connect", b"\0\x44\0\0\x05\0\0\0\0\x3a(ADDRESS=(PROTOCOL=tcp)(DEV=6)(HOST=10.2.0.2)(PORT=40123))"),
];

/// A TFTP request as 6.12 queues it; everything after the netlink header.
const QUEUED: &[u8] = include_bytes!("queued.bin");
