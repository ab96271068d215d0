//! Fields of the daemon's events, except those of the dashboard.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The format of a ladder's renditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deliver {
    /// Playlists and segments in a folder.
    Files,
    /// Streams of nginx.
    Rtmp,
}

/// Fields of `stream.ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReady {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The format.
    pub deliver: Deliver,
    /// The public name.
    pub name: String,
    /// The names of the renditions.
    pub renditions: Vec<String>,
    /// The id of the publish.
    pub session: String,
}

/// Fields of `stream.codecs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCodecs {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The codec of the audio, if any.
    pub audio: Option<String>,
    /// The public name.
    pub name: String,
    /// The codecs that HLS and DASH of nginx-rtmp leave out.
    pub not_in_hls: Vec<String>,
    /// The codecs that ladders and recordings leave out.
    pub not_in_jobs: Vec<String>,
    /// The id of the publish.
    pub session: String,
    /// The codec of the video, if any.
    pub video: Option<String>,
}

/// Fields of `worker.killed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerKilled {
    /// The time.
    pub at: Timestamp,
    /// The process id.
    pub pid: u32,
}

/// Fields of `daemon.ended`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonEnded {
    /// The time.
    pub at: Timestamp,
}

/// Fields of `recording.started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingStarted {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The file.
    pub file: PathBuf,
    /// The public name.
    pub name: String,
    /// The id of the publish.
    pub session: String,
}

/// Fields of `recording.finished`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingFinished {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The size in bytes.
    pub bytes: u64,
    /// An earlier daemon was killed while it wrote the file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_off: bool,
    /// The length in milliseconds; `None` if the file is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The file.
    pub file: PathBuf,
    /// The public name.
    pub name: String,
    /// The id of the publish.
    pub session: String,
}

/// Fields of `recording.stopped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingStopped {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The folder of the recordings.
    pub folder: PathBuf,
    /// The public name.
    pub name: String,
    /// The reason, in words.
    pub reason: String,
    /// The id of the publish.
    pub session: String,
}

/// Fields of `recording.resumed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingResumed {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The public name.
    pub name: String,
    /// The id of the publish.
    pub session: String,
}

/// Fields of `recording.uploaded` and `recording.upload_failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingUpload {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The file.
    pub file: PathBuf,
    /// The key of the object in the bucket.
    pub key: String,
    /// The public name.
    pub name: String,
    /// The reason of a failure, in words.
    pub reason: Option<String>,
    /// The name of the `[upload.NAME]` table.
    pub upload: String,
}

/// Fields of `recording.removed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingRemoved {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The file.
    pub file: PathBuf,
    /// The public name.
    pub name: String,
}

/// Fields of `input.started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputStarted {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The word of the source, such as `rtsp`.
    pub input: String,
    /// The public name.
    pub name: String,
}

/// The reason why an input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputEnd {
    /// The source ended.
    Ended,
    /// The source or ffmpeg failed.
    Failed,
    /// The daemon ended the input.
    Stopped,
}

impl InputEnd {
    /// Returns the name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            InputEnd::Ended => "ended",
            InputEnd::Failed => "failed",
            InputEnd::Stopped => "stopped",
        }
    }
}

/// Fields of `input.ended`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputEnded {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// With [`InputEnd::Failed`]: the fault, in words.
    pub error: Option<String>,
    /// The word of the source.
    pub input: String,
    /// The public name.
    pub name: String,
    /// The reason.
    pub reason: InputEnd,
}

/// Fields of `input.failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFailed {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The fault, in words.
    pub error: String,
    /// The word of the source.
    pub input: String,
    /// The public name.
    pub name: String,
}

/// Fields of `slate.started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlateStarted {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The public name.
    pub name: String,
    /// The name of the `server` block; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// The latest end.
    pub until: Timestamp,
}

/// The reason why a slate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlateEnd {
    /// Its time is over.
    Time,
    /// A publisher is back.
    Publisher,
}

/// Fields of `slate.ended`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlateEnded {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The public name.
    pub name: String,
    /// The reason.
    pub reason: SlateEnd,
    /// The name of the `server` block; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server: String,
}

/// Fields of `not_enough_bandwidth`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotEnoughBandwidth {
    /// The time.
    pub at: Timestamp,
    /// The application of the requested stream.
    pub app: String,
    /// The share of lost packets, from 0 to 1.
    pub loss: Option<f32>,
    /// The name of the requested stream.
    pub name: String,
    /// The rendition that the viewer gets instead, as `APP/NAME`.
    pub next: Option<String>,
    /// The number of such viewers since the last event.
    pub viewers: u64,
    /// The stream that the viewer got, as `APP/NAME`.
    pub watched: String,
}

/// Fields of `webrtc.unsuitable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebRtcUnsuitable {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The public name.
    pub name: String,
    /// The reason, in words.
    pub reason: String,
}

/// Fields of `whip.started`, which has no time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhipStarted {
    /// The application.
    pub app: String,
    /// The public name.
    pub stream: String,
}

/// Fields of `whip.ended`, which has no time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhipEnded {
    /// The application.
    pub app: String,
    /// The reason, in words.
    pub reason: String,
    /// The public name.
    pub stream: String,
}

/// Fields of `chat.message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSaid {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The name of the author.
    pub from: String,
    /// The id of the message.
    pub id: String,
    /// The author is a moderator.
    pub moderator: bool,
    /// The public name.
    pub stream: String,
    /// The text.
    pub text: String,
    /// A token gives the author's name.
    pub verified: bool,
}

/// Fields of `chat.deleted` and `chat.restored`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessageChanged {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The moderator.
    pub by: String,
    /// The id of the message.
    pub id: String,
    /// The public name.
    pub stream: String,
}

/// Fields of `chat.timed_out`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatTimedOut {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The moderator.
    pub by: String,
    /// The name, or the hash of an address.
    pub from: String,
    /// The time without the right to write, in seconds.
    pub seconds: u64,
    /// The public name.
    pub stream: String,
}

/// Fields of `chat.banned` and `chat.unbanned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatPersonChanged {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The moderator.
    pub by: String,
    /// The name, or the hash of an address.
    pub from: String,
    /// The public name.
    pub stream: String,
}

/// Fields of `chat.slow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSlowed {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The moderator.
    pub by: String,
    /// The time between two messages of one person, in seconds.
    pub seconds: u64,
    /// The public name.
    pub stream: String,
}

/// Fields of `chat.counts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatCounts {
    /// The time.
    pub at: Timestamp,
    /// The application.
    pub app: String,
    /// The number of people who came.
    pub joined: u64,
    /// The number of people who left.
    pub left: u64,
    /// The number of messages.
    pub messages: u64,
    /// The largest number of people.
    pub peak: u64,
    /// The public name.
    pub stream: String,
}

/// The reason why the backend of the admission did not admit a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdmissionFailure {
    /// The backend refused the publisher.
    Refused,
    /// The backend did not answer as it should.
    BackendDown,
}

/// Fields of `admission.refused` and `admission.unanswered`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmissionFailed {
    /// The time.
    pub at: Timestamp,
    /// The publisher's address.
    pub addr: String,
    /// Whether the publisher stays.
    pub admitted: bool,
    /// The application.
    pub app: String,
    /// The public name.
    pub name: String,
    /// The reason.
    pub reason: AdmissionFailure,
}

/// Fields of the daemon's `missed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedByClient {
    /// The id after which events are missing; `None` if the client was too slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}
