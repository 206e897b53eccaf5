//! Address translation of a new flow (CTA_NAT_SRC, CTA_NAT_DST; ctnetlink.md §7.3).

use crate::build::Builder;
use crate::consts::{cta_nat, cta_protonat};
use crate::tuple::Addr;

/// One address and, if it is to be translated too, one port. Minimum and maximum are the same: what a
/// flow is restored to is a fact, not a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// The address to translate to; `None` keeps the address and translates the port alone.
    pub addr: Option<Addr>,
    /// The port to translate to.
    pub port: Option<u16>,
}

impl Nat {
    /// Writes the nest `kind` (CTA_NAT_SRC or CTA_NAT_DST).
    pub fn build(&self, b: &mut Builder<'_>, kind: u16) {
        b.nest(kind, |b| {
            match self.addr {
                Some(Addr::V4(a)) => _ = b.put(cta_nat::V4_MINIP, &a).put(cta_nat::V4_MAXIP, &a),
                Some(Addr::V6(a)) => _ = b.put(cta_nat::V6_MINIP, &a).put(cta_nat::V6_MAXIP, &a),
                None => {}
            }
            if let Some(port) = self.port {
                b.nest(cta_nat::PROTO, |b| {
                    b.put_be16(cta_protonat::PORT_MIN, port).put_be16(cta_protonat::PORT_MAX, port);
                });
            }
        });
    }
}
