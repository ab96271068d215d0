use super::*;

const BOTH: Wanted = Wanted { video: true, audio: true };

fn avc(packet: u8, is_key: bool, composition: i32, data: &[u8]) -> Vec<u8> {
    let mut payload = vec![if is_key { 0x17 } else { 0x27 }, packet];
    payload.extend(&composition.to_be_bytes()[1..]);
    payload.extend(data);
    payload
}

fn tag(kind: TagKind, timestamp: u32, payload: Vec<u8>) -> Tag {
    Tag { kind, timestamp, payload }
}

/// Sends tags at the speed of their times, and records runs as letters: `[` and `]`, `K` keyframe, `p` other video
/// frame, `s` audio.
struct Run {
    cut: Cut,
    now: u64,
    noted: String,
    doubts: usize,
    frames: Vec<Frame>,
    headers: Vec<Headers>,
}

impl Run {
    fn new(wanted: Wanted) -> Self {
        Self {
            cut: Cut::new(wanted),
            now: 0,
            noted: String::new(),
            doubts: 0,
            frames: Vec::new(),
            headers: Vec::new(),
        }
    }

    fn send(&mut self, tag: Tag) {
        for step in self.cut.take(tag, Duration::from_millis(self.now)) {
            match step {
                Step::Begin(headers) => {
                    self.noted.push('[');
                    self.headers.push(headers);
                }
                Step::End => self.noted.push(']'),
                Step::Doubt => self.doubts += 1,
                Step::Frame(frame) => {
                    let letter = match (frame.kind, frame.is_key) {
                        (TagKind::Video, true) => 'K',
                        (TagKind::Video, false) => 'p',
                        _ => 's',
                    };
                    self.noted.push(letter);
                    self.frames.push(frame);
                }
            }
        }
    }

    fn headers(&mut self, video: u8, audio: u8) {
        let at = self.now as u32;
        self.send(tag(TagKind::Video, at, avc(0, true, 0, &[video])));
        self.send(tag(TagKind::Audio, at, vec![0xaf, 0, audio]));
    }

    /// Sends groups of `group` video frames with audio, 40 ms apart.
    fn groups(&mut self, groups: usize, group: usize, composition: impl Fn(usize) -> i32) {
        for n in 0..groups * group {
            let at = self.now as u32;
            self.send(tag(TagKind::Video, at, avc(1, n % group == 0, composition(n), b"p")));
            self.send(tag(TagKind::Audio, at, vec![0xaf, 1, 7]));
            self.now += 40;
        }
    }
}

#[test]
fn a_run_begins_with_a_key_frame() {
    let mut run = Run::new(BOTH);
    run.send(tag(TagKind::Script, 0, b"meta".to_vec()));
    run.headers(1, 2);
    for n in 0..3 {
        run.send(tag(TagKind::Video, n * 40, avc(1, false, 0, b"p")));
        run.send(tag(TagKind::Audio, n * 40, vec![0xaf, 1, 7]));
    }
    assert_eq!(run.noted, "");
    run.groups(1, 12, |_| 0);
    assert!(run.noted.starts_with("[Kspsps") && !run.noted.contains(']'), "{}", run.noted);
    let expected = Headers {
        video: Some(Header { codec: Codec::Id(7), data: vec![1] }),
        audio: Some(Header { codec: Codec::Id(10), data: vec![2] }),
        metadata: Some(b"meta".to_vec()),
    };
    assert_eq!(run.headers, [expected]);
    // Unwanted media are not fed.
    let mut silent = Run::new(Wanted { video: true, audio: false });
    silent.headers(1, 2);
    silent.groups(1, 12, |_| 0);
    assert_eq!(silent.noted, "[Kppppppppppp");
    let mut sound = Run::new(Wanted { video: false, audio: true });
    sound.headers(1, 2);
    sound.groups(1, 3, |_| 0);
    assert_eq!(sound.noted, "[sss");
}

#[test]
fn an_encoder_without_key_frames_is_fed_all_the_same() {
    let mut run = Run::new(BOTH);
    run.headers(1, 2);
    for _ in 0..500 {
        run.send(tag(TagKind::Video, run.now as u32, avc(1, false, 0, b"p")));
        run.now += 40;
    }
    assert!(run.noted.starts_with("[ppp"), "{}", run.noted);
}

#[test]
fn another_configuration_is_another_run_and_no_picture_is_lost() {
    let mut run = Run::new(BOTH);
    run.headers(1, 2);
    run.groups(1, 12, |_| 0);
    run.headers(1, 2);
    run.groups(1, 12, |_| 0);
    assert_eq!(run.noted.matches('[').count(), 1, "repeated headers are no news: {}", run.noted);
    assert_eq!(run.doubts, 1);
    run.headers(9, 2);
    assert_eq!(run.doubts, 2);
    run.groups(2, 12, |_| 0);
    assert_eq!((run.noted.matches(']').count(), run.noted.matches('[').count()), (1, 2), "{}", run.noted);
    assert!(run.noted.contains("][K"), "{}", run.noted);
    assert_eq!(run.noted.chars().filter(|c| "Kp".contains(*c)).count(), 48, "{}", run.noted);
    assert_eq!(run.headers[1].video.as_ref().unwrap().data, [9]);
    // New audio begins with the next keyframe; video frames until then stay in the run.
    let at = run.now as u32;
    run.send(tag(TagKind::Audio, at, vec![0xaf, 0, 3]));
    run.groups(2, 12, |_| 0);
    assert_eq!(run.noted.chars().filter(|c| "Kp".contains(*c)).count(), 72, "{}", run.noted);
    assert_eq!(run.headers[2].audio.as_ref().unwrap().data, [3]);
}

#[test]
fn pictures_are_shown_no_earlier_than_they_are_decoded() {
    // Like encoders with B-frames that count from the presentation time: 80 ms early.
    let reordered = |n: usize| [0, 120, -80, -40][n % 4];
    let mut run = Run::new(BOTH);
    run.headers(1, 2);
    run.groups(4, 12, reordered);
    let pictures: Vec<&Frame> = run.frames.iter().filter(|frame| frame.kind == TagKind::Video).collect();
    assert_eq!(pictures.len(), 48);
    for pair in pictures.windows(2) {
        assert_eq!(pair[1].time - pair[0].time, 40, "{pair:?}");
    }
    for (n, picture) in pictures.iter().enumerate() {
        assert!(picture.composition >= 0, "{picture:?}");
        let shown = picture.time + picture.composition - 10_000;
        assert_eq!(shown, n as i64 * 40 + i64::from(reordered(n)));
    }
}

#[test]
fn a_picture_that_turns_out_early_later_does_not_go_back() {
    let mut run = Run::new(BOTH);
    run.headers(1, 2);
    run.groups(1, 40, |n| if n > 20 { [120, -80, -40][n % 3] } else { 0 });
    let times: Vec<i64> = run.frames.iter().filter(|f| f.kind == TagKind::Video).map(|f| f.time).collect();
    assert!(times.windows(2).all(|pair| pair[1] > pair[0]), "{times:?}");
    assert!(run.frames.iter().all(|frame| frame.composition >= 0));
}

#[test]
fn codecs_without_a_configuration_are_fed_as_they_come() {
    // G.711 has the same number as H.264.
    for sound in [0xb6, 0x72, 0x82, 0x2f, 0x66] {
        let mut run = Run::new(BOTH);
        run.send(tag(TagKind::Audio, 0, vec![sound, 1]));
        for n in 0..4 {
            run.send(tag(TagKind::Video, n * 40, vec![if n == 0 { 0x12 } else { 0x22 }, 5]));
            run.send(tag(TagKind::Audio, n * 40, vec![sound, 1]));
            run.now += 40;
        }
        assert!(run.noted.starts_with("[Ks"), "{}", run.noted);
        assert_eq!(run.headers[0].audio.as_ref().unwrap().codec, Codec::Id(sound >> 4));
    }
}

#[test]
fn an_end_of_a_sequence_and_empty_sound_are_left_out() {
    let mut run = Run::new(BOTH);
    run.headers(1, 2);
    run.groups(1, 12, |_| 0);
    let before = run.noted.len();
    run.send(tag(TagKind::Video, 600, avc(2, true, 0, b"")));
    run.send(tag(TagKind::Audio, 600, vec![0xaf]));
    run.send(tag(TagKind::Video, 600, vec![]));
    assert_eq!(run.noted.len(), before);
}
