//! Routes of the JSON API, and the one form that all its errors have.

pub mod route;

/// An error as a client of the API receives it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The kind of error, for programs. The code of a kind never changes.
    pub code: &'static str,
    /// The message for people.
    pub message: String,
    /// With a 405: the methods that the path has, as the header `Allow` lists them.
    pub allow: Option<String>,
}

/// One constructor for each kind of error.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:literal;)*) => {
        /// Status and code of each kind.
        pub const KINDS: &[(u16, &str)] = &[$(($status, stringify!($name))),*];

        $(
            $(#[$doc])*
            pub fn $name(message: impl Into<String>) -> ApiError {
                ApiError { status: $status, code: stringify!($name), message: message.into(), allow: None }
            }
        )*
    };
}

impl ApiError {
    kinds! {
        /// The request is invalid; the message names the field.
        bad_request = 400;
        /// The request needs a token, and has none or a wrong one.
        unauthorized = 401;
        /// The client's address may not send this request.
        forbidden = 403;
        /// The requested object does not exist.
        not_found = 404;
        /// The path exists, but does not support the method.
        method_not_allowed = 405;
        /// The API cannot change this object.
        conflict = 409;
        /// The body is too large.
        too_large = 413;
        /// A change came without `Content-Type: application/json`.
        unsupported_media_type = 415;
        /// Weir could not write the change to the state file and did not make it.
        not_persisted = 503;
        /// The zone is full.
        zone_full = 507;
    }

    /// Returns an error 405 of a path that has only these methods, such as `GET, HEAD`.
    pub fn no_method(method: &str, allowed: &str) -> ApiError {
        let error = ApiError::method_not_allowed(format!("{method} is not one of {allowed}"));
        ApiError { allow: Some(allowed.to_owned()), ..error }
    }

    /// Returns an error 400 that names a field and says what is wrong with it.
    pub fn bad_field(name: &str, problem: impl std::fmt::Display) -> ApiError {
        ApiError::bad_request(format!("field \"{name}\": {problem}"))
    }

    /// Returns the body of the answer: `{"error":{"code":"not_found","message":"..."}}`.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "error": { "code": self.code, "message": self.message } }).to_string()
    }
}

/// Returns the message about an application that nginx.conf does not have, with the applications that it has.
pub fn no_application(app: &str, known: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 8;
    let names: Vec<_> = known.iter().take(SHOWN).map(|name| format!("\"{}\"", name.as_ref())).collect();
    let more = known.len().saturating_sub(SHOWN);
    let has = match (names.len(), more) {
        (0, _) => "nginx has no application at all".to_owned(),
        (_, 0) => format!("nginx has {}", names.join(", ")),
        (_, more) => format!("nginx has {} and {more} more", names.join(", ")),
    };
    format!("nginx has no application \"{app}\": {has}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_the_form_of_all_errors() {
        let error = ApiError::not_found("no key \"k1\"");
        assert_eq!(error.status, 404);
        assert_eq!(error.to_json(), r#"{"error":{"code":"not_found","message":"no key \"k1\""}}"#);
    }

    #[test]
    fn the_applications_that_there_are_are_named() {
        assert_eq!(
            no_application("livve", &["ladder", "live"]),
            "nginx has no application \"livve\": nginx has \"ladder\", \"live\""
        );
        assert!(no_application("live", &[""; 0]).ends_with("no application at all"));
        assert!(no_application("live", &["x"; 20]).ends_with("and 12 more"));
    }

    #[test]
    fn a_field_is_named() {
        let error = ApiError::bad_field("stream", "expected a string, found a number");
        assert_eq!((error.status, error.code), (400, "bad_request"));
        assert_eq!(error.to_string(), "field \"stream\": expected a string, found a number");
    }
}
