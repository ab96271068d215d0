//! The list file for ffmpeg's demuxer `concat`. A URL in a file is not visible in the process list.

use std::io;
use std::path::{Path, PathBuf};

use weir_model::Secret;

use crate::config::input::{Remote, Source, Transport};

/// Most entries. ffmpeg cannot seek in a list, so a looped file is repeated this often, and the list restarts at its end.
const MOST_ENTRIES: usize = 20_000;
/// Largest M3U, in bytes. A larger file is a mistake.
const MOST_BYTES: u64 = 4 << 20;

/// Returns the list for a source.
///
/// # Errors
///
/// A playlist that cannot be read, or has no file that is there.
pub(crate) fn of(source: &Source) -> io::Result<Secret> {
    Ok(Secret::new(match source {
        Source::Remote(remote) => of_remote(remote),
        Source::Node(_) => return Err(io::Error::other("another node needs no list")),
        Source::File(path) => {
            std::fs::File::open(path).map_err(|why| named(path, &why))?;
            of_files(std::slice::from_ref(path))
        }
        Source::Playlist(path) => {
            let about = std::fs::metadata(path).map_err(|why| named(path, &why))?;
            if about.len() > MOST_BYTES {
                return Err(named(path, &io::Error::other("longer than 4 MB")));
            }
            let text = std::fs::read_to_string(path).map_err(|why| named(path, &why))?;
            let folder = path.parent().unwrap_or(Path::new("/"));
            let (there, missing): (Vec<_>, Vec<_>) =
                entries(&text, folder).into_iter().partition(|entry| entry.is_file());
            for entry in missing {
                tracing::warn!(
                    "playlist entry left out: no such file: {}, playlist: {}",
                    entry.display(),
                    path.display()
                );
            }
            if there.is_empty() {
                return Err(named(path, &io::Error::other("has no file that is there")));
            }
            of_files(&there)
        }
    }))
}

fn named(path: &Path, why: &io::Error) -> io::Error {
    io::Error::new(why.kind(), format!("{}: {why}", path.display()))
}

/// Returns the files of an M3U, plain or extended. Relative paths are below `folder`.
fn entries(text: &str, folder: &Path) -> Vec<PathBuf> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| folder.join(line.strip_prefix("file://").unwrap_or(line))).collect()
}

fn of_remote(remote: &Remote) -> String {
    // With these protocols, the far end can name other URLs, but no file of this machine.
    let (protocols, options): (&str, &[&str]) = match remote.transport {
        Transport::Rtsp => ("rtsp,rtp,tcp,udp", &["rtsp_transport tcp", "timeout 10000000"]),
        Transport::Rtmp => ("rtmp,rtmps,tcp,tls", &["rw_timeout 10000000"]),
        Transport::Hls => ("http,https,tcp,tls,crypto", &["rw_timeout 10000000"]),
        // A sender that sends nothing must not hold the port.
        Transport::Srt => ("srt", &["timeout 10000000"]),
        Transport::Rist => ("rist", &[]),
        Transport::Udp => ("udp", &[]),
    };
    let mut text = format!(
        "ffconcat version 1.0\nfile {}\noption protocol_whitelist {protocols}\n",
        quoted(remote.url.expose())
    );
    for option in options {
        text.push_str(&format!("option {option}\n"));
    }
    text
}

fn of_files(files: &[PathBuf]) -> String {
    let round: String = files
        .iter()
        .map(|file| {
            format!("file {}\noption protocol_whitelist file\n", quoted(&format!("file:{}", file.display())))
        })
        .collect();
    format!("ffconcat version 1.0\n{}", round.repeat((MOST_ENTRIES / files.len()).max(1)))
}

/// Quotes a text for `av_get_token` of ffmpeg.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playlists_name_files_beside_them() {
        let text =
            "\u{feff}#EXTM3U\r\n#EXTINF:10,One\r\none's.mp4\r\n\n/srv/two.mp4\nfile:///srv/three.mp4\n";
        let names = entries(text, Path::new("/m"));
        assert_eq!(names, ["/m/one's.mp4", "/srv/two.mp4", "/srv/three.mp4"].map(PathBuf::from));
        let list = of_files(&names[..1]);
        assert!(list.starts_with("ffconcat version 1.0\nfile 'file:/m/one'\\''s.mp4'\n"), "{}", &list[..80]);
        assert_eq!(list.matches("\nfile ").count(), MOST_ENTRIES);
    }

    #[test]
    fn what_is_fetched_reaches_no_file() {
        let url = Secret::new("rtsp://u:p'w@h/1");
        let text = of_remote(&Remote { transport: Transport::Rtsp, url, waits: false });
        assert!(
            text.contains("file 'rtsp://u:p'\\''w@h/1'\noption protocol_whitelist rtsp,rtp,tcp,udp\n"),
            "{text}"
        );
    }
}
