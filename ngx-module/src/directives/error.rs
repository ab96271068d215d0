//! Errors of directives.

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
    /// nginx cannot add a zone to the configuration.
    #[error(transparent)]
    Zone(#[from] AddZoneError),
    /// The directive is there a second time.
    #[error("the directive is duplicate")]
    Duplicate,
    /// An argument is missing.
    #[error("a {0} is missing")]
    Missing(&'static str),
    /// The size of `weir_zone` is too small.
    #[error("size \"{size}\" is too small, the least is \"{least}k\"")]
    ZoneTooSmall {
        /// The argument as written.
        size: String,
        /// The smallest size, in KiB.
        least: usize,
    },
    /// The location has another directive that answers its requests.
    #[error("the location has \"{0}\" already, which answers its requests: use a location for each")]
    OneAnswer(&'static str),
    /// The file has no certificates.
    #[error("{}: no certificates in PEM, expected \"-----BEGIN CERTIFICATE-----\"", .0.display())]
    NoCertificates(PathBuf),
    /// The directive has no such parameter.
    #[error("invalid parameter \"{found}\", expected {expected}")]
    Parameter {
        /// The argument as written.
        found: String,
        /// The valid parameters.
        expected: &'static str,
    },
    /// `off` has no parameters.
    #[error("invalid parameter \"{0}\", \"off\" has none")]
    OffAlone(String),
    /// The directive has no such value.
    #[error("invalid value \"{found}\", expected {expected}")]
    Value {
        /// The argument as written.
        found: String,
        /// The valid values.
        expected: String,
    },
    /// The argument of `weir_push_allow` or `weir_push_deny` is not a list of addresses.
    #[error("invalid value \"{found}\", {error}")]
    Addresses {
        /// The argument as written.
        found: String,
        /// The error in the argument.
        error: AddressesError,
    },
    /// `weir_stat` has no such format.
    #[error("invalid value \"{found}\", {error}")]
    Format {
        /// The argument as written.
        found: String,
        /// The error in the argument.
        error: FormatError,
    },
    /// The argument is not a number, or the number makes no sense.
    #[error("invalid number \"{found}\", expected for example \"{example}\"")]
    Number {
        /// The argument as written.
        found: String,
        /// An example of a valid number.
        example: &'static str,
    },
    /// The argument is not a number of bits.
    #[error("invalid {what} \"{found}\", expected bits such as \"8m\"")]
    Bits {
        /// The purpose of the bits.
        what: &'static str,
        /// The argument as written.
        found: String,
    },
    /// The number of bits has no unit.
    #[error("{what} \"{found}\" has no unit: write \"8m\" for 8 Mbit, \"500k\" for 500 kbit")]
    BitsWithoutUnit {
        /// The purpose of the bits.
        what: &'static str,
        /// The argument as written.
        found: String,
    },
    /// The limit of free space is less than a kilobyte.
    #[error("size \"{found}\" is {bytes} bytes: write \"64m\" for 64 MB, or \"0\" for no limit")]
    FewBytes {
        /// The argument as written.
        found: String,
        /// The same size, in bytes.
        bytes: u64,
    },
    /// The time is outside the range for waiting messages.
    #[error("invalid time \"{0}\", expected \"off\", or \"0\" to \"1s\", for example \"60ms\"")]
    MergeTime(String),
    /// The size is outside the range for kept messages.
    #[error("invalid size \"{0}\", expected \"off\", or \"64k\" to \"256m\", for example \"8m\"")]
    GopSize(String),
    /// The time is outside the range for counting viewers.
    #[error("invalid window \"{0}\", expected \"1s\" to \"1h\", for example \"30s\"")]
    Window(String),
    /// `stream=` needs `app=` too.
    #[error("\"stream=\" needs \"app=APP\"")]
    StreamWithoutApp,
    /// `app=` has no valid application name.
    #[error("app \"{name}\": {error}")]
    App {
        /// The argument as written.
        name: String,
        /// The error in the name.
        error: AppNameError,
    },
    /// The application that contains the directive has a name that Weir does not accept.
    #[error("application \"{name}\": {error}")]
    Application {
        /// The name of the application.
        name: String,
        /// The error in the name.
        error: AppNameError,
    },
    /// `variant=` has no valid end of a name.
    #[error("variant \"{suffix}\": {error}")]
    Variant {
        /// The argument as written.
        suffix: String,
        /// The error in the name.
        error: NameError,
    },
    /// `name=` has no valid stream name.
    #[error("name \"{name}\": {error}")]
    Name {
        /// The argument as written.
        name: String,
        /// The error in the name.
        error: NameError,
    },
    /// The argument is not a URL of a target.
    #[error(transparent)]
    Url(#[from] TargetUrlError),
    /// There are two `weir_secret` already: the first signs, the second is only accepted.
    #[error("there are two already: the first one signs, the second one is accepted")]
    ThirdSecret,
    /// The file has no valid secret.
    #[error("{}: {error}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// The error in the file.
        error: SignerError,
    },
    /// The file has no valid keys.
    #[error("{}: {error}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// The error in the file.
        error: KeyFileError,
    },
    /// The file has no valid token for the API.
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

/// Returns the text of a file error. The log line already has the directive's name.
fn state_file(error: &FileError) -> String {
    match error {
        FileError::Io { path, what, error } => format!("{} cannot be {what}: {error}", path.display()),
        FileError::Unreadable { path, error } => format!("{}: {error}", path.display()),
        FileError::Locked(_) => error.to_string(),
    }
}
