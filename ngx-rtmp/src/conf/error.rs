//! Errors of directives.

use std::{io, path::PathBuf};

use crate::{rtmp_sys::Mismatch, thread::PoolError, zone::ZoneNotAdded};

/// Why a directive's argument cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// The argument is not UTF-8.
    #[error("an argument is not UTF-8")]
    NotText,
    /// The argument is missing.
    #[error("an argument is missing")]
    Missing,
    /// nginx has no memory for the argument.
    #[error("not enough memory")]
    NoMemory,
    /// The name of a file is not UTF-8.
    #[error("the file name is not UTF-8")]
    PathNotText,
    /// The system cannot read the file.
    #[error("{} cannot be read: {error}", path.display())]
    File {
        /// The full path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The argument is not a size.
    #[error("invalid size \"{found}\", expected for example \"{example}\"")]
    Size {
        /// The argument as written.
        found: String,
        /// An example of a valid size.
        example: &'static str,
    },
    /// The argument is not a time.
    #[error("invalid time \"{0}\", expected for example \"30s\"")]
    Time(String),
    /// The directive is there a second time.
    #[error("the directive is duplicate")]
    Duplicate,
    /// nginx cannot create a resolver from these arguments, and has logged why.
    #[error("invalid name server (see the line before), expected for example \"127.0.0.53 valid=30s\"")]
    Resolver,
    /// The value has variables that nginx does not know, and nginx has logged which.
    #[error("the value cannot be read")]
    Value,
    /// nginx-rtmp is not loaded, so there are no applications.
    #[error("nginx-rtmp is not loaded")]
    NoRtmp,
    /// The name of the application that nginx is reading is not UTF-8.
    #[error("the application's name is not UTF-8")]
    ApplicationNotText,
}

/// Why nginx cannot add a zone to a configuration.
#[derive(Debug, thiserror::Error)]
pub enum AddZoneError {
    /// nginx-rtmp is missing, or differs from the one that the module was built for.
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
    /// nginx cannot add the zone.
    #[error(transparent)]
    Zone(#[from] ZoneNotAdded),
}
