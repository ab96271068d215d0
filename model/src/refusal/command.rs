//! The commands of RTMP that can be refused.

/// A command that Weir answers with a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedCommand {
    /// `connect`.
    Connect,
    /// `publish`.
    Publish,
    /// `play` and `play2`.
    Play,
}

impl RefusedCommand {
    /// Returns the command's name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            RefusedCommand::Connect => "connect",
            RefusedCommand::Publish => "publish",
            RefusedCommand::Play => "play",
        }
    }

    /// Returns the nginx-rtmp directive that asks a program about the command.
    pub fn hook(self) -> &'static str {
        match self {
            RefusedCommand::Connect => "on_connect",
            RefusedCommand::Publish => "on_publish",
            RefusedCommand::Play => "on_play",
        }
    }
}
