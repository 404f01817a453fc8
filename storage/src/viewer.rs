//! What the store knows about one reader, gathered once and kept until a change touches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use std::hash::BuildHasher;

use crate::counters::{self, Latest, Partial};
use crate::engine::{Engine, Snap};
use crate::error::Result;
use crate::hot::{AuthorNo, Hot};
use crate::key::{self, Family, Keys};
use crate::model::{Action, Counters, Day, Event, Id, TimestampMs, day_of};
use crate::value::{self, Base, LinkRow, SpoolRow};

/// Days of history that affinity sums: today and the 89 before.
pub const AFFINITY_DAYS: Day = 90;
/// Rows of `likes` of one reader that are read with their facts. Whoever has more is looked up page by page.
const LIKES_MAX: usize = 512;

/// One reader's follows, history, blocks, hides and views.
#[derive(Debug)]
pub struct Viewer {
    generation: u32,
    day: Day,
    /// The reader.
    pub id: Id,
    /// The reader as an author.
    pub me: AuthorNo,
    /// Whom they follow.
    pub follows: Vec<AuthorNo>,
    /// What they did with each author's posts over 90 days: as the center had it from before this node's own log, and
    /// as this node applied it since.
    pub history: Vec<(AuthorNo, Counters)>,
    /// How the center's part of that was taken; `None` when it never was.
    pub base: Option<Base>,
    /// Whom they block, and who blocks them.
    pub blocked: HashSet<AuthorNo>,
    /// Posts they hid.
    pub hidden: HashSet<Id>,
    /// Posts they viewed, and when last. Reaches back at least 24 hours.
    pub viewed: HashMap<Id, TimestampMs>,
    /// Posts they like; `None` where there are too many to keep.
    likes: Option<HashSet<Id>>,
}

impl Viewer {
    /// Whether this can still be used: author numbers and the day's window are those it was made with.
    pub(crate) fn fits(&self, generation: u32, day: Day) -> bool {
        self.generation == generation && self.day == day
    }

    /// Whether they like a post; `None` where only the store can tell.
    pub(crate) fn likes(&self, post: Id) -> Option<bool> {
        self.likes.as_ref().map(|likes| likes.contains(&post))
    }

    /// Bytes held, by estimate.
    fn bytes(&self) -> u64 {
        let held = size_of::<Self>()
            + self.follows.len() * size_of::<AuthorNo>()
            + self.history.len() * size_of::<(AuthorNo, Counters)>()
            + self.blocked.len() * 8
            + self.hidden.len() * 24
            + self.viewed.len() * 40
            + self.likes.as_ref().map_or(0, |likes| likes.len() * 24);
        u64::try_from(held).unwrap_or(u64::MAX)
    }
}

/// The same facts by id, as read from a snapshot and before authors have numbers.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    follows: Vec<Id>,
    history: Vec<(Id, Counters)>,
    base: Option<Base>,
    blocked: Vec<Id>,
    hidden: HashSet<Id>,
    viewed: HashMap<Id, TimestampMs>,
    likes: Option<HashSet<Id>>,
}

impl Facts {
    pub(crate) fn read(engine: &Engine, keys: Keys, viewer: Id, day: Day, whole: Option<Base>) -> Result<Self> {
        let snap = engine.snapshot();
        let mut facts = Self::default();
        let prefix = keys.one(viewer);
        let others = |family: Family, out: &mut Vec<Id>, removed: fn(&[u8]) -> Result<bool>| {
            snap.scan(family, &prefix, |key, value| {
                if let Some(([_, other], _)) = keys.split::<2>(key)
                    && !removed(value)?
                {
                    out.push(other);
                }
                Ok(true)
            })
        };
        others(Family::Follows, &mut facts.follows, |value| removed(Family::Follows, value))?;
        others(Family::Blocks, &mut facts.blocked, |value| removed(Family::Blocks, value))?;
        others(Family::BlockedBy, &mut facts.blocked, |_| Ok(false))?;
        facts.read_seen(&snap, keys, viewer)?;
        facts.likes = read_likes(&snap, keys, viewer)?;
        for family in [Family::UserAuthorDays, Family::History] {
            facts.read_history(&snap, family, keys, viewer, day)?;
        }
        facts.read_spooled(&snap, keys, viewer, day)?;
        facts.merge_history();
        let base = snap.get(Family::HistoryOf, &prefix)?;
        facts.base = base.map(|bytes| value::decode_base(Family::HistoryOf, &bytes)).transpose()?.or(whole);
        Ok(facts)
    }

    fn read_seen(&mut self, snap: &Snap<'_>, keys: Keys, viewer: Id) -> Result<()> {
        snap.scan(Family::Hides, &keys.one(viewer), |key, _| {
            self.hidden.extend(keys.split::<2>(key).map(|([_, post], _)| post));
            Ok(true)
        })?;
        snap.scan(Family::Viewed, &keys.one(viewer), |key, value| {
            if let Some(([_, post], _)) = keys.split::<2>(key) {
                let Latest(time) = counters::decode(Family::Viewed, value)?;
                self.viewed.insert(post, time);
            }
            Ok(true)
        })
    }

    /// Sums the partials of each author whose day lies in the window: of the node's own or of the center's, which have
    /// no event in common. Keys come author by author and end in the day.
    fn read_history(&mut self, snap: &Snap<'_>, family: Family, keys: Keys, viewer: Id, today: Day) -> Result<()> {
        let first = today.saturating_sub(AFFINITY_DAYS - 1);
        snap.scan(family, &keys.one(viewer), |key, value| {
            let Some(([_, author], rest)) = keys.split::<2>(key) else { return Ok(true) };
            let Some(day) = rest.last_chunk::<2>().map(|day| Day::from_be_bytes(*day)) else { return Ok(true) };
            if !(first..=today).contains(&day) {
                return Ok(true);
            }
            let partial: Partial = counters::decode(family, value)?;
            match self.history.last_mut().filter(|(last, _)| *last == author) {
                Some((_, sum)) => sum.add(&partial.counters),
                None => self.history.push((author, partial.counters)),
            }
            Ok(true)
        })
    }

    /// Adds what the reader did while Kafka was away. The snapshot holds an event here or among what was applied, never
    /// in both and never in neither: it changes places in one write.
    fn read_spooled(&mut self, snap: &Snap<'_>, keys: Keys, viewer: Id, today: Day) -> Result<()> {
        let mut sequences = Vec::new();
        snap.scan(Family::SpoolOf, &keys.one(viewer), |key, _| {
            sequences.extend(key::split_spool(key));
            Ok(true)
        })?;
        for sequence in sequences {
            let Some(bytes) = snap.get(Family::Spool, &key::spool(sequence))? else { continue };
            let row: SpoolRow = value::decode(Family::Spool, &bytes)?;
            self.overlay(&row.event, today);
        }
        Ok(())
    }

    fn overlay(&mut self, event: &Event, today: Day) {
        let window = today.saturating_sub(AFFINITY_DAYS - 1)..=today;
        if let Some(author) = event.author.filter(|_| window.contains(&day_of(event.event_time))) {
            self.history.push((author, Counters::of(event)));
        }
        match event.action {
            Action::View => {
                let seen = self.viewed.entry(event.post).or_insert(event.event_time);
                *seen = event.event_time.max(*seen);
            }
            Action::Hide => {
                self.hidden.insert(event.post);
            }
            Action::Impression | Action::Like | Action::Comment | Action::Share => {}
        }
    }

    /// Makes one sum an author of all of these.
    fn merge_history(&mut self) {
        self.history.sort_by_key(|(author, _)| *author);
        self.history.dedup_by(|(author, sum), (kept, all)| {
            let same = author == kept;
            if same {
                all.add(sum);
            }
            same
        });
    }

    fn authors(&self) -> impl Iterator<Item = &Id> {
        self.follows.iter().chain(&self.blocked).chain(self.history.iter().map(|(author, _)| author))
    }

    /// Gives every author a number.
    pub(crate) fn intern(&self, hot: &mut Hot, viewer: Id) {
        hot.intern(viewer);
        for author in self.authors() {
            hot.intern(*author);
        }
    }

    /// The reader's facts by author number; `None` while an author has none.
    pub(crate) fn finish(&self, hot: &Hot, id: Id, day: Day) -> Option<Viewer> {
        let number = |author: &Id| hot.number_of(*author);
        Some(Viewer {
            generation: hot.generation(),
            day,
            id,
            me: number(&id)?,
            follows: self.follows.iter().map(number).collect::<Option<_>>()?,
            history: self.history.iter().map(|(author, sum)| Some((number(author)?, *sum))).collect::<Option<_>>()?,
            base: self.base,
            blocked: self.blocked.iter().map(number).collect::<Option<_>>()?,
            hidden: self.hidden.clone(),
            viewed: self.viewed.clone(),
            likes: self.likes.clone(),
        })
    }
}

/// The posts of a reader's live rows of `likes`; `None` where there are more rows than are kept.
fn read_likes(snap: &Snap<'_>, keys: Keys, viewer: Id) -> Result<Option<HashSet<Id>>> {
    let (mut likes, mut rows) = (HashSet::new(), 0);
    snap.scan(Family::Likes, &keys.one(viewer), |key, value| {
        rows += 1;
        if let Some(([_, post], _)) = keys.split::<2>(key)
            && !removed(Family::Likes, value)?
        {
            likes.insert(post);
        }
        Ok(rows <= LIKES_MAX)
    })?;
    Ok((rows <= LIKES_MAX).then_some(likes))
}

fn removed(family: Family, value: &[u8]) -> Result<bool> {
    let row: LinkRow = value::decode(family, value)?;
    Ok(row.removed.is_some())
}

/// Counters of changes, by hash of the reader.
const STRIPES: usize = 1024;

/// Readers' facts kept between requests, bounded by bytes.
#[derive(Debug)]
pub(crate) struct Viewers {
    cache: moka::sync::Cache<Id, Arc<Viewer>>,
    hasher: DefaultHashBuilder,
    changes: Box<[AtomicU64]>,
}

/// The state of a reader's stripe before their facts were read.
#[derive(Debug)]
pub(crate) struct Ticket(u64);

impl Viewers {
    pub(crate) fn new(bytes: usize) -> Self {
        let weigh = |_: &Id, viewer: &Arc<Viewer>| u32::try_from(viewer.bytes()).unwrap_or(u32::MAX);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self {
            cache: moka::sync::Cache::builder().weigher(weigh).max_capacity(bytes).build(),
            hasher: DefaultHashBuilder::default(),
            changes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn stripe(&self, viewer: Id) -> &AtomicU64 {
        let stripes = STRIPES as u64;
        let at = usize::try_from(self.hasher.hash_one(viewer) % stripes).unwrap_or(0);
        &self.changes[at]
    }

    pub(crate) fn get(&self, viewer: Id) -> Option<Arc<Viewer>> {
        self.cache.get(&viewer)
    }

    /// To be taken before the facts are read.
    pub(crate) fn ticket(&self, viewer: Id) -> Ticket {
        Ticket(self.stripe(viewer).load(Ordering::Acquire))
    }

    /// Keeps a reader's facts, unless a change came after the ticket: those facts may be old already.
    pub(crate) fn put(&self, viewer: Arc<Viewer>, ticket: &Ticket) {
        let id = viewer.id;
        self.cache.insert(id, viewer);
        if self.stripe(id).load(Ordering::Acquire) != ticket.0 {
            self.cache.invalidate(&id);
        }
    }

    /// A change to this reader's facts is in the store.
    pub(crate) fn changed(&self, viewer: Id) {
        self.stripe(viewer).fetch_add(1, Ordering::AcqRel);
        self.cache.invalidate(&viewer);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weighted_size()
    }
}
