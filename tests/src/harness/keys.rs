//! A state file with more keys than a test could create over the API.

use weir_model::key::KeySecret;
use weir_model::{KeyId, Secret, State, StreamKey, Timestamp, secret};

/// Returns the secret of key number `nth`.
pub fn secret(nth: u64) -> Secret {
    let mut random = [7; 20];
    random[..8].copy_from_slice(&nth.to_le_bytes());
    secret::stream_key(random)
}

/// Returns a state file with this many keys: number `nth` permits `live/show-<nth>`.
pub fn state(count: u64) -> String {
    let keys = (0..count).map(|nth| StreamKey {
        id: KeyId(nth),
        app: "live".parse().unwrap(),
        stream: format!("show-{nth}").parse().unwrap(),
        server: None,
        note: String::new(),
        created_at: Timestamp::from_millis(1_795_197_600_000),
        publish_from: Vec::new(),
        secrets: vec![KeySecret { digest: secret(nth).digest(), expires_at: None }],
    });
    State { generation: 1, keys: keys.collect(), targets: Vec::new(), ..State::default() }.encode()
}
