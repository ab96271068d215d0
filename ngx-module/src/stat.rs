//! `weir_stat`: all workers' statistics, as a page, for programs that read nginx-rtmp's, and for Prometheus.

use weir_model::{
    api::ApiError,
    stat::{Format, html},
};

use crate::{
    api::{Response, own},
    ffi::request::Head,
    runtime, snapshot,
};

/// Answers a request to a location with `weir_stat`.
pub fn show(head: &Head<'_>) -> Response {
    let (Some((format, full)), Some(runtime)) = (head.settings.stat, runtime::current()) else {
        return ApiError::not_found("no zone is configured").into();
    };
    if !matches!(head.method, "GET" | "HEAD") {
        return ApiError::method_not_allowed(format!("{} is not one of GET, HEAD", head.method)).into();
    }
    // Who publishes and plays is shown to those who ask from this machine, and not to the pages in their browsers.
    if full
        && format != Format::Prometheus
        && head.client.is_local()
        && let Err(refused) = own(head)
    {
        return refused;
    }
    let body = format.render(snapshot::take(&runtime), full);
    let headers = match format {
        Format::Html => vec![("Content-Security-Policy", html::CSP)],
        Format::Xml | Format::Json | Format::Prometheus => Vec::new(),
    };
    Response { status: 200, content_type: format.content_type(), headers, body }
}
