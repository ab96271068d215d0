//! Playback over HTTP: the tokens that a request presents and whether one of them admits it ([`admit`]), which stream a URI is
//! of ([`uri`]), and playlists that carry the token of their viewer ([`rewrite`]).

use std::rc::Rc;

use crate::client::ClientAddr;
use crate::refusal::Refusal;
use crate::stream_name::StreamName;
use crate::time::Timestamp;
use crate::token::{self, Action, CheckError, Claims, RevokedTokens, Verify};

pub mod rewrite;
pub mod uri;

/// The argument that holds a token.
pub const ARGUMENT: &str = "token";
/// The cookie that holds one.
pub const COOKIE: &str = "weir_token";
/// How many tokens of a request are looked at.
const MAX_PRESENTED: usize = 4;

/// How a token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// As `?token=`: what is answered must carry it on.
    Argument,
    /// As `Authorization: Bearer`.
    Header,
    /// As the cookie `weir_token`.
    Cookie,
}

/// A token that a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented<'r> {
    /// As it came.
    pub token: &'r str,
    /// Where it stood.
    pub by: By,
}

/// Returns the tokens of a request: the first of its arguments that has one, the header, the cookies. `arguments` are the query as
/// it stands now, and as the client sent it.
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

/// The value of `token=` in a query.
fn argument(query: &[u8]) -> Option<&[u8]> {
    query
        .split(|byte| *byte == b'&')
        .find_map(|argument| argument.strip_prefix(ARGUMENT.as_bytes())?.strip_prefix(b"="))
}

/// What a player says, in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parted<'r> {
    /// The first token that is not empty.
    pub token: Option<&'r [u8]>,
    /// `name?args` without it.
    pub rest: Vec<u8>,
}

/// Takes each argument `token=` out of `name?args`.
#[must_use]
pub fn part_token(raw: &[u8]) -> Parted<'_> {
    let Some(question) = raw.iter().position(|byte| *byte == b'?') else {
        return Parted { token: None, rest: raw.to_vec() };
    };
    let (name, args) = (&raw[..question], &raw[question + 1..]);
    let kept: Vec<&[u8]> =
        args.split(|byte| *byte == b'&').filter(|argument| !holds_token(argument)).collect();
    let token = argument(args).filter(|token| !token.is_empty());
    let mut rest = name.to_vec();
    if !kept.is_empty() {
        rest.push(b'?');
        rest.extend_from_slice(&kept.join(&b'&'));
    }
    Parted { token, rest }
}

/// Whether a query holds a token.
fn holds_token(query: &[u8]) -> bool {
    let name = ARGUMENT.as_bytes();
    query.split(|byte| *byte == b'&').any(|argument| {
        argument.split(|byte| *byte == b'=').next().is_some_and(|start| start.eq_ignore_ascii_case(name))
    })
}

/// What somebody wants to watch.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'w> {
    /// The application.
    pub app: &'w str,
    /// The stream.
    pub stream: &'w str,
    /// The stream of which that is a variant: a token for it is as good.
    pub variant_of: Option<&'w StreamName>,
}

/// Which tokens are believed.
#[derive(Clone, Copy, Debug)]
pub struct Believed<'s> {
    /// The secrets that sign them.
    pub signer: &'s dyn Verify,
    /// Those that are revoked.
    pub revoked: &'s RevokedTokens,
}

/// Finds the token that admits its bearer. Without one, returns why the first does not.
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
    // Revoked for either stream is revoked.
    let streams = [Some(wanted.stream), wanted.variant_of.map(StreamName::as_str)];
    let is_revoked = |stream| believed.revoked.holds(claims.jti.as_ref(), claims.iat, wanted.app, stream);
    if streams.into_iter().flatten().any(is_revoked) {
        return Err(CheckError::Revoked.into());
    }
    Ok(claims)
}

#[cfg(test)]
mod tests;
