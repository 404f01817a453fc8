//! Which posts a chain has shown, in about ten bits each: it forgets none, and now and then takes another for one of
//! them, which is then missing from the chain, and no more than that.
//!
//! Posts are hashed to 19 bits; the hashes stand in order, and the gaps between them are Rice-coded. Unlike a Bloom
//! filter it grows with the chain, so short chains have short cursors.

use edgefeed_storage::model::Id;

/// Posts a chain may show: what follows must fit into a cursor.
pub const CHAIN_MAX: usize = 1_000;
/// Bits of a hash. At the end of the longest chain two posts in a thousand are taken for ones it has shown.
const HASH_BITS: u32 = 19;
const RANGE: u32 = 1 << HASH_BITS;

/// The posts a chain has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Ascending, each once.
    hashes: Vec<u32>,
}

impl Served {
    /// Whether the chain may have shown a post; always true of one it has.
    pub fn holds(&self, post: Id) -> bool {
        self.hashes.binary_search(&hash(post)).is_ok()
    }

    /// How many posts it has shown. (One for two that hash alike.)
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether it has shown nothing.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// How many more posts the chain may show.
    pub fn room(&self) -> usize {
        CHAIN_MAX.saturating_sub(self.len())
    }

    /// The same with more posts.
    #[must_use]
    pub fn and(&self, posts: impl IntoIterator<Item = Id>) -> Self {
        let mut hashes = self.hashes.clone();
        hashes.extend(posts.into_iter().map(hash));
        hashes.sort_unstable();
        hashes.dedup();
        Self { hashes }
    }

    /// How many, then the gaps.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let count = u16::try_from(self.hashes.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&count.to_be_bytes());
        let low = low_bits(count);
        let mut bits = Writer { bytes, word: 0, held: 0 };
        let mut next = 0;
        for hash in self.hashes.iter().take(usize::from(count)) {
            let gap = hash - next;
            bits.ones(gap >> low);
            bits.put(0, 1);
            bits.put(gap & ((1 << low) - 1), low);
            next = hash + 1;
        }
        bits.end();
    }

    /// What [`Served::write`] wrote, all of it.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (count, bytes) = bytes.split_first_chunk()?;
        let count = u16::from_be_bytes(*count);
        let low = low_bits(count);
        let mut bits = Reader { bytes, word: 0, held: 0 };
        let mut hashes = Vec::with_capacity(usize::from(count));
        let mut next = 0_u32;
        for _ in 0..count {
            let mut high = 0;
            while bits.take(1)? == 1 {
                high += 1;
                if high > RANGE >> low {
                    return None;
                }
            }
            let hash = next + (high << low) + bits.take(low)?;
            if hash >= RANGE {
                return None;
            }
            hashes.push(hash);
            next = hash + 1;
        }
        bits.at_end().then_some(Self { hashes })
    }
}

/// Spreads ids evenly, whatever they are like: counted up, random, or of a clock. It is written into cursors: never to be
/// changed.
fn hash(post: Id) -> u32 {
    let halves = [post.0 >> 64, post.0 & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or(0));
    let mixed = halves.into_iter().fold(0, |mixed, half| mix(mixed ^ half));
    u32::try_from(mixed >> (u64::BITS - HASH_BITS)).unwrap_or(0)
}

/// The last step of MurmurHash3.
fn mix(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}

/// Bits of a gap that are written as they are: what is left of an average gap above them is about one.
fn low_bits(count: u16) -> u32 {
    let average = RANGE / u32::from(count).max(1);
    (average / 3 * 2).max(1).ilog2()
}

/// Writes bits, the highest first.
struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    word: u64,
    held: u32,
}

impl Writer<'_> {
    fn put(&mut self, value: u32, bits: u32) {
        self.word = self.word << bits | u64::from(value);
        self.held += bits;
        while self.held >= 8 {
            self.held -= 8;
            self.bytes.push((self.word >> self.held) as u8);
        }
    }

    fn ones(&mut self, mut count: u32) {
        while count > 0 {
            let some = count.min(16);
            self.put((1 << some) - 1, some);
            count -= some;
        }
    }

    fn end(mut self) {
        self.put(0, (8 - self.held) % 8);
    }
}

/// Reads them.
struct Reader<'a> {
    bytes: &'a [u8],
    word: u64,
    held: u32,
}

impl Reader<'_> {
    /// The next bits, 32 at most.
    fn take(&mut self, bits: u32) -> Option<u32> {
        while self.held < bits {
            let (byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            self.word = self.word << 8 | u64::from(*byte);
            self.held += 8;
        }
        self.held -= bits;
        u32::try_from(self.word >> self.held & ((1 << bits) - 1)).ok()
    }

    /// Whether nothing but the filling of the last byte is left.
    fn at_end(&self) -> bool {
        self.bytes.is_empty() && self.held < 8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(served: &Served) -> Vec<u8> {
        let mut bytes = Vec::new();
        served.write(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn nothing_that_was_shown_is_forgotten_on_any_node(ids in prop::collection::vec(any::<u128>(), 0..CHAIN_MAX)) {
            let served = Served::default().and(ids.iter().map(|id| Id(*id)));
            let read = Served::read(&written(&served)).unwrap();
            prop_assert!(ids.iter().all(|id| read.holds(Id(*id))));
            prop_assert_eq!(read, served);
        }

        #[test]
        fn page_by_page_is_the_same_as_all_at_once(pages in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..100), 0..10)) {
            let ids = |page: &Vec<u64>| page.iter().map(|id| Id(u128::from(*id))).collect::<Vec<_>>();
            let by_page = pages.iter().fold(Served::default(), |served, page| served.and(ids(page)));
            prop_assert_eq!(by_page, Served::default().and(pages.iter().flat_map(ids)));
        }

        #[test]
        fn whatever_was_not_written_here_is_read_without_harm(bytes: Vec<u8>) {
            if let Some(read) = Served::read(&bytes) {
                prop_assert!(read.len() <= usize::from(u16::MAX));
            }
        }
    }

    #[test]
    fn few_posts_are_taken_for_others_whatever_their_ids_are_like() {
        let kinds: [fn(u128) -> Id; 3] = [|n| Id(n), |n| Id(n << 64), |n| Id(0x0192_f000_0000_7000 << 64 | n << 20)];
        for kind in kinds {
            let served = Served::default().and((0..CHAIN_MAX as u128).map(kind));
            assert!(served.len() >= CHAIN_MAX - 8, "{} of {CHAIN_MAX}", served.len());
            let mistaken = (1_000_000..1_100_000).filter(|n| served.holds(kind(*n))).count();
            assert!((50..500).contains(&mistaken), "{mistaken} of 100,000");
        }
    }

    #[test]
    fn the_longest_chain_takes_less_than_eleven_and_a_half_bits_a_post_whatever_it_holds() {
        let even = (0..CHAIN_MAX as u32).map(|n| n * (RANGE / CHAIN_MAX as u32)).collect();
        let low = (0..CHAIN_MAX as u32).collect();
        let high = (RANGE - CHAIN_MAX as u32..RANGE).collect();
        for hashes in [even, low, high] {
            let served = Served { hashes };
            let bytes = written(&served);
            assert!(bytes.len() * 8 <= CHAIN_MAX * 23 / 2, "{}", bytes.len());
            assert_eq!(Served::read(&bytes), Some(served));
        }
    }
}
