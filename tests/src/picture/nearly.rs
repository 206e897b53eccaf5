//! Compares a picture as it was drawn with today's.

use super::draw::lines;
use super::tree::Picture;

impl Picture {
    /// Takes over the numbers of lines that a picture was drawn with, where they are nearly right, so that it
    /// need not be drawn again for every line. Returns, in words, those that are not.
    pub fn nearly(&mut self, drawn: &str) -> Vec<String> {
        let told = lines(drawn);
        let mut wrong = Vec::new();
        for house in &mut self.houses {
            let folders = house.parts.iter_mut().filter(|p| p.is_folder());
            let folders = folders.map(|p| (format!("{}/{}", house.name, p.name), &mut p.lines));
            for (name, lines) in folders.chain([(house.name.to_owned(), &mut house.lines)]) {
                let drawn = told.get(&name).copied().unwrap_or(0);
                if drawn.abs_diff(*lines) > 50 + *lines / 5 {
                    wrong.push(format!("{name} has {lines} lines, and {drawn} in the picture"));
                }
                *lines = drawn;
            }
        }
        wrong
    }
}
