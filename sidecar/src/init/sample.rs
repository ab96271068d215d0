//! A sample of nginx-conf/, and replacements in its text.

/// A sample lacks a text that an answer has to replace.
#[derive(Debug, thiserror::Error)]
#[error("the sample {sample} has no {text:?}")]
pub(crate) struct Drift {
    sample: &'static str,
    text: String,
}

/// A sample and its text.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    name: &'static str,
    text: String,
}

impl Sample {
    /// Loads a sample of nginx-conf/.
    pub(super) fn new(name: &'static str, text: &str) -> Self {
        Self { name, text: text.to_owned() }
    }

    /// Replaces every `old` with `new`; fails if the sample has no `old`.
    pub(super) fn put(mut self, old: &str, new: &str) -> Result<Self, Drift> {
        if !self.text.contains(old) {
            return Err(Drift { sample: self.name, text: old.to_owned() });
        }
        self.text = self.text.replace(old, new);
        Ok(self)
    }

    /// Replaces every `old` with `new`; a sample may have no `old`. Used for comments.
    pub(super) fn put_if_there(mut self, old: &str, new: &str) -> Self {
        self.text = self.text.replace(old, new);
        self
    }

    /// Returns the file, with a header that names the command.
    pub(super) fn written_by(self, command: &str) -> String {
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "# Written by `{command}`, Weir {version}, from the sample {}. Change it as you need it.\n#\n{}",
            self.name, self.text
        )
    }
}
