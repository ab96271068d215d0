//! The folder of one stream: segments and playlists on disk. Playlists are replaced atomically, and list only existing segments.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, sleep};
use weir_media::cmaf::{Fragment, Init};
use weir_media::playlist::{Presentation, Track, dash, hls};

use super::ffmpeg::outputs;
use super::plan::LadderJob;
use crate::clock;
use crate::config::Files;
use crate::files::PUBLISHED;

/// Marks the folders that the daemon may empty.
const MARK: &str = ".weir";
/// Time after which the new files have replaced those of an earlier daemon.
const TAKING_OVER: Duration = Duration::from_secs(20);

/// All folders, by path.
#[derive(Debug, Default)]
pub(crate) struct Shelves(Arc<Mutex<HashMap<PathBuf, Arc<Shelf>>>>);

/// One folder.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
    inside: AsyncMutex<Inside>,
    /// Number of jobs that have used the folder so far. It keeps the end of a job from ending the playlists of its successor.
    tenants: Mutex<u64>,
}

#[derive(Debug)]
struct Inside {
    presentation: Presentation,
    files: Files,
    /// Segments that no playlist lists any more, and the time at which they are removed.
    expired: Vec<(Instant, PathBuf)>,
    master: String,
    /// Time at which the first rendition was playable.
    first: Option<Instant>,
}

impl Shelves {
    /// Returns the folder for a job. A folder that a job has just left continues.
    pub(crate) async fn take(&self, job: &LadderJob, files: &Files) -> io::Result<Arc<Shelf>> {
        let folder = files.folder.join(job.live.app.as_str()).join(job.live.name.as_str());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&folder).cloned();
        if let Some(shelf) = known {
            let mut inside = shelf.inside.lock().await;
            if !inside.presentation.ended {
                *shelf.tenants.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                inside.renew(job, files, clock::now().as_seconds());
                inside.make_folders(&shelf.folder).await?;
                drop(inside);
                return Ok(shelf);
            }
        }
        let left = left_behind(&folder, files.linger);
        if left.is_empty() {
            empty(folder.clone()).await?;
        }
        let inside = Inside::new(job, files, &folder, left);
        inside.make_folders(&folder).await?;
        PUBLISHED.write(&folder.join(MARK), b"")?;
        let shelf = Arc::new(Shelf {
            folder: folder.clone(),
            inside: AsyncMutex::new(inside),
            tenants: Mutex::new(1),
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(folder, shelf.clone());
        Ok(shelf)
    }

    /// Leaves the folder at the end of a job. If no other job takes it for a while, the playlists end, and the folder is removed later.
    pub(crate) fn leave(&self, shelf: Arc<Shelf>) {
        let all = self.0.clone();
        let tenants = *shelf.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tokio::spawn(async move {
            let (linger, keep) = {
                let inside = shelf.inside.lock().await;
                (inside.files.linger, inside.files.keep)
            };
            sleep(linger).await;
            if !shelf.end(tenants).await {
                return;
            }
            sleep(keep).await;
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            // A later stream of the same name has a new shelf in the same folder.
            if all.get(&shelf.folder).is_some_and(|current| Arc::ptr_eq(current, &shelf)) {
                all.remove(&shelf.folder);
                if let Err(error) = remove(&shelf.folder) {
                    tracing::warn!(
                        "folder of an ended stream not removed: {error}, folder: {:?}",
                        shelf.folder
                    );
                }
            }
        });
    }

    /// Removes the folders that an earlier daemon left below `folder`, unless `is_live` returns true: then the stream continues there.
    pub(crate) fn sweep(&self, folder: &Path, is_live: impl Fn(&Path) -> bool) {
        for stream in ours(folder) {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&stream);
            if !known && !is_live(&stream) {
                tracing::info!("folder of a stream that is not live removed: {stream:?}");
                let _ = remove(&stream);
            }
        }
    }
}

/// Returns the marked folders, at any depth that an application's name may have.
fn ours(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        if folder.join(MARK).exists() {
            found.push(folder);
        } else if depth < 4 {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            open.extend(folders.map(|entry| (entry.path(), depth + 1)));
        }
    }
    found
}

/// Removes the content of a marked folder.
async fn empty(folder: PathBuf) -> io::Result<()> {
    if !folder.join(MARK).exists() {
        return Ok(());
    }
    tokio::task::spawn_blocking(move || remove(&folder)).await.map_err(io::Error::other)?
}

/// Removes a folder. The playlists go first, because they list the other files.
fn remove(folder: &Path) -> io::Result<()> {
    for playlist in contents(folder).iter().filter(|path| is_playlist(path)) {
        std::fs::remove_file(playlist)?;
    }
    std::fs::remove_dir_all(folder)
}

fn is_playlist(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "m3u8" || extension == "mpd")
}

/// Returns the files of a stream: in its folder, and in the folders of its tracks.
fn contents(folder: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let (folders, mut files): (Vec<_>, Vec<_>) = list(folder).into_iter().partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|track| list(track)));
    files
}

/// Returns the files of an earlier daemon if its playlists have not ended and are younger than `linger`: its viewers find the
/// continuation in the same place. Otherwise returns none.
fn left_behind(folder: &Path, linger: Duration) -> Vec<PathBuf> {
    let files = if folder.join(MARK).exists() { contents(folder) } else { Vec::new() };
    let playlists = || files.iter().filter(|path| path.ends_with("index.m3u8"));
    let is_young = |path: &PathBuf| {
        let age =
            path.metadata().and_then(|known| known.modified()).map(|at| at.elapsed().unwrap_or_default());
        age.is_ok_and(|age| age < linger)
    };
    let has_ended =
        |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains("#EXT-X-ENDLIST"));
    let goes_on = playlists().any(is_young) && !playlists().any(has_ended);
    if goes_on { files } else { Vec::new() }
}

impl Inside {
    /// `left` are the files that viewers of an earlier daemon still request.
    fn new(job: &LadderJob, files: &Files, folder: &Path, left: Vec<PathBuf>) -> Self {
        let presentation = Presentation {
            segment: files.segment,
            window: files.window,
            since: clock::now(),
            tracks: Vec::new(),
            runs: Vec::new(),
            ended: false,
        };
        let mut inside = Self {
            presentation,
            files: files.clone(),
            expired: Vec::new(),
            master: String::new(),
            first: None,
        };
        // Segment numbers start at the seconds since 1970. An earlier daemon's numbers are lower, because a segment is normally at least
        // one second long.
        let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
        let first = left.iter().filter_map(number).max().map_or(0, |last| last + 1);
        inside.renew(job, files, first.max(clock::now().as_seconds()));
        // Playlists stay, because new playlists with the same names replace them.
        let tracks = &inside.presentation.tracks;
        let stays = |path: &PathBuf| {
            let of_track = |track: &Track| *path == folder.join(&track.name).join("index.m3u8");
            path.parent() == Some(folder) || tracks.iter().any(of_track)
        };
        let leaves = Instant::now() + files.window + TAKING_OVER;
        let expired: Vec<_> =
            left.into_iter().filter(|path| !stays(path)).map(|path| (leaves, path)).collect();
        inside.expired = expired;
        inside
    }

    /// Sets the tracks of this job, in its order. Tracks that existed before keep their segments.
    fn renew(&mut self, job: &LadderJob, files: &Files, first: u64) {
        self.files = files.clone();
        self.presentation.segment = files.segment;
        self.presentation.window = files.window;
        let mut before = std::mem::take(&mut self.presentation.tracks);
        for output in outputs(job) {
            let mut track = match before.iter().position(|track| track.name == output.name) {
                Some(at) => before.swap_remove(at),
                None => Track::new(&output.name, output.role, output.nominal, first),
            };
            (track.role, track.nominal) = (output.role, output.nominal);
            self.presentation.tracks.push(track);
        }
    }

    async fn make_folders(&self, folder: &Path) -> io::Result<()> {
        for track in &self.presentation.tracks {
            PUBLISHED.make_folder(&folder.join(&track.name))?;
        }
        Ok(())
    }
}

impl Shelf {
    /// Begins a run of a track.
    pub(crate) async fn begin(&self, track: usize, run: u64, init: Init, bytes: Vec<u8>) -> io::Result<()> {
        let mut inside = self.inside.lock().await;
        let Some(name) = inside.presentation.tracks.get(track).map(|track| track.name.clone()) else {
            return Ok(());
        };
        replace(self.folder.join(name).join(format!("init-{run}.mp4")), bytes).await?;
        inside.presentation.begin(track, init);
        Ok(())
    }

    /// Writes a complete segment, and then lists it.
    pub(crate) async fn push(
        &self,
        track: usize,
        run: u64,
        fragment: Fragment,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        let mut inside = self.inside.lock().await;
        let Some(folder) = inside.presentation.tracks.get(track).map(|track| self.folder.join(&track.name))
        else {
            return Ok(());
        };
        let Some(number) = inside.presentation.tracks.get(track).map(Track::next_number) else {
            return Ok(());
        };
        let length = bytes.len();
        replace(folder.join(format!("{number}.m4s")), bytes).await?;
        let runs: Vec<u64> = inside.presentation.runs.iter().map(|run| run.id).collect();
        let Some((_, gone)) = inside.presentation.push(track, run, fragment, length, clock::now()) else {
            return Ok(());
        };
        let over = runs.into_iter().filter(|id| inside.presentation.runs.iter().all(|run| run.id != *id));
        let over: Vec<PathBuf> = over.flat_map(|run| inside.inits(&self.folder, run)).collect();
        // A player with an old playlist may still request them.
        let leaves = Instant::now() + inside.files.window;
        inside.expired.extend(gone.iter().map(|number| (leaves, folder.join(format!("{number}.m4s")))));
        inside.expired.extend(over.into_iter().map(|path| (leaves, path)));
        inside.remove_expired().await;
        inside.write(&self.folder, Some(track)).await
    }

    /// Ends the playlists, unless another job has taken the folder.
    async fn end(&self, tenants: u64) -> bool {
        let mut inside = self.inside.lock().await;
        if *self.tenants.lock().unwrap_or_else(PoisonError::into_inner) != tenants {
            return false;
        }
        inside.presentation.ended = true;
        for track in 0..inside.presentation.tracks.len() {
            if let Err(error) = inside.write(&self.folder, Some(track)).await {
                tracing::warn!("playlist not ended: {error}, folder: {:?}", self.folder);
            }
        }
        true
    }
}

impl Inside {
    /// Returns the initialization segments of a run.
    fn inits(&self, folder: &Path, run: u64) -> Vec<PathBuf> {
        let tracks = self.presentation.tracks.iter();
        tracks.map(|track| folder.join(&track.name).join(format!("init-{run}.mp4"))).collect()
    }

    async fn remove_expired(&mut self) {
        let now = Instant::now();
        let (old, kept) = std::mem::take(&mut self.expired).into_iter().partition(|(at, _)| *at <= now);
        self.expired = kept;
        let old: Vec<(Instant, PathBuf)> = old;
        for (_, path) in old {
            // The file may be removed already.
            let _ = tokio::fs::remove_file(path).await;
        }
    }

    /// Writes the playlist of a track, and the master playlist. An existing master playlist is written first: no listed segment may
    /// exceed the rates of the master playlist. The first master playlist is written last, after all files that it names.
    async fn write(&mut self, folder: &Path, track: Option<usize>) -> io::Result<()> {
        if !self.master.is_empty() {
            self.write_master(folder).await?;
        }
        if let Some(track) =
            track.and_then(|track| self.presentation.tracks.get(track)).filter(|track| track.is_playable())
        {
            let text = hls::media(&self.presentation, track);
            replace(folder.join(&track.name).join("index.m3u8"), text.into_bytes()).await?;
        }
        replace(folder.join("manifest.mpd"), dash::manifest(&self.presentation, clock::now()).into_bytes())
            .await?;
        if self.master.is_empty() {
            self.write_master(folder).await?;
        }
        Ok(())
    }

    async fn write_master(&mut self, folder: &Path) -> io::Result<()> {
        let master = hls::master(&self.presentation);
        // Average rates change with every segment, so they alone are no reason to replace the file.
        if without_averages(&master) != without_averages(&self.master) && self.is_complete() {
            replace(folder.join("master.m3u8"), master.clone().into_bytes()).await?;
            self.master = master;
        }
        Ok(())
    }

    /// Returns whether the master playlist can be written: a player reads it once, so it must not need a replacement soon.
    fn is_complete(&mut self) -> bool {
        let tracks = &self.presentation.tracks;
        if tracks.iter().all(Track::is_playable) {
            return true;
        }
        if !tracks.iter().any(Track::is_playable) {
            return false;
        }
        let patience = self.files.segment.max(Duration::from_secs(5)) * 3;
        self.first.get_or_insert_with(Instant::now).elapsed() > patience
    }
}

fn without_averages(master: &str) -> String {
    master.split(',').filter(|part| !part.starts_with("AVERAGE-BANDWIDTH")).collect()
}

/// Replaces a file atomically: readers see the old or the new content.
async fn replace(path: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
    let write = move || {
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(".new");
        PUBLISHED.replace(&path, Path::new(&unfinished), &bytes)
    };
    tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
}
