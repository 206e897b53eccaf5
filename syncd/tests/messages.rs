//! The remarks about configuration files, word for word: each `messages/*.conf` has its remarks in a file
//! beside it.
//!
//! `ZCT_GOLDEN=write` rewrites them; read the difference before you commit it.

use std::path::PathBuf;
use zctd::config::{self, protocols::Protocols};

#[test]
fn every_file_has_its_remarks() {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages"));
    let write = std::env::var_os("ZCT_GOLDEN").is_some_and(|v| v == "write");
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "conf"));
    assert!(files.len() >= 12, "{files:?}");
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        // Without /etc/protocols, so that it is the same on every machine.
        let loaded = config::load(&std::fs::read(&file).unwrap(), &Protocols::default());
        let mut said = loaded.report.lines(&name).to_string();
        let outcome = match (loaded.report.is_refused(), loaded.config.is_some()) {
            (true, _) => "refused",
            (false, false) => "good for commands, not for a daemon",
            (false, true) => "good",
        };
        said.push_str(&format!("=> {outcome}\n"));
        let golden = file.with_extension("txt");
        if write {
            std::fs::write(&golden, &said).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_else(|e| panic!("{}: {e}", golden.display()));
        assert_eq!(said, wanted, "{name}");
    }
}
