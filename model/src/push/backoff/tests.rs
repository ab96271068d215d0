use super::*;
use proptest::prelude::*;

#[test]
fn random_numbers_are_those_of_the_paper() {
    // The first number of SplitMix64 from 0, as its authors' program prints it.
    let mut state = 0;
    assert_eq!(next_random(&mut state), 0xe220_a839_7b1d_cdaf);
    assert_eq!(next_random(&mut state), 0x6e78_9e6a_a1b9_65f4);
}

proptest! {
    #[test]
    fn is_within_its_bounds_and_never_shorter_at_least(failures: u32, random: u64) {
        let wait = wait_ms(failures, random);
        prop_assert!((MIN_MS..=MAX_MS).contains(&wait));
        prop_assert!(wait_ms(failures.saturating_add(1), 0) >= wait_ms(failures, 0));
        prop_assert!(failures < 7 || wait >= 40_000);
    }
}
