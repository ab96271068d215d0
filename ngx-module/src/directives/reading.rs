//! Functions that all directives share.

use ngx_rtmp::conf::{Block, Context};

use super::error::DirectiveError;
use crate::weir::Weir;

/// The context that a directive is read with.
pub(super) type Cx<'c, B> = Context<'c, Weir, B>;

pub(super) fn assign<T>(setting: &mut Option<T>, value: T) -> Result<(), DirectiveError> {
    match setting.replace(value) {
        None => Ok(()),
        Some(_) => Err(DirectiveError::Duplicate),
    }
}

pub(super) fn one_of<T: Copy, B: Block<Weir>>(
    cx: &Cx<'_, B>,
    known: &[(&str, T)],
) -> Result<T, DirectiveError> {
    let argument = cx.argument()?;
    known.iter().find(|(name, _)| *name == argument).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        DirectiveError::Value { found: argument.to_owned(), expected: names.join(" or ") }
    })
}

pub(super) fn needs_zone<B: Block<Weir>>(cx: &mut Cx<'_, B>, directive: &'static str) {
    let place = cx.place();
    cx.main().needs_zone.get_or_insert((directive, place));
}

pub(super) fn needs_secret<B: Block<Weir>>(cx: &mut Cx<'_, B>) {
    let place = cx.place();
    cx.main().needs_secret.get_or_insert(place);
}
