//! Which partition a key belongs to, as Java's default partitioner says.

/// The partition of a keyed record among `partitions`; 0 when there are none.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff).checked_rem(partitions).unwrap_or(0)
}

/// MurmurHash2, 32 bits, with Kafka's seed.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // Kafka hashes the length as Java's int; keys are far shorter than that.
    let mut hash = SEED ^ (data.len() as u32);
    let words = data.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        let word = word.iter().rev().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        let word = word.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (word ^ word >> 24).wrapping_mul(M);
    }
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::{murmur2, partition_of};

    /// The values of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_java() {
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn a_partition_is_the_hash_without_sign_modulo_the_count() {
        assert_eq!(partition_of(b"abc", 10), 479_470_107 % 10);
        assert_eq!(partition_of(b"21", 7), ((-973_932_308i32 as u32) & 0x7fff_ffff) % 7);
        assert_eq!(partition_of(b"abc", 0), 0);
    }
}
