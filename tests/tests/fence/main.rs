//! The fence: code that would misuse its types does not compile. Each case is a file of `ngx-rtmp/misuse`, and the correct use compiles.
//! This test needs `make headers`, and no nginx.
#![allow(clippy::unwrap_used, reason = "a test's failure is a panic")]

use std::{env, path::Path, process::Command};

/// Cases that the compiler refuses, each with its error.
const REFUSED: [(&str, &str); 10] = [
    ("session_past_its_callback", "error[E0521]: borrowed data escapes outside of closure"),
    ("settings_past_the_callback", "error: lifetime may not live long enough"),
    ("sessions_beside_a_state", "error[E0499]: cannot borrow `*session` as mutable more than once at a time"),
    (
        "sessions_within_sessions",
        "error[E0501]: cannot borrow `*sessions` as mutable because previous closure requires unique access",
    ),
    ("sessions_past_the_callback", "error: lifetime may not live long enough"),
    ("row_past_the_zone", "error[E0505]: cannot move out of `memory` because it is borrowed"),
    ("memory_with_a_pointer", "error[E0277]: the trait bound `Option<Box<u8>>:"),
    ("runtime_in_a_pool", "error[E0277]: `Rc<Memory>` cannot be sent between threads safely"),
    ("two_configurations", "error[E0499]: cannot borrow `*cx` as mutable more than once at a time"),
    ("directive_of_another_block", "error[E0271]: type mismatch resolving"),
];

/// Returns the compiler's errors for a case; `None` if the case compiles.
fn errors(case: &str) -> Option<String> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "check",
            "--locked",
            "--quiet",
            "--message-format",
            "short",
            "-p",
            "ngx-rtmp",
            "--features",
            "misuse",
        ])
        .args(["--example", case, "--target-dir"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("fence"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .output()
        .unwrap();
    (!output.status.success()).then(|| String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_would_misuse_the_fence_does_not_compile() {
    assert_eq!(errors("allowed"), None);
    for (case, error) in REFUSED {
        let said = errors(case).unwrap_or_else(|| panic!("{case} compiles"));
        assert!(said.contains(error), "{case} fails otherwise than by {error}:\n{said}");
    }
}
