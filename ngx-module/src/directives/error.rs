//! What is wrong with a directive.

use std::path::PathBuf;

use ngx_rtmp::conf::{AddZoneError, ArgumentError};
use weir_model::{
    key_file::KeyFileError,
    push::access::AddressesError,
    stat::FormatError,
    stream_name::{AppNameError, NameError},
    target::TargetUrlError,
    token::SignerError,
};

use crate::state::file::FileError;

/// Why a directive is refused. Its name, file and line are logged with it.
#[derive(Debug, thiserror::Error)]
pub enum DirectiveError {
    /// An argument cannot be read.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The configuration gets no zone.
    #[error(transparent)]
    Zone(#[from] AddZoneError),
    /// It stands there a second time.
    #[error("the directive is duplicate")]
    Duplicate,
    /// An argument is missing.
    #[error("a {0} is missing")]
    Missing(&'static str),
    /// `weir_zone` has no room.
    #[error("size \"{size}\" is too small, the least is \"{least}k\"")]
    ZoneTooSmall {
        /// What stands there.
        size: String,
        /// In KiB.
        least: usize,
    },
    /// It has no such parameter.
    #[error("invalid parameter \"{found}\", expected {expected}")]
    Parameter {
        /// What stands there.
        found: String,
        /// What could.
        expected: &'static str,
    },
    /// Something stands behind `off`.
    #[error("invalid parameter \"{0}\", \"off\" has none")]
    OffAlone(String),
    /// It has no such value.
    #[error("invalid value \"{found}\", expected {expected}")]
    Value {
        /// What stands there.
        found: String,
        /// What could.
        expected: String,
    },
    /// `weir_push_allow` and `weir_push_deny` have addresses.
    #[error("invalid value \"{found}\", {error}")]
    Addresses {
        /// What stands there.
        found: String,
        /// What is wrong with it.
        error: AddressesError,
    },
    /// `weir_stat` has formats.
    #[error("invalid value \"{found}\", {error}")]
    Format {
        /// What stands there.
        found: String,
        /// What is wrong with it.
        error: FormatError,
    },
    /// It is no number, or one that makes no sense.
    #[error("invalid number \"{found}\", expected for example \"{example}\"")]
    Number {
        /// What stands there.
        found: String,
        /// One that would be right.
        example: &'static str,
    },
    /// It is no number of bits.
    #[error("invalid {what} \"{found}\", expected bits such as \"8m\"")]
    Bits {
        /// What they are for.
        what: &'static str,
        /// What stands there.
        found: String,
    },
    /// A number of bits alone.
    #[error("{what} \"{found}\" has no unit: write \"8m\" for 8 Mbit, \"500k\" for 500 kbit")]
    BitsWithoutUnit {
        /// What they are for.
        what: &'static str,
        /// What stands there.
        found: String,
    },
    /// Free space of less than a kilobyte.
    #[error("size \"{found}\" is {bytes} bytes: write \"64m\" for 64 MB, or \"0\" for no limit")]
    FewBytes {
        /// What stands there.
        found: String,
        /// The same, in bytes.
        bytes: u64,
    },
    /// Messages do not wait for such a time.
    #[error("invalid time \"{0}\", expected \"off\", or \"0\" to \"1s\", for example \"60ms\"")]
    MergeTime(String),
    /// Messages are not kept in such a size.
    #[error("invalid size \"{0}\", expected \"off\", or \"64k\" to \"256m\", for example \"8m\"")]
    GopSize(String),
    /// Viewers are not counted for such a time.
    #[error("invalid window \"{0}\", expected \"1s\" to \"1h\", for example \"30s\"")]
    Window(String),
    /// A stream is named by application and name.
    #[error("\"stream=\" needs \"app=APP\"")]
    StreamWithoutApp,
    /// `app=` names no application.
    #[error("app \"{name}\": {error}")]
    App {
        /// What stands there.
        name: String,
        /// What is wrong with it.
        error: AppNameError,
    },
    /// The application around it has a name that Weir does not take.
    #[error("application \"{name}\": {error}")]
    Application {
        /// Its name.
        name: String,
        /// What is wrong with it.
        error: AppNameError,
    },
    /// `variant=` ends no name.
    #[error("variant \"{suffix}\": {error}")]
    Variant {
        /// What stands there.
        suffix: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// `name=` names no stream.
    #[error("name \"{name}\": {error}")]
    Name {
        /// What stands there.
        name: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// It is no URL of a target.
    #[error(transparent)]
    Url(#[from] TargetUrlError),
    /// One `weir_secret` signs, and one more is accepted.
    #[error("there are two already: the first one signs, the second one is accepted")]
    ThirdSecret,
    /// A file holds no secret.
    #[error("{}: {error}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SignerError,
    },
    /// A file holds no keys.
    #[error("{}: {error}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyFileError,
    },
    /// A file holds no token for the API.
    #[error("{}: expected one line of at least 16 printable characters, the token", .0.display())]
    Token(PathBuf),
    /// The state file cannot be read.
    #[error("{}", state_file(.0))]
    StateFile(#[from] FileError),
}

impl DirectiveError {
    pub(super) fn parameter(found: &str, expected: &'static str) -> Self {
        DirectiveError::Parameter { found: found.to_owned(), expected }
    }
}

/// The directive's own name is in the line already.
fn state_file(error: &FileError) -> String {
    match error {
        FileError::Io { path, what, error } => format!("{} cannot be {what}: {error}", path.display()),
        FileError::Unreadable { path, error } => format!("{}: {error}", path.display()),
        FileError::Locked(_) => error.to_string(),
    }
}
