//! The texts of a client that are secrets here: texts that look like keys, the keys and tokens of this server, and the arguments `key=` and
//! `token=` in applications that use keys.

use weir_model::{Digest, Server, masking::Rule, verdict::Policy};

use crate::{process, runtime::Runtime};

/// Calls `look` with the rule for an application of this policy; `policy` is `None` if the application is not known.
pub(super) fn with_rule<R>(
    runtime: &Runtime,
    policy: Option<Policy>,
    look: impl FnOnce(&Rule<'_>) -> R,
) -> R {
    let has_keys = policy.is_none_or(|policy| policy == Policy::Key);
    let is_key = |word: &[u8]| has_keys && is_key(runtime, word);
    let is_token = |token: &str| runtime.signer().is_some_and(|signer| signer.verify(token).is_ok());
    look(&Rule { own_arguments: policy != Some(Policy::Off), is_key: &is_key, is_token: &is_token })
}

/// Returns whether a publisher could use this word as its key.
pub(super) fn is_key(runtime: &Runtime, word: &[u8]) -> bool {
    let digest = Digest::of(word);
    runtime.file_key(&Server::default(), "", &digest).is_some()
        || runtime.zone().lock(process::pid()).is_valid_key(&digest)
}
