//! Facts about a stream's video and audio, from its codec headers.
//!
//! Codecs have the ids of the FLV specification and the names that nginx-rtmp's `rtmp_stat` prints.

pub mod content;

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};

/// Facts about a stream's video. In JSON: `{codec,profile,level,width,height,fps}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "VideoView", from = "VideoView")]
pub struct VideoFacts {
    /// FLV's CodecID: 7 is H.264. Codecs of Enhanced RTMP have numbers that Weir defines, see [`VideoFacts::id_of`].
    pub codec_id: u8,
    /// The profile number of the codec, such as `profile_idc` of H.264; 0 if unknown.
    pub profile: u8,
    /// Ten times the level, like `level_idc` of H.264; 0 if unknown.
    pub level: u8,
    /// H.264's constraint flags, the byte between profile and level; the last bit is reserved and 0.
    pub compat: u8,
    /// Width in pixels; 0 if unknown.
    pub width: u16,
    /// Height in pixels; 0 if unknown.
    pub height: u16,
    /// Frames per second, in thousandths; 0 if unknown.
    pub fps_milli: u32,
}

/// Facts about a stream's audio. In JSON: `{codec,profile,sample_rate,channels}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "AudioView", from = "AudioView")]
pub struct AudioFacts {
    /// FLV's SoundFormat: 10 is AAC. Codecs of Enhanced RTMP have numbers that Weir defines, see [`AudioFacts::id_of`].
    pub codec_id: u8,
    /// MPEG-4's audio object type as first signalled, see [`AudioFacts::object_type`]; 0 if unknown or for another
    /// codec.
    pub aac_profile: u8,
    /// Number of channels; 0 if unknown.
    pub channels: u8,
    /// Sample rate in Hz; 0 if unknown.
    pub sample_rate: u32,
}

/// Set in every packed word, so that 0 can mean "none".
const PRESENT: u64 = 1 << 56;

/// Video codecs of Enhanced RTMP: FourCC, Weir's number, which FLV does not use, and name.
const ENHANCED_VIDEO: [([u8; 4], u8, &str); 5] = [
    (*b"hvc1", 12, "HEVC"),
    (*b"av01", 16, "AV1"),
    (*b"vp08", 17, "VP8"),
    (*b"vp09", 18, "VP9"),
    (*b"vvc1", 19, "VVC"),
];
/// Audio codecs of Enhanced RTMP, in the same form.
const ENHANCED_AUDIO: [([u8; 4], u8, &str); 4] =
    [(*b"Opus", 17, "Opus"), (*b"fLaC", 18, "FLAC"), (*b"ac-3", 19, "AC-3"), (*b"ec-3", 20, "E-AC-3")];
/// The number for an unknown FourCC.
const UNKNOWN: u8 = 31;

fn id_in(table: &[([u8; 4], u8, &str)], name: [u8; 4]) -> u8 {
    table.iter().find(|(known, ..)| *known == name).map_or(UNKNOWN, |(_, id, _)| *id)
}

fn name_in(table: &[([u8; 4], u8, &'static str)], id: u8) -> &'static str {
    table.iter().find(|(_, known, _)| *known == id).map_or("", |(.., name)| name)
}

impl VideoFacts {
    /// Returns the `codec_id` of a codec that Enhanced RTMP identifies by a name, such as `hvc1`.
    pub fn id_of(name: [u8; 4]) -> u8 {
        if name == *b"avc1" { 7 } else { id_in(&ENHANCED_VIDEO, name) }
    }

    /// Returns the codec's name, such as `H264`; empty if the id is unknown.
    pub fn codec(&self) -> &'static str {
        match self.codec_id {
            1 => "Jpeg",
            2 => "Sorenson-H263",
            3 => "ScreenVideo",
            4 => "On2-VP6",
            5 => "On2-VP6-Alpha",
            6 => "ScreenVideo2",
            7 => "H264",
            id => name_in(&ENHANCED_VIDEO, id),
        }
    }

    /// Returns the profile, such as `High`; empty if unknown. ITU-T H.264, annex A.2, and H.265, annex A.3.
    pub fn profile(&self) -> &'static str {
        if self.codec_id != 7 {
            return match (self.codec(), self.profile) {
                ("HEVC", 1) => "Main",
                ("HEVC", 2) => "Main 10",
                ("HEVC", 3) => "Main Still Picture",
                ("HEVC", 4) => "Range Extensions",
                _ => "",
            };
        }
        match self.profile {
            66 => "Baseline",
            77 => "Main",
            88 => "Extended",
            100 => "High",
            110 => "High 10",
            122 => "High 4:2:2",
            244 => "High 4:4:4",
            _ => "",
        }
    }

    /// Returns the level, such as `4.1`; empty if unknown.
    pub fn level(&self) -> String {
        match self.level {
            0 => String::new(),
            level => format!("{}.{}", level / 10, level % 10),
        }
    }

    /// Packs all facts except the frame rate into one word, never 0.
    pub fn to_words(&self) -> u64 {
        PRESENT
            | u64::from(self.codec_id) << 48
            | u64::from(self.compat >> 1) << 57
            | u64::from(self.profile) << 40
            | u64::from(self.level) << 32
            | u64::from(self.width) << 16
            | u64::from(self.height)
    }

    /// Unpacks such a word, without a frame rate. Returns `None` for 0.
    pub fn from_words(word: u64) -> Option<VideoFacts> {
        let [flags, codec_id, profile, level, w1, w0, h1, h0] = word.to_be_bytes();
        (word & PRESENT != 0).then_some(VideoFacts {
            codec_id,
            profile,
            level,
            compat: flags & 0xfe,
            width: u16::from_be_bytes([w1, w0]),
            height: u16::from_be_bytes([h1, h0]),
            fps_milli: 0,
        })
    }

    /// Returns the frames per second, as a number with at most 3 decimals.
    pub fn fps(&self) -> Fps {
        Fps(self.fps_milli)
    }
}

impl AudioFacts {
    /// Returns the `codec_id` of a codec that Enhanced RTMP identifies by a name, such as `Opus`.
    pub fn id_of(name: [u8; 4]) -> u8 {
        match &name {
            b"mp4a" => 10,
            b".mp3" => 2,
            _ => id_in(&ENHANCED_AUDIO, name),
        }
    }

    /// Returns the `aac_profile` for three facts that nginx-rtmp stores separately: the object type of the core coder,
    /// spectral band replication, and parametric stereo.
    pub const fn object_type(core: u8, sbr: bool, ps: bool) -> u8 {
        match core {
            2 if ps => 29,
            2 if sbr => 5,
            core => core,
        }
    }

    /// Returns the codec's name, such as `AAC`; empty if the id is unknown.
    pub fn codec(&self) -> &'static str {
        match self.codec_id {
            0 | 16 => "Uncompressed",
            1 => "ADPCM",
            2 => "MP3",
            3 => "LinearLE",
            4 => "Nellymoser16",
            5 => "Nellymoser8",
            6 => "Nellymoser",
            7 => "G711A",
            8 => "G711U",
            10 => "AAC",
            11 => "Speex",
            14 => "MP3-8K",
            15 => "DeviceSpecific",
            id => name_in(&ENHANCED_AUDIO, id),
        }
    }

    /// Returns the AAC profile, such as `LC`; empty if unknown. ISO/IEC 14496-3, Table 1.17.
    pub fn profile(&self) -> &'static str {
        match self.aac_profile {
            1 => "Main",
            2 => "LC",
            3 => "SSR",
            4 => "LTP",
            5 => "HE",
            29 => "HEv2",
            _ => "",
        }
    }

    /// Packs all facts into one word, never 0.
    pub fn to_words(&self) -> u64 {
        PRESENT
            | u64::from(self.codec_id) << 48
            | u64::from(self.aac_profile) << 40
            | u64::from(self.channels) << 32
            | u64::from(self.sample_rate)
    }

    /// Unpacks such a word. Returns `None` for 0.
    pub fn from_words(word: u64) -> Option<AudioFacts> {
        let [_, codec_id, aac_profile, channels, rate @ ..] = word.to_be_bytes();
        (word & PRESENT != 0).then_some(AudioFacts {
            codec_id,
            aac_profile,
            channels,
            sample_rate: u32::from_be_bytes(rate),
        })
    }
}

/// A frame rate in thousandths, written as `30` or `29.97`, in text and in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "f64")]
pub struct Fps(pub u32);

impl Fps {
    /// Returns the frames per second.
    pub fn per_second(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl From<f64> for Fps {
    fn from(rate: f64) -> Fps {
        // A number that does not fit becomes the nearest one.
        Fps((rate * 1000.0).round() as u32)
    }
}

impl std::fmt::Display for Fps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) if part % 100 == 0 => write!(f, "{whole}.{}", part / 100),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{:02}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:03}"),
        }
    }
}

impl Serialize for Fps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1000) {
            serializer.serialize_u32(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.per_second())
        }
    }
}

/// Returns the lowest number with this name, or `None`.
fn number_of(name: &str, name_of: impl Fn(u8) -> &'static str) -> Option<u8> {
    (0..=u8::MAX).find(|number| name_of(*number) == name)
}

/// Video as the API shows it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct VideoView {
    codec: Cow<'static, str>,
    profile: Cow<'static, str>,
    level: String,
    width: u16,
    height: u16,
    fps: Fps,
}

impl From<VideoFacts> for VideoView {
    fn from(video: VideoFacts) -> VideoView {
        VideoView {
            codec: video.codec().into(),
            profile: video.profile().into(),
            level: video.level(),
            width: video.width,
            height: video.height,
            fps: video.fps(),
        }
    }
}

/// The API does not show all facts. The facts that it leaves out become 0.
impl From<VideoView> for VideoFacts {
    fn from(view: VideoView) -> VideoFacts {
        let named = |codec_id| VideoFacts { codec_id, ..VideoFacts::default() };
        let video = named(number_of(&view.codec, |id| named(id).codec()).unwrap_or(UNKNOWN));
        let profile = number_of(&view.profile, |profile| VideoFacts { profile, ..video }.profile());
        let level = view.level.split_once('.').and_then(|(whole, tenth)| {
            whole.parse::<u8>().ok()?.checked_mul(10)?.checked_add(tenth.parse().ok()?)
        });
        VideoFacts {
            profile: profile.unwrap_or_default(),
            level: level.unwrap_or_default(),
            width: view.width,
            height: view.height,
            fps_milli: view.fps.0,
            ..video
        }
    }
}

/// Audio as the API shows it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct AudioView {
    codec: Cow<'static, str>,
    profile: Cow<'static, str>,
    sample_rate: u32,
    channels: u8,
}

impl From<AudioFacts> for AudioView {
    fn from(audio: AudioFacts) -> AudioView {
        AudioView {
            codec: audio.codec().into(),
            profile: audio.profile().into(),
            sample_rate: audio.sample_rate,
            channels: audio.channels,
        }
    }
}

impl From<AudioView> for AudioFacts {
    fn from(view: AudioView) -> AudioFacts {
        let AudioView { codec, profile, sample_rate, channels } = view;
        let (codec_id, aac_profile) = (UNKNOWN, 0);
        let audio = AudioFacts { codec_id, aac_profile, channels, sample_rate };
        let codec_id = number_of(&codec, |codec_id| AudioFacts { codec_id, ..audio }.codec());
        let aac_profile = number_of(&profile, |aac_profile| AudioFacts { aac_profile, ..audio }.profile());
        AudioFacts {
            codec_id: codec_id.unwrap_or(UNKNOWN),
            aac_profile: aac_profile.unwrap_or_default(),
            ..audio
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VIDEO: VideoFacts = VideoFacts {
        codec_id: 7,
        profile: 100,
        level: 41,
        compat: 0,
        width: 1280,
        height: 720,
        fps_milli: 29_970,
    };
    const AUDIO: AudioFacts = AudioFacts { codec_id: 10, aac_profile: 2, channels: 2, sample_rate: 48_000 };

    #[test]
    fn has_the_names_of_rtmp_stat() {
        assert_eq!((VIDEO.codec(), VIDEO.profile(), VIDEO.level().as_str()), ("H264", "High", "4.1"));
        assert_eq!((AUDIO.codec(), AUDIO.profile()), ("AAC", "LC"));
        assert_eq!(AudioFacts { codec_id: 2, ..AUDIO }.codec(), "MP3");
        assert_eq!(VideoFacts { level: 9, ..VIDEO }.level(), "0.9");
    }

    proptest! {
        #[test]
        fn what_the_api_shows_is_read_back(
            (codec_id, profile, level, width, height) in any::<(u8, u8, u8, u16, u16)>(),
            (fps_milli, aac_profile, channels, sample_rate) in (0_u32..500_000, any::<u8>(), any::<u8>(), any::<u32>()),
        ) {
            let video = VideoFacts { codec_id, profile, level, width, height, fps_milli, compat: 0 };
            let shown = serde_json::to_string(&video).unwrap();
            let read: VideoFacts = serde_json::from_str(&shown).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), shown);
            let audio = AudioFacts { codec_id, aac_profile, channels, sample_rate };
            let shown = serde_json::to_string(&audio).unwrap();
            let read: AudioFacts = serde_json::from_str(&shown).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), shown);
        }
    }

    #[test]
    fn facts_that_are_missing_are_unknown() {
        let video: VideoFacts = serde_json::from_str(r#"{"codec":"H264","width":1280,"fps":25.1}"#).unwrap();
        assert_eq!((video.codec(), video.width, video.fps_milli, video.level), ("H264", 1280, 25_100, 0));
        let later: AudioFacts = serde_json::from_str(r#"{"codec":"from 2040"}"#).unwrap();
        assert_eq!((later.codec(), later.profile(), later.channels), ("", "", 0));
    }

    #[test]
    fn codecs_of_enhanced_rtmp_have_names() {
        let video = |name: &[u8; 4]| VideoFacts { codec_id: VideoFacts::id_of(*name), profile: 1, ..VIDEO };
        assert_eq!((video(b"hvc1").codec(), video(b"hvc1").profile()), ("HEVC", "Main"));
        assert_eq!(
            (video(b"av01").codec(), video(b"vp09").codec(), video(b"avc1").codec()),
            ("AV1", "VP9", "H264")
        );
        assert_eq!((video(b"av01").profile(), video(b"xxxx").codec()), ("", ""));
        let audio = |name: &[u8; 4]| AudioFacts { codec_id: AudioFacts::id_of(*name), ..AUDIO }.codec();
        assert_eq!(
            (audio(b"Opus"), audio(b"mp4a"), audio(b".mp3"), audio(b"xxxx")),
            ("Opus", "AAC", "MP3", "")
        );
        // The ids of FLV keep their meaning.
        assert_eq!(AudioFacts { codec_id: 16, ..AUDIO }.codec(), "Uncompressed");
    }

    #[test]
    fn what_is_unknown_is_empty() {
        let (video, audio) = (VideoFacts::default(), AudioFacts { codec_id: 12, ..AudioFacts::default() });
        assert_eq!((video.codec(), video.profile(), video.level().as_str()), ("", "", ""));
        assert_eq!((audio.codec(), audio.profile()), ("", ""));
        for id in 0..=u8::MAX {
            let _ = VideoFacts { codec_id: id, profile: id, level: id, ..VIDEO }.level();
            let _ = AudioFacts { codec_id: id, aac_profile: id, ..AUDIO }.profile();
        }
    }

    #[test]
    fn spectral_band_replication_makes_lc_he() {
        let name = |core, sbr, ps| {
            AudioFacts { aac_profile: AudioFacts::object_type(core, sbr, ps), ..AUDIO }.profile()
        };
        assert_eq!(name(2, false, false), "LC");
        assert_eq!(name(2, true, false), "HE");
        assert_eq!(name(2, true, true), "HEv2");
        assert_eq!(name(1, true, false), "Main");
    }

    #[test]
    fn json_has_the_form_of_the_api() {
        assert_eq!(
            serde_json::to_string(&VIDEO).unwrap(),
            r#"{"codec":"H264","profile":"High","level":"4.1","width":1280,"height":720,"fps":29.97}"#
        );
        assert_eq!(
            serde_json::to_string(&AUDIO).unwrap(),
            r#"{"codec":"AAC","profile":"LC","sample_rate":48000,"channels":2}"#
        );
    }

    #[test]
    fn a_frame_rate_has_at_most_three_decimals() {
        for (milli, text) in
            [(0, "0"), (30_000, "30"), (29_970, "29.97"), (12_500, "12.5"), (23_976, "23.976"), (5, "0.005")]
        {
            assert_eq!(Fps(milli).to_string(), text);
            assert_eq!(serde_json::to_string(&Fps(milli)).unwrap(), text);
        }
    }

    #[test]
    fn nothing_packs_to_none_and_nothing_else_does() {
        assert_eq!((VideoFacts::from_words(0), AudioFacts::from_words(0)), (None, None));
        assert_ne!((VideoFacts::default().to_words(), AudioFacts::default().to_words()), (0, 0));
    }

    proptest! {
        #[test]
        fn video_is_unpacked_as_it_was_packed(
            codec_id: u8, profile: u8, level: u8, flags in 0_u8..128, width: u16, height: u16, fps_milli: u32
        ) {
            let video = VideoFacts { codec_id, profile, level, compat: flags << 1, width, height, fps_milli };
            let unpacked = VideoFacts::from_words(video.to_words()).unwrap();
            prop_assert_eq!(unpacked.fps_milli, 0);
            prop_assert_eq!(VideoFacts { fps_milli, ..unpacked }, video);
        }

        #[test]
        fn audio_is_unpacked_as_it_was_packed(codec_id: u8, aac_profile: u8, channels: u8, sample_rate: u32) {
            let audio = AudioFacts { codec_id, aac_profile, channels, sample_rate };
            prop_assert_eq!(AudioFacts::from_words(audio.to_words()), Some(audio));
        }

        #[test]
        fn a_frame_rate_reads_the_same_in_text_and_json(milli: u32) {
            prop_assert_eq!(Fps(milli).to_string(), serde_json::to_string(&Fps(milli)).unwrap());
        }
    }
}
