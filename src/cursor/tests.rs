//! What clients and other nodes of a region can rely on.

use proptest::prelude::*;
use secrecy::SecretString;

use super::*;
use crate::ranking::Preset;

const ALICE: Id = Id(0xa1);
const BOB: Id = Id(0xb0);

fn keys(current: &str, previous: &str) -> Keys {
    Keys::new(&SecretString::from(current), &SecretString::from(previous))
}

fn region() -> Keys {
    keys("a key of at least thirty-two bytes", "")
}

fn place() -> Place {
    let served = Served::default().and((0..40).map(Id));
    Place::Ranked(Ranked { pin: 0x1234_5678_9abc_def0, at: 43, preset: Preset::Latest, refresh: true, served })
}

fn newest(below: Keyset, began: Began, preset: Preset, served: Served) -> Place {
    Place::Newest(Newest { below, began, preset, served })
}

proptest! {
    #[test]
    fn a_cursor_opens_on_every_node_of_the_region(
        created_us: i64, id: u128, exact: bool, postgres: bool, preset in 0..Preset::ALL.len(), viewer: u128,
        shown in prop::collection::vec(any::<u128>(), 0..300), (pin, at, refresh) in any::<(u64, u16, bool)>(),
    ) {
        let served = Served::default().and(shown.into_iter().map(Id));
        let preset = Preset::ALL[preset];
        let place = if at % 2 == 0 {
            Place::Ranked(Ranked { pin, at, preset, refresh, served })
        } else {
            let began = if postgres { Began::Postgres } else { Began::Store };
            newest(Keyset { created_us, id: Id(id), exact }, began, preset, served)
        };
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
fn the_cursor_of_the_longest_chain_is_within_what_is_looked_at() {
    let mut served = Served::default();
    let mut next = 0_u128;
    while served.room() > 0 {
        served = served.and([Id(next)]);
        next += 1 << 70 | 1;
    }
    assert_eq!(served.len(), CHAIN_MAX);
    let below = Keyset::exact(i64::MIN, Id(u128::MAX));
    for place in [
        Place::Ranked(Ranked {
            pin: u64::MAX,
            at: u16::MAX,
            preset: Preset::QuietVoices,
            refresh: true,
            served: served.clone(),
        }),
        newest(below, Began::Store, Preset::QuietVoices, served),
    ] {
        let cursor = seal(&region(), ALICE, &place);
        assert!(cursor.len() < 2_048, "{}", cursor.len());
        assert_eq!(open(&region(), ALICE, &cursor), Ok(place));
    }
}

#[test]
fn a_cursor_given_out_before_there_were_other_chains_still_opens() {
    // Format 1, kind 1: microseconds, id, exact.
    let (created_us, id) = (1_795_376_817_860_123_i64, u128::MAX - 7);
    let mut bytes = vec![1, 1];
    bytes.extend_from_slice(&created_us.to_be_bytes());
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.push(1);
    let sealed = region().seal(ALICE, &bytes);
    let cursor = URL_SAFE_NO_PAD.encode([bytes, sealed.to_vec()].concat());
    let below = Keyset::exact(created_us, Id(id));
    let place = newest(below, Began::Postgres, Preset::Balanced, Served::default());
    assert_eq!(open(&region(), ALICE, &cursor), Ok(place.clone()));
    assert_eq!(seal(&region(), ALICE, &place), cursor);
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
