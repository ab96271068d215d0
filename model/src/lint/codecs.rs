//! Notes which codecs nginx-rtmp does not pass on. A configuration does not say which codecs its encoders send.

use super::advice::{Advice, Severity};
use super::{Directive, reader::all};

/// The directives that write only the codecs that nginx-rtmp knows (ngx_rtmp_hls_video, ngx_rtmp_dash_video).
const WRITERS: [&str; 2] = ["hls", "dash"];

/// Returns a note for the first `hls on;` and the first `dash on;`.
pub fn codecs(configuration: &[Directive]) -> Vec<Advice> {
    let mut found: [Option<&Directive>; 2] = [None; 2];
    for rtmp in all(configuration, "rtmp") {
        let servers: Vec<&Directive> = rtmp.all("server").collect();
        let applications = servers.iter().flat_map(|server| server.all("application"));
        for block in std::iter::once(rtmp).chain(servers.iter().copied()).chain(applications) {
            for (first, writer) in found.iter_mut().zip(WRITERS) {
                let on = block.all(writer).find(|directive| directive.argument(0) == Some("on"));
                *first = first.or(on);
            }
        }
    }
    let problem = "has only H.264 with AAC or MP3: HEVC, AV1, VP9, Opus and other codecs of Enhanced RTMP are missing there";
    let remedy = "if encoders send them, use a ladder of \"weir serve\"; its event stream.codecs names them";
    let note = |on: &Directive| Advice::new(on, Severity::Note, problem.to_owned(), remedy);
    found.into_iter().flatten().map(note).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::fixture::Memory;
    use super::super::{check, read};
    use super::*;

    #[test]
    fn hls_and_dash_are_noted_once() {
        let main = "/etc/nginx/nginx.conf";
        let notes = |text: &str| {
            let tree = read(Path::new(main), &Memory::new(&[(main, text)])).unwrap();
            assert!(check(&tree).is_empty(), "a note is no finding");
            codecs(&tree).iter().map(|note| (note.line, note.directive.clone())).collect::<Vec<_>>()
        };
        let text = "rtmp { server { application a { hls off; dash off; }\napplication b { hls on; }\n\
                    application c { hls on; dash on; } } }";
        assert_eq!(notes(text), [(2, "hls".to_owned()), (3, "dash".to_owned())]);
        assert_eq!(notes("rtmp { server { dash on; application a { } } }"), [(1, "dash".to_owned())]);
        assert_eq!(notes("rtmp { hls on; }"), [(1, "hls".to_owned())]);
        assert!(notes("rtmp { server { application a { } } }").is_empty());
    }

    #[test]
    fn a_note_says_what_is_missing() {
        let main = "/etc/nginx/nginx.conf";
        let tree = read(Path::new(main), &Memory::new(&[(main, "rtmp { hls on; }")])).unwrap();
        assert_eq!(
            codecs(&tree)[0].to_string(),
            "/etc/nginx/nginx.conf:1: note: \"hls\" has only H.264 with AAC or MP3: HEVC, AV1, VP9, Opus and other codecs of \
             Enhanced RTMP are missing there: if encoders send them, use a ladder of \"weir serve\"; its event stream.codecs \
             names them"
        );
    }
}
