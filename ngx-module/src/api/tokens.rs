//! `POST /v1/tokens`: a token for whoever has no secret to sign one.

use serde_json::json;
use weir_model::{api::ApiError, token::TokenRequest};

use super::{Answer, Call, answer};
use crate::process;

pub(super) fn mint(call: &Call<'_>) -> Answer {
    let claims = TokenRequest::from_json(call.body)?.into_claims(process::now());
    let signer = call.runtime.signer.as_ref();
    let signer =
        signer.ok_or_else(|| ApiError::conflict("no \"weir_secret\" is configured to sign tokens with"))?;
    answer(201, &json!({ "token": signer.mint(&claims).expose(), "expires_at": claims.exp }))
}
