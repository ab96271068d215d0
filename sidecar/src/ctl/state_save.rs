//! `weir state save`

use super::{Error, Output};
use crate::cli::StateSaveArgs;
use crate::nginx::Nginx;

pub(super) async fn run(args: &StateSaveArgs, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.save_state().await?;
    if args.json.json {
        return Ok(Output::json(&answer.text));
    }
    let saved = answer.value;
    let (keys, targets) = (saved.keys, saved.targets);
    let mut said = format!("saved: {}, keys: {keys}, targets: {targets}\n", saved.file.display());
    if let Some(aside) = saved.set_aside {
        said += &format!("set aside, cannot be read: {}\n", aside.display());
    }
    Ok(said.into())
}
