//! `/v1/tokens`: makes tokens for programs without the secret, and revokes leaked tokens.

use ngx_rtmp::wake;
use serde_json::json;
use weir_model::{
    Timestamp,
    api::ApiError,
    link::{Base, LinkRequest, Offer},
    state_file::Change,
    token::{Claims, Revocation, Signer, Subject, TokenId, TokenRequest, Wanted},
};
use weir_zone::RevocationError;

use super::{
    applications,
    call::{Answer, Call, answer, changed, random},
    list,
};
use crate::{process, runtime::Runtime, state};

pub(super) fn mint(call: &Call<'_>) -> Answer {
    let request = TokenRequest::from_json(call.body)?;
    let (jti, iat) = fresh(call, &request.subject)?;
    let signer = signer(call)?;
    let (token, exp, jti) = match request.into_wanted(process::now(), jti, iat) {
        Wanted::Stream(claims) => (signer.mint(&claims), claims.exp, claims.jti),
        Wanted::Chat(claims) => (signer.mint_chat(&claims), claims.exp, claims.jti),
    };
    answer(201, &json!({ "token": token.expose(), "expires_at": exp, "jti": jti }))
}

fn signer<'c>(call: &'c Call<'_>) -> Result<&'c Signer, ApiError> {
    let signer = call.runtime.signer();
    signer.ok_or_else(|| {
        ApiError::conflict(
            "no \"weir_secret\" is configured to sign tokens with: run \"weir secret new FILE\", and add \"weir_secret FILE;\" \
             outside of all blocks of nginx.conf",
        )
    })
}

/// Returns the id and the time of a new token, by which it can be revoked.
fn fresh(call: &Call<'_>, subject: &Subject) -> Result<(TokenId, Timestamp), ApiError> {
    let iat = call.runtime.revoked_tokens().iat(subject, process::now());
    Ok((TokenId::random(random()?), iat))
}

pub(super) fn revoke(call: &Call<'_>) -> Answer {
    let revocation = Revocation::from_json(call.body, process::now())?;
    let revoked = call.runtime.zone().lock(process::pid()).revoke_tokens(&revocation);
    revoked.map_err(|error| match error {
        RevocationError::TooMany => ApiError::conflict(error.to_string()),
        RevocationError::ZoneFull(_) => ApiError::zone_full(error.to_string()),
    })?;
    // The revocation is in force before it is written.
    wake::ring();
    let change = Change::RevokeTokens(revocation.clone());
    Ok(state::persist(&call.runtime, call.by(), change, move |outcome| {
        let outcome = outcome.map_err(|error| {
            let message = format!("the tokens are revoked until nginx restarts, but {}", error.message);
            ApiError::not_persisted(message)
        });
        changed(200, &revocation, outcome)
    }))
}

pub(super) fn revocations(call: &Call<'_>) -> Answer {
    list::list("revocations", call.runtime.zone().lock(process::pid()).revocations())
}

/// `POST /v1/links`: returns the addresses of a stream for people, with a token in each.
pub(super) fn links(call: &Call<'_>) -> Answer {
    let request = LinkRequest::from_json(call.body)?;
    let claims = request.claims(process::now());
    let (jti, iat) = fresh(call, &claims.sub)?;
    let claims = Claims { jti: Some(jti), iat: Some(iat), ..claims };
    let token = signer(call)?.mint(&claims);
    let asked_at = call.head.host_header.or(call.head.host).and_then(Base::of_host);
    let asked_at = asked_at.or_else(|| Base::of_host("127.0.0.1"));
    let links =
        asked_at.map(|base| request.links(&base, offer(&call.runtime, request.app.as_str()), token.expose()));
    let Some(links) = links else { return answer(500, &json!({})) };
    let mut body = json!({
        "token": token.expose(), "jti": claims.jti, "expires_at": claims.exp,
        "watch": links.watch, "hls": links.hls, "rtmp": links.rtmp,
    });
    if let (Some(dash), Some(fields)) = (links.dash, body.as_object_mut()) {
        fields.insert("dash".to_owned(), dash.into());
    }
    answer(201, &body)
}

fn offer(runtime: &Runtime, app: &str) -> Offer {
    let dash = runtime.application_facts.iter().any(|facts| facts.name == app && facts.dash);
    Offer { dash, rtmp_port: applications::rtmp_port(runtime, app) }
}
