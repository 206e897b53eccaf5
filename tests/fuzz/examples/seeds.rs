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
    Ok(())
}
