//! What the tests on the real kernel share: private network namespaces, the programs under test, ways to fill
//! a table, masks for what varies, and the table of intended differences.
//!
//! Nothing is skipped: when something that a test needs is missing, it fails and names the package.

pub mod address_list;
pub mod alloc;
pub mod cases;
pub mod clock;
pub mod cluster;
pub mod compare;
pub mod differences;
pub mod entries;
pub mod etc;
pub mod faults;
pub mod imports;
pub mod lab;
pub mod listener;
pub mod mask;
pub mod members;
pub mod netns;
pub mod nfct_words;
pub mod options;
pub mod pages;
pub mod picture;
pub mod program;
pub mod promtool;
pub mod rules;
pub mod seed;
pub mod ticks;
pub mod tmux;
pub mod traffic;
pub mod world;
