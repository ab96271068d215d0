//! A sample of nginx-conf/, and texts put into it.

/// A sample no longer has a text that an answer takes the place of.
#[derive(Debug, thiserror::Error)]
#[error("the sample {sample} has no {text:?}")]
pub(crate) struct Drift {
    sample: &'static str,
    text: String,
}

/// A sample.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    name: &'static str,
    text: String,
}

impl Sample {
    /// As it is in nginx-conf/.
    pub(super) fn new(name: &'static str, text: &str) -> Self {
        Self { name, text: text.to_owned() }
    }

    /// Puts `new` wherever `old` stands.
    pub(super) fn put(mut self, old: &str, new: &str) -> Result<Self, Drift> {
        if !self.text.contains(old) {
            return Err(Drift { sample: self.name, text: old.to_owned() });
        }
        self.text = self.text.replace(old, new);
        Ok(self)
    }

    /// The same, where a sample may have no `old`: in comments.
    pub(super) fn put_if_there(mut self, old: &str, new: &str) -> Self {
        self.text = self.text.replace(old, new);
        self
    }

    /// The file, with the command in its head that wrote it.
    pub(super) fn written_by(self, command: &str) -> String {
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "# Written by `{command}`, Weir {version}, from the sample {}. Change it as you need it.\n#\n{}",
            self.name, self.text
        )
    }
}
