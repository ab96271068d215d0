//! `/stream/APP/NAME/still.jpg`: the newest still, if a `[[thumbnail]]` makes one.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::answer;
use crate::config::Config;
use crate::streams::StreamId;

pub(super) async fn get(config: &Config, (app, name): &StreamId) -> Response {
    let rule = config.thumbnails.iter().find(|rule| rule.app == *app && rule.stream.fits(name.as_str()));
    let Some(rule) = rule else { return answer::nothing_here().await };
    let file = rule.folder.join(app.as_str()).join(format!("{name}.jpg"));
    match tokio::fs::read(file).await {
        Ok(still) => ([(header::CONTENT_TYPE, "image/jpeg")], still).into_response(),
        Err(_) => answer::nothing_here().await,
    }
}
