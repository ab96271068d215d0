//! Where the products and the tools are.

use std::path::{Path, PathBuf};

use super::sanitized;

/// nginx's modules of Debian.
const MODULES: &str = "/usr/lib/nginx/modules";

/// The workspace's root.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The built module: `WEIR_MODULE`, or `build/` of the workspace.
pub fn module() -> PathBuf {
    existing("WEIR_MODULE", "ngx_rtmp_weir_module.so")
}

/// The built daemon and command line: `WEIR_BIN`, or `build/` of the workspace.
pub fn weir() -> PathBuf {
    existing("WEIR_BIN", "weir")
}

/// The stock nginx, the sanitized one, or another that `WEIR_NGINX` names.
pub fn nginx() -> PathBuf {
    if let Some(path) = std::env::var_os("WEIR_NGINX") {
        return PathBuf::from(path);
    }
    if sanitized::is_on() { sanitized::product("nginx") } else { tool("/usr/sbin/nginx") }
}

/// The stock nginx-rtmp, the sanitized one, or another that `WEIR_NGINX_RTMP` names.
pub fn nginx_rtmp() -> PathBuf {
    if let Some(path) = std::env::var_os("WEIR_NGINX_RTMP") {
        return PathBuf::from(path);
    }
    if sanitized::is_on() {
        return sanitized::product("ngx_rtmp_module.so");
    }
    tool(&format!("{MODULES}/ngx_rtmp_module.so"))
}

/// ffmpeg, and by another name ffprobe.
pub fn ffmpeg(name: &str) -> PathBuf {
    tool(&format!("/usr/bin/{name}"))
}

fn existing(variable: &str, name: &str) -> PathBuf {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => workspace().join("build").join(name),
    };
    assert!(path.exists(), "{} is missing: run `make build`, or set {variable}", path.display());
    std::fs::canonicalize(path).unwrap()
}

/// A program or file of a Debian package.
pub fn tool(path: &str) -> PathBuf {
    assert!(Path::new(path).exists(), "{path} is missing: run `make deps`");
    PathBuf::from(path)
}
