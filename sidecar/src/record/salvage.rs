//! Salvages a recording that was cut off when the daemon or the machine stopped.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Truncates a file to its whole part, and returns the new length, or 0 if it contains no media. A file of another kind stays unchanged.
pub(crate) fn salvage(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let extension = path.extension().and_then(|extension| extension.to_str());
    let whole = match extension {
        Some("mp4") => mp4(&mut BufReader::new(file), length)?,
        Some("mkv") => mkv(&mut BufReader::new(file), length)?,
        _ => length,
    };
    if whole > 0 && whole < length {
        OpenOptions::new().write(true).open(path)?.set_len(whole)?;
    }
    Ok(whole)
}

/// Returns the end of the last `mdat`.
fn mp4(file: &mut (impl Read + Seek), length: u64) -> io::Result<u64> {
    let (mut at, mut whole) = (0, 0);
    let mut head = [0; 8];
    while length - at >= 8 {
        file.read_exact(&mut head)?;
        let [s3, s2, s1, s0, kind @ ..] = head;
        let size = u64::from(u32::from_be_bytes([s3, s2, s1, s0]));
        let end = at + size;
        if size < 8 || end > length {
            break;
        }
        if &kind == b"mdat" {
            whole = end;
        }
        file.seek(SeekFrom::Start(end))?;
        at = end;
    }
    Ok(whole)
}

/// Returns the end of the last cluster (RFC 8794: ids and sizes of variable length).
fn mkv(file: &mut (impl Read + Seek), length: u64) -> io::Result<u64> {
    const SEGMENT: u64 = 0x1853_8067;
    const CLUSTER: u64 = 0x1f43_b675;
    let (mut at, mut whole) = (0, 0);
    while at < length {
        let Some((id, id_length)) = number(file, length - at, false)? else { break };
        let Some((size, size_length)) = number(file, length - at - id_length, true)? else { break };
        let content = at + id_length + size_length;
        // The elements inside the segment are read like the elements beside it.
        let end = if id == SEGMENT { content } else { content.saturating_add(size) };
        if end > length {
            break;
        }
        if id == CLUSTER {
            whole = end;
        }
        file.seek(SeekFrom::Start(end))?;
        at = end;
    }
    Ok(whole)
}

/// Reads a number of variable length. Returns it with that length, or `None` if it is cut off.
fn number(file: &mut impl Read, left: u64, strip: bool) -> io::Result<Option<(u64, u64)>> {
    if left == 0 {
        return Ok(None);
    }
    let mut first = [0];
    file.read_exact(&mut first)?;
    let count = first[0].leading_zeros() as usize + 1;
    if count > 8 || count as u64 > left {
        return Ok(None);
    }
    let mut rest = [0; 7];
    let rest = &mut rest[..count - 1];
    file.read_exact(rest)?;
    let number = rest.iter().fold(u64::from(first[0]), |number, byte| number << 8 | u64::from(*byte));
    Ok(Some((if strip { number & !(1 << (7 * count)) } else { number }, count as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
    }

    #[test]
    fn what_is_not_whole_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let head = [boxed(b"ftyp", b"iso5"), boxed(b"moov", b"tracks")].concat();
        let part = [boxed(b"moof", b"times"), boxed(b"mdat", b"media")].concat();
        let path = folder.path().join("a.mp4");
        for (bytes, expected) in [
            ([head.clone(), part.clone(), part.clone()].concat(), head.len() + 2 * part.len()),
            ([head.clone(), part.clone(), part[..20].to_vec()].concat(), head.len() + part.len()),
            ([head.clone(), part.clone(), part[..3].to_vec()].concat(), head.len() + part.len()),
            ([head.clone(), part[..20].to_vec()].concat(), 0),
            (head.clone(), 0),
            (Vec::new(), 0),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(salvage(&path).unwrap(), expected as u64);
            let left = std::fs::metadata(&path).unwrap().len();
            assert_eq!(left, if expected == 0 { bytes.len() } else { expected } as u64);
        }
        let path = folder.path().join("a.mkv");
        let head =
            [&[0x1a, 0x45, 0xdf, 0xa3, 0x81, 7, 0x18, 0x53, 0x80, 0x67, 0x01][..], &[0xff; 7]].concat();
        let cluster = [&[0x1f, 0x43, 0xb6, 0x75, 0x40, 3][..], b"abc"].concat();
        let bytes = [&head[..], &cluster, &cluster, &cluster[..7]].concat();
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(salvage(&path).unwrap(), (head.len() + 2 * cluster.len()) as u64);
        std::fs::write(&path, &head).unwrap();
        assert_eq!(salvage(&path).unwrap(), 0);
    }
}
