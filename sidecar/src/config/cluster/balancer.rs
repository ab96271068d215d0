//! `[loadbalancer]`: nginx in front of the edges.

use std::path::PathBuf;

use toml::Spanned;

use super::raw;
use crate::config::check::{Checked, Problem, Unfit, absolute, text_or};

/// Settings of nginx in front of the edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadBalancer {
    /// File that nginx includes.
    pub upstream_file: PathBuf,
    /// Scheme of nginx's requests to the edges; edges with another scheme are left out.
    pub scheme: &'static str,
    /// Command that checks whether nginx accepts the file.
    pub test: Vec<String>,
    /// Command that makes nginx read the file.
    pub reload: Vec<String>,
}

pub(in crate::config) fn loadbalancer(
    written: Option<Spanned<raw::LoadBalancer>>,
) -> Checked<Option<LoadBalancer>> {
    let Some(written) = written else { return Ok(None) };
    let at = written.span().start;
    let raw = written.into_inner();
    let file = text_or("upstream_file", &raw.upstream_file, || None, |text| absolute(text).map(Some))?;
    let Some(upstream_file) = file else {
        let what = "[loadbalancer]: upstream_file is missing, such as upstream_file = \"/var/lib/weir/upstream.conf\"";
        return Err(Problem { at, what: what.into() });
    };
    let scheme = |text: &str| match text {
        "http" => Ok("http"),
        "https" => Ok("https"),
        _ => Err(Unfit::Remedy("must be \"http\" or \"https\"")),
    };
    let words = |key: &str, given: Option<Vec<String>>, default: &[&str]| match given {
        Some(words) if words.first().is_none_or(String::is_empty) => Err(Problem {
            at,
            what: format!(
                "[loadbalancer]: {key} = []: write a program and its arguments, such as {default:?}"
            ),
        }),
        Some(words) => Ok(words),
        None => Ok(default.iter().map(|word| (*word).to_owned()).collect()),
    };
    let reload = words("reload", raw.reload, &["nginx", "-s", "reload"])?;
    let test = match raw.test {
        None => test_of(&reload),
        written => words("test", written, &["nginx", "-t"])?,
    };
    Ok(Some(LoadBalancer {
        upstream_file,
        scheme: text_or("scheme", &raw.scheme, || "http", scheme)?,
        test,
        reload,
    }))
}

/// Returns the program that checks the file before this reload: the same nginx with `-t`; none for another program.
fn test_of(reload: &[String]) -> Vec<String> {
    match reload {
        [nginx @ .., signal, what] if (signal.as_str(), what.as_str()) == ("-s", "reload") => {
            nginx.iter().cloned().chain(["-t".to_owned()]).collect()
        }
        _ => Vec::new(),
    }
}
