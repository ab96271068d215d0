//! Directives outside of all blocks.

use ngx_rtmp::conf::Main;
use weir_model::{replica::replica_token, token::Signer};

use super::{
    error::DirectiveError,
    reading::{Cx, assign, needs_zone},
};
use crate::state::file;

/// Largest `weir_trusted_certificate`, in bytes.
const MAX_CERTIFICATES: u64 = 16 << 20;

pub(super) fn zone(cx: &mut Cx<'_, Main>) -> Result<(), DirectiveError> {
    if cx.settings().zone_size != 0 {
        return Err(DirectiveError::Duplicate);
    }
    let arguments: Vec<String> = cx.arguments()?.into_iter().map(str::to_owned).collect();
    let (size, rest) = arguments.split_first().ok_or(DirectiveError::Missing("size"))?;
    let bytes = cx.size(size)?;
    cx.settings().zone_size = bytes;
    if bytes < weir_zone::MIN_SIZE {
        let least = weir_zone::MIN_SIZE / 1024;
        return Err(DirectiveError::ZoneTooSmall { size: size.clone(), least });
    }
    for argument in rest {
        let file = argument.strip_prefix("state=").filter(|file| !file.is_empty());
        let file = file.ok_or_else(|| DirectiveError::parameter(argument, "\"state=FILE\""))?;
        let path = cx.path(file)?;
        let limit = weir_zone::max_state_file(bytes as u64);
        let content = file::read(&path, limit)?;
        cx.settings().state = content.map(|content| (content.state, content.shown.content));
        cx.settings().state_path = Some(path);
    }
    let place = cx.place();
    cx.settings().place = place;
    Ok(cx.add_zone(bytes)?)
}

pub(super) fn secret(cx: &mut Cx<'_, Main>) -> Result<(), DirectiveError> {
    if cx.settings().signer.as_ref().is_some_and(Signer::accepts_another) {
        return Err(DirectiveError::ThirdSecret);
    }
    let file = cx.argument()?.to_owned();
    let (path, bytes) = cx.read_secret(&file)?;
    let signer = Signer::new(&bytes).map_err(|error| DirectiveError::Secret { path, error })?;
    let settings = cx.settings();
    settings.signer = Some(match settings.signer.take() {
        Some(first) => first.accepting(signer),
        None => signer,
    });
    needs_zone(cx, "weir_secret");
    Ok(())
}

pub(super) fn pair_secret(cx: &mut Cx<'_, Main>) -> Result<(), DirectiveError> {
    let file = cx.argument()?.to_owned();
    let (path, bytes) = cx.read_secret(&file)?;
    let secret = bytes.trim_ascii();
    // The secret must be as long as the secret of tokens, and the daemon requires the same.
    Signer::new(secret).map_err(|error| DirectiveError::Secret { path, error })?;
    let token = replica_token(secret).map(|token| token.digest()).ok_or(DirectiveError::Duplicate)?;
    assign(&mut cx.settings().replica_token, token)?;
    needs_zone(cx, "weir_pair_secret");
    Ok(())
}

pub(super) fn resolver(cx: &mut Cx<'_, Main>) -> Result<(), DirectiveError> {
    needs_zone(cx, "weir_resolver");
    let words: Vec<String> = cx.arguments()?.into_iter().map(str::to_owned).collect();
    for word in &words {
        match word.split_once('=') {
            Some(("valid", time)) if cx.milliseconds(time).is_ok_and(|ms| ms > 0) => {}
            Some(("ipv6" | "ipv4", "on" | "off")) | None => {}
            Some(_) => {
                return Err(DirectiveError::parameter(word, "\"valid=30s\", \"ipv6=on\" or \"ipv6=off\""));
            }
        }
    }
    if words.iter().all(|word| word.contains('=')) {
        return Err(DirectiveError::Missing("name server"));
    }
    Ok(cx.add_resolver()?)
}

pub(super) fn trusted_certificate(cx: &mut Cx<'_, Main>) -> Result<(), DirectiveError> {
    let file = cx.argument()?.to_owned();
    let (path, bytes) = cx.read(&file, MAX_CERTIFICATES)?;
    let marks: [&[u8]; 3] = [
        b"-----BEGIN CERTIFICATE-----",
        b"-----BEGIN TRUSTED CERTIFICATE-----",
        b"-----BEGIN X509 CERTIFICATE-----",
    ];
    if !marks.iter().any(|mark| bytes.windows(mark.len()).any(|part| part == *mark)) {
        return Err(DirectiveError::NoCertificates(path));
    }
    assign(&mut cx.settings().trusted_certificate, path)?;
    needs_zone(cx, "weir_trusted_certificate");
    Ok(())
}
