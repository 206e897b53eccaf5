//! Frames of a datagram and the walk over attributes: both end, stay inside, and read back what is built.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zct_fuzz::walk;
use zct_wire::attr::{self, Attrs};
use zct_wire::build::Builder;
use zct_wire::header::{CtMsg, Frames};

/// Every nest two levels down, as tuples have them.
fn descend(bytes: &[u8], depth: u32) {
    let Ok(attrs) = walk(bytes) else { return };
    let total: usize = attrs.iter().map(|a| a.value.len() + 4).sum();
    assert!(total <= bytes.len());
    for a in &attrs {
        assert!(a.kind < 1 << 14);
        assert!(!attr::text(a.value).contains(&0));
        assert_eq!(attr::be64("x", a.value).is_ok(), a.value.len() >= 8);
        assert_eq!(attr::be32("x", a.value).is_ok(), a.value.len() >= 4);
        assert_eq!(attr::be16("x", a.value).is_ok(), a.value.len() >= 2);
        assert_eq!(attr::u8("x", a.value).is_ok(), !a.value.is_empty());
        if depth > 0 {
            descend(a.value, depth - 1);
        }
    }
    // Kinds and values survive building, padding and all.
    let mut buf = vec![0xa5; bytes.len() + 64];
    let mut b = Builder::new(&mut buf, 0x100, 0, 1, 2, 0);
    for a in &attrs {
        b.put(a.kind, a.value);
    }
    let built = b.finish().expect("no longer than what was read, but for one padding").to_vec();
    let again: Result<Vec<_>, _> = zct_fuzz::parsed(&built).attrs().collect();
    assert_eq!(again.as_ref(), Ok(&attrs));
}

fuzz_target!(|data: &[u8]| {
    descend(data, 2);
    assert!(Frames::new(data).count() <= data.len() / 16 + 1);
    for frame in Frames::new(data).flatten() {
        assert!(frame.payload().len() <= data.len());
        let _ = (frame.code(), frame.error());
        if let Ok(msg) = CtMsg::parse(frame) {
            let n = msg.bytes.len();
            assert!(n <= data.len() && Attrs::count(msg.attrs()) <= n / 4 + 1);
        }
    }
});
