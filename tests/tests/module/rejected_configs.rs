//! Configurations that `nginx -t` rejects, each with the message an admin sees.

use weir_tests::harness::nginx::Config;

/// What is wrong, and what is said.
type Case = (Config, &'static str);

fn cases() -> Vec<Case> {
    let weir = Config::weir;
    vec![(weir().main("weir_zone;"), "invalid number of arguments in \"weir_zone\" directive")]
}

#[test]
fn each_is_told_what_is_wrong() {
    for (config, message) in cases() {
        let shown = format!("{config:?}");
        assert_eq!(config.rejected(), message, "{shown}");
    }
}
