//! Playback over HTTP: the tokens that a request presents and the decision about them ([`admit`]), the stream that a
//! URI belongs to ([`uri`]), and playlists that carry the token of their viewer ([`rewrite`]).

use std::rc::Rc;

use crate::arguments;
use crate::client::ClientAddr;
use crate::refusal::Refusal;
use crate::stream_name::StreamName;
use crate::time::Timestamp;
use crate::token::{self, Action, CheckError, Claims, RevokedTokens, Verify};

pub mod rewrite;
pub mod uri;

/// The argument that contains a token.
pub const ARGUMENT: &str = "token";
/// The cookie that contains a token.
pub const COOKIE: &str = "weir_token";
/// The most tokens of a request that Weir examines.
const MAX_PRESENTED: usize = 4;

/// How a request presents a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// As `?token=`. URIs in the answer must carry it too.
    Argument,
    /// As `Authorization: Bearer`.
    Header,
    /// As the cookie `weir_token`.
    Cookie,
}

/// A token that a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented<'r> {
    /// The token as it was sent.
    pub token: &'r str,
    /// How the request presented it.
    pub by: By,
}

/// Returns the tokens of a request: from the arguments, the header and the cookies. `arguments` are the current query,
/// and the query that the client sent; the first of them that has a token counts.
#[must_use]
pub fn presented<'r>(
    arguments: [&'r [u8]; 2],
    authorization: Option<&'r [u8]>,
    cookies: impl Iterator<Item = &'r [u8]>,
) -> Vec<Presented<'r>> {
    let text = |raw: &'r [u8]| std::str::from_utf8(raw).ok().filter(|text| !text.is_empty());
    let argument = arguments.into_iter().find_map(|query| text(argument(query)?));
    let header = authorization.and_then(|value| {
        let (scheme, token) = value.split_at(value.iter().position(|byte| *byte == b' ')?);
        scheme.eq_ignore_ascii_case(b"bearer").then(|| text(token.trim_ascii()))?
    });
    let cookies = cookies
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .filter_map(|pair| text(pair.trim_ascii().strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"=")?));
    let argument = argument.map(|token| Presented { token, by: By::Argument });
    let header = header.map(|token| Presented { token, by: By::Header });
    let cookies = cookies.map(|token| Presented { token, by: By::Cookie });
    argument.into_iter().chain(header).chain(cookies).take(MAX_PRESENTED).collect()
}

/// Returns the value of `token=` in a query.
fn argument(query: &[u8]) -> Option<&[u8]> {
    query
        .split(|byte| *byte == b'&')
        .find_map(|argument| argument.strip_prefix(ARGUMENT.as_bytes())?.strip_prefix(b"="))
}

/// The `name?args` of a player, split into its token and the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parted<'r> {
    /// The first token that is not empty.
    pub token: Option<&'r [u8]>,
    /// `name?args` without it.
    pub rest: Vec<u8>,
}

/// Removes each argument `token=` from `name?args`.
#[must_use]
pub fn part_token(raw: &[u8]) -> Parted<'_> {
    let (name, Some(args)) = arguments::split_bytes(raw) else {
        return Parted { token: None, rest: raw.to_vec() };
    };
    let kept: Vec<&[u8]> =
        args.split(|byte| *byte == b'&').filter(|argument| !holds_token(argument)).collect();
    let token = argument(args).filter(|token| !token.is_empty());
    Parted { token, rest: arguments::join_bytes(name, &kept) }
}

/// Returns whether a query contains a token.
fn holds_token(query: &[u8]) -> bool {
    let name = ARGUMENT.as_bytes();
    query.split(|byte| *byte == b'&').any(|argument| {
        argument.split(|byte| *byte == b'=').next().is_some_and(|start| start.eq_ignore_ascii_case(name))
    })
}

/// The stream that a client requests.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'w> {
    /// The application.
    pub app: &'w str,
    /// The public name of the stream, or of a variant of it.
    pub stream: &'w str,
    /// The stream of which `stream` is a variant. A token for this stream is valid too.
    pub variant_of: Option<&'w StreamName>,
}

/// How to verify tokens.
#[derive(Clone, Copy, Debug)]
pub struct Believed<'s> {
    /// The secrets that sign tokens.
    pub signer: &'s dyn Verify,
    /// The revoked tokens.
    pub revoked: &'s RevokedTokens,
}

/// Returns the first token that admits the client. Without one, returns why the first token does not.
pub fn admit<'p, 'r>(
    presented: &'p [Presented<'r>],
    believed: Believed<'_>,
    wanted: &Wanted<'_>,
    client: ClientAddr,
    now: Timestamp,
) -> Result<(&'p Presented<'r>, Rc<Claims>), Refusal> {
    let mut refusal = None;
    for one in presented {
        match judge(one.token, believed, wanted, client, now) {
            Ok(claims) => return Ok((one, claims)),
            Err(why) => _ = refusal.get_or_insert(why),
        }
    }
    Err(refusal.unwrap_or(Refusal::NoToken))
}

fn judge(
    token: &str,
    believed: Believed<'_>,
    wanted: &Wanted<'_>,
    client: ClientAddr,
    now: Timestamp,
) -> Result<Rc<Claims>, Refusal> {
    let claims = believed.signer.verify(token)?;
    let check = |stream| token::check(&claims, Action::Play, wanted.app, stream, client, now);
    match (check(wanted.stream), wanted.variant_of) {
        (Err(CheckError::WrongStream), Some(base)) => check(base.as_str())?,
        (checked, _) => checked?,
    }
    // A token is refused if it is revoked for either stream.
    let streams = [Some(wanted.stream), wanted.variant_of.map(StreamName::as_str)];
    let is_revoked = |stream| believed.revoked.holds(claims.jti.as_ref(), claims.iat, wanted.app, stream);
    if streams.into_iter().flatten().any(is_revoked) {
        return Err(CheckError::Revoked.into());
    }
    Ok(claims)
}

#[cfg(test)]
mod tests;
