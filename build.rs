//! Build script of `ngx-rtmp`: binds the types of nginx-rtmp to Rust.
//!
//! nginx-sys finds the headers of nginx; its build script runs before this one. `NGINX_RTMP_SOURCE_DIR` names the headers of nginx-rtmp.
//! `make headers` prepares both from Debian's packages, and `.cargo/config.toml` names their folders, so a packager needs only the three
//! variables.

use std::{env, fs, path::PathBuf, process::exit};

/// Headers of nginx-rtmp that the fence uses.
const HEADERS: [&str; 8] = [
    "ngx_rtmp.h",
    "ngx_rtmp_cmd_module.h",
    "ngx_rtmp_relay_module.h",
    "ngx_rtmp_live_module.h",
    "ngx_rtmp_play_module.h",
    "ngx_rtmp_codec_module.h",
    "ngx_rtmp_record_module.h",
    "ngx_rtmp_version.h",
];

fn main() {
    println!("cargo::rerun-if-env-changed=NGINX_RTMP_SOURCE_DIR");
    println!("cargo::rerun-if-env-changed=DEP_NGINX_BUILD_DIR");
    pass_on_features();
    let headers = rtmp_source();
    flavour(&headers);
    bind(&headers);
}

/// Passes the features of the configured nginx on as `cfg(ngx_feature = "...")`.
fn pass_on_features() {
    let known = env::var("DEP_NGINX_FEATURES_CHECK").unwrap_or_else(|_| "\"ssl\",\"threads\"".to_owned());
    println!("cargo::rustc-check-cfg=cfg(ngx_feature, values({known}))");
    for feature in env::var("DEP_NGINX_FEATURES").unwrap_or_default().split(',').filter(|f| !f.is_empty()) {
        println!("cargo::rustc-cfg=ngx_feature=\"{feature}\"");
    }
}

fn rtmp_source() -> PathBuf {
    let Some(folder) = env::var_os("NGINX_RTMP_SOURCE_DIR").map(PathBuf::from) else {
        fail("NGINX_RTMP_SOURCE_DIR is not set: run \"make headers\", or name the source of nginx-rtmp in it")
    };
    for header in HEADERS {
        let path = folder.join(header);
        println!("cargo::rerun-if-changed={}", path.display());
        if !path.is_file() {
            let folder = folder.display();
            fail(&format!(
                "{header} is not in {folder}: run \"make headers\" (it takes the source of the package \
                 libnginx-mod-rtmp), or set NGINX_RTMP_SOURCE_DIR"
            ));
        }
    }
    folder
}

/// Detects the kind of nginx-rtmp: arut's, or the fork of sergey-dryabzhinsky, whose structures differ.
fn flavour(headers: &std::path::Path) {
    println!("cargo::rustc-check-cfg=cfg(rtmp_flavour, values(\"arut\", \"dryabzhinsky\"))");
    let commands = fs::read_to_string(headers.join("ngx_rtmp_cmd_module.h")).unwrap_or_default();
    let fork = commands.contains("ngx_rtmp_playlist");
    println!("cargo::rustc-cfg=rtmp_flavour=\"{}\"", if fork { "dryabzhinsky" } else { "arut" });
}

fn bind(headers: &std::path::Path) {
    let nginx = env::var("DEP_NGINX_INCLUDE")
        .unwrap_or_else(|_| fail("nginx-sys found no headers of nginx: install the package nginx-dev"));
    let includes = env::split_paths(&nginx).map(|path| format!("-I{}", path.display()));
    let flags = env::var("DEP_NGINX_CFLAGS").unwrap_or_default();
    let wanted: String = HEADERS.iter().map(|header| format!("#include <{header}>\n")).collect();

    let bindings = bindgen::Builder::default()
        .header_contents("nginx_rtmp.h", &format!("#include <ngx_config.h>\n#include <ngx_core.h>\n{wanted}"))
        .clang_args(includes)
        .clang_arg(format!("-I{}", headers.display()))
        .clang_args(flags.split_whitespace())
        .allowlist_item("ngx_rtmp_.*|NGX_RTMP_.*|NGINX_RTMP_VERSION")
        // nginx's own types come from nginx-sys.
        .allowlist_recursively(false)
        .raw_line("use nginx_sys::*;")
        .layout_tests(false)
        .generate_comments(false)
        .use_core()
        .generate()
        .unwrap_or_else(|error| {
            fail(&format!("the headers of nginx-rtmp cannot be bound ({error}): install libclang-dev"))
        });
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("rtmp.rs");
    if let Err(error) = bindings.write_to_file(&out) {
        fail(&format!("{} cannot be written: {error}", out.display()));
    }
}

fn fail(sentence: &str) -> ! {
    println!("cargo::error={sentence}");
    exit(1)
}
