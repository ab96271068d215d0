//! What Weir relies upon in stock nginx-rtmp, and what it is there to mend: each of these tests runs without Weir's module.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

mod hazards;
mod netns;
mod relied_upon;
