//! `weir token revoked`

use weir_model::token::{Revocation, Revoked};

use super::table::table;
use super::{Error, Output};
use crate::cli::TokenRevokedArgs;
use crate::nginx::Nginx;

pub(super) async fn run(args: &TokenRevokedArgs, nginx: &Nginx) -> Result<Output, Error> {
    let answer = nginx.revocations().await?;
    if args.json.json {
        return Ok(Output::json(&answer.text));
    }
    let row = |Revocation { what, revoked_at, expires_at }: &Revocation| {
        let what = match what {
            Revoked::Token(id) => format!("jti {id}"),
            Revoked::Streams(subject) => format!("{subject} until then"),
        };
        [what, revoked_at.to_string(), expires_at.to_string()]
    };
    let rows: Vec<_> = answer.value.revocations.iter().map(row).collect();
    Ok(table(["TOKENS", "REVOKED", "FORGOTTEN"], &rows).into())
}
