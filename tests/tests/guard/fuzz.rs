//! Without the guard the fuzzer finds a fault. `make test` runs the fuzzer with the guard, where it must find none.

use std::time::Duration;

use weir_tests::fuzz::{self, Guarded, Options};

#[test]
fn without_the_guard_there_is_something_to_be_found() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        seed: 1,
        time: Duration::from_secs(60),
        server: Guarded::Off,
        folder: folder.path().to_owned(),
    };
    let finding = fuzz::run(&options).unwrap_err();
    let sequences = fuzz::Sequence::read_all(&std::fs::read_to_string(&finding.file).unwrap());
    assert_eq!(sequences.map(|sequences| sequences.len()), Ok(finding.sequences), "{}", finding.what);
}
