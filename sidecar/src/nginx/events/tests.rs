use std::convert::Infallible;

use super::*;

async fn read(text: &str, step: usize) -> Vec<ApiEvent> {
    let pieces: Vec<Result<Vec<u8>, Infallible>> =
        text.as_bytes().chunks(step).map(|bytes| Ok(bytes.to_vec())).collect();
    let mut events =
        Events { blocks: blocks(stream::iter(pieces)), by: SetBy::CommandLine, api: "api".into() };
    let mut all = Vec::new();
    while let Ok(event) = events.next().await {
        all.push(event);
    }
    all
}

fn event(id: Option<&str>, kind: &str, data: &str) -> ApiEvent {
    ApiEvent { id: id.map(str::to_owned), kind: kind.into(), data: data.into() }
}

#[tokio::test]
async fn events_are_told_apart_wherever_they_are_cut() {
    let text = ": events of weir\n\nid: 17\nevent: stream.started\ndata: {\"a\":1}\n\n:\n\nevent: x\r\ndata:y\r\n\r\nevent: half";
    for step in [1, 5, 1000] {
        let events = read(text, step).await;
        assert_eq!(events, [event(Some("17"), "stream.started", "{\"a\":1}"), event(None, "x", "y")]);
    }
}

#[tokio::test]
async fn lines_of_data_are_joined_as_the_standard_says() {
    let text = "event: x\ndata: {\ndata:  \"a\": 1\ndata\ndata: }\n\nevent: y\ndata\n\n";
    assert_eq!(read(text, 7).await, [event(None, "x", "{\n \"a\": 1\n\n}"), event(None, "y", "")]);
}

#[tokio::test]
async fn an_event_without_end_costs_that_event_alone() {
    let long = "x".repeat(1 << 20);
    let text = format!(
        "id: 1\nevent: a\ndata: 1\n\nid: 2\nevent: long\ndata: {long}\n\nid: 3\nevent: b\ndata: 3\n\n"
    );
    for step in [1000, 64 << 10, text.len()] {
        let events = read(&text, step).await;
        assert_eq!(events, [event(Some("1"), "a", "1"), event(Some("3"), "b", "3")]);
    }
    // A long event within the limit is passed on.
    let text = format!("id: 2\nevent: long\ndata: {}\n\n", "x".repeat(150_000));
    assert_eq!(read(&text, 8192).await[0].data.len(), 150_000);
}

#[tokio::test(start_paused = true)]
async fn comments_are_a_sign_of_life_and_silence_is_the_end() {
    let comments = stream::unfold(0, async |n: u32| {
        tokio::time::sleep(SILENCE - Duration::from_secs(1)).await;
        (n < 5).then(|| (Ok::<_, Infallible>(b": alive\n\n".to_vec()), n + 1))
    });
    let then = comments.chain(stream::pending());
    let mut events = Events { blocks: blocks(then), by: SetBy::CommandLine, api: "api".into() };
    let began = tokio::time::Instant::now();
    let error = events.next().await.unwrap_err();
    assert!(error.to_string().contains("silence"), "{error}");
    assert!(began.elapsed() > SILENCE * 5, "{:?}", began.elapsed());
}
