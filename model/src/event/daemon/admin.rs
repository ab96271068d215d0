//! Fields of the events of the dashboard, and of the same changes by other programs. None contains a secret or an address.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Fields of an event of the dashboard: who did what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByAdmin<A> {
    /// The time.
    pub at: Timestamp,
    /// The account; or `api`, `weir` or `pair` for a change outside of the dashboard.
    pub who: String,
    /// The action, and what it concerns.
    #[serde(flatten)]
    pub action: A,
}

impl<A> ByAdmin<A> {
    pub(super) fn who_and_when(&self) -> (&str, Timestamp) {
        (&self.who, self.at)
    }
}

/// Declares the actions of an event: the field `action` has the name of the variant.
macro_rules! actions {
    ($($(#[$of:meta])* $name:ident { $($variants:tt)* })*) => {
        $($(#[$of])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "action", rename_all = "snake_case")]
        pub enum $name {
            $($variants)*
        })*
    };
}

actions! {
    /// `action` of `admin.login`.
    LoginAction {
        /// Logged in.
        In {
            /// The role of the account.
            role: String,
        },
        /// Logged out.
        Out,
        /// Created the account with a one-time link, and logged in.
        Created {
            /// The role of the account.
            role: String,
        },
    }

    /// `action` of `admin.account`.
    AccountAction {
        /// Changed the own password.
        Password,
    }

    /// `action` of `admin.key`.
    KeyAction {
        /// Added a key.
        Added {
            /// The key.
            id: String,
            /// The application.
            app: String,
            /// The name of the stream.
            name: String,
        },
        /// Gave a key another secret.
        Rotated {
            /// The key.
            id: String,
            /// The application.
            app: String,
            /// The name of the stream.
            name: String,
            /// The time during which the old secret is also valid, in seconds.
            overlap_s: u64,
        },
        /// Revoked a key.
        Revoked {
            /// The key.
            id: String,
            /// The application, if known.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            app: Option<String>,
            /// The name of the stream, if known.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            name: Option<String>,
        },
    }

    /// `action` of `admin.target`.
    TargetAction {
        /// Added a target.
        Added(NamedTarget),
        /// Stopped the pushes to a target.
        Paused(NamedTarget),
        /// Resumed the pushes to a target.
        Resumed(NamedTarget),
        /// Changed something else.
        Changed(NamedTarget),
        /// Removed a target.
        Removed {
            /// The target.
            id: String,
            /// The application, if known.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            app: Option<String>,
            /// The name or the pattern of the streams, if known.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            name: Option<String>,
        },
    }

    /// `action` of `admin.stream`.
    StreamAction {
        /// Dropped a publisher.
        Dropped {
            /// The application.
            app: String,
            /// The public name.
            name: String,
            /// The time during which the publisher's key is refused, in seconds.
            ban_s: u64,
        },
        /// Dropped a player.
        PlayerDropped {
            /// The application.
            app: String,
            /// The public name.
            name: String,
        },
    }

    /// `action` of `admin.link`.
    LinkAction {
        /// Made a link for a viewer.
        Made {
            /// The application.
            app: String,
            /// The public name.
            name: String,
            /// The name for a revocation of the link.
            jti: String,
            /// The end of the link's validity.
            expires_at: Timestamp,
        },
        /// Revoked tokens: either one, or all of some streams.
        Revoked {
            /// The name of one token.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            jti: Option<String>,
            /// The streams, as `APP/NAME` or `APP/*`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            sub: Option<String>,
        },
    }

    /// `action` of `admin.job`.
    JobAction {
        /// Restarted a job.
        Restarted {
            /// The job.
            id: String,
        },
    }

    /// `action` of `admin.recording`.
    RecordingAction {
        /// Removed a recording.
        Removed {
            /// The application.
            app: String,
            /// The public name.
            name: String,
            /// The file, below its folder.
            file: PathBuf,
        },
    }

    /// `action` of `admin.chat`.
    ChatAction {
        /// Deleted a message.
        Deleted(ChatPlace),
        /// Restored messages.
        Restored(ChatPlace),
        /// Stopped a person from writing for a time.
        TimedOut(ChatPlace),
        /// Banned a person.
        Banned(ChatPlace),
        /// Lifted a ban or a time-out.
        Unbanned(ChatPlace),
        /// Changed the slow mode.
        Slow(ChatPlace),
    }

    /// `action` of `admin.edge`.
    EdgeAction {
        /// Drained an edge.
        Drained {
            /// The edge.
            id: String,
        },
        /// Lets an edge serve viewers again.
        Undrained {
            /// The edge.
            id: String,
        },
    }
}

/// A target in `admin.target`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedTarget {
    /// The target.
    pub id: String,
    /// The application.
    pub app: String,
    /// The name or the pattern of the streams.
    pub name: String,
}

/// What an action in a chat concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatPlace {
    /// The application.
    pub app: String,
    /// The public name.
    pub name: String,
    /// The id of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name of a person, or the hash of an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The duration of a time-out, or of slow mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}
