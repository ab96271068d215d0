//! Compares the walk with a recursive decoder.

use proptest::prelude::*;

use super::super::tests::build::{
    cut, date, key, long_string, nested, null, number, object, strict_array, string,
};
use super::*;

/// Measures how deep a recursive decoder goes in a message. It stops at the depth that the walk must have refused.
struct Recursive<'a> {
    rest: &'a [u8],
    /// Whether to decode only the types that `ngx_rtmp_amf_read` knows; it gives up at any other type.
    stock: bool,
    deepest: usize,
}

struct Stop;

impl Recursive<'_> {
    fn deepest(kind: u8, pieces: &[&[u8]], stock: bool) -> usize {
        let mut bytes: &[u8] = &pieces.concat();
        let has_first = pieces.first().is_some_and(|piece| !piece.is_empty());
        if (15..=17).contains(&kind) && has_first {
            bytes = &bytes[1..];
        }
        let mut decoder = Recursive { rest: bytes, stock, deepest: 0 };
        let result = match kind {
            16 | 19 => decoder.text::<2>(),
            _ => Ok(()),
        };
        if result.is_ok() {
            while decoder.value(0).is_ok() {}
        }
        decoder.deepest
    }

    fn take(&mut self, len: usize) -> Result<&[u8], Stop> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Stop)?;
        self.rest = rest;
        Ok(taken)
    }

    fn size<const N: usize>(&mut self) -> Result<usize, Stop> {
        Ok(self.take(N)?.iter().fold(0, |size, byte| size << 8 | usize::from(*byte)))
    }

    fn text<const N: usize>(&mut self) -> Result<(), Stop> {
        let len = self.size::<N>()?;
        self.take(len).map(drop)
    }

    fn value(&mut self, depth: usize) -> Result<(), Stop> {
        let marker = self.size::<1>()?;
        match marker {
            0 => self.take(8).map(drop),
            1 => self.take(1).map(drop),
            2 => self.text::<2>(),
            5 | 6 => Ok(()),
            9 if self.stock && depth == 0 => Err(Stop),
            9 => Ok(()),
            3 => self.pairs(depth + 1),
            8 => {
                self.take(4)?;
                self.pairs(depth + 1)
            }
            10 => {
                let count = self.size::<4>()?;
                self.enter(depth + 1)?;
                (0..count).try_for_each(|_| self.value(depth + 1))
            }
            _ if self.stock => Err(Stop),
            4 | 13 | 14 => Ok(()),
            7 => self.take(2).map(drop),
            11 => self.take(10).map(drop),
            12 | 15 => self.text::<4>(),
            16 => {
                self.text::<2>()?;
                self.pairs(depth + 1)
            }
            _ => Err(Stop),
        }
    }

    fn enter(&mut self, depth: usize) -> Result<(), Stop> {
        self.deepest = self.deepest.max(depth);
        if depth > MAX_DEPTH { Err(Stop) } else { Ok(()) }
    }

    fn pairs(&mut self, depth: usize) -> Result<(), Stop> {
        self.enter(depth)?;
        while self.rest.len() >= 2 {
            let len = self.size::<2>()?;
            self.take(len)?;
            if len == 0 && (self.stock || self.rest.first() == Some(&9)) {
                return if self.take(1)? == [9] { Ok(()) } else { Err(Stop) };
            }
            self.value(depth)?;
        }
        Ok(())
    }
}

fn checked(kind: u8, pieces: &[&[u8]]) -> Result<(), Violation> {
    check(kind, Bytes::new(pieces.iter().copied()))
}

/// Bytes that open an object or array, up to its first value.
fn opening() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => Just(vec![3, 0, 1, b'a']),
        8 => Just(vec![8, 0, 0, 0, 1, 0, 1, b'a']),
        8 => Just(vec![10, 0, 0, 0, 2]),
        2 => Just(vec![10, 255, 255, 255, 255]),
        1 => Just(vec![16, 0, 1, b'C', 0, 1, b'a']),
    ]
}

/// Random sequences of AMF parts, often as deep as allowed and often broken.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        20 => opening(),
        1 => Just(vec![3]),
        1 => Just(vec![10, 0, 0, 0, 0]),
        8 => Just(vec![0, 0, 9]),
        1 => Just(vec![0, 0]),
        1 => Just(vec![9]),
        4 => Just(vec![0, 1, b'a']),
        4 => Just(string("ab")),
        1 => Just(long_string("ab")),
        1 => Just(number(1.0)),
        1 => Just(date(1.0)),
        8 => Just(null()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    let pieces = (prop::collection::vec(opening(), 0..36), prop::collection::vec(piece, 0..100));
    pieces.prop_map(|(openings, pieces)| [openings.concat(), pieces.concat()].concat())
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 0..12)
}

#[test]
fn thirty_two_levels_pass_and_one_more_does_not() {
    for kind in [18, 20] {
        let message = |levels| [string("onMetaData"), nested(levels, null())].concat();
        assert_eq!(checked(kind, &[&message(32)]), Ok(()));
        assert_eq!(checked(kind, &[&message(33)]), Err(Violation::Depth));
    }
    // The name counts as a value like any other.
    assert_eq!(checked(20, &[&nested(33, null())]), Err(Violation::Depth));
}

#[test]
fn all_kinds_of_amf_are_followed() {
    let deep = [&[3, 0, 1, b'a'].repeat(33)[..], &[5]].concat();
    for (kind, name) in [
        (15, [vec![0], string("a")].concat()),
        (16, [vec![0], key("a")].concat()),
        (17, [vec![0], string("a")].concat()),
        (18, string("a")),
        (19, key("a")),
        (20, string("a")),
    ] {
        assert_eq!(checked(kind, &[&name, &deep]), Err(Violation::Depth), "{kind}");
        assert_eq!(checked(kind, &[&name, &deep[4..]]), Ok(()), "{kind}");
    }
}

#[test]
fn the_prefix_of_amf_3_is_looked_for_in_the_first_piece_alone() {
    let deep = [3, 0, 1, b'a'].repeat(33);
    assert_eq!(checked(17, &[&[0], &deep]), Err(Violation::Depth));
    assert_eq!(checked(17, &[&[], &deep]), Err(Violation::Depth));
    // Only the key of the first object is left.
    assert_eq!(checked(17, &[&deep]), Ok(()));
}

#[test]
fn siblings_are_not_levels() {
    let flat = strict_array(&vec![object(&[("a", null())]); 1000]);
    assert_eq!(checked(18, &[&flat]), Ok(()));
    let flat: Vec<u8> = (0..1000).flat_map(|_| nested(32, null())).collect();
    assert_eq!(checked(18, &[&flat]), Ok(()));
}

#[test]
fn an_object_that_the_message_ends_hides_nothing() {
    // The innermost array holds an object without an end. One more byte is another value of the array.
    let arrays = |levels| [10, 0, 0, 0, 2].repeat(levels);
    assert_eq!(checked(18, &[&arrays(31), &[3, 3]]), Ok(()));
    assert_eq!(checked(18, &[&arrays(31), &[3, 0, 0, 9, 3]]), Ok(()));
    assert_eq!(checked(18, &[&arrays(32), &[5, 3]]), Err(Violation::Depth));
}

#[test]
fn what_is_cut_short_or_odd_passes() {
    let whole = [string("onMetaData"), nested(20, long_string("text"))].concat();
    for len in 0..whole.len() {
        assert_eq!(checked(18, &[&whole[..len]]), Ok(()), "{len}");
    }
    for odd in [
        &[0x11, 3, 3, 3][..],
        &[0xff; 64],
        &[10, 255, 255, 255, 255],
        &[2, 255, 255],
        &[12, 255, 255, 255, 255],
    ] {
        assert_eq!(checked(18, &[odd]), Ok(()), "{odd:?}");
    }
}

#[test]
fn only_connect_is_connect() {
    let is = |kind, body: &[u8]| {
        (0..=body.len()).all(|at| is_connect(kind, Bytes::new(cut(body, &[at.max(1)]).into_iter())))
    };
    assert!(is(20, &[string("connect"), number(1.0)].concat()));
    assert!(is(17, &[vec![0], string("connect"), number(1.0)].concat()));
    assert!(is(20, &string("connect")));
    for name in ["Connect", "CONNECT", "connect\0", "connec", "", "publish", "createStream"] {
        assert!(!is(20, &string(name)), "{name}");
    }
    assert!(!is(20, &[vec![0], string("connect")].concat()));
    assert!(!is(20, &long_string("connect")));
    assert!(!is(20, &string("connect")[..9]));
    assert!(!is(20, &[]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The guard refuses every message in which nginx-rtmp would go too deep, and no other, for every division into
    /// buffers.
    #[test]
    fn the_walk_comes_as_deep_as_recursion(kind in 15_u8..=20, bytes in soup(), cuts in cuts()) {
        let pieces = cut(&bytes, &cuts);
        let refused = checked(kind, &pieces) == Err(Violation::Depth);
        let followed = Recursive::deepest(kind, &pieces, false);
        prop_assert_eq!(refused, followed > MAX_DEPTH);
        prop_assert!(followed >= Recursive::deepest(kind, &pieces, true).min(MAX_DEPTH + 1));
    }

    #[test]
    fn values_are_as_deep_as_they_were_built(levels in 0_usize..40, cuts in cuts(), junk: [u8; 9]) {
        let value = nested(levels, [&[0][..], &junk[..8]].concat());
        let pieces = cut(&value, &cuts);
        prop_assert_eq!(checked(18, &pieces).is_err(), levels > MAX_DEPTH);
        prop_assert_eq!(Recursive::deepest(18, &pieces, false), levels.min(MAX_DEPTH + 1));
    }

    #[test]
    fn a_spoilt_value_is_followed_as_far_as_recursion(
        levels in 25_usize..40, at: prop::sample::Index, byte: u8, end: prop::sample::Index, cuts in cuts(),
    ) {
        let mut value = nested(levels, string("text"));
        *at.get_mut(&mut value) = byte;
        let pieces = cut(&value[..=end.index(value.len())], &cuts);
        prop_assert_eq!(checked(18, &pieces).is_err(), Recursive::deepest(18, &pieces, false) > MAX_DEPTH);
    }

    #[test]
    fn random_bytes_do_no_harm(kind in 15_u8..=20, bytes: Vec<u8>, cuts in cuts()) {
        let pieces = cut(&bytes, &cuts);
        prop_assert_eq!(checked(kind, &pieces).is_err(), Recursive::deepest(kind, &pieces, false) > MAX_DEPTH);
    }
}
