//! Changes that nobody made in the dashboard: over the module's API, on the command line, or at the other node of a pair. They become the
//! same events as changes in the dashboard, so that the history and open dashboards show them. In place of an account, `who` is the program.

use serde_json::Value;
use weir_model::Timestamp;
use weir_model::event::daemon::DaemonEvent;
use weir_model::event::daemon::admin::{
    ByAdmin, KeyAction, LinkAction, NamedTarget, StreamAction, TargetAction,
};
use weir_model::event::{By, Event, KeyChange, KeyChanged, TargetChange, TargetChanged};

use crate::clock;

/// Returns the event of a change on the command line, over the daemon's own socket.
pub(super) fn on_command_line<A>(event: impl FnOnce(ByAdmin<A>) -> DaemonEvent, action: A) -> DaemonEvent {
    event(ByAdmin { at: clock::now(), who: By::Weir.as_str().to_owned(), action })
}

/// Returns the event of a change that the module reports. `None` for other events, and for changes by this daemon: it has reported them
/// with the account's name.
pub(super) fn of_event(kind: &str, data: &Value) -> Option<DaemonEvent> {
    let at = data["at"].as_str()?.parse().ok()?;
    match Event::read(kind, data).ok()? {
        Event::KeyChanged(key) => {
            let by = key.by?;
            made(DaemonEvent::AdminKey, by, at, of_key(key))
        }
        Event::TargetChanged(target) => made(DaemonEvent::AdminTarget, target.by, at, of_target(target)),
        Event::StreamDropped(of) => {
            let dropped = StreamAction::Dropped { app: of.app, name: of.name, ban_s: of.ban_s };
            made(DaemonEvent::AdminStream, of.by, at, dropped)
        }
        Event::PlayerDropped(of) => {
            let dropped = StreamAction::PlayerDropped { app: of.app, name: of.name };
            made(DaemonEvent::AdminStream, of.by, at, dropped)
        }
        Event::TokenRevoked(of) => {
            made(DaemonEvent::AdminLink, of.by, at, LinkAction::Revoked { jti: of.jti, sub: of.sub })
        }
        _ => None,
    }
}

fn made<A>(
    event: impl FnOnce(ByAdmin<A>) -> DaemonEvent,
    by: By,
    at: Timestamp,
    action: A,
) -> Option<DaemonEvent> {
    (by != By::Serve).then(|| event(ByAdmin { at, who: by.as_str().to_owned(), action }))
}

fn of_key(KeyChanged { app, change, id, name, overlap_s, .. }: KeyChanged) -> KeyAction {
    let id = id.to_string();
    let known = Option::unwrap_or_default;
    match change {
        KeyChange::Added => KeyAction::Added { id, app: known(app), name: known(name) },
        KeyChange::Rotated => {
            let overlap_s = overlap_s.unwrap_or_default();
            KeyAction::Rotated { id, app: known(app), name: known(name), overlap_s }
        }
        KeyChange::Revoked => KeyAction::Revoked { id, app, name },
    }
}

fn of_target(TargetChanged { app, change, id, stream, .. }: TargetChanged) -> TargetAction {
    let id = id.to_string();
    let action = match change {
        TargetChange::Added => TargetAction::Added,
        TargetChange::Paused => TargetAction::Paused,
        TargetChange::Resumed => TargetAction::Resumed,
        TargetChange::Changed => TargetAction::Changed,
        TargetChange::Removed => return TargetAction::Removed { id, app, name: stream },
    };
    action(NamedTarget { id, app: app.unwrap_or_default(), name: stream.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(kind: &str, mut data: Value) -> Option<Value> {
        data["at"] = json!("2026-11-20T18:00:00Z");
        of_event(kind, &data).map(|event| json!([event.kind(), event]))
    }

    #[test]
    fn changes_outside_of_the_dashboard_have_the_program_as_their_author() {
        let at = "2026-11-20T18:00:00Z";
        let (key, target) = ("k0000000000000001", "t0000000000000001");
        let rotated = json!({ "change": "rotated", "id": key, "by": "weir", "app": "live", "name": "show", "overlap_s": 60 });
        assert_eq!(
            read("key.changed", rotated),
            Some(
                json!(["admin.key", { "at": at, "who": "weir", "action": "rotated", "id": key, "app": "live", "name": "show",
                "overlap_s": 60 }])
            )
        );
        let paused = json!({ "change": "paused", "id": target, "by": "api", "app": "live", "stream": "*" });
        assert_eq!(
            read("target.changed", paused),
            Some(
                json!(["admin.target", { "at": at, "who": "api", "action": "paused", "id": target, "app": "live", "name": "*" }])
            )
        );
        let dropped = json!({ "app": "live", "name": "show", "by": "pair", "ban_s": 60 });
        assert_eq!(
            read("stream.dropped", dropped),
            Some(
                json!(["admin.stream", { "at": at, "who": "pair", "action": "dropped", "app": "live", "name": "show",
                "ban_s": 60 }])
            )
        );
        assert_eq!(
            read("token.revoked", json!({ "by": "api", "sub": "live/*" })),
            Some(json!(["admin.link", { "at": at, "who": "api", "action": "revoked", "sub": "live/*" }]))
        );
        assert_eq!(
            read("player.dropped", json!({ "app": "live", "name": "show", "by": "weir" })),
            Some(
                json!(["admin.stream", { "at": at, "who": "weir", "action": "player_dropped", "app": "live", "name": "show" }])
            )
        );
        // The daemon has reported its own changes, and an older module does not say who made a change.
        for (kind, data) in [
            ("key.changed", json!({ "change": "revoked", "id": key, "by": "serve" })),
            ("key.changed", json!({ "change": "revoked", "id": key })),
            ("stream.dropped", json!({ "app": "live", "name": "show", "by": "serve", "ban_s": 0 })),
            ("publish.denied", json!({ "addr": "192.0.2.1", "app": "live", "reason": "x", "server": "" })),
        ] {
            assert_eq!(read(kind, data), None, "{kind}");
        }
    }
}
