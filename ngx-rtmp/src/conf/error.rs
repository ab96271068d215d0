//! Why a directive's arguments are not read.

use std::{io, path::PathBuf};

use crate::{rtmp_sys::Mismatch, thread::PoolError, zone::ZoneNotAdded};

/// Why an argument of a directive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// It is no text.
    #[error("an argument is not UTF-8")]
    NotText,
    /// There is none.
    #[error("an argument is missing")]
    Missing,
    /// nginx has no memory for it.
    #[error("not enough memory")]
    NoMemory,
    /// The name of a file is no text.
    #[error("the file name is not UTF-8")]
    PathNotText,
    /// The system does not give the file.
    #[error("{} cannot be read: {error}", path.display())]
    File {
        /// Its whole path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is no size.
    #[error("invalid size \"{found}\", expected for example \"{example}\"")]
    Size {
        /// What stands there.
        found: String,
        /// One that would be right.
        example: &'static str,
    },
    /// It is no time.
    #[error("invalid time \"{0}\", expected for example \"30s\"")]
    Time(String),
    /// The directive stands there a second time.
    #[error("the directive is duplicate")]
    Duplicate,
    /// nginx takes no name servers of these arguments, and has logged why.
    #[error("the resolver cannot be made")]
    Resolver,
    /// It has variables that nginx does not know, and nginx has logged which.
    #[error("the value cannot be read")]
    Value,
    /// There is no application without nginx-rtmp.
    #[error("nginx-rtmp is not loaded")]
    NoRtmp,
    /// The application that is being read has a name that is no text.
    #[error("the application's name is not UTF-8")]
    ApplicationNotText,
}

/// Why a configuration gets no zone.
#[derive(Debug, thiserror::Error)]
pub enum AddZoneError {
    /// nginx-rtmp is missing, or another than the one that the module was built for.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// nginx-rtmp is loaded after the module.
    #[error(
        "nginx-rtmp is loaded after this module: put \"load_module modules/ngx_rtmp_module.so;\" before \"load_module \
         modules/{own}.so;\""
    )]
    LoadOrder {
        /// The name of the module's library.
        own: &'static str,
    },
    /// nginx has no thread pools.
    #[error(transparent)]
    Pools(#[from] PoolError),
    /// nginx does not add it.
    #[error(transparent)]
    Zone(#[from] ZoneNotAdded),
}
