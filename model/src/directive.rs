//! The names of Weir's directives, for code that does not use nginx, such as the documentation's tests.

use std::ffi::CStr;

/// All names, in the order in which the module registers them: those of `main`, of `rtmp`, and of `http`. A name that
/// `rtmp` and `http` both have appears twice.
pub const DIRECTIVES: [&str; 29] = [
    "weir_zone",
    "weir_secret",
    "weir_pair_secret",
    "weir_resolver",
    "weir_trusted_certificate",
    "weir_publish",
    "weir_key_file",
    "weir_play",
    "weir_duplicate",
    "weir_drain_timeout",
    "weir_guard",
    "weir_session_timeout",
    "weir_idle_publisher",
    "weir_limit_unauthenticated",
    "weir_min_free",
    "weir_max_viewers",
    "weir_max_bitrate",
    "weir_merge_write",
    "weir_gop_cache",
    "weir_push",
    "weir_push_to",
    "weir_push_allow",
    "weir_push_deny",
    "weir_tls_verify",
    "weir_api",
    "weir_api_token",
    "weir_stat",
    "weir_play",
    "weir_viewers",
];

/// Returns whether these are the names, in the same order. The module checks its table with this function at compile
/// time.
pub const fn are(names: &[&CStr]) -> bool {
    if names.len() != DIRECTIVES.len() {
        return false;
    }
    let mut nth = 0;
    while nth < names.len() {
        let (name, listed) = (names[nth].to_bytes(), DIRECTIVES[nth].as_bytes());
        if name.len() != listed.len() {
            return false;
        }
        let mut at = 0;
        while at < name.len() {
            if name[at] != listed[at] {
                return false;
            }
            at += 1;
        }
        nth += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_order_and_whole() {
        let owned: Vec<_> = DIRECTIVES.iter().map(|name| std::ffi::CString::new(*name).unwrap()).collect();
        let mut names: Vec<&CStr> = owned.iter().map(|name| name.as_c_str()).collect();
        assert!(are(&names) && !are(&names[1..]));
        names[21] = c"weir_state";
        assert!(!are(&names));
        names[21] = c"weir_sta";
        assert!(!are(&names));
    }
}
