//! Pages under way: of requests for the very same page that come at once, most get one that is made for all of them.
//!
//! Who asks may have written a moment before, and must see it. So a request never joins a page that is already being
//! made: it joins the one that will be made next, as soon as the one under way is done. Of each page one is being made and
//! one is waited for at a time, however many ask.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use edgefeed_storage::model::TimestampMs;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::asked;

/// Pages under way, by what was asked. As many as there are requests at most.
#[derive(Debug)]
pub struct Flights<K, R> {
    under_way: Mutex<HashMap<K, Option<Next<R>>>>,
}

/// The page that is made when the one under way is done.
#[derive(Debug)]
struct Next<R> {
    /// Sets it off.
    off: oneshot::Sender<()>,
    /// The latest time anybody who waits for it asked at.
    now_ms: Arc<AtomicI64>,
    made: watch::Receiver<Option<R>>,
}

/// What a request is to do.
enum Part<R> {
    /// Make the page.
    Make,
    /// Make the page when it is time, for others too.
    Lead(oneshot::Receiver<()>, Arc<AtomicI64>, watch::Sender<Option<R>>, watch::Receiver<Option<R>>),
    /// Wait for the page that another makes.
    Join(watch::Receiver<Option<R>>),
}

impl<K, R> Default for Flights<K, R> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

impl<K, R> Flights<K, R>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    R: Clone + Send + Sync + 'static,
{
    /// The page that `make` makes at a time no earlier than `now_ms`: its own, or one made for several. `None` when the
    /// making panicked.
    pub async fn fly<F>(
        self: &Arc<Self>,
        asked_for: K,
        now_ms: TimestampMs,
        make: impl FnOnce(TimestampMs) -> F + Send + 'static,
    ) -> Option<R>
    where
        F: Future<Output = R> + Send + 'static,
    {
        let mut made = match self.part(&asked_for, now_ms) {
            Part::Make => {
                asked("first_page", "made");
                let _landing = Landing { flights: self, asked_for };
                return Some(make(now_ms).await);
            }
            Part::Lead(off, latest, sender, made) => {
                asked("first_page", "made");
                let flights = Arc::clone(self);
                // On its own: others wait for it, whatever becomes of who asked first.
                tokio::spawn(async move {
                    // An error is a sender dropped, which is the same news.
                    drop(off.await);
                    let _landing = Landing { flights: &flights, asked_for };
                    sender.send_replace(Some(make(latest.load(Ordering::Acquire)).await));
                });
                made
            }
            Part::Join(made) => {
                asked("first_page", "joined");
                made
            }
        };
        let made = made.wait_for(Option::is_some).await;
        made.ok().and_then(|made| made.clone())
    }

    fn part(&self, asked_for: &K, now_ms: TimestampMs) -> Part<R> {
        let mut under_way = self.under_way.lock();
        match under_way.get_mut(asked_for) {
            None => {
                under_way.insert(asked_for.clone(), None);
                Part::Make
            }
            Some(Some(next)) => {
                next.now_ms.fetch_max(now_ms, Ordering::AcqRel);
                Part::Join(next.made.clone())
            }
            Some(next) => {
                let ((off, signal), (sender, made)) = (oneshot::channel(), watch::channel(None));
                let latest = Arc::new(AtomicI64::new(now_ms));
                *next = Some(Next { off, now_ms: Arc::clone(&latest), made: made.clone() });
                Part::Lead(signal, latest, sender, made)
            }
        }
    }

    /// Pages being made now.
    pub fn len(&self) -> usize {
        self.under_way.lock().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Held while a page is made; dropped, the next one of the same is set off. From then on nobody joins that any more.
struct Landing<'a, K: Eq + Hash, R> {
    flights: &'a Flights<K, R>,
    asked_for: K,
}

impl<K: Eq + Hash, R> Drop for Landing<'_, K, R> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock();
        match under_way.get_mut(&self.asked_for).and_then(Option::take) {
            Some(next) => drop(next.off.send(())),
            None => drop(under_way.remove(&self.asked_for)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// A world that changes, and pages of it that take as long as the test lets them.
    #[derive(Default)]
    struct Stage {
        flights: Arc<Flights<u8, (usize, TimestampMs)>>,
        world: Arc<AtomicUsize>,
        made: Arc<AtomicUsize>,
    }

    impl Stage {
        async fn ask(&self, key: u8, now_ms: TimestampMs, hold: Option<oneshot::Receiver<()>>) -> (usize, TimestampMs) {
            let (world, made) = (Arc::clone(&self.world), Arc::clone(&self.made));
            let page = self.flights.fly(key, now_ms, move |now_ms| async move {
                made.fetch_add(1, Ordering::SeqCst);
                let seen = world.load(Ordering::SeqCst);
                if let Some(hold) = hold {
                    drop(hold.await);
                }
                (seen, now_ms)
            });
            page.await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_request_joins_a_page_that_is_not_begun_and_never_one_that_is() {
        let stage = Arc::new(Stage::default());
        let (release, hold) = oneshot::channel();
        let first = tokio::spawn({
            let stage = Arc::clone(&stage);
            async move { stage.ask(1, 10, Some(hold)).await }
        });
        while stage.made.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // Written after the first page was begun: everybody who asks from now on must see it.
        stage.world.store(1, Ordering::SeqCst);
        let later: Vec<_> = (0..50)
            .map(|n| {
                let stage = Arc::clone(&stage);
                tokio::spawn(async move { stage.ask(1, 20 + n, None).await })
            })
            .collect();
        assert_eq!(stage.ask(2, 5, None).await, (1, 5), "another page waits for nobody");
        tokio::task::yield_now().await;
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), (0, 10));
        for later in later {
            assert_eq!(later.await.unwrap(), (1, 69), "no page is older than anybody who got it");
        }
        assert_eq!(stage.made.load(Ordering::SeqCst), 3, "one for all who came meanwhile");
        assert!(stage.flights.is_empty());
    }

    #[tokio::test]
    async fn who_goes_away_holds_up_nobody() {
        let stage = Arc::new(Stage::default());
        let (_never, hold) = oneshot::channel();
        let first = tokio::spawn({
            let stage = Arc::clone(&stage);
            async move { stage.ask(1, 10, Some(hold)).await }
        });
        while stage.made.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let [leader, joined] = [11, 12].map(|now_ms| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { stage.ask(1, now_ms, None).await })
        });
        tokio::task::yield_now().await;
        leader.abort();
        first.abort();
        assert_eq!(joined.await.unwrap(), (0, 12));
        assert_eq!(stage.ask(1, 13, None).await, (0, 13));
        assert!(stage.flights.is_empty());
    }

    #[tokio::test]
    async fn a_making_that_panics_fails_its_own_and_the_next_is_made() {
        let flights: Arc<Flights<u8, u8>> = Arc::default();
        let (release, hold) = oneshot::channel::<()>();
        let first = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move {
                flights
                    .fly(1, 0, |_| async {
                        drop(hold.await);
                        1
                    })
                    .await
            }
        });
        while flights.is_empty() {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move { flights.fly(1, 0, |_| async { panic!("on purpose") }).await }
        });
        tokio::task::yield_now().await;
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Some(1));
        assert_eq!(second.await.unwrap(), None);
        assert_eq!(flights.fly(1, 0, |_| async { 2 }).await, Some(2));
    }
}
