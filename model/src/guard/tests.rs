use super::*;

#[test]
fn each_violation_has_its_place_and_word() {
    for (index, violation) in Violation::ALL.into_iter().enumerate() {
        assert_eq!(violation.index(), index);
        assert!(violation.label().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        assert!(Violation::ALL.iter().filter(|other| other.label() == violation.label()).count() == 1);
    }
}
