//! `weir state save`

use super::{Error, Output};
use crate::cli::StateSaveArgs;
use crate::nginx::Nginx;

pub async fn run(args: &StateSaveArgs, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.save_state().await?;
    if args.json.json {
        return Ok(Output::json(&answer.text));
    }
    let saved = answer.value;
    let mut said = format!("{}: {} keys and {} targets\n", saved.file.display(), saved.keys, saved.targets);
    if let Some(aside) = saved.set_aside {
        said += &format!("The file that could not be read is now {}\n", aside.display());
    }
    Ok(said.into())
}
