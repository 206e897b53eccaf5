//! The helpers whose stubs can be created, and what the kernel has to know about each (nfct.md §3; the
//! length of the private data is the one in the original's requests).

use zct_wire::consts::ipproto;
use zct_wire::cthelper::ExpectPolicy;

/// A helper for one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Helper {
    /// Its name, which is also that of its one expectation policy.
    pub name: &'static str,
    /// The protocol's number: TCP or UDP.
    pub l4: u8,
    /// Bytes the kernel keeps for it in every flow.
    pub priv_data_len: u32,
    /// How many expectations a flow may have at a time.
    pub expect_max: u32,
    /// Seconds an expectation waits.
    pub expect_timeout_s: u32,
    /// What it is for.
    pub brief: &'static str,
}

impl Helper {
    /// The helper of this name for this protocol.
    pub fn find(name: &[u8], l4: u8) -> Option<&'static Helper> {
        HELPERS.iter().find(|h| h.name.as_bytes() == name && h.l4 == l4)
    }

    /// The name of its protocol on the command line.
    pub fn protocol(&self) -> &'static str {
        if self.l4 == ipproto::TCP { "tcp" } else { "udp" }
    }

    /// The limits of its expectations.
    pub fn policy(&self) -> ExpectPolicy<'static> {
        ExpectPolicy {
            name: self.name.as_bytes(),
            expect_max: self.expect_max,
            timeout_s: self.expect_timeout_s,
        }
    }
}

const fn helper(
    name: &'static str,
    l4: u8,
    priv_data_len: u32,
    (expect_max, expect_timeout_s): (u32, u32),
    brief: &'static str,
) -> Helper {
    Helper { name, l4, priv_data_len, expect_max, expect_timeout_s, brief }
}

/// All known helpers, sorted by name.
pub static HELPERS: &[Helper] = &[
    helper("amanda", ipproto::UDP, 0, (3, 180), "Amanda backup"),
    helper("dhcpv6", ipproto::UDP, 0, (1, 300), "DHCPv6 answers to multicast"),
    helper("ftp", ipproto::TCP, 24, (1, 300), "FTP data connections"),
    helper("mdns", ipproto::UDP, 0, (8, 30), "multicast DNS answers"),
    helper("rpc", ipproto::TCP, 16, (1, 300), "ports announced by the RPC portmapper"),
    helper("rpc", ipproto::UDP, 16, (1, 300), "ports announced by the RPC portmapper"),
    helper("sane", ipproto::TCP, 4, (1, 300), "SANE scanner data"),
    helper("slp", ipproto::UDP, 0, (8, 16), "service location answers"),
    helper("ssdp", ipproto::TCP, 0, (8, 300), "UPnP event connections"),
    helper("ssdp", ipproto::UDP, 0, (8, 300), "UPnP discovery answers"),
    helper("tftp", ipproto::UDP, 0, (1, 300), "TFTP transfers"),
    helper("tns", ipproto::TCP, 1, (1, 300), "Oracle connections that are redirected"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::consts::nfcth;

    #[test]
    fn names_are_exact_and_protocols_count() {
        assert_eq!(Helper::find(b"ftp", 6).map(|h| h.priv_data_len), Some(24));
        assert!(Helper::find(b"ftp", 17).is_none() && Helper::find(b"FTP", 6).is_none());
        assert_ne!(Helper::find(b"ssdp", 6), Helper::find(b"ssdp", 17));
        for h in HELPERS {
            assert!(h.name.len() < nfcth::NAME_MAX && [6, 17].contains(&h.l4));
            assert_eq!(Helper::find(h.name.as_bytes(), h.l4), Some(h), "{} is there twice", h.name);
        }
    }
}
