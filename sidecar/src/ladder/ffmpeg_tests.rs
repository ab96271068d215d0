use super::*;
use crate::config;
use crate::ladder::plan::plan;
use crate::streams::{Audio, Live, Video};

fn line(rungs: &str, delivery: &str) -> (LadderJob, Vec<String>) {
    let text = format!(
        "[rung.slow]\nheight = 90\nbitrate = \"100k\"\nmax_fps = 10\n[ladder.l]\nrungs = {rungs}\n\
         [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"l\"\n{delivery}"
    );
    let config = config::parse(Path::new("x"), &text).unwrap();
    let live = Live {
        app: "live".parse().unwrap(),
        name: "show".parse().unwrap(),
        session: "s1".into(),
        slate: false,
        video: Some(Video { codec: "H264".into(), width: 1280, height: 720 }),
        audio: Some(Audio { codec: "AAC".into() }),
    };
    let job = plan(&config, std::iter::once(&live)).remove(0);
    let arguments = arguments(&job, Path::new("/run/weir/out/7"));
    (job, arguments.into_iter().map(|word| word.into_string().unwrap()).collect())
}

fn after<'l>(line: &'l [String], word: &str) -> Vec<&'l str> {
    line.windows(2).filter(|pair| pair[0] == word).map(|pair| pair[1].as_str()).collect()
}

#[test]
fn files_are_a_track_each_and_the_source_is_decoded_once() {
    let (job, line) = line("[\"source\", \"480p\", \"slow\", \"audio\"]", "");
    let names: Vec<_> = outputs(&job).into_iter().map(|output| (output.name, output.role)).collect();
    let expected = [
        ("source", Role::Video),
        ("480p", Role::Video),
        ("slow", Role::Video),
        ("audio", Role::AudioOnly),
        ("sound", Role::Sound),
    ];
    assert_eq!(names, expected.map(|(name, role)| (name.to_owned(), role)));
    assert_eq!(after(&line, "-i"), ["unix:/run/weir/out/7/in"]);
    let graph = after(&line, "-filter_complex");
    let expected = "[0:v:0]scale=-2:480,format=yuv420p,split=2[s1][n1];[s1]null[v1];\
        [n1]scale=-2:90,format=yuv420p,select='key+isnan(prev_selected_t)+gte(t-prev_selected_t,0.0980)'[v2]";
    assert_eq!(graph, [expected]);
    assert_eq!(after(&line, "-map"), ["0:v:0", "[v1]", "[v2]", "0:a:0", "0:a:0"]);
    assert_eq!(after(&line, "-c:a"), ["aac", "copy"]);
    assert_eq!(after(&line, "-force_key_frames"), ["source", "source"]);
    assert_eq!(line.last().unwrap(), "unix:/run/weir/out/7/4");
    assert_eq!(line.iter().filter(|word| word.starts_with("unix:")).count(), 6);
}

#[test]
fn rtmp_is_pictures_with_sound_each() {
    let to = "deliver = \"rtmp\"\nto_app = \"ladder\"\nsecret_file = \"/etc/weir/secret\"\n";
    let (job, line) = line("[\"480p\", \"audio\"]", to);
    assert_eq!(outputs(&job).len(), 2);
    assert_eq!(after(&line, "-map"), ["[v0]", "0:a:0", "0:a:0"]);
    assert_eq!(after(&line, "-f"), ["flv", "flv", "flv"]);
    assert_eq!(after(&line, "-force_key_frames"), ["expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+2))"]);
    assert!(!line.iter().any(|word| word.contains("secret") || word.contains("token")));
}

#[test]
fn nothing_is_decoded_for_nothing() {
    let (_, line) = line("[\"source\"]", "");
    assert!(!line.contains(&"-filter_complex".to_owned()));
    assert_eq!(after(&line, "-c:v"), ["copy"]);
}
