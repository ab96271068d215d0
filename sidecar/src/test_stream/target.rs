//! The URL and the name of the publish: the stream key is the name, or the `key` argument of the name.

use std::io::Read;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use weir_model::{Secret, arguments};
use weir_rtmp::url::{self, Url};

use super::{Error, say};

/// Environment variable with a stream key.
pub(super) const KEY_VARIABLE: &str = "WEIR_STREAM_KEY";
/// Longest key file, in bytes.
const MAX_KEY_FILE: u64 = 4096;

/// Returns the URLs with the stream key, one per possible split of the path: only nginx-rtmp knows which part is its application, because
/// an application's name may contain slashes. The key is read from the file (`-`: standard input), or else from [`KEY_VARIABLE`].
pub(super) fn targets(text: &str, key_file: Option<&Path>) -> Result<Vec<Url>, Error> {
    let key = match (key_file, std::env::var(KEY_VARIABLE)) {
        (Some(path), _) => Some(read_key(path)?),
        (None, Ok(key)) if !key.is_empty() => Some(Secret::new(key)),
        _ => None,
    };
    let (urls, exposed) = with_key(text, key.as_ref())?;
    if exposed {
        say("the key in the URL is visible in the process list; use --key-file or WEIR_STREAM_KEY");
    }
    Ok(urls)
}

/// Error for a URL that ends with the application.
const NEITHER: &str = "no stream and no key: give the key with --key-file or WEIR_STREAM_KEY, or write \
                       rtmp://HOST[:PORT]/APP/STREAM where no key is needed";

/// Returns the possible URLs, and whether the URL's own text contains a key.
fn with_key(text: &str, key: Option<&Secret>) -> Result<(Vec<Url>, bool), Error> {
    let usage = |why: &str| Error::Usage(format!("{why}; write it as rtmp://HOST[:PORT]/APP"));
    let named = text.parse::<Url>();
    let Some(key) = key else {
        let url = named.map_err(|error| match error {
            url::Error::Path => Error::Usage(NEITHER.into()),
            error => usage(&error.to_string()),
        })?;
        let args = arguments::split(&url.name).1.unwrap_or_default();
        let exposed = url.name.starts_with("wk_")
            || args.split('&').any(|a| a.starts_with("key=") || a.starts_with("token="));
        return Ok((with_shorter_applications(tls_free(url)?), exposed));
    };
    let mut urls = Vec::new();
    // With a key, the URL names an application, and any name completes it. Arguments belong to a name.
    if !named.as_ref().is_ok_and(|url| url.name.contains('?')) {
        let whole = format!("{}/x", text.trim_end_matches('/')).parse::<Url>();
        let whole = whole.map_err(|error| usage(&error.to_string()))?;
        urls.push(tls_free(Url { name: key.expose().to_owned(), ..whole })?);
    }
    if let Ok(mut url) = named {
        url.name = arguments::with(&url.name, &format!("key={}", encode(key)));
        urls.push(tls_free(url)?);
    }
    Ok((urls, false))
}

/// Returns this URL, and the variants in which parts of the application belong to the stream's name.
fn with_shorter_applications(url: Url) -> Vec<Url> {
    let mut urls = vec![url];
    while let Some(last) = urls.last()
        && !last.app.contains('?')
        && let Some((app, part)) = last.app.rsplit_once('/')
    {
        let name = format!("{part}/{}", last.name);
        urls.push(Url { app: app.to_owned(), name, ..last.clone() });
    }
    urls
}

/// Encodes the key as the value of an argument (RFC 3986, section 2.1).
fn encode(key: &Secret) -> PercentEncode<'_> {
    const CODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'~').remove(b'-');
    utf8_percent_encode(key.expose(), CODED)
}

fn tls_free(url: Url) -> Result<Url, Error> {
    if url.tls { Err(Error::Usage("rtmps:// is not supported here; use rtmp://".into())) } else { Ok(url) }
}

fn read_key(path: &Path) -> Result<Secret, Error> {
    let (name, input): (_, std::io::Result<Box<dyn Read>>) = if path == Path::new("-") {
        ("standard input".into(), Ok(Box::new(std::io::stdin())))
    } else {
        (
            format!("--key-file {}", path.display()),
            std::fs::File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
        )
    };
    let mut text = String::new();
    input
        .and_then(|input| input.take(MAX_KEY_FILE).read_to_string(&mut text))
        .map_err(|e| Error::Local(format!("{name}: {e}")))?;
    let text = Secret::new(text);
    let key = text.expose().trim();
    if key.is_empty() || key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::Local(format!("{name}: must hold a stream key, one word on one line")));
    }
    Ok(Secret::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, key: Option<&str>) -> Result<(Vec<(String, String)>, bool), Error> {
        with_key(text, key.map(Secret::new).as_ref())
            .map(|(urls, exposed)| (urls.into_iter().map(|url| (url.app, url.name)).collect(), exposed))
    }

    #[test]
    fn the_key_is_the_name_or_its_argument() {
        let check = |url, key, readings: &[(&str, &str)], exposed| {
            let (names, seen) = names(url, key).unwrap();
            let names: Vec<(&str, &str)> =
                names.iter().map(|(app, name)| (app.as_str(), name.as_str())).collect();
            assert_eq!((names.as_slice(), seen), (readings, exposed), "{url}");
        };
        check("rtmp://h/live", Some("wk_a"), &[("live", "wk_a")], false);
        check("rtmp://h/live/", Some("wk_a"), &[("live", "wk_a")], false);
        let both = [("live/show", "wk_a"), ("live", "show?key=wk_a")];
        check("rtmp://h/live/show", Some("wk_a"), &both, false);
        check("rtmp://h/live/show?a=1", Some("wk_a"), &[("live", "show?a=1&key=wk_a")], false);
        let both = [("live/show", "a/b=&"), ("live", "show?key=a%2Fb%3D%26")];
        check("rtmp://h/live/show", Some("a/b=&"), &both, false);
        check("rtmp://h/live/show", None, &[("live", "show")], false);
        check("rtmp://h/live/wk_a", None, &[("live", "wk_a")], true);
        check("rtmp://h/live/show?key=wk_a", None, &[("live", "show?key=wk_a")], true);
    }

    #[test]
    fn an_application_may_have_several_parts() {
        let (readings, _) = names("rtmp://h/cust/room/0", Some("wk_a")).unwrap();
        assert_eq!(readings[0], ("cust/room/0".into(), "wk_a".into()));
        let (readings, exposed) = names("rtmp://h/cust/room/0/wk_a", None).unwrap();
        let first: Vec<&str> = readings.iter().map(|(app, _)| app.as_str()).collect();
        assert_eq!((first, exposed), (vec!["cust/room/0", "cust/room", "cust"], true));
        assert_eq!(readings[2].1, "room/0/wk_a");
    }

    #[test]
    fn wrong_urls_say_what_is_right() {
        for (url, key, why) in [
            ("rtmp://h/live", None, "no stream"),
            ("http://h/live", Some("wk_a"), "rtmp://"),
            ("rtmp://h", Some("wk_a"), "rtmp://HOST"),
            ("rtmps://h/live", Some("wk_a"), "rtmps:// is not supported"),
            ("rtmp://h:0/live/show", None, "port"),
        ] {
            let error = names(url, key).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("wk_a"), "{url}: {error}");
        }
    }
}
