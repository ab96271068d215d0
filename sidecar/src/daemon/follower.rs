//! The task that follows nginx; it ends when it is dropped.

use tokio::sync::mpsc;
use weir_model::{Digest, Secret};

use crate::config::NginxSettings;
use crate::follow::{Update, follow};
use crate::nginx::Nginx;

pub(super) struct Follower {
    updates: mpsc::Receiver<Update>,
    /// Requests an early look at nginx.
    pub(super) soon: mpsc::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Follower {
    pub(super) fn start(nginx: Nginx) -> Self {
        let (sender, updates) = mpsc::channel(64);
        let (soon, asked) = mpsc::channel(1);
        let task = tokio::spawn(follow(nginx, sender, asked));
        Self { updates, soon, task }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for the next update; never returns if nginx is not followed.
pub(super) async fn next(follower: &mut Option<Follower>) -> Update {
    match follower {
        Some(follower) => match follower.updates.recv().await {
            Some(update) => update,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// Returns the digest of the token that the API's token file holds now.
pub(super) fn token(at: &NginxSettings) -> Option<Digest> {
    let file = at.api_token_file.as_ref()?;
    Some(Secret::new(std::fs::read_to_string(file).ok()?).digest())
}
