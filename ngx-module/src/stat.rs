//! `weir_stat`: all workers' statistics, as a page, for programs that read nginx-rtmp's, and for Prometheus.

use weir_model::{
    api::ApiError,
    stat::{Format, html, json, prometheus, xml},
};

use crate::{api::Response, ffi::request::Head, runtime, snapshot};

/// Answers a request to a location with `weir_stat`.
pub fn show(head: &Head<'_>) -> Response {
    let (Some((format, full)), Some(runtime)) = (head.settings.stat, runtime::current()) else {
        return ApiError::not_found("no zone is configured").into();
    };
    if !matches!(head.method, "GET" | "HEAD") {
        return ApiError::method_not_allowed(format!("{} is not one of GET, HEAD", head.method)).into();
    }
    let snapshot = snapshot::take(&runtime);
    let snapshot = if full { snapshot } else { snapshot.redacted() };
    let (content_type, body) = match format {
        Format::Html => ("text/html; charset=utf-8", html::render(&snapshot, full)),
        Format::Xml => ("text/xml", xml::render(&snapshot, full)),
        Format::Json => ("application/json", json::render(&snapshot)),
        Format::Prometheus => ("text/plain; version=0.0.4; charset=utf-8", prometheus::render(&snapshot)),
    };
    Response { status: 200, content_type, headers: Vec::new(), body }
}
