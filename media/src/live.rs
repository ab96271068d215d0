//! A live stream as fragments that viewers take one by one, with all tracks in each file.
//!
//! - [`codecs`]: how a browser names a codec
//! - [`packager`]: steps of a run to initialization segments and fragments
//! - [`fragment`]: one fragment as bytes

pub mod codecs;
mod fragment;
pub mod packager;
#[cfg(test)]
mod tests;

pub use packager::{Fragment, Init, Output, Packager};
