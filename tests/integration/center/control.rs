//! Who decides what becomes of each request to ClickHouse, and remembers what became of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::token::{Asked, Token};

/// What is done with one insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The server applies it and answers; the connection is closed instead of handing the answer on.
    ResetAfterApplied,
    /// The server applies it and answers; nothing is ever handed on, and the connection stays open.
    HangAfterApplied,
    /// It never reaches the server: 500, as ClickHouse says it when its keeper is away.
    Fail,
    /// It is held back before the server until the holder lets go.
    Hold,
}

/// Whether an insert is the one: by the sender's number and the token.
type Wanted = Box<dyn Fn(usize, &Token) -> bool + Send>;

/// A rule waits for its insert.
struct Rule {
    act: Act,
    wanted: Wanted,
    tell: oneshot::Sender<Fired>,
    /// Of [`Act::Hold`]: resolves when the holder lets go.
    go: Option<oneshot::Receiver<()>>,
}

/// Which insert a rule met.
#[derive(Clone, Debug)]
pub(crate) struct Fired {
    pub(crate) node: usize,
    pub(crate) token: Token,
    /// Which sending of this token it was, counted from 0.
    pub(crate) number: usize,
}

/// A rule from its owner's side.
pub(crate) struct Armed {
    fired: oneshot::Receiver<Fired>,
    /// Lets a held insert go on when dropped or sent to.
    pub(crate) go: Option<oneshot::Sender<()>>,
}

impl Armed {
    /// Waits for the rule to meet its insert.
    pub(crate) async fn fired(&mut self, patience: Duration) -> Option<Fired> {
        tokio::time::timeout(patience, &mut self.fired).await.ok()?.ok()
    }
}

/// One sending of a token.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) node: usize,
    /// What the test calls the decode version of the sender.
    pub(crate) version: u32,
    /// Of the statement and the rows.
    pub(crate) hash: u64,
    /// What the server answered, once it has.
    pub(crate) status: Option<u16>,
    /// Whether the sender was told.
    pub(crate) told: bool,
    pub(crate) begun: Instant,
    pub(crate) ended: Option<Instant>,
}

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) tokens: BTreeMap<Token, Vec<Sending>>,
    /// Inserts that a crash could double: without a token, or with settings that would not keep it.
    pub(crate) unsafe_inserts: Vec<String>,
    /// Whole requests, where they are kept.
    pub(crate) kept: Vec<(String, bytes::Bytes)>,
}

impl Seen {
    /// A later sending of a token that the server took and whose sender knows, if there is one.
    pub(crate) fn later(&self, met: &Fired) -> Option<&Sending> {
        self.tokens[&met.token][met.number + 1..].iter().find(|sent| sent.told && sent.status == Some(200))
    }

    /// The latest inserts, by how long ago they came.
    pub(crate) fn last(&self) -> Vec<String> {
        let all = self.tokens.iter().flat_map(|(token, sends)| sends.iter().map(move |sent| (sent.begun, token, sent)));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(begun, _, _)| std::cmp::Reverse(*begun));
        let shown = |(begun, token, sent): &(Instant, &Token, &Sending)| {
            let took = sent.ended.map(|ended| ended - *begun);
            let Sending { node, status, told, .. } = sent;
            format!("{:?} ago, node {node}, {status:?} told {told} after {took:?}: {}", begun.elapsed(), token.text)
        };
        all.iter().take(12).map(shown).collect()
    }

    /// Tokens under which one decode version sent different rows.
    pub(crate) fn unsteady(&self) -> Vec<&Token> {
        let steady = |sends: &[Sending]| {
            let mut bodies: BTreeMap<u32, u64> = BTreeMap::new();
            sends.iter().all(|sent| *bodies.entry(sent.version).or_insert(sent.hash) == sent.hash)
        };
        self.tokens.iter().filter(|(_, sends)| !steady(sends)).map(|(token, _)| token).collect()
    }

    /// How many tokens were sent more than once.
    pub(crate) fn repeated(&self) -> usize {
        self.tokens.values().filter(|sends| sends.len() > 1).count()
    }
}

/// Shared by the proxies of one test.
#[derive(Default)]
pub(crate) struct Control {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Seen,
    versions: BTreeMap<usize, u32>,
    keep: bool,
}

/// What a proxy is to do with a request.
pub(crate) enum Order {
    Pass,
    Do(Act, oneshot::Sender<Fired>, Option<oneshot::Receiver<()>>),
}

impl Control {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `act` once, with the first sending of an insert that is `wanted`, by the sender's number and the token.
    pub(crate) fn arm(&self, act: Act, wanted: impl Fn(usize, &Token) -> bool + Send + 'static) -> Armed {
        let (tell, fired) = oneshot::channel();
        let (holder, go) = oneshot::channel();
        let held = act == Act::Hold;
        self.state().rules.push(Rule { act, wanted: Box::new(wanted), tell, go: held.then_some(go) });
        Armed { fired, go: held.then_some(holder) }
    }

    /// A node's decode version, as the test calls it, from now on.
    pub(crate) fn set_version(&self, node: usize, version: u32) {
        self.state().versions.insert(node, version);
    }

    /// Keeps every insert whole from now on.
    pub(crate) fn keep(&self) {
        self.state().keep = true;
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.state().seen)
    }

    /// Takes the kept requests.
    pub(crate) fn take_kept(&self) -> Vec<(String, bytes::Bytes)> {
        std::mem::take(&mut self.state().seen.kept)
    }

    /// Waits until what was seen is as wanted.
    pub(crate) async fn until(&self, patience: Duration, so: impl Fn(&Seen) -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.seen(&so) {
                return true;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return self.seen(&so);
            }
        }
    }

    /// A proxy met an insert: the number of this sending, and what is to be done.
    pub(crate) fn meet(&self, node: usize, asked: &Asked, target: &str, body: &bytes::Bytes) -> (usize, Order) {
        let mut state = self.state();
        if state.keep {
            state.seen.kept.push((target.to_owned(), body.clone()));
        }
        let Some(token) = &asked.token else {
            state.seen.unsafe_inserts.push(format!("without a token: {}", asked.query));
            return (0, Order::Pass);
        };
        if !asked.unsafe_settings.is_empty() {
            state.seen.unsafe_inserts.push(format!("{}: {:?}", token.text, asked.unsafe_settings));
        }
        let version = state.versions.get(&node).copied().unwrap_or_default();
        let hash = hash(&asked.query, body);
        let send = Sending { node, version, hash, status: None, told: false, begun: Instant::now(), ended: None };
        let sends = state.seen.tokens.entry(token.clone()).or_default();
        sends.push(send);
        let number = sends.len() - 1;
        // Only the first of a token: what a node that lost its share still sends is sent again by nobody.
        let met = state.rules.iter().position(|rule| number == 0 && (rule.wanted)(node, token));
        let order = met.map(|at| state.rules.remove(at)).map(|rule| Order::Do(rule.act, rule.tell, rule.go));
        drop(state);
        self.changed.notify_waiters();
        (number, order.unwrap_or(Order::Pass))
    }

    /// The server answered a sending, or the sender was told.
    pub(crate) fn note(&self, token: &Token, number: usize, status: u16, told: bool) {
        let mut state = self.state();
        if let Some(send) = state.seen.tokens.get_mut(token).and_then(|sends| sends.get_mut(number)) {
            (send.status, send.told, send.ended) = (Some(status), told, Some(Instant::now()));
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

fn hash(query: &str, body: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (query, body).hash(&mut hasher);
    hasher.finish()
}
