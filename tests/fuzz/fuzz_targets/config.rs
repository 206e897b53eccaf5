//! A configuration file of any bytes: no panic, every remark can be printed, and a configuration that is
//! accepted prints as a file that means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zctd::config::{self, protocols::Protocols};

fuzz_target!(|data: &[u8]| {
    let protocols = Protocols::parse(b"tcp 6 TCP\nudp 17 UDP\nicmp 1 ICMP\nsctp 132 SCTP\n");
    let loaded = config::load(data, &protocols);
    let lines = loaded.report.lines("file").to_string();
    assert_eq!(lines.is_empty(), loaded.report.remarks().is_empty());
    assert_eq!(loaded.report.by_severity("file").len(), lines.lines().count());
    // A refusal always comes with a reason.
    assert!(loaded.config.is_some() || !lines.is_empty());
    let Some(config) = loaded.config else { return };
    let printed = config::print(&config);
    let again = config::load(&printed, &protocols);
    assert_eq!(again.config.as_ref(), Some(&config), "{}", String::from_utf8_lossy(&printed));
    assert!(config::live_changes(&config, &config).live.is_empty());
});
