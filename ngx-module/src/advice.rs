//! Warnings about dangerous directives that are not Weir's own. nginx logs them once, when it reads the configuration.

use std::path::Path;

use weir_model::lint::{self, Advice, ReadError};
use weir_nginx_files::Disk;

/// Returns the warnings. Reads files, so a worker's event loop must not call it.
pub fn lines(main_file: &Path) -> Result<Vec<String>, ReadError> {
    Ok(lint::at_start(main_file, &Disk)?.iter().map(Advice::log_line).collect())
}
