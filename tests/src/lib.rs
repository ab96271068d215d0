//! The black-box tests: Debian's stock nginx and ffmpeg driven from outside, with Weir's two products.
//!
//! [`mod@bench`] compares; [`fuzz`] sends what nobody should; [`harness`] is what the tests are written with; the tests are in `tests/`, and each file's header says what it proves.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

pub mod bench;
pub mod fuzz;
pub mod harness;
