//! The picture of the house in docs/rooms.svg, drawn from what the files import.
//!
//! Each crate is a house with floors. What stands on a floor imports from the floors below it; a folder that
//! imports from above gets an arrow in a colour of its own. Nothing is placed by hand.

mod draw;
mod nearly;
mod tree;

pub use draw::draw;
pub use tree::Picture;
