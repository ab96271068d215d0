//! A session, with Weir's types.

use ngx_rtmp::{
    outgoing::Role,
    push::Failure,
    session::{self, Codecs},
};
use weir_model::{
    ClientAddr, Server,
    guard::outgoing,
    media::{AudioFacts, VideoFacts},
    push::LastError,
};

use crate::weir::Weir;

/// A live session, during one callback.
pub type Session<'s> = session::Session<'s, Weir>;

/// Weir's additions to the fence's session.
pub trait SessionExt<'s> {
    /// Returns the address of the other end.
    fn client(&self) -> ClientAddr;
    /// Returns the `server` block that the session belongs to.
    fn server(&self) -> &'s Server;
    /// Returns `weir_drain_timeout`, in milliseconds.
    fn drain_timeout(&self) -> Option<u64>;
    /// Returns the codecs that nginx-rtmp has read in the headers of the published stream.
    fn media_facts(&self) -> (Option<VideoFacts>, Option<AudioFacts>);
    /// Returns the purpose of a connection that nginx opened.
    fn role(&self) -> outgoing::Role;
    /// Returns why a connection to a target ended.
    fn why_it_ended(&self) -> LastError;
}

impl<'s> SessionExt<'s> for Session<'s> {
    fn client(&self) -> ClientAddr {
        self.client_ip().map_or(ClientAddr::Unix, ClientAddr::Ip)
    }

    fn server(&self) -> &'s Server {
        static NOWHERE: Server = Server::nowhere();
        self.guard_settings().map_or(&NOWHERE, |settings| &settings.server)
    }

    fn drain_timeout(&self) -> Option<u64> {
        self.guard_settings()?.drain_timeout_ms
    }

    fn media_facts(&self) -> (Option<VideoFacts>, Option<AudioFacts>) {
        self.codecs().map_or((None, None), |codecs| media_facts(&codecs))
    }

    fn role(&self) -> outgoing::Role {
        match self.relay_role() {
            Role::Push => outgoing::Role::Push,
            Role::Pull => outgoing::Role::Pull,
        }
    }

    fn why_it_ended(&self) -> LastError {
        last_error(self.failure())
    }
}

fn media_facts(codecs: &Codecs) -> (Option<VideoFacts>, Option<AudioFacts>) {
    let video = VideoFacts {
        codec_id: codecs.video_codec,
        profile: codecs.avc_profile,
        level: codecs.avc_level,
        compat: codecs.avc_compat,
        width: codecs.width,
        height: codecs.height,
        fps_milli: 0,
    };
    let audio = AudioFacts {
        codec_id: codecs.audio_codec,
        aac_profile: AudioFacts::object_type(codecs.aac_profile, codecs.aac_sbr, codecs.aac_ps),
        channels: codecs.channels,
        sample_rate: codecs.sample_rate,
    };
    ((video.codec_id != 0).then_some(video), (audio.codec_id != 0).then_some(audio))
}

/// Returns the error of a failed connection in the form for a target.
pub fn last_error(failure: Failure) -> LastError {
    match failure {
        Failure::NoRoom => LastError::NoRoom,
        Failure::Connect(number) => LastError::connect(number),
        Failure::Tls(text) => LastError::tls(text),
        Failure::Certificate(text) => LastError::certificate(&text),
        Failure::Reset => LastError::Reset,
        Failure::Closed => LastError::Closed,
        Failure::NotReading => LastError::NotReading,
        Failure::NoPong => LastError::NoPong,
        Failure::NotRtmp => LastError::NotRtmp,
    }
}
