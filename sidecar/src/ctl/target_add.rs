//! `weir target add`

use std::io::Read;
use std::path::Path;

use weir_model::target::NewTarget;
use weir_model::{Secret, TargetUrl};

use super::applications::{self, Made};
use super::table::plain;
use super::{Error, Output};
use crate::cli::target::TargetAddArgs;
use crate::nginx::Nginx;

/// Maximum size of the file in bytes: more than the longest URL with a line end.
const MAX_FILE: u64 = 4096;

pub(super) async fn run(args: &TargetAddArgs, url: &TargetUrl, nginx: &Nginx) -> Result<Output, Error> {
    let target = NewTarget {
        app: args.app.clone(),
        stream: args.stream.clone(),
        server: args.block.server_block.clone(),
        url: url.clone(),
        enabled: !args.disabled,
        note: args.note.clone().unwrap_or_default(),
    };
    let answer = nginx.create_target(&target).await?;
    let warning = applications::warning(nginx, args.app.as_str(), Made::Target, args.json.json).await;
    if args.json.json {
        return Ok(Output { stderr: warning, ..Output::json(&answer.text) });
    }
    let target = answer.value;
    let disabled = if target.enabled { "" } else { " (disabled)" };
    let url = plain(target.url.unwrap_or_default());
    let mut output = Output::from(format!(
        "Target {} for {}/{} at {url}{disabled}\n",
        target.id, target.app, target.stream
    ));
    output.stderr = warning;
    if args.url.is_some() {
        output.stderr += "weir: warning: the URL was visible in the process list; use --url-file FILE or -\n";
    }
    Ok(output)
}

/// Returns the URL of the command line or of the file. No message repeats the URL.
pub(super) fn url(args: &TargetAddArgs) -> Result<TargetUrl, Error> {
    let (given, text) = match (&args.url, &args.url_file) {
        (Some(url), _) => ("URL".to_owned(), Secret::new(url.as_str())),
        (None, Some(path)) => ("--url-file".to_owned(), read(path)?),
        (None, None) => return Err(Error::Usage("URL or --url-file is needed".into())),
    };
    let url = TargetUrl::parse(text.expose().trim()).and_then(|url| args.stream.check(&url).map(|()| url));
    url.map_err(|error| Error::Usage(format!("{given}: {error}")))
}

fn read(path: &Path) -> Result<Secret, Error> {
    let mut text = String::new();
    if path == Path::new("-") {
        let read = std::io::stdin().take(MAX_FILE).read_to_string(&mut text);
        read.map_err(|error| Error::Input(error.to_string()))?;
    } else {
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
        read.map_err(|error| Error::file_of("--url-file", path, error))?;
    }
    Ok(Secret::new(text))
}
