//! Checks XML with libxml2: a text that it rejects is not well-formed.

use std::io::Write;
use std::process::{Command, Output};

use tempfile::NamedTempFile;

use super::products;

/// A document.
pub struct Xml {
    file: NamedTempFile,
}

impl Xml {
    /// Asserts that `text` is well-formed.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let xml = Self { file };
        let output = xml.lint(&["--noout"]);
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        xml
    }

    /// The string value of an XPath expression.
    #[track_caller]
    pub fn at(&self, path: &str) -> String {
        let output = self.lint(&["--xpath", &format!("string({path})")]);
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// The same as a number.
    #[track_caller]
    pub fn number(&self, path: &str) -> f64 {
        let text = self.at(path);
        text.parse().unwrap_or_else(|_| panic!("{path} is no number: {text:?}"))
    }

    fn lint(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(products::tool("/usr/bin/xmllint"));
        command.arg("--nonet").args(arguments).arg(self.file.path()).output().unwrap()
    }
}
