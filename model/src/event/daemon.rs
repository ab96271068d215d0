//! Events that the daemon sends on its `/v1/events`, beside those of the module. [`DaemonEvent`] is the only list of their kinds and
//! fields: the daemon writes it, and reads it for the history.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Timestamp;

pub mod admin;
mod each;
pub mod fields;

use admin::{
    AccountAction, ByAdmin, ChatAction, EdgeAction, JobAction, KeyAction, LinkAction, LoginAction,
    RecordingAction, StreamAction, TargetAction,
};
use fields::{
    AdmissionFailed, ChatCounts, ChatMessageChanged, ChatPersonChanged, ChatSaid, ChatSlowed, ChatTimedOut,
    DaemonEnded, InputEnded, InputFailed, InputStarted, MissedByClient, NotEnoughBandwidth,
    RecordingFinished, RecordingRemoved, RecordingResumed, RecordingStarted, RecordingStopped,
    RecordingUpload, SlateEnded, SlateStarted, StreamCodecs, StreamReady, WebRtcUnsuitable, WhipEnded,
    WhipStarted, WorkerKilled,
};

/// Name of [`DaemonEvent::ChatMessage`].
pub const CHAT_MESSAGE: &str = "chat.message";

events! {
    /// Something that happened in the daemon.
    #[derive(Clone, Debug, PartialEq)]
    DaemonEvent {
        /// All renditions of a stream can be played.
        "stream.ready" StreamReady(StreamReady),
        /// Some outputs do not support a codec of a stream.
        "stream.codecs" StreamCodecs(StreamCodecs),
        /// The daemon has killed a worker of nginx.
        "worker.killed" WorkerKilled(WorkerKilled),
        /// The daemon ends.
        "daemon.ended" DaemonEnded(DaemonEnded),
        /// A file starts.
        "recording.started" RecordingStarted(RecordingStarted),
        /// A file is complete.
        "recording.finished" RecordingFinished(RecordingFinished),
        /// A recording waits for free space.
        "recording.stopped" RecordingStopped(RecordingStopped),
        /// There is enough free space again.
        "recording.resumed" RecordingResumed(RecordingResumed),
        /// A file is in its bucket.
        "recording.uploaded" RecordingUploaded(RecordingUpload),
        /// An attempt to upload a file failed.
        "recording.upload_failed" RecordingUploadFailed(RecordingUpload),
        /// The daemon removed a file by rule.
        "recording.removed" RecordingRemoved(RecordingRemoved),
        /// An input can be played.
        "input.started" InputStarted(InputStarted),
        /// An input has ended.
        "input.ended" InputEnded(InputEnded),
        /// An input does not work.
        "input.failed" InputFailed(InputFailed),
        /// A slate is published.
        "slate.started" SlateStarted(SlateStarted),
        /// A slate is no longer published.
        "slate.ended" SlateEnded(SlateEnded),
        /// The network of a viewer over WebRTC is too slow.
        "not_enough_bandwidth" NotEnoughBandwidth(NotEnoughBandwidth),
        /// A viewer could not watch a stream over WebRTC.
        "webrtc.unsuitable" WebRtcUnsuitable(WebRtcUnsuitable),
        /// nginx has accepted a publisher over WebRTC.
        "whip.started" WhipStarted(WhipStarted),
        /// The session of a publisher over WebRTC has ended.
        "whip.ended" WhipEnded(WhipEnded),
        /// Somebody wrote in a chat.
        "chat.message" ChatMessage(ChatSaid),
        /// A moderator deleted a message.
        "chat.deleted" ChatDeleted(ChatMessageChanged),
        /// A moderator restored a message.
        "chat.restored" ChatRestored(ChatMessageChanged),
        /// A moderator stopped a person from writing for a time.
        "chat.timed_out" ChatTimedOut(ChatTimedOut),
        /// A moderator banned a person.
        "chat.banned" ChatBanned(ChatPersonChanged),
        /// A moderator lifted a ban or a time-out.
        "chat.unbanned" ChatUnbanned(ChatPersonChanged),
        /// A moderator changed the slow mode.
        "chat.slow" ChatSlow(ChatSlowed),
        /// The activity in a chat during one minute.
        "chat.counts" ChatCounts(ChatCounts),
        /// The backend of the admission refused a publisher.
        "admission.refused" AdmissionRefused(AdmissionFailed),
        /// The backend of the admission did not answer.
        "admission.unanswered" AdmissionUnanswered(AdmissionFailed),
        /// The events that a client missed. This event has no id and no time, and goes only to that client.
        "missed" Missed(MissedByClient),
        /// Somebody logged in to the dashboard, or out of it.
        "admin.login" AdminLogin(ByAdmin<LoginAction>),
        /// Somebody changed an account.
        "admin.account" AdminAccount(ByAdmin<AccountAction>),
        /// Somebody changed a key.
        "admin.key" AdminKey(ByAdmin<KeyAction>),
        /// Somebody changed a target.
        "admin.target" AdminTarget(ByAdmin<TargetAction>),
        /// Somebody dropped a publisher.
        "admin.stream" AdminStream(ByAdmin<StreamAction>),
        /// Somebody made a link for a viewer.
        "admin.link" AdminLink(ByAdmin<LinkAction>),
        /// Somebody restarted a job.
        "admin.job" AdminJob(ByAdmin<JobAction>),
        /// Somebody removed a recording.
        "admin.recording" AdminRecording(ByAdmin<RecordingAction>),
        /// Somebody moderated a chat.
        "admin.chat" AdminChat(ByAdmin<ChatAction>),
        /// Somebody drained an edge.
        "admin.edge" AdminEdge(ByAdmin<EdgeAction>),
    }
}

impl DaemonEvent {
    /// Returns the name and the time of an action in the dashboard: the account, and when. `None` for the other events.
    pub fn admin(&self) -> Option<(&str, Timestamp)> {
        match self {
            Self::AdminLogin(by) => Some(by.who_and_when()),
            Self::AdminAccount(by) => Some(by.who_and_when()),
            Self::AdminKey(by) => Some(by.who_and_when()),
            Self::AdminTarget(by) => Some(by.who_and_when()),
            Self::AdminStream(by) => Some(by.who_and_when()),
            Self::AdminLink(by) => Some(by.who_and_when()),
            Self::AdminJob(by) => Some(by.who_and_when()),
            Self::AdminRecording(by) => Some(by.who_and_when()),
            Self::AdminChat(by) => Some(by.who_and_when()),
            Self::AdminEdge(by) => Some(by.who_and_when()),
            _ => None,
        }
    }
}
