//! Routes of the JSON API, and its errors in the one form that all of them have.

pub mod route;

/// An error as a client of the API sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// For programs: stands for the kind of error and never changes.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// One constructor for each kind of error.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:literal;)*) => {
        /// Status and code of each kind.
        pub const KINDS: &[(u16, &str)] = &[$(($status, stringify!($name))),*];

        $(
            $(#[$doc])*
            pub fn $name(message: impl Into<String>) -> ApiError {
                ApiError { status: $status, code: stringify!($name), message: message.into() }
            }
        )*
    };
}

impl ApiError {
    kinds! {
        /// The request makes no sense; the message names the field.
        bad_request = 400;
        /// A token is needed, and none or a wrong one came.
        unauthorized = 401;
        /// Not from this address.
        forbidden = 403;
        /// No such thing.
        not_found = 404;
        /// The path exists, the method does not.
        method_not_allowed = 405;
        /// It cannot be changed here.
        conflict = 409;
        /// The body is too large.
        too_large = 413;
        /// A change without `Content-Type: application/json`.
        unsupported_media_type = 415;
        /// The change could not be written to the state file and was not made.
        not_persisted = 503;
        /// The zone has no room.
        zone_full = 507;
    }

    /// A 400 that names a field and what is wrong with it.
    pub fn bad_field(name: &str, problem: impl std::fmt::Display) -> ApiError {
        ApiError::bad_request(format!("field \"{name}\": {problem}"))
    }

    /// The body of the answer: `{"error":{"code":"not_found","message":"..."}}`.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "error": { "code": self.code, "message": self.message } }).to_string()
    }
}

/// The sentence about an application that nginx.conf does not have, with those that it has.
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
