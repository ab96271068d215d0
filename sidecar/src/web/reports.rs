//! Regular exchange between the pages and nginx: reads revoked tokens, and reports the numbers of viewers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use weir_model::token::RevokedTokens;
use weir_model::viewers::{Report, Reported};

use super::common::Web;
use crate::cluster::members::secret;
use crate::config::web::Play;
use crate::live::station::Counts;
use crate::nginx::{Application, Nginx};

/// Interval between reads of revoked tokens and of `weir_play`.
const REVOKED: Duration = Duration::from_secs(2);
/// Interval between reports of viewers.
const VIEWERS: Duration = Duration::from_secs(5);

/// Runs until the process ends.
pub(super) async fn run(web: Arc<Web>) {
    let (mut revoked, mut viewers) = (interval(REVOKED), interval(VIEWERS));
    revoked.set_missed_tick_behavior(MissedTickBehavior::Delay);
    viewers.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut had_viewers = false;
    loop {
        tokio::select! {
            _ = revoked.tick() => learn(&web).await,
            _ = viewers.tick() => {
                let report = report(&web);
                if had_viewers || !report.streams.is_empty() {
                    had_viewers = !report.streams.is_empty();
                    tell(&web, &report).await;
                }
            }
        }
    }
}

fn nginx(web: &Web) -> Option<Nginx> {
    let at = &web.context.config().nginx;
    Nginx::of_configuration(at.api.clone(), at.api_token_file.as_deref()).ok()
}

async fn learn(web: &Web) {
    let play = web.context.config().web.play;
    // Edges get the revocations of their origin.
    let config = web.context.config();
    let origin =
        web.origin.as_ref().filter(|_| config.cluster.secret_file.is_some() && config.follows_nginx());
    if play == Play::Open && !web.doors.ask_for_tokens() && origin.is_none() {
        return;
    }
    let Some(nginx) = nginx(web) else { return };
    // If nginx does not answer, or another program answers in its place, nothing changes: protected streams stay protected, and
    // revoked tokens stay revoked.
    if play != Play::Open
        && let Ok(Some(known)) = nginx.applications().await
    {
        let needs_token = |application: &Application| play == Play::Token || application.needs_play_token();
        let over_rtmp = |application: &Application| application.needs_token_over_rtmp().unwrap_or_default();
        let protected = known.into_iter().filter(needs_token);
        web.doors.protect(protected.map(|one| (one.name.clone(), over_rtmp(&one))).collect());
    }
    if (web.doors.ask_for_tokens() || origin.is_some())
        && let Ok(answer) = nginx.revocations().await
    {
        if let Some(origin) = origin {
            origin.note_tokens(&answer.value.revocations, secret(config.nginx.secret_file.as_deref()));
        }
        web.doors.revoke(RevokedTokens::new(answer.value.revocations));
    }
}

fn report(web: &Web) -> Report {
    let counts = web.hub.counts().into_iter().filter(|(_, counts)| *counts != Counts::default());
    let streams = counts.map(|((app, name), Counts { ws, llhls, webrtc })| {
        let [llhls, ws, webrtc] = [llhls, ws, webrtc].map(|count| count as u64);
        Reported { app: app.to_string(), stream: name.to_string(), llhls, ws, webrtc }
    });
    Report { streams: streams.collect() }
}

async fn tell(web: &Web, report: &Report) {
    if let Some(nginx) = nginx(web)
        && let Err(error) = nginx.report_viewers(report).await
    {
        tracing::debug!("viewers not reported: {error}");
    }
}
