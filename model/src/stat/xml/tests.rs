use proptest::prelude::*;

use super::super::{fixture, well_formed};
use super::*;
use crate::server::{BlockApplication, ServerBlock};

const FULL: &str = "\
<?xml version=\"1.0\" encoding=\"utf-8\" ?>
<rtmp>
<nginx_version>1.22.1</nginx_version>
<nginx_rtmp_version>1.1.4</nginx_rtmp_version>
<compiler>rustc</compiler>
<built>weir VERSION</built>
<pid>101</pid>
<uptime>3600</uptime>
<naccepted>12</naccepted>
<bw_in>2628000</bw_in>
<bytes_in>1125000000</bytes_in>
<bw_out>5000000</bw_out>
<bytes_out>2250000000</bytes_out>
<server>
<application>
<name>live</name>
<live>
<stream>
<name>show</name>
<time>3540000</time><bw_in>2500000</bw_in>
<bytes_in>1100000000</bytes_in>
<bw_out>5000000</bw_out>
<bytes_out>2250000000</bytes_out>
<bw_audio>128000</bw_audio>
<bw_video>2372000</bw_video>
<client><id>17</id><address>192.0.2.2</address><time>3480000</time><flashver></flashver><dropped>1</dropped>\
<avsync>0</avsync><timestamp>3480000</timestamp><active/></client>
<client><id>18</id><address>192.0.2.3</address><time>3480000</time><flashver></flashver><dropped>1</dropped>\
<avsync>0</avsync><timestamp>3480000</timestamp><active/></client>
<client><id>1</id><address>192.0.2.1</address><time>3540000</time><flashver></flashver><dropped>0</dropped>\
<avsync>-20</avsync><timestamp>3540000</timestamp><publishing/><active/></client>
<meta><video><width>1280</width><height>720</height><frame_rate>30</frame_rate><codec>H264</codec>\
<profile>High</profile><compat>0</compat><level>4.1</level></video>\
<audio><codec>AAC</codec><profile>LC</profile><channels>2</channels><sample_rate>48000</sample_rate></audio></meta>
<nclients>3</nclients>
<viewers><rtmp>2</rtmp><hls>40</hls><dash>1</dash><llhls>5</llhls><ws>6</ws><webrtc>7</webrtc><peak>70</peak><total>900</total></viewers>
<publishing/>
<active/>
</stream>
<nclients>3</nclients>
</live>
</application>
<application>
<name>empty</name>
<live>
<nclients>0</nclients>
</live>
</application>
<application>
<name>radio</name>
<live>
<stream>
<name>jazz &amp; &lt;blues&gt;</name>
<time>1000</time><bw_in>128000</bw_in>
<bytes_in>16000</bytes_in>
<bw_out>0</bw_out>
<bytes_out>0</bytes_out>
<bw_audio>128000</bw_audio>
<bw_video>0</bw_video>
<client><id>2</id><address>192.0.2.4</address><time>1000</time><flashver></flashver><dropped>0</dropped>\
<avsync>0</avsync><timestamp>1000</timestamp><publishing/><active/></client>
<meta><video><width>0</width><height>0</height><frame_rate>0</frame_rate></video>\
<audio><codec>MP3</codec><channels>2</channels><sample_rate>44100</sample_rate></audio></meta>
<nclients>1</nclients>
<viewers><rtmp>0</rtmp><hls>0</hls><dash>0</dash><llhls>0</llhls><ws>0</ws><webrtc>0</webrtc><peak>0</peak><total>0</total></viewers>
<publishing/>
<active/>
</stream>
<nclients>1</nclients>
</live>
</application>
</server>
</rtmp>
";

#[test]
fn has_the_elements_of_rtmp_stat() {
    let expected = FULL.replace("VERSION", env!("CARGO_PKG_VERSION")).replace('\n', "\r\n");
    assert_eq!(render(&fixture::snapshot(), true), expected);
}

/// As nginx-rtmp has it: the same application and the same stream in two blocks are two.
#[test]
fn each_server_block_has_its_own_streams() {
    let server = |port: &str| Server::new([port.parse().unwrap()]);
    let mut snapshot = fixture::snapshot();
    snapshot.servers = ["1935", "1936"]
        .map(|port| ServerBlock { server: server(port), applications: vec![fixture::live("live")] })
        .into();
    snapshot.streams = ["1936", "1935", "1937"]
        .map(|port| StreamSnapshot { server: server(port), ..snapshot.streams[0].clone() })
        .into();
    let shown = render(&snapshot, false);
    let blocks: Vec<&str> = shown.split("<server>").skip(1).collect();
    assert_eq!(blocks.len(), 3, "{shown}");
    for block in blocks {
        assert_eq!(block.matches("<name>live</name>").count(), 1, "{block}");
        assert_eq!(block.matches("<name>show</name>").count(), 1, "{block}");
    }
    snapshot.streams.clear();
    assert_eq!(render(&snapshot, false).matches("<server>").count(), 2);
}

/// Exporters stop at a stream without clients, or at a client without one of its elements.
#[test]
fn has_the_same_elements_without_addresses() {
    let (shown, full) = (render(&fixture::snapshot(), false), render(&fixture::snapshot(), true));
    assert_eq!(well_formed::check(&shown), Ok(()));
    assert!(full.contains("<address>192.0.2.2</address>") && !shown.contains("192.0.2."), "{shown}");
    let elements = |text: &str| text.matches('<').count();
    assert_eq!((elements(&shown), shown.matches("<client>").count()), (elements(&full), 4), "{shown}");
}

#[test]
fn a_stream_without_publisher_has_no_meta() {
    let mut snapshot = fixture::snapshot();
    snapshot.streams[0].publisher = None;
    snapshot.streams.truncate(1);
    let shown = render(&snapshot, true);
    assert!(!shown.contains("<meta>") && !shown.contains("<publishing/>"), "{shown}");
    assert!(shown.contains("<nclients>2</nclients>"), "{shown}");
}

/// A player of a file.
fn of_file(app: &str, name: &str, id: &str) -> FilePlayerSnapshot {
    let player = fixture::player(id, "192.0.2.9");
    FilePlayerSnapshot {
        app: app.into(),
        name: name.into(),
        position_ms: 61_000,
        player,
        ..Default::default()
    }
}

/// As nginx-rtmp has it: an application without live streams has no `live`, and one that plays no files has no `play`.
#[test]
fn files_are_played() {
    let mut snapshot = fixture::snapshot();
    snapshot.streams.clear();
    let app = |name: &str, live, files| BlockApplication { name: name.into(), live, files };
    snapshot.servers[0].applications =
        vec![app("vod", false, true), app("both", true, true), app("neither", false, false)];
    snapshot.file_players = vec![
        of_file("vod", "b&.flv", "s21"),
        of_file("vod", "a.flv", "s22"),
        of_file("vod", "b&.flv", "s23"),
    ];
    let client = |id: u32| {
        format!(
            "<client><id>{id}</id><address>192.0.2.9</address><time>3480000</time><flashver></flashver>\
             <timestamp>61000</timestamp></client>\r\n"
        )
    };
    let expected = format!(
        "<server>\r\n<application>\r\n<name>vod</name>\r\n<play>\r\n\
         <stream>\r\n<name>a.flv</name>\r\n{}<active/><nclients>1</nclients>\r\n</stream>\r\n\
         <stream>\r\n<name>b&amp;.flv</name>\r\n{}{}<active/><nclients>2</nclients>\r\n</stream>\r\n\
         <nclients>3</nclients>\r\n</play>\r\n</application>\r\n\
         <application>\r\n<name>both</name>\r\n<live>\r\n<nclients>0</nclients>\r\n</live>\r\n\
         <play>\r\n<nclients>0</nclients>\r\n</play>\r\n</application>\r\n\
         <application>\r\n<name>neither</name>\r\n</application>\r\n</server>\r\n</rtmp>\r\n",
        client(0x22),
        client(0x21),
        client(0x23),
    );
    let full = render(&snapshot, true);
    assert_eq!(full.split_once("</bytes_out>\r\n").unwrap().1, expected);
    assert_eq!(render(&snapshot, false), full.replace("192.0.2.9", ""));
}

/// Old workers still serve applications that a reload has removed from the configuration.
#[test]
fn files_of_old_workers_are_shown() {
    let mut snapshot = fixture::snapshot();
    snapshot.servers[0].applications.clear();
    snapshot.streams.clear();
    let elsewhere = Server::new(["1937".parse().unwrap()]);
    snapshot.file_players = vec![
        of_file("old", "a", "s1"),
        FilePlayerSnapshot { server: elsewhere, ..of_file("old", "a", "s2") },
    ];
    let shown = render(&snapshot, true);
    assert_eq!(shown.matches("<name>old</name>").count(), 2, "{shown}");
    assert_eq!((shown.matches("<server>").count(), shown.matches("<play>").count()), (2, 2), "{shown}");
}

#[test]
fn grows_once_at_most() {
    let mut snapshot = fixture::snapshot();
    snapshot.streams = vec![snapshot.streams[0].clone(); 500];
    snapshot.file_players = vec![of_file("vod", "a.flv", "s21"); 500];
    for full in [false, true] {
        assert!(render(&snapshot, full).len() <= room(&snapshot), "full: {full}");
    }
}

proptest! {
    #[test]
    fn is_well_formed_whatever_is_in_it(
        texts in prop::collection::vec(any::<String>(), 7), numbers in prop::collection::vec(any::<u64>(), 6)
    ) {
        let mut snapshot = fixture::snapshot();
        snapshot.nginx_version.clone_from(&texts[0]);
        snapshot.rtmp_version.clone_from(&texts[1]);
        snapshot.servers[0].applications.push(BlockApplication {
            files: true,
            ..fixture::live(&texts[2])
        });
        snapshot.since = Timestamp::from_millis(numbers[0]);
        let stream = &mut snapshot.streams[0];
        stream.app.clone_from(&texts[3]);
        stream.name.clone_from(&texts[4]);
        stream.since = Timestamp::from_millis(numbers[1]);
        stream.viewers.rtmp = numbers[2];
        stream.bytes_in = numbers[3];
        stream.players[0].addr.clone_from(&texts[5]);
        stream.players[0].id.clone_from(&texts[6]);
        stream.players[0].since = Timestamp::from_millis(numbers[4]);
        stream.players[0].dropped = numbers[5];
        snapshot.file_players = vec![of_file(&texts[2], &texts[4], &texts[6])];
        prop_assert_eq!(well_formed::check(&render(&snapshot, true)), Ok(()));
    }
}
