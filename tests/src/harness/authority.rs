//! A certificate authority for one test, made by the command `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::products;

/// The authority, in a temporary folder.
pub struct Authority {
    folder: TempDir,
}

/// A certificate with its key, in PEM.
pub struct Certificate {
    /// The certificate.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
}

impl Authority {
    /// Creates a new authority that nobody trusts yet.
    pub fn create() -> Self {
        let folder = tempfile::Builder::new().prefix("weir-test-").tempdir().unwrap();
        let authority = Self { folder };
        authority.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=weir-test");
        authority
    }

    /// Returns its own certificate, for `weir_trusted_certificate`.
    pub fn certificate(&self) -> Vec<u8> {
        std::fs::read(self.path("ca.pem")).unwrap()
    }

    /// Returns a certificate for `names`, such as `DNS:a.example,IP:127.0.0.1`.
    pub fn issue(&self, names: &str) -> Certificate {
        self.issue_for(names, 1)
    }

    /// Returns a certificate that expired yesterday.
    pub fn issue_expired(&self, names: &str) -> Certificate {
        self.issue_for(names, -1)
    }

    fn issue_for(&self, names: &str, days: i32) -> Certificate {
        std::fs::write(self.path("names"), format!("subjectAltName={names}\n")).unwrap();
        self.openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf");
        self.openssl(&format!("x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -days {days} -out leaf.pem"));
        let read = |name: &str| std::fs::read(self.path(name)).unwrap();
        Certificate { certificate: read("leaf.pem"), key: read("leaf.key") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    fn openssl(&self, arguments: &str) {
        run(self.folder.path(), arguments);
    }
}

#[track_caller]
fn run(folder: &Path, arguments: &str) {
    let mut command = Command::new(products::tool("/usr/bin/openssl"));
    let output = command.args(arguments.split(' ')).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {said}");
}
