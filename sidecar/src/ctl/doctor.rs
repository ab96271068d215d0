//! `weir doctor`: finds faults of this installation.

use std::path::{self, Path};

use serde_json::{Value, json};

use super::{Error, Output, runtime};
use crate::cli::ApiArgs;
use crate::cli::doctor::DoctorArgs;
use crate::config::DEFAULT_PATH;
use crate::doctor::{self, Finding, Installation, State};
use crate::nginx::Nginx;

/// Returns the output, and whether there is a problem. A hint is no problem.
pub(super) fn run(args: &DoctorArgs, api: &ApiArgs) -> Result<(Output, bool), Error> {
    let installation = Installation {
        nginx: args.nginx.clone(),
        // nginx would resolve a relative name against its own prefix.
        conf: path::absolute(&args.conf).unwrap_or_else(|_| args.conf.clone()),
        config: args.config.clone(),
        is_config_expected: args.config != Path::new(DEFAULT_PATH),
        socket: args.daemon.path(&args.config),
    };
    let runtime = runtime()?;
    let found = runtime.block_on(async {
        let of_config = if api.is_given { None } else { doctor::api_of(&args.config) };
        let nginx = match of_config {
            Some(nginx) => nginx,
            None => Nginx::new(api.api.clone(), api.api_token_file.as_deref())?,
        };
        Ok::<_, Error>(doctor::examine(&installation, &nginx).await)
    })?;
    let output =
        if args.json.json { Output::json(&as_json(&found).to_string()) } else { as_lines(&found).into() };
    Ok((output, found.iter().any(|finding| finding.state == State::Problem)))
}

pub(super) fn as_lines(found: &[Finding]) -> String {
    found.iter().map(|finding| format!("{finding}\n")).collect()
}

pub(super) fn as_json(found: &[Finding]) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "part": finding.part,
            "state": finding.state.as_str(),
            "message": finding.message,
            "remedy": finding.remedy,
        })
    };
    json!({ "findings": found.iter().map(finding).collect::<Vec<_>>() })
}
