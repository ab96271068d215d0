//! `weir drain`

use std::path::Path;

use serde_json::json;

use super::{Error, Output};
use crate::cli::edge::{DrainArgs, Switch};
use crate::files::PUBLISHED;

pub(super) fn run(args: &DrainArgs) -> Result<Output, Error> {
    let file = &args.file;
    let failed = |error: std::io::Error| Error::file_of("--file", file, error);
    if let Some(folder) = file.parent().filter(|folder| *folder != Path::new("")) {
        PUBLISHED.make_folder(folder).map_err(failed)?;
    }
    let number = match args.switch {
        Switch::On => args.priority,
        Switch::Off => 0,
    };
    // The file is written in place, because keepalived watches it. A reader may see it empty for a moment; empty means 0.
    PUBLISHED.write(file, format!("{number}\n").as_bytes()).map_err(failed)?;
    let drained = args.switch == Switch::On;
    if args.json.json {
        return Ok(Output::json(
            &json!({ "drained": drained, "file": file, "priority": number }).to_string(),
        ));
    }
    let shown = file.display();
    Ok(match drained {
        true => format!("This machine is drained: {shown} has {number}. `weir drain off` ends it.\n"),
        false => format!("This machine is in service: {shown} has 0.\n"),
    }
    .into())
}
