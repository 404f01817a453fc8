//! One ranking, kept so that its later pages are those of its first.

use std::sync::{Arc, OnceLock};

use edgefeed_storage::model::{Id, IdKind, TimestampMs};
use edgefeed_storage::{AuthorNo, PostNo, Seen};

use crate::cursor::CHAIN_MAX;
use crate::ranking::score::Terms;
use crate::ranking::{Ranked, Sources, select};
use crate::tuning::Numbers;

/// Bytes of a row beside the id: three terms, the place in memory, the author, the sources.
const ROW_BYTES: usize = 3 * 8 + 4 + 4 + 1;
/// In the byte of the sources: the reader was served the post before.
const SERVED: u8 = 0x80;

/// How a ranking was made.
#[derive(Clone, Debug)]
pub struct Making {
    /// The `now` of its formula.
    pub ranked_at: TimestampMs,
    /// The numbers it was made with.
    pub numbers: Arc<Numbers>,
    /// What it lacked.
    pub degraded: Vec<&'static str>,
    /// The reader's history was complete until then.
    pub history_as_of: Option<TimestampMs>,
}

/// A ranking as it was made. What changes by the minute (counts, likes, who is blocked) is not in it.
#[derive(Debug)]
pub struct Pin {
    /// Names the pin in cursors; random.
    pub id: u64,
    /// How it was made.
    pub making: Making,
    kind: IdKind,
    /// How many of the rows stand before those served lately.
    first: usize,
    /// Best first: id, terms, place in memory, author, sources.
    rows: Box<[u8]>,
    /// Rows in order of place; found when the second page is asked for.
    order: OnceLock<Box<[u16]>>,
}

/// One post of a pin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pinned {
    /// The post.
    pub id: Id,
    /// Where in memory it was when it was ranked, and most likely is.
    pub at: PostNo,
    /// Where it came from.
    pub sources: Sources,
    /// The terms of its score.
    pub terms: Terms,
    /// Whether the reader had been served it lately, and it stands after all others for that.
    pub served: bool,
    /// Its place in the order by score, from 0.
    pub rank: usize,
    /// Its place on the pages, from 0; `None` where no score orders them.
    pub place: Option<usize>,
}

impl Pinned {
    /// A post as it was ranked.
    pub fn of(post: &Ranked, rank: usize) -> Self {
        let Ranked { id, at, sources, terms, served, .. } = *post;
        Self { id, at, sources, terms, served, rank, place: None }
    }

    /// The same in a place of its own.
    #[must_use]
    pub fn placed(self, place: usize) -> Self {
        Self { place: Some(place), ..self }
    }

    /// To be looked for in a view.
    pub fn seen(&self) -> Seen {
        Seen { id: self.id, place: self.at }
    }
}

impl Pin {
    /// Keeps a ranking, given best first.
    pub fn new(kind: IdKind, making: Making, ranked: &[Ranked]) -> Self {
        let mut rows = Vec::with_capacity(ranked.len() * width(kind));
        for post in ranked {
            write(kind, post, &mut rows);
        }
        Self {
            id: uuid::Uuid::new_v4().as_u64_pair().1,
            making,
            kind,
            first: ranked.iter().take_while(|post| !post.served).count(),
            rows: rows.into_boxed_slice(),
            order: OnceLock::new(),
        }
    }

    /// The posts from a place on, in the order of the pages.
    pub fn from(&self, place: usize) -> impl Iterator<Item = Pinned> + '_ {
        let placed = self.order().iter().enumerate().skip(place);
        placed.filter_map(|(place, row)| Some(self.read(usize::from(*row))?.placed(place)))
    }

    /// Bytes held, by estimate, its order included.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.rows.len() + 2 * self.len().min(CHAIN_MAX) + 128
    }

    fn len(&self) -> usize {
        self.rows.len() / width(self.kind)
    }

    /// The order of the first page, to its end: the rules of spacing have no other outcome.
    fn order(&self) -> &[u16] {
        self.order.get_or_init(|| {
            let authors = self.rows.chunks_exact(width(self.kind)).map(author);
            let spacing = &self.making.numbers.config.spacing;
            let places = select::space_in_two(authors, self.first, spacing, CHAIN_MAX);
            places.into_iter().filter_map(|row| u16::try_from(row).ok()).collect()
        })
    }

    fn read(&self, rank: usize) -> Option<Pinned> {
        let row = self.rows.chunks_exact(width(self.kind)).nth(rank)?;
        let (id, row) = row.split_at(self.kind.width());
        let mut whole = [0; 16];
        whole.get_mut(16 - id.len()..)?.copy_from_slice(id);
        let term = |at: usize| row.get(8 * at..)?.first_chunk().map(|bytes| f64::from_le_bytes(*bytes));
        let at = u32::from_le_bytes(*row.get(24..)?.first_chunk()?);
        let sources = *row.last()?;
        Some(Pinned {
            id: Id(u128::from_be_bytes(whole)),
            at: PostNo::from(at),
            sources: Sources::of_bits(sources & !SERVED),
            terms: Terms { freshness: term(0)?, engagement: term(1)?, affinity: term(2)? },
            served: sources & SERVED != 0,
            rank,
            place: None,
        })
    }
}

fn width(kind: IdKind) -> usize {
    kind.width() + ROW_BYTES
}

fn write(kind: IdKind, post: &Ranked, rows: &mut Vec<u8>) {
    rows.extend_from_slice(&post.id.0.to_be_bytes()[16 - kind.width()..]);
    for term in [post.terms.freshness, post.terms.engagement, post.terms.affinity] {
        rows.extend_from_slice(&term.to_le_bytes());
    }
    rows.extend_from_slice(&u32::from(post.at).to_le_bytes());
    rows.extend_from_slice(&u32::from(post.author).to_le_bytes());
    rows.push(post.sources.bits() | if post.served { SERVED } else { 0 });
}

/// The author of a row: a number that tells authors of one ranking apart, and nothing more.
fn author(row: &[u8]) -> AuthorNo {
    let bytes = row.len().checked_sub(5).and_then(|at| row[at..].first_chunk());
    AuthorNo::from(bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranking::{Config, Preset, score};
    use crate::tuning::Tuning;

    fn ranked(count: u32, authors: u32, served_from: u32) -> Vec<Ranked> {
        let post = |n: u32| {
            let terms = Terms { freshness: 1.0 / f64::from(n + 1), engagement: f64::from(n).sqrt(), affinity: 0.1 };
            Ranked {
                id: Id(u128::from(n) * 0x1_0000_0001),
                at: PostNo::from(n + 7),
                author: AuthorNo::from(n * 7 % authors),
                created_at: 5,
                sources: if n.is_multiple_of(2) { Sources::FOLLOWED } else { Sources::TRENDING.and(Sources::AFFINITY) },
                terms,
                score: score::score(&Config::default(), &terms),
                served: n >= served_from,
            }
        };
        (0..count).map(post).collect()
    }

    #[test]
    fn a_pin_gives_the_very_posts_scores_and_places_of_its_ranking() {
        for kind in [IdKind::Uuid, IdKind::U64] {
            for (count, authors, served_from) in
                [(900, 60, 900), (900, 3, 100), (40, 1, 0), (1_500, 2_000, 1_200), (0, 1, 0)]
            {
                let ranked = ranked(count, authors, served_from);
                let numbers = Tuning::default().numbers(Id(1), Preset::Balanced);
                let degraded = Vec::new();
                let making = Making { ranked_at: 7, numbers: Arc::clone(&numbers), degraded, history_as_of: None };
                let pin = Pin::new(kind, making, &ranked);
                let spacing = &numbers.config.spacing;
                let authors = ranked.iter().map(|post| post.author);
                let order = select::space_in_two(authors, served_from.min(count) as usize, spacing, CHAIN_MAX);
                let expected: Vec<Pinned> = order
                    .iter()
                    .enumerate()
                    .map(|(place, rank)| Pinned::of(&ranked[*rank], *rank).placed(place))
                    .collect();
                let pinned: Vec<Pinned> = pin.from(0).collect();
                assert_eq!(pinned, expected, "terms bit for bit");
                for post in &pinned {
                    assert_eq!(score::score(&numbers.config, &post.terms), ranked[post.rank].score);
                }
                assert_eq!(pin.from(30).collect::<Vec<_>>(), expected.get(30..).unwrap_or_default());
                assert_eq!(pin.from(usize::MAX).count(), 0);
            }
        }
    }
}
