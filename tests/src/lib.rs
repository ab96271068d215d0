//! The black-box tests: they drive Debian's stock nginx and ffmpeg together with Weir's two products from outside.
//!
//! [`mod@bench`] compares; [`fuzz`] sends invalid data; [`harness`] contains the tools for tests. The tests are in
//! `tests/`, and the header of each file says what it proves.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

pub mod bench;
pub mod fuzz;
pub mod harness;
