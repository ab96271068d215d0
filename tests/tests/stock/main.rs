//! Properties of stock nginx-rtmp that Weir relies on, and faults that it mends: these tests run without Weir's module. Also the script for
//! an nginx whose module is missing.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod hazards;
mod netns;
mod relied_upon;
mod without_module;
