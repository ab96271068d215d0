//! An S3 server: moto, installed by `make test` in `build/s3-server`.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::ports::Port;
use super::process::Process;
use super::{files, products, wait};

/// The only bucket.
pub const BUCKET: &str = "recordings";

/// The credentials; the server accepts any.
const ANYBODY: &str =
    "AWS4-HMAC-SHA256 Credential=testing/20261120/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// A running server with one empty bucket.
pub struct S3 {
    child: Child,
    port: Port,
    folder: TempDir,
}

impl S3 {
    /// Starts it.
    #[track_caller]
    pub fn start() -> Self {
        let program = products::workspace().join("build/s3-server/bin/moto_server");
        let program = products::tool(&program.to_string_lossy());
        let (port, folder) = (Port::reserve(), tempfile::tempdir().unwrap());
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.number().to_string()])
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let s3 = Self { child, port, folder };
        let client = client();
        let made = wait::until_ok(60.0, || {
            let answer = client.put(format!("{}/{BUCKET}", s3.url())).send().ok()?;
            answer.status().is_success().then_some(())
        });
        assert!(made.is_some(), "no S3 server:\n{}", s3.log());
        s3
    }

    /// Returns its address, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Returns its process.
    pub fn process(&self) -> Process {
        Process(self.child.id() as i32)
    }

    /// Returns a line for each answered request.
    pub fn log(&self) -> String {
        files::text(&self.folder.path().join("log"))
    }

    /// Returns the object of a key.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        // The server checks access only for requests without credentials.
        let request = client().get(format!("{}/{BUCKET}/{key}", self.url())).header("Authorization", ANYBODY);
        let answer = request.send().unwrap();
        answer.status().is_success().then(|| answer.bytes().unwrap().to_vec())
    }
}

fn client() -> reqwest::blocking::Client {
    reqwest::blocking::Client::builder().no_proxy().build().unwrap()
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
