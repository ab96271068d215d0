//! The directives: each parses its arguments and assigns them to the settings of its block.

mod application;
mod error;
mod location;
mod main;
mod reading;

use std::ffi::CStr;

use ngx_rtmp::conf::{Application, Directive, Location, Main, Place};

use application::{
    drain_timeout, duplicate, gop_cache, guard, idle_publisher, key_file, limit_unauthenticated, max_bitrate,
    max_viewers, merge_write, min_free, play, publish, push, push_allow, push_deny, push_to, session_timeout,
    tls_verify,
};
pub use error::DirectiveError;
use location::{api, api_token, play_http, stat, viewers};
use main::{pair_secret, resolver, secret, trusted_certificate, zone};
use reading::Cx;

use crate::weir::Weir;

/// Declares a directive.
macro_rules! directive {
    ($(#[$doc:meta])* $type:ident($block:ty) $name:literal, $place:expr, $set:expr) => {
        $(#[$doc])*
        pub struct $type;

        impl Directive<Weir> for $type {
            type Block = $block;
            const NAME: &'static CStr = $name;
            const PLACE: Place<$block> = $place;
            type Error = DirectiveError;
            fn set(cx: &mut Cx<'_, $block>) -> Result<(), DirectiveError> {
                let set: fn(&mut Cx<'_, $block>) -> Result<(), DirectiveError> = $set;
                set(cx)
            }
        }
    };
}

directive!(
    /// `weir_zone SIZE [state=FILE];`
    WeirZone(Main) c"weir_zone", Place::MAIN.one_or_two(), zone
);
directive!(
    /// `weir_secret FILE;`
    WeirSecret(Main) c"weir_secret", Place::MAIN.one(), secret
);
directive!(
    /// `weir_pair_secret FILE;`
    WeirPairSecret(Main) c"weir_pair_secret", Place::MAIN.one(), pair_secret
);
directive!(
    /// `weir_publish off | key | open;`
    WeirPublish(Application) c"weir_publish", Place::RTMP.one(), publish
);
directive!(
    /// `weir_key_file FILE;`
    WeirKeyFile(Application) c"weir_key_file", Place::APPLICATION.one(), key_file
);
directive!(
    /// `weir_play off | token;`
    WeirPlay(Application) c"weir_play", Place::RTMP.one(), play
);
directive!(
    /// `weir_play off | token [app=APP] [stream=VALUE] [variant=SUFFIX] ...;`
    WeirPlayHttp(Location) c"weir_play", Place::HTTP.one_or_more(), play_http
);
directive!(
    /// `weir_duplicate reject | takeover;`
    WeirDuplicate(Application) c"weir_duplicate", Place::RTMP.one(), duplicate
);
directive!(
    /// `weir_drain_timeout TIME;`
    WeirDrainTimeout(Application) c"weir_drain_timeout", Place::RTMP_SERVER.one(), drain_timeout
);
directive!(
    /// `weir_guard on | off;`
    WeirGuard(Application) c"weir_guard", Place::RTMP_SERVER.one(), guard
);
directive!(
    /// `weir_session_timeout TIME;`
    WeirSessionTimeout(Application) c"weir_session_timeout", Place::RTMP_SERVER.one(),     session_timeout
);
directive!(
    /// `weir_idle_publisher TIME;`
    WeirIdlePublisher(Application) c"weir_idle_publisher", Place::RTMP.one(),     idle_publisher
);
directive!(
    /// `weir_limit_unauthenticated N;`
    WeirLimitUnauthenticated(Application) c"weir_limit_unauthenticated", Place::RTMP_SERVER.one(), limit_unauthenticated
);
directive!(
    /// `weir_min_free SIZE;`
    WeirMinFree(Application) c"weir_min_free", Place::APPLICATION.one(), min_free
);
directive!(
    /// `weir_max_viewers N;`
    WeirMaxViewers(Application) c"weir_max_viewers", Place::APPLICATION.one(), max_viewers
);
directive!(
    /// `weir_max_bitrate RATE [burst=SIZE];`
    WeirMaxBitrate(Application) c"weir_max_bitrate", Place::APPLICATION.one_or_two(), max_bitrate
);
directive!(
    /// `weir_merge_write off | TIME;`
    WeirMergeWrite(Application) c"weir_merge_write", Place::RTMP.one(), merge_write
);
directive!(
    /// `weir_gop_cache off | SIZE;`
    WeirGopCache(Application) c"weir_gop_cache", Place::RTMP.one(), gop_cache
);
directive!(
    /// `weir_push on | off;`
    WeirPush(Application) c"weir_push", Place::RTMP.one(), push
);
directive!(
    /// `weir_push_to URL [name=NAME];`
    WeirPushTo(Application) c"weir_push_to", Place::APPLICATION.one_or_two(), push_to
);
directive!(
    /// `weir_push_allow CIDR | all;`
    WeirPushAllow(Application) c"weir_push_allow", Place::RTMP.one(), push_allow
);
directive!(
    /// `weir_push_deny CIDR | all;`
    WeirPushDeny(Application) c"weir_push_deny", Place::RTMP.one(), push_deny
);
directive!(
    /// `weir_tls_verify on | off;`
    WeirTlsVerify(Application) c"weir_tls_verify", Place::RTMP.one(), tls_verify
);
directive!(
    /// `weir_resolver ADDRESS ... [valid=TIME] [ipv6=on|off];`
    WeirResolver(Main) c"weir_resolver", Place::MAIN.one_or_more(), resolver
);
directive!(
    /// `weir_trusted_certificate FILE;`
    WeirTrustedCertificate(Main) c"weir_trusted_certificate", Place::MAIN.one(),     trusted_certificate
);
directive!(
    /// `weir_api;`
    WeirApi(Location) c"weir_api", Place::LOCATION.none(), api
);
directive!(
    /// `weir_stat [html|xml|json|prometheus] [full];`
    WeirStat(Location) c"weir_stat", Place::LOCATION.up_to_two(), stat
);
directive!(
    /// `weir_viewers off | on [app=APP] [stream=VALUE] [variant=SUFFIX] ... [window=TIME];`
    WeirViewers(Location) c"weir_viewers", Place::HTTP.one_or_more(), viewers
);
directive!(
    /// `weir_api_token FILE;`
    WeirApiToken(Location) c"weir_api_token", Place::HTTP.one(), api_token
);
