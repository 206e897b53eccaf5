//! The names that a configuration can use for numbers.

use zct_engine::labels::LabelMap;
use zct_engine::protocols::Protocols;

/// The names that lists can use.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// In `Protocol`.
    pub protocols: &'a Protocols,
    /// In `Label`.
    pub labels: &'a LabelMap,
}

impl<'a> From<&'a Protocols> for Names<'a> {
    fn from(protocols: &'a Protocols) -> Names<'a> {
        Names { protocols, labels: LabelMap::EMPTY }
    }
}
