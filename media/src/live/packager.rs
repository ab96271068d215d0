//! Converts the steps of a run to initialization segments and fragments. Each fragment contains one video frame and the
//! audio before it, or 40 ms of audio.
//!
//! The times of the output only increase, even over a new connection to the stream: the first frame of the new
//! connection follows the end of the last frame.

use weir_rtmp::flv::TagKind;
use weir_rtmp::media::{self, config};

use super::captions::Units;
use super::codecs::{self, Aac};
use super::fragment::{self, AUDIO, Layout, Sample, Samples, VIDEO};
use crate::run::cut::{Frame, Header, Headers, Step};
use crate::run::mp4::{MATRIX, Track, boxed, full, has_audio, has_video, picture_entry, sound_entry, words};

/// Time scale of video, and of audio whose codec does not state the length of its frames, in units per second.
const SCALE: u32 = 1000;
/// Without video, audio waits no longer than this, in milliseconds.
const MOST_SOUND: i64 = 40;
/// If audio is this far from its expected time, its time has jumped; in milliseconds.
const JUMP: i64 = 60;
/// Duration of the first video frame, in milliseconds.
const USUAL: u32 = 40;

/// The initialization of a decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// `ftyp` and `moov`.
    pub bytes: Vec<u8>,
    /// The codecs as RFC 6381 defines them, separated by a comma.
    pub codecs: String,
    /// Width and height in pixels, if there is video and its size is known.
    pub size: Option<(u16, u16)>,
    /// Whether there is video.
    pub has_video: bool,
    /// Whether there is audio.
    pub has_audio: bool,
    /// Whether it belongs to another connection than the output before.
    pub breaks: bool,
    /// The decoder's configuration of the video.
    pub video: Option<Header>,
    /// The decoder's configuration of the audio.
    pub audio: Option<Header>,
}

impl Init {
    /// Returns the form of the NAL units, or `None` for another codec than H.264 and HEVC.
    pub fn units(&self) -> Option<Units> {
        let header = self.video.as_ref()?;
        let is_hevc = header.codec.is_hevc();
        // `lengthSizeMinusOne` of avcC and of hvcC (ISO/IEC 14496-15, 5.3.3.1.2 and 8.3.3.1.2).
        let at = if is_hevc { 21 } else { 4 };
        let length = header.data.get(at).filter(|_| is_hevc || header.codec.is_avc())?;
        Some(Units { length: usize::from(length & 3) + 1, is_hevc })
    }
}

/// `moof` and `mdat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The bytes to send.
    pub bytes: Vec<u8>,
    /// Whether a decoder can begin with it.
    pub is_key: bool,
    /// Decoding time of its first video frame, or audio frame if there is no video, in milliseconds.
    pub start: i64,
    /// Duration, as far as it is known before the next fragment.
    pub duration: i64,
    /// Whether it contains a video frame.
    pub has_picture: bool,
    /// The positions of the video frame and the audio in `bytes`.
    pub layout: Layout,
}

/// The output for a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The initialization for the following fragments.
    Init(Init),
    /// The next fragment.
    Fragment(Fragment),
}

/// Processes the steps of consecutive connections.
#[derive(Debug, Default)]
pub struct Packager {
    sequence: u32,
    /// Offset that is added to the times of frames.
    offset: i64,
    /// The offset of the next run, if other packagers have the same.
    aligned: Option<i64>,
    /// End of the newest fragment, in milliseconds.
    end: i64,
    is_new_run: bool,
    breaks: bool,
    follows: bool,
    has_video: bool,
    /// Time and duration of the last video frame.
    picture: Option<(i64, u32)>,
    sound: Sound,
    pending: Samples,
    /// Time of the first waiting audio frame.
    waiting: i64,
}

/// The clock of the audio.
#[derive(Clone, Copy, Debug, Default)]
struct Sound {
    scale: u32,
    /// Samples per frame, if the codec states them.
    samples: Option<u32>,
    /// Expected time of the next frame, in units of `scale`.
    next: Option<i64>,
    last: Option<i64>,
}

impl Packager {
    /// Tells the packager that the following steps come from another connection.
    pub fn reconnected(&mut self) {
        self.breaks = true;
        self.renewed();
    }

    /// Tells the packager that the following steps have another clock.
    pub fn renewed(&mut self) {
        self.follows = true;
        self.pending = Samples::default();
    }

    /// Sets the offset that is added to the times of the next run, so that streams with a common clock have common times. The
    /// packager uses another one if times would decrease.
    pub fn align(&mut self, offset: i64) {
        self.aligned = Some(offset);
    }

    /// Returns whether it has had no frame.
    pub fn is_new(&self) -> bool {
        self.end == 0
    }

    /// Returns the offset that is added to the times of frames.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Processes the next step.
    pub fn take(&mut self, step: Step, out: &mut Vec<Output>) {
        match step {
            Step::Begin(headers) => self.begin(headers, out),
            Step::Frame(frame) => self.frame(&frame, out),
            Step::End | Step::Doubt => {}
        }
    }

    fn begin(&mut self, headers: Headers, out: &mut Vec<Output>) {
        let video = headers.video.filter(|header| has_video(header.codec) && codecs::video(header).is_some());
        let audio = headers.audio.filter(|header| has_audio(header.codec) && codecs::audio(header).is_some());
        self.pending = Samples::default();
        self.picture = None;
        self.is_new_run = true;
        self.has_video = video.is_some();
        self.sound = audio.as_ref().map(Sound::of).unwrap_or_default();
        let names = video.iter().filter_map(codecs::video).chain(audio.iter().filter_map(codecs::audio));
        let size = video.as_ref().map(size_of).filter(|size| *size != (0, 0));
        out.push(Output::Init(Init {
            bytes: init(video.as_ref(), audio.as_ref(), self.sound.scale),
            codecs: names.collect::<Vec<_>>().join(","),
            size,
            has_video: video.is_some(),
            has_audio: audio.is_some(),
            breaks: std::mem::take(&mut self.breaks),
            video,
            audio,
        }));
    }

    fn frame(&mut self, frame: &Frame, out: &mut Vec<Output>) {
        if self.is_new_run {
            self.is_new_run = false;
            // After a change of the clock or the connection, times continue from the end of the last fragment.
            let is_behind = frame.time + self.offset < self.end;
            let follows = std::mem::take(&mut self.follows) || is_behind || self.end == 0;
            if let Some(offset) = self.aligned.take().filter(|offset| frame.time + offset >= self.end) {
                self.offset = offset;
            } else if follows {
                self.offset = self.end - frame.time;
            }
        }
        let time = frame.time + self.offset;
        match frame.kind {
            TagKind::Audio if self.sound.scale > 0 => self.put_sound(frame, time, out),
            TagKind::Video if self.has_video => self.put_picture(frame, time, out),
            _ => {}
        }
    }

    fn put_sound(&mut self, frame: &Frame, time: i64, out: &mut Vec<Output>) {
        let Some(read) = media::audio(&frame.payload) else { return };
        if self.pending.each.is_empty() {
            self.waiting = time;
        }
        let (at, duration) = self.sound.place(time.max(0));
        if self.pending.each.is_empty() {
            self.pending.time = at.unsigned_abs();
        }
        self.pending.data.extend(read.data);
        let size = read.data.len() as u32;
        self.pending.each.push(Sample { duration, size, is_key: true, composition: 0 });
        let length = self.pending.each.iter().map(|sample| i64::from(sample.duration)).sum::<i64>() * 1000
            / i64::from(self.sound.scale);
        // If there is video, audio waits for the next frame, unless the video has stopped.
        let most = if self.has_video { MOST_SOUND * 5 } else { MOST_SOUND };
        if length >= most {
            let is_key = !self.has_video;
            self.emit(Samples::default(), is_key, self.waiting, length, out);
        }
    }

    fn put_picture(&mut self, frame: &Frame, time: i64, out: &mut Vec<Output>) {
        let Some(read) = media::video(&frame.payload) else { return };
        let duration = match self.picture {
            Some((last, _)) => (time - last).clamp(1, 1000) as u32,
            None => USUAL,
        };
        self.picture = Some((time, duration));
        let composition = frame.composition.clamp(0, i64::from(i32::MAX)) as u32;
        let sample = Sample { duration, size: read.data.len() as u32, is_key: frame.is_key, composition };
        let video =
            Samples { time: time.max(0).unsigned_abs(), each: vec![sample], data: read.data.to_vec() };
        self.emit(video, frame.is_key, time, i64::from(duration), out);
    }

    fn emit(&mut self, video: Samples, is_key: bool, start: i64, duration: i64, out: &mut Vec<Output>) {
        self.sequence = self.sequence.wrapping_add(1);
        let audio = std::mem::take(&mut self.pending);
        let has_picture = !video.each.is_empty();
        let (bytes, layout) = fragment::write(self.sequence, &video, &audio, self.sound.scale);
        self.end = self.end.max(start + duration);
        out.push(Output::Fragment(Fragment { bytes, is_key, start, duration, has_picture, layout }));
    }
}

impl Sound {
    fn of(header: &Header) -> Self {
        let aac = header.codec.is_aac().then(|| Aac::read(&header.data)).flatten();
        let scale = aac.map_or(SCALE, |aac| aac.rate);
        Self { scale, samples: aac.map(|aac| aac.samples), next: None, last: None }
    }

    /// Returns the start and the duration of an audio frame whose message has this time, in milliseconds. Milliseconds
    /// are too coarse for audio.
    fn place(&mut self, time: i64) -> (i64, u32) {
        let scale = i64::from(self.scale);
        let exact = time * scale / 1000;
        let Some(samples) = self.samples else {
            let duration = self.last.map_or(20, |last| (time - last).clamp(1, 1000));
            self.last = Some(time);
            return (exact, u32::try_from(duration).unwrap_or(20));
        };
        let at = match self.next {
            Some(next) if (next - exact).abs() <= JUMP * scale / 1000 => next,
            Some(next) => exact.max(next),
            None => exact,
        };
        self.next = Some(at + i64::from(samples));
        (at, samples)
    }
}

fn size_of(header: &Header) -> (u16, u16) {
    if header.codec.is_avc() {
        return config::avc::size(&header.data).unwrap_or_default();
    }
    let shape = config::shape(header.codec, &header.data);
    (shape.width, shape.height)
}

/// Writes `ftyp` and `moov`.
fn init(video: Option<&Header>, audio: Option<&Header>, sound_scale: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    boxed(&mut out, b"ftyp", |out| out.extend(b"iso6\0\0\0\x01iso6cmfcmp41"));
    boxed(&mut out, b"moov", |out| {
        full(out, b"mvhd", 0, 0, |out| {
            words(out, &[0, 0, SCALE, 0, 0x1_0000, 0x0100_0000, 0, 0]);
            words(out, &MATRIX);
            words(out, &[0, 0, 0, 0, 0, 0, 3]);
        });
        if let Some(video) = video {
            let track = Track { id: VIDEO, scale: SCALE, size: size_of(video) };
            track.write(out, b"vide", |out| picture_entry(out, video, track.size));
        }
        if let Some(audio) = audio {
            let track = Track { id: AUDIO, scale: sound_scale, size: (0, 0) };
            track.write(out, b"soun", |out| sound_entry(out, audio));
        }
        boxed(out, b"mvex", |out| {
            let ids = video.map(|_| VIDEO).into_iter().chain(audio.map(|_| AUDIO));
            for id in ids {
                full(out, b"trex", 0, 0, |out| words(out, &[id, 1, 0, 0, 0]));
            }
        });
    });
    out
}
