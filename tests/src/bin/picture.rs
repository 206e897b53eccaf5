//! Prints docs/rooms.svg: the crates, their rooms, and who imports whom.

use zct_tests::picture::{Picture, draw};

fn main() {
    print!("{}", draw(&Picture::of_the_tree()));
}
