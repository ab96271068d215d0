//! The graph of a stream's bitrate: its unit is at the axis, its times and numbers are in the language of the browser, and it has a gap where
//! the stream was off.

use serde_json::json;
use weir_tests::harness::browser::Browser;
use weir_tests::harness::{Publisher, Sidecar, until};

use super::look::{complaints, log_in, wait_for};
use super::{WEB, add, nginx};

/// Notes what the page draws as text.
const NOTE: &str = "
    window.drawn = [];
    const native = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        window.drawn.push(String(text));
        return native.call(this, text, ...place);
    };";

#[test]
fn a_graph_says_its_unit_and_draws_no_line_where_the_stream_was_off() {
    let nginx = nginx();
    let sidecar = Sidecar::start(&nginx, WEB);
    add(&sidecar, "ana", "admin");
    let key = nginx.api().create_key("live", "show").key;
    let _publisher = Publisher::to(nginx.rtmp(), &format!("live/{key}")).start().started();
    let browser = Browser::start();
    browser.begin_with(NOTE);
    log_in(&browser, &sidecar, "ana");
    wait_for(&browser, "the unit is drawn", 20.0, "window.drawn.includes('Mbit/s')");
    let time = "new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })";
    let is_time = format!(
        "window.drawn.some((text) => Array.from({{ length: 12 }}, (_, back) => Date.now() - back * 60000)
             .some((at) => {time}.format(at) === text))"
    );
    wait_for(&browser, "a time is drawn as the browser writes times", 20.0, &is_time);

    let gaps = "return import(new URL('assets/chart.js', document.baseURI)).then((chart) => [
        chart.drawn([[0, 1e6], [2, 2e6], [100, 1e6], [110, 1e6]], 100),
        chart.drawn([[0, 1e6], [2, 2e6], [6, 1e6]], 5)])";
    let expected = json!([[[0, 2, 51, 100, 110], [1, 2, null, 1, 1]], [[0, 2, 4, 6], [1, 2, null, 1]],]);
    until("the module is loaded", 10.0, || browser.run(gaps) == expected);
    assert_eq!(complaints(&browser), [""; 0]);
}
