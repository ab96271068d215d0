//! Where to publish, and under which name: the key is the name, or its `key` argument.

use std::io::Read;
use std::path::Path;

use weir_model::Secret;
use weir_rtmp::url::{self, Url};

use super::{Error, say};

/// The variable that holds a key.
pub const KEY_VARIABLE: &str = "WEIR_STREAM_KEY";
/// More than any key or token.
const MAX_KEY_FILE: u64 = 4096;

/// The URL with the key put into it. The key comes from the file (`-`: standard input), else from [`KEY_VARIABLE`].
pub fn target(text: &str, key_file: Option<&Path>) -> Result<Url, Error> {
    let key = match (key_file, std::env::var(KEY_VARIABLE)) {
        (Some(path), _) => Some(read_key(path)?),
        (None, Ok(key)) if !key.is_empty() => Some(Secret::new(key)),
        _ => None,
    };
    let (url, exposed) = with_key(text, key.as_ref())?;
    if exposed {
        say(
            "the key in the URL can be read in the list of processes; --key-file and WEIR_STREAM_KEY keep it out of there",
        );
    }
    Ok(url)
}

/// The target, and whether the URL's own text holds a key.
fn with_key(text: &str, key: Option<&Secret>) -> Result<(Url, bool), Error> {
    let usage = |why: &str| Err(Error::Usage(format!("{why}; write it as rtmp://HOST[:PORT]/APP")));
    let url = match (text.parse::<Url>(), key) {
        (Ok(url), None) => {
            let args = url.name.split_once('?').map_or("", |(_, args)| args);
            let exposed = url.name.starts_with("wk_")
                || args.split('&').any(|a| a.starts_with("key=") || a.starts_with("token="));
            return tls_free(url).map(|url| (url, exposed));
        }
        (Ok(mut url), Some(key)) => {
            let sign = if url.name.contains('?') { '&' } else { '?' };
            url.name = format!("{}{sign}key={}", url.name, encode(key));
            url
        }
        (Err(url::Error::Path), Some(key)) => {
            // Only the stream is missing: any name completes the URL.
            match format!("{}/x", text.trim_end_matches('/')).parse::<Url>() {
                Ok(url) => Url { name: key.expose().to_owned(), ..url },
                Err(error) => return usage(&error.to_string()),
            }
        }
        (Err(url::Error::Path), None) => {
            return usage("url has no stream, and --key-file or WEIR_STREAM_KEY no key");
        }
        (Err(error), _) => return usage(&error.to_string()),
    };
    tls_free(url).map(|url| (url, false))
}

/// The key as the value of an argument (RFC 3986, section 2.1).
fn encode(key: &Secret) -> String {
    let byte = |b: u8| match b {
        _ if b.is_ascii_alphanumeric() || b"._~-".contains(&b) => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    };
    key.expose().bytes().map(byte).collect()
}

fn tls_free(url: Url) -> Result<Url, Error> {
    if url.tls { Err(Error::Usage("rtmps:// is not possible here; write rtmp://".into())) } else { Ok(url) }
}

fn read_key(path: &Path) -> Result<Secret, Error> {
    let (name, input): (_, std::io::Result<Box<dyn Read>>) = if path == Path::new("-") {
        ("standard input".into(), Ok(Box::new(std::io::stdin())))
    } else {
        (path.display().to_string(), std::fs::File::open(path).map(|file| Box::new(file) as Box<dyn Read>))
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

    fn name(text: &str, key: Option<&str>) -> Result<(String, String, bool), String> {
        with_key(text, key.map(Secret::new).as_ref())
            .map(|(url, exposed)| (url.app, url.name, exposed))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_key_is_the_name_or_its_argument() {
        let got = |app: &str, name: &str, exposed| Ok((app.to_owned(), name.to_owned(), exposed));
        assert_eq!(name("rtmp://h/live", Some("wk_a")), got("live", "wk_a", false));
        assert_eq!(name("rtmp://h/live/", Some("wk_a")), got("live", "wk_a", false));
        assert_eq!(name("rtmp://h/live/show", Some("wk_a")), got("live", "show?key=wk_a", false));
        assert_eq!(name("rtmp://h/live/show?a=1", Some("wk_a")), got("live", "show?a=1&key=wk_a", false));
        assert_eq!(name("rtmp://h/live/show", Some("a/b=&")), got("live", "show?key=a%2Fb%3D%26", false));
        assert_eq!(name("rtmp://h/live/show", None), got("live", "show", false));
        assert_eq!(name("rtmp://h/live/wk_a", None), got("live", "wk_a", true));
        assert_eq!(name("rtmp://h/live/show?key=wk_a", None), got("live", "show?key=wk_a", true));
    }

    #[test]
    fn wrong_urls_say_what_is_right() {
        for (url, key, why) in [
            ("rtmp://h/live", None, "no stream"),
            ("http://h/live", Some("wk_a"), "rtmp://"),
            ("rtmp://h", Some("wk_a"), "rtmp://HOST"),
            ("rtmps://h/live", Some("wk_a"), "rtmps:// is not possible"),
            ("rtmp://h:0/live/show", None, "port"),
        ] {
            let error = name(url, key).unwrap_err();
            assert!(error.contains(why) && !error.contains("wk_a"), "{url}: {error}");
        }
    }
}
