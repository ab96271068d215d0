use proptest::prelude::*;

use super::*;

fn read(payload: &[u8]) -> (Codec, Content, bool, i32, Vec<u8>) {
    let read = video(payload).unwrap();
    (read.codec, read.content, read.is_key, read.composition, read.data.to_vec())
}

#[test]
fn old_messages_are_taken_apart() {
    assert_eq!(read(&[0x17, 0, 0, 0, 0, 1, 2]), (Codec::Id(7), Content::Header, true, 0, vec![1, 2]));
    assert_eq!(read(&[0x27, 1, 0xff, 0xff, 0xb0, 9]), (Codec::Id(7), Content::Frame, false, -80, vec![9]));
    assert_eq!(read(&[0x17, 2, 0, 0, 0]).1, Content::Other);
    assert_eq!(read(&[0x12, 5]), (Codec::Id(2), Content::Frame, true, 0, vec![5]));
    assert_eq!(video(&[0x17, 1]), None);
    let aac = audio(&[0xaf, 0, 0x12, 0x10]).unwrap();
    assert_eq!((aac.codec, aac.content, aac.data), (Codec::Id(10), Content::Header, &[0x12, 0x10][..]));
    let speex = audio(&[0xb6, 1, 2]).unwrap();
    assert_eq!((speex.codec, speex.content, speex.data), (Codec::Id(11), Content::Frame, &[1, 2][..]));
    assert_eq!(audio(&[0x70]).map(|read| read.content), Some(Content::Other));
}

#[test]
fn enhanced_messages_are_taken_apart() {
    let hevc = Codec::FourCc(*b"hvc1");
    assert_eq!(read(b"\x90hvc1\x01\x02"), (hevc, Content::Header, true, 0, vec![1, 2]));
    assert_eq!(read(b"\xa1hvc1\0\0\x28\x09"), (hevc, Content::Frame, false, 40, vec![9]));
    assert_eq!(read(b"\x93hvc1\x09"), (hevc, Content::Frame, true, 0, vec![9]));
    assert_eq!(read(b"\x91av01\x09"), (Codec::FourCc(*b"av01"), Content::Frame, true, 0, vec![9]));
    assert_eq!(read(b"\x94hvc1\x09").1, Content::Other);
    // A nanosecond offset before the same frame.
    assert_eq!(read(b"\x97\x02\0\0\x01\x03hvc1\x09"), (hevc, Content::Frame, true, 0, vec![9]));
    let opus = audio(b"\x91Opus\x05").unwrap();
    assert_eq!((opus.codec, opus.data, opus.is_enhanced), (Codec::FourCc(*b"Opus"), &[5][..], true));
}

#[test]
fn of_several_tracks_the_first_is_read() {
    let hevc = Codec::FourCc(*b"hvc1");
    assert_eq!(read(b"\x96\x03hvc1\0\x09"), (hevc, Content::Frame, true, 0, vec![9]));
    assert_eq!(video(b"\x96\x03hvc1\x01\x09"), None);
    let many = b"\x96\x13hvc1\x01\0\0\x01\x08\0\0\0\x02\x09\x0a";
    assert_eq!(read(many), (hevc, Content::Frame, true, 0, vec![9, 10]));
    assert!(video(many).unwrap().is_multitrack);
    let codecs = b"\x96\x23av01\x01\0\0\x01\x08hvc1\0\0\0\x01\x09";
    assert_eq!(read(codecs), (hevc, Content::Frame, true, 0, vec![9]));
}

proptest! {
    #[test]
    fn no_bytes_are_a_surprise(payload in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = (video(&payload), audio(&payload));
    }

    #[test]
    fn whatever_a_frame_holds_it_is_given_back(data in proptest::collection::vec(any::<u8>(), 0..40), time in -8_000_000_i32..8_000_000) {
        let mut payload = vec![0x27, 1];
        payload.extend(&time.to_be_bytes()[1..]);
        payload.extend(&data);
        let read = video(&payload).unwrap();
        prop_assert_eq!((read.composition, read.data), (time, &data[..]));
    }
}
