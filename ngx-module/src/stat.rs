//! `weir_stat`: the statistics of all workers, as a page, in nginx-rtmp's format for other programs, and for Prometheus.

use ngx_rtmp::request::Response;
use weir_model::{
    api::ApiError,
    stat::{Format, html},
};

use crate::{
    api::{
        access::{is_local, own},
        call::{Head, problem},
    },
    runtime, snapshot,
};

/// Answers a request to a location with `weir_stat`.
pub fn show(head: &Head<'_>) -> Response {
    let (Some((format, full)), Some(runtime)) = (head.settings.stat, runtime::current()) else {
        return problem(ApiError::not_found("no zone is configured"));
    };
    if !matches!(head.method, "GET" | "HEAD") {
        return problem(ApiError::no_method(head.method, "GET, HEAD"));
    }
    // Requests from this machine see publishers and players, but pages in a browser on this machine must not.
    if full
        && format != Format::Prometheus
        && is_local(head)
        && let Err(refused) = own(head)
    {
        return refused;
    }
    let body = format.render(snapshot::take(&runtime), full);
    let headers = match format {
        Format::Html => vec![("Content-Security-Policy", html::CSP.into())],
        Format::Xml | Format::Json | Format::Prometheus => Vec::new(),
    };
    Response { status: 200, content_type: format.content_type(), headers, body }
}
