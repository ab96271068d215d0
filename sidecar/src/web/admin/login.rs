//! Start and end of sessions: `/admin/api/session`, `login`, `logout`, `setup`, `password`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use weir_model::Secret;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::admin::{AccountAction, LoginAction};

use super::gate::{Own, Reader};
use crate::admin::accounts::{Account, Error};
use crate::admin::name::Name;
use crate::clock;
use crate::web::answer;
use crate::web::common::Web;
use crate::web::office::Refused;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    name: String,
    password: String,
    /// Code of the second factor.
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    token: String,
    name: Name,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    current: String,
    new: String,
}

/// Parses a JSON body. The error names the problem, and repeats no value.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Response> {
    serde_json::from_slice(body).map_err(|error| {
        let why = match error.classify() {
            serde_json::error::Category::Data => error.to_string(),
            _ => "the body is no JSON".to_owned(),
        };
        answer::error(
            StatusCode::BAD_REQUEST,
            "bad_request",
            why.split(" at line ").next().unwrap_or_default(),
        )
    })
}

/// Returns the logged-in account.
pub(super) async fn session(State(web): State<Arc<Web>>, own: Own) -> Response {
    match own.account(&web).await {
        Ok(Some(account)) => about(&account).into_response(),
        Ok(None) => own.refusal(&web).await,
        Err(response) => response,
    }
}

/// Checks name and password, and opens a new session, never one that the browser sent.
pub(super) async fn log_in(State(web): State<Arc<Web>>, own: Own, body: Bytes) -> Response {
    let login: Login = match read(&body) {
        Ok(login) => login,
        Err(response) => return response,
    };
    let Login { name, password, code } = login;
    let done = web.office.log_in(own.client, &name, Secret::new(password), code.as_deref()).await;
    opened(&web, &own, done, |role| LoginAction::In { role })
}

/// Creates the administrator of a one-time link.
pub(super) async fn set_up(State(web): State<Arc<Web>>, own: Own, body: Bytes) -> Response {
    let Setup { token, name, password } = match read(&body) {
        Ok(setup) => setup,
        Err(response) => return response,
    };
    let done = web.office.set_up(own.client, Secret::new(token), name, Secret::new(password)).await;
    opened(&web, &own, done, |role| LoginAction::Created { role })
}

/// Returns whether a one-time link works, so that the page does not ask for a name and a password in vain.
pub(super) async fn check_link(State(web): State<Arc<Web>>, own: Own, body: Bytes) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Link {
        token: String,
    }
    let Link { token } = match read(&body) {
        Ok(link) => link,
        Err(response) => return response,
    };
    match web.office.check_link(own.client, Secret::new(token)).await {
        Ok(()) => Json(json!({})).into_response(),
        Err(why) => refusal(&why),
    }
}

fn opened(
    web: &Web,
    own: &Own,
    done: Result<(Account, Secret), Refused>,
    action: impl FnOnce(String) -> LoginAction,
) -> Response {
    let (account, cookie) = match done {
        Ok(done) => done,
        Err(why) => return refusal(&why),
    };
    if let Some(old) = &own.cookie {
        web.office.sessions.close(old, clock::now());
    }
    web.office.tell(DaemonEvent::AdminLogin, &account.name, action(account.role.word().to_owned()));
    with_cookie(about(&account).into_response(), &own.place.set(&cookie))
}

/// Ends the session.
pub(super) async fn log_out(State(web): State<Arc<Web>>, own: Own) -> Response {
    if let Ok(Some(account)) = own.account(&web).await {
        web.office.tell(DaemonEvent::AdminLogin, &account.name, LoginAction::Out);
    }
    if let Some(cookie) = &own.cookie {
        web.office.sessions.close(cookie, clock::now());
    }
    with_cookie(Json(json!({})).into_response(), &own.place.unset())
}

/// Changes the caller's password; all other sessions end.
pub(super) async fn change_password(
    State(web): State<Arc<Web>>,
    Reader(caller): Reader,
    body: Bytes,
) -> Response {
    let NewPassword { current, new } = match read(&body) {
        Ok(passwords) => passwords,
        Err(response) => return response,
    };
    let (current, new) = (Secret::new(current), Secret::new(new));
    let done = web.office.change_password(caller.own.client, caller.name.clone(), current, new);
    match done.await {
        Ok((account, cookie)) => {
            web.office.tell(DaemonEvent::AdminAccount, &account.name, AccountAction::Password);
            with_cookie(about(&account).into_response(), &caller.own.place.set(&cookie))
        }
        Err(Refused::Wrong) => {
            answer::error(StatusCode::UNAUTHORIZED, "unauthorized", "the current password is wrong")
        }
        Err(why) => refusal(&why),
    }
}

fn about(account: &Account) -> Json<serde_json::Value> {
    Json(json!({ "name": account.name, "role": account.role }))
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn refusal(why: &Refused) -> Response {
    let (status, code) = match why {
        Refused::Wrong => (StatusCode::UNAUTHORIZED, "unauthorized"),
        Refused::NoCode => (StatusCode::UNAUTHORIZED, "code_required"),
        Refused::WrongCode => (StatusCode::UNAUTHORIZED, "wrong_code"),
        Refused::Wait(_) | Refused::WaitForLink(_) | Refused::WaitForCode(_) => {
            (StatusCode::TOO_MANY_REQUESTS, "too_many_requests")
        }
        Refused::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        Refused::Store(Error::Password(_)) => (StatusCode::BAD_REQUEST, "bad_request"),
        Refused::Store(Error::Changed | Error::Exists(_)) => (StatusCode::CONFLICT, "conflict"),
        Refused::Store(Error::Link) => (StatusCode::FORBIDDEN, "forbidden"),
        Refused::Store(_) | Refused::Random(_) => {
            tracing::error!("nobody can log in to the dashboard: {why}");
            let message = "the accounts cannot be used: the log of weir serve says why";
            return answer::error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
        }
    };
    let mut response = answer::error(status, code, &why.to_string());
    if let Refused::Wait(wait) | Refused::WaitForLink(wait) | Refused::WaitForCode(wait) = why
        && let Ok(seconds) = HeaderValue::from_str(&wait.as_secs().max(1).to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}
