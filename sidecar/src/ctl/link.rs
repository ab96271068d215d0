//! `weir link`

use std::io::{IsTerminal, stdout};
use std::path::Path;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use weir_model::link::{Base, Pattern, Patterns};
use weir_model::token::MAX_TTL_S;

use super::applications::{self, Made};
use super::{Error, Output, limits};
use crate::cli::{ApiArgs, LinkArgs};
use crate::config;
use crate::nginx::{LinkRequest, Links, Nginx};

pub(super) async fn run(args: &LinkArgs, api: &ApiArgs, nginx: &Nginx) -> Result<Output, Error> {
    if args.ttl.seconds() == 0 {
        return Err(Error::Usage("--ttl 0s: a link must be valid for a second at least".into()));
    }
    limits::check_at_most("--ttl", Some(args.ttl), MAX_TTL_S)?;
    let Addresses { url: configured, patterns, has_pages } = addresses(args.config.as_deref())?;
    let of_web = configured.as_ref().filter(|_| args.url.is_none());
    let url = args.url.clone().or_else(|| of_web.map(origin));
    let text = |pattern: &Option<Pattern>| expanded(pattern.as_ref(), of_web);
    let hls = match text(&patterns.hls) {
        // Low-Latency HLS of `weir serve` needs no files of nginx.
        None if has_pages && applications::writes_hls(nginx, args.app.as_str()).await == Some(false) => {
            let place = of_web.map_or("{url}", Base::as_str);
            Some(format!("{place}/stream/{{app}}/{{stream}}/llhls/master.m3u8"))
        }
        hls => hls,
    };
    let request = LinkRequest {
        app: args.app.as_str(),
        stream: args.stream.as_str(),
        ttl_s: args.ttl.seconds(),
        ip: args.ip,
        url: url.as_ref().map(Base::as_str),
        watch_url: watch(&patterns, of_web, has_pages),
        hls_url: hls,
        dash_url: text(&patterns.dash),
        rtmp_url: text(&patterns.rtmp),
    };
    let answer = nginx.make_links(&request).await?;
    let mut stderr = applications::warning(nginx, args.app.as_str(), Made::PlayToken, args.json.json).await;
    if args.json.json {
        return Ok(Output { stderr, ..Output::json(&answer.text) });
    }
    if url.is_none() {
        stderr.push_str(
            "The links lead to the API's host; --url https://live.example.org, or url of [web] in weir.toml, selects another.\n",
        );
    }
    // Scripts read the lines, so they get the code beside them.
    let code = code(&answer.value.watch);
    let (beside, stderr) =
        if stdout().is_terminal() { (code, stderr) } else { (String::new(), stderr + &code) };
    Ok(Output { stdout: lines(&answer.value, api) + &beside, stderr, if_unread: None })
}

/// What weir.toml says of addresses.
#[derive(Debug, Default)]
struct Addresses {
    /// `url` of `[web]`.
    url: Option<Base>,
    patterns: Patterns,
    /// There is a `[web]`, so that `weir serve` has a watch page.
    has_pages: bool,
}

/// Returns the addresses of weir.toml. If no file was named, the default file may be missing or unreadable.
fn addresses(file: Option<&Path>) -> Result<Addresses, Error> {
    let config = match file {
        Some(file) => config::load(file)?,
        None => match config::load(Path::new(config::DEFAULT_PATH)) {
            Ok(config) => config,
            Err(_) => return Ok(Addresses::default()),
        },
    };
    let url = config.web.url.as_deref().and_then(|url| url.parse().ok());
    let mut patterns = config.nginx.addresses;
    if config.cluster.is_origin() && config.edge.is_none() && patterns.hls.is_none() {
        // The origin redirects players to an edge.
        patterns.hls = "{url}/edge?stream={app}/{stream}&redirect=hls".parse().ok();
    }
    Ok(Addresses { url, patterns, has_pages: config.web.listen.is_some() })
}

/// Returns the pattern of the watch page. With `[web]`, `weir serve` has such a page.
fn watch(patterns: &Patterns, of_web: Option<&Base>, has_pages: bool) -> Option<String> {
    let page = |url: &str| format!("{url}/watch/{{app}}/{{stream}}");
    let own = expanded(patterns.watch.as_ref(), of_web);
    own.or_else(|| of_web.map(|web| page(web.as_str()))).or_else(|| has_pages.then(|| page("{url}")))
}

/// Returns the address of nginx's own files: for pages at `https://example.org/tv`, the root of that host.
fn origin(web: &Base) -> Base {
    let origin = reqwest::Url::parse(web.as_str()).map(|url| url.origin().ascii_serialization());
    origin.ok().and_then(|origin| origin.parse().ok()).unwrap_or_else(|| web.clone())
}

/// Replaces `{url}` in a pattern of weir.toml with `url` of `[web]`, because nginx does not know that URL.
fn expanded(pattern: Option<&Pattern>, of_web: Option<&Base>) -> Option<String> {
    let pattern = pattern?.to_string();
    Some(match of_web {
        Some(web) => pattern.replace("{url}", web.as_str()),
        None => pattern,
    })
}

fn lines(links: &Links, api: &ApiArgs) -> String {
    let Links { expires_at, watch, hls, dash, rtmp, .. } = links;
    let line = |name: &str, link: &Option<String>| {
        link.as_ref().map(|link| format!("{name:<8} {link}\n")).unwrap_or_default()
    };
    let (hls, dash) = (line("HLS:", hls), line("DASH:", dash));
    let at = api.is_given.then(|| api.api.to_string());
    let revoke = links.revoke_command(at.as_deref(), api.api_token_file.as_deref());
    format!("Watch:   {watch}\n{hls}{dash}RTMP:    {rtmp}\nExpires: {expires_at}\nRevoke:  {revoke}\n")
}

/// Returns a QR code of a link, for a dark or a light terminal; an empty text if the link is too long.
pub(super) fn code(link: &str) -> String {
    QrCode::new(link.as_bytes()).map_or_else(
        |_| String::new(),
        |code| {
            let drawn =
                code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
            format!("\n{drawn}\n")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_that_of_the_daemon_where_web_has_a_url() {
        let own = Patterns { watch: Some("{url}/x".parse().unwrap()), ..Patterns::default() };
        let web: Base = "https://example.org:8443/tv".parse().unwrap();
        assert_eq!(watch(&Patterns::default(), None, false), None);
        assert_eq!(watch(&Patterns::default(), None, true).as_deref(), Some("{url}/watch/{app}/{stream}"));
        let page = watch(&Patterns::default(), Some(&web), true);
        assert_eq!(page.as_deref(), Some("https://example.org:8443/tv/watch/{app}/{stream}"));
        assert_eq!(watch(&own, Some(&web), true).as_deref(), Some("https://example.org:8443/tv/x"));
        assert_eq!(watch(&own, None, true).as_deref(), Some("{url}/x"));
        assert_eq!(origin(&web).as_str(), "https://example.org:8443");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.toml");
        std::fs::write(&file, "[web]\nurl = \"https://example.org/tv/\"\n").unwrap();
        let Addresses { url, patterns, .. } = addresses(Some(&file)).unwrap();
        assert_eq!(url.as_ref().map(Base::as_str), Some("https://example.org/tv"));
        assert!(patterns.watch.is_none() && patterns.hls.is_none());
        std::fs::write(&file, "[web]\nurl = \"https://o/tv\"\n[cluster]\nsecret_file = \"/s\"\n").unwrap();
        let Addresses { url, patterns, .. } = addresses(Some(&file)).unwrap();
        let hls = expanded(patterns.hls.as_ref(), url.as_ref());
        assert_eq!(hls.as_deref(), Some("https://o/tv/edge?stream={app}/{stream}&redirect=hls"));
    }

    #[test]
    fn the_command_of_a_revocation_asks_the_same_api() {
        let links = Links {
            jti: "j1".parse().unwrap(),
            expires_at: "2026-11-20T22:10:32Z".parse().unwrap(),
            watch: "w".into(),
            hls: None,
            dash: None,
            rtmp: "r".into(),
        };
        let mut api =
            ApiArgs { api: "http://192.0.2.1/api".parse().unwrap(), api_token_file: None, is_given: false };
        let command = "weir token revoke --jti j1 --expires 2026-11-20T22:10:32Z";
        assert!(lines(&links, &api).ends_with(&format!("{command}\n")));
        api.is_given = true;
        api.api_token_file = Some("/t".into());
        let command = format!("{command} --api http://192.0.2.1/api --api-token-file /t\n");
        assert!(lines(&links, &api).ends_with(&command));
    }

    #[test]
    fn a_link_of_a_long_token_still_fits_a_code() {
        let drawn = code(&format!("https://live.example.org/?stream=show&token={}", "x".repeat(600)));
        assert!(drawn.lines().count() > 20 && drawn.contains('\u{2588}'));
        assert_eq!(code(&"x".repeat(9000)), "");
    }
}
