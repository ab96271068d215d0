//! An address that guesses keys is refused each time, cannot fill the log, and does not lock out whoever has a valid key.

use weir_tests::harness::{Publisher, until};

use super::{BAD_NAME, keyed};

#[test]
fn wrong_keys_are_logged_ten_times_a_minute_and_then_counted() {
    let nginx = keyed().workers(2).start();
    let key = nginx.api().create_key("live", "show").key;
    for n in 0..25 {
        Publisher::to(nginx.rtmp(), &format!("live/wk_guess{n}")).from("127.0.0.9").start().refused(BAD_NAME);
    }
    let lines = |nginx: &weir_tests::harness::Nginx| nginx.log_lines("publish refused: unknown key").len();
    assert_eq!(lines(&nginx), 10);
    // Others are not concerned.
    Publisher::to(nginx.rtmp(), "live/wk_guess").from("127.0.0.10").start().refused(BAD_NAME);
    assert_eq!(lines(&nginx), 11);
    // A valid key is always accepted, and being refused for another reason is still told.
    let publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).from("127.0.0.9").start().started();
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).from("127.0.0.9").start().refused(BAD_NAME);
    assert_eq!(nginx.log_lines("publish refused: already publishing").len(), 1);
    publisher.send_more(200);
    let summary = "publish refused: unknown key, 15 more times, client: 127.0.0.9";
    until("the minute's summary", 75.0, || nginx.log().contains(summary));
    assert_eq!(lines(&nginx), 12);
}

#[test]
fn many_addresses_do_not_fill_the_table() {
    let nginx = keyed().start();
    let key = nginx.api().create_key("live", "show").key;
    let used = nginx.api().get("/v1/health").expect(200)["zone"]["used"].clone();
    for n in 1..=120 {
        Publisher::to(nginx.rtmp(), "live/wk_guess").from(&format!("127.0.1.{n}")).start().refused(BAD_NAME);
    }
    assert_eq!(nginx.api().get("/v1/health").expect(200)["zone"]["used"], used);
    Publisher::to(nginx.rtmp(), &format!("live/{key}")).from("127.0.1.1").start().started();
}
