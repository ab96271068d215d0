//! Duplicates that a pair must not have: two publishers with one key, and two targets with one URL. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_model::snapshot::StreamSnapshot;
use weir_model::target::{StreamPattern, TargetUrl};

/// A live publisher, with the key that it used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct OnAir {
    /// Application.
    pub app: String,
    /// Public name.
    pub name: String,
    /// The key's id.
    pub key: String,
    /// Id of the publish. Empty in letters of an older version.
    #[serde(default)]
    pub session: String,
    /// Start of the publish, in milliseconds since 1970.
    pub since: u64,
    /// Whether the publisher sends media.
    pub sends: bool,
}

impl OnAir {
    /// Returns whether both are one publish, whether or not it sends media at the moment.
    pub(crate) fn is_same_publish(&self, other: &Self) -> bool {
        let who = |of: &Self| (of.app.clone(), of.name.clone(), of.key.clone(), of.session.clone(), of.since);
        who(self) == who(other)
    }

    /// Returns whether a live stream is this publish, and not a later one with the same name.
    pub(crate) fn is_on(&self, stream: &StreamSnapshot) -> bool {
        (&stream.app, &stream.name, &stream.session) == (&self.app, &self.name, &self.session)
    }
}

/// The publishers of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stage {
    /// keepalived has made this node the standby.
    pub held: bool,
    /// Live publishers at this node.
    pub on_air: Vec<OnAir>,
}

/// Returns the publishers that must leave this node because the other node has the same key live. The publisher at the standby leaves. If
/// keepalived has not made exactly one node the standby, the publisher that sends no media leaves, or else the later one.
pub(crate) fn to_drop<'s>((mine, me): (&'s Stage, &str), (theirs, they): (&Stage, &str)) -> Vec<&'s OnAir> {
    let gives_way = |one: &&OnAir| {
        theirs.on_air.iter().any(|other| {
            let is_same = (&one.key, &one.app, &one.name) == (&other.key, &other.app, &other.name);
            is_same
                && match (mine.held, theirs.held) {
                    (true, false) => true,
                    (false, true) => false,
                    _ => (!one.sends, one.since, me) > (!other.sends, other.since, they),
                }
        })
    };
    mine.on_air.iter().filter(gives_way).collect()
}

/// The fields of a target that are needed to compare it.
struct Target<'t> {
    value: &'t Value,
    stream: StreamPattern,
    url: TargetUrl,
}

/// Returns the ids of all but one of the targets that push the same stream to the same URL. An enabled target stays, and of several the one
/// with the smallest id. Both nodes decide the same.
pub(crate) fn repeated<'t>(targets: impl Iterator<Item = &'t Value>) -> Vec<String> {
    let read = |value: &'t Value| {
        let (stream, url) = (value["stream"].as_str()?.parse().ok()?, value["url"].as_str()?);
        Some(Target { value, stream, url: TargetUrl::parse(url).ok()? })
    };
    let mut all: Vec<Target<'_>> = targets.filter_map(read).collect();
    all.sort_by_key(|target| {
        (target.value["enabled"] != true, target.value["id"].as_str().unwrap_or_default())
    });
    let (mut kept, mut gone): (Vec<Target<'_>>, _) = (Vec::new(), Vec::new());
    for target in all {
        match kept.iter().any(|other| repeats(other, &target)) {
            true => gone.extend(target.value["id"].as_str().map(str::to_owned)),
            false => kept.push(target),
        }
    }
    gone
}

/// Does the same as `weir_model::Target::repeats`.
fn repeats(one: &Target<'_>, other: &Target<'_>) -> bool {
    let server = |of: &Target<'_>| of.value["server"].as_str().map(str::to_owned);
    let is_any = |of: &Target<'_>| of.stream == StreamPattern::Any;
    one.value["app"] == other.value["app"]
        && (one.stream == other.stream || is_any(one) || is_any(other))
        && (server(one).is_none() || server(other).is_none() || server(one) == server(other))
        && one.url.is_same_place(&other.url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stage(held: bool, on_air: &[(&str, u64, bool)]) -> Stage {
        let one = |&(key, since, sends): &(&str, u64, bool)| OnAir {
            app: "live".into(),
            name: "show".into(),
            key: key.into(),
            session: format!("s{since}"),
            since,
            sends,
        };
        Stage { held, on_air: on_air.iter().map(one).collect() }
    }

    #[test]
    fn a_publisher_that_came_meanwhile_is_not_dropped() {
        let twin = &stage(false, &[("k1", 1, true)]).on_air[0];
        let on_air = |session: &str| -> StreamSnapshot {
            let stream = json!({ "app": "live", "name": "show", "session": session, "since": "2026-11-20T18:00:00Z",
                "publisher": null, "video": null, "audio": null });
            serde_json::from_value(stream).unwrap()
        };
        assert!(twin.is_on(&on_air("s1")) && !twin.is_on(&on_air("s2")));
        // An older node sends no session.
        let old: OnAir =
            serde_json::from_value(json!({ "app": "live", "name": "show", "key": "k1", "since": 1,
            "sends": true }))
            .unwrap();
        assert_eq!(old.session, "");
    }

    #[test]
    fn exactly_one_of_two_publishers_of_a_key_stays() {
        for (a, b, a_leaves) in [
            (stage(true, &[("k1", 1, true)]), stage(false, &[("k1", 9, true)]), true),
            (stage(false, &[("k1", 9, false)]), stage(true, &[("k1", 1, true)]), false),
            (stage(false, &[("k1", 1, true)]), stage(false, &[("k1", 9, true)]), false),
            (stage(false, &[("k1", 1, false)]), stage(false, &[("k1", 9, true)]), true),
            (stage(true, &[("k1", 5, true)]), stage(true, &[("k1", 5, true)]), false),
        ] {
            let (of_a, of_b) = (to_drop((&a, "a"), (&b, "b")), to_drop((&b, "b"), (&a, "a")));
            assert_eq!(
                (of_a.len(), of_b.len()),
                (usize::from(a_leaves), usize::from(!a_leaves)),
                "{a:?} {b:?}"
            );
        }
        let (a, b) = (stage(true, &[("k1", 1, true)]), stage(false, &[("k2", 1, true)]));
        assert!(to_drop((&a, "a"), (&b, "b")).is_empty(), "another key");
    }

    #[test]
    fn a_url_is_pushed_to_once() {
        let target = |id: &str, stream: &str, url: &str, enabled: bool| json!({ "id": id, "app": "live", "stream": stream, "url": url, "enabled": enabled });
        let all = [
            target("t1", "show", "rtmp://h/in/k", false),
            target("t2", "show", "rtmp://h:1935/in/k", true),
            target("t3", "show", "rtmp://h/in/other", true),
            target("t4", "*", "rtmp://h/in/k", true),
            target("t5", "talk", "rtmp://h/in/x", true),
        ];
        assert_eq!(repeated(all.iter()), ["t4", "t1"]);
        assert!(repeated(all[2..3].iter()).is_empty());
    }
}
