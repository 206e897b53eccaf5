//! Who fills the table: flows counted by what they have in common, for `-L --by` and `zct top`.

pub mod key;
pub mod order;
pub mod report;
pub mod room;
pub mod shards;
pub mod tally;
