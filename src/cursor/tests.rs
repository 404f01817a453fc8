//! What clients and other nodes of a region can rely on.

use proptest::prelude::*;
use secrecy::SecretString;

use super::*;

const ALICE: Id = Id(0xa1);
const BOB: Id = Id(0xb0);

fn keys(current: &str, previous: &str) -> Keys {
    Keys::new(&SecretString::from(current), &SecretString::from(previous))
}

fn region() -> Keys {
    keys("a key of at least thirty-two bytes", "")
}

fn place() -> Place {
    Place::Newest(Keyset::exact(1_795_376_817_860_123, Id(u128::MAX - 7)))
}

proptest! {
    #[test]
    fn a_cursor_opens_on_every_node_of_the_region(created_us: i64, id: u128, exact: bool, viewer: u128) {
        let place = Place::Newest(Keyset { created_us, id: Id(id), exact });
        let cursor = seal(&region(), Id(viewer), &place);
        prop_assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{cursor}");
        prop_assert_eq!(open(&region(), Id(viewer), &cursor), Ok(place));
    }

    #[test]
    fn whatever_is_not_a_cursor_is_refused(text: String, bytes: Vec<u8>) {
        prop_assert_eq!(open(&region(), ALICE, &text), Err(BadCursor));
        prop_assert_eq!(open(&region(), ALICE, &URL_SAFE_NO_PAD.encode(bytes)), Err(BadCursor));
    }
}

#[test]
fn a_tampered_cursor_is_refused() {
    let cursor = seal(&region(), ALICE, &place());
    let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
    for bit in 0..8 * bytes.len() {
        let mut tampered = bytes.clone();
        tampered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&region(), ALICE, &URL_SAFE_NO_PAD.encode(tampered)), Err(BadCursor), "bit {bit}");
    }
}

#[test]
fn a_truncated_or_lengthened_cursor_is_refused() {
    let cursor = seal(&region(), ALICE, &place());
    for length in 0..cursor.len() {
        assert_eq!(open(&region(), ALICE, &cursor[..length]), Err(BadCursor), "{length} of {}", cursor.len());
    }
    assert_eq!(open(&region(), ALICE, &format!("{cursor}A")), Err(BadCursor));
    assert_eq!(open(&region(), ALICE, &format!("{cursor}=")), Err(BadCursor));
}

#[test]
fn a_cursor_of_somebody_else_is_refused() {
    let cursor = seal(&region(), ALICE, &place());
    assert_eq!(open(&region(), BOB, &cursor), Err(BadCursor));
}

#[test]
fn keys_rotate_and_a_foreign_one_opens_nothing() {
    let (old, new) = ("the old key is of thirty-two bytes", "the new key is of thirty-two bytes");
    let cursor = seal(&keys(old, ""), ALICE, &place());
    assert_eq!(open(&keys(new, old), ALICE, &cursor), Ok(place()));
    assert_eq!(open(&keys(new, ""), ALICE, &cursor), Err(BadCursor));
    let cursor = seal(&keys(new, old), ALICE, &place());
    assert_eq!(open(&keys(new, ""), ALICE, &cursor), Ok(place()), "sealed with the current one");
}

#[test]
fn without_a_key_cursors_are_good_on_one_node_alone() {
    let (here, there) = (keys("", ""), keys("", ""));
    let cursor = seal(&here, ALICE, &place());
    assert_eq!(open(&here, ALICE, &cursor), Ok(place()));
    assert_eq!(open(&there, ALICE, &cursor), Err(BadCursor));
    let old = "the old key is of thirty-two bytes";
    let cursor = seal(&keys(old, ""), ALICE, &place());
    assert_eq!(open(&keys("", old), ALICE, &cursor), Ok(place()), "the one before still opens");
}

#[test]
fn what_follows_a_place_is_below_it_and_of_its_own_millisecond_only_what_is_known_to_be() {
    let ms = 1_795_376_817_860;
    let exact = Keyset::exact(ms * 1_000 + 123, Id(5));
    assert!(exact.is_above(ms - 1, Id(9)));
    assert!(!exact.is_above(ms, Id(1)) && !exact.is_above(ms, Id(9)), "which side is not known");
    assert!(!exact.is_above(ms + 1, Id(1)));
    let coarse = Keyset::coarse(ms, Id(5));
    assert!(coarse.is_above(ms, Id(4)) && coarse.is_above(ms - 1, Id(9)));
    assert!(!coarse.is_above(ms, Id(5)) && !coarse.is_above(ms, Id(6)) && !coarse.is_above(ms + 1, Id(1)));
    let before_1970 = Keyset::exact(-1, Id(5));
    assert!(before_1970.is_above(-2, Id(9)) && !before_1970.is_above(-1, Id(1)), "a time rounds down");
}
