//! What can go wrong between a log and its center, done to two nodes one after the other while records keep coming.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::control::{Act, Armed, Fired};
use super::log::Source;
use super::node::PATIENCE;
use super::stage::{BIG, Member, OTHER_VERSION, Stage, VERSION};
use super::writer::Writer;
use crate::crash::dice::Dice;
use crate::real::steps::until;

/// After so long without an insert to meet, some more records are written.
const NUDGE_AFTER: Duration = Duration::from_secs(1);
const NUDGE: usize = 100;

/// One kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The connection ends after the server has applied an insert, before it could say so.
    Reset,
    /// The same, and the node is killed in that moment.
    ResetAndKill,
    /// The server has applied it and the answer never comes.
    Hang,
    /// The server answers 500 and has applied nothing.
    Fail,
    /// kill -9 at any moment.
    Kill,
    /// A node leaves in order and comes back: two rebalances.
    Leave,
    /// A third node joins and leaves: two rebalances.
    Join,
    /// Killed between insert and commit, and another decode version goes on.
    Upgrade,
    /// A node freezes after the write-ahead and before the insert; its successor finishes first.
    Zombie,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::Reset,
        Self::ResetAndKill,
        Self::Hang,
        Self::Fail,
        Self::Kill,
        Self::Leave,
        Self::Join,
        Self::Upgrade,
        Self::Zombie,
    ];

    /// Whether the server has applied an insert and the sender does not know: three of them are.
    pub(crate) fn is_reset(self) -> bool {
        matches!(self, Self::Reset | Self::ResetAndKill | Self::Hang)
    }
}

/// One of each, then others by chance, every third a reset; in any order.
pub(crate) fn plan(dice: &mut Dice, count: usize) -> Vec<Fault> {
    let mut faults = Fault::ALL.to_vec();
    while faults.len() < count {
        let reset = [Fault::Reset, Fault::ResetAndKill, Fault::Hang];
        faults.push(if faults.len().is_multiple_of(3) { *dice.pick(&reset) } else { *dice.pick(&Fault::ALL) });
    }
    for last in (1..faults.len()).rev() {
        faults.swap(last, dice.below(last + 1));
    }
    faults
}

/// Two nodes, a log on its way, and what was done to them.
pub(crate) struct Ordeal<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) writer: &'a Writer,
    pub(crate) dice: Dice,
    pub(crate) members: [Member; 2],
    pub(crate) third: Member,
    /// Records written with each fault.
    pub(crate) slice: usize,
    /// Records one version refuses: dead letters of good events.
    pub(crate) excused: BTreeSet<(Source, u32, i64)>,
    /// Resets after the server had applied, each shown by a node's own count of replays.
    pub(crate) resets_counted: usize,
    pub(crate) took: BTreeMap<Fault, Vec<Duration>>,
}

impl Ordeal<'_> {
    pub(crate) async fn suffer(&mut self, fault: Fault) {
        let begun = Instant::now();
        self.members.iter_mut().for_each(|member| member.node.must_run());
        self.writer.allow(self.slice);
        match fault {
            Fault::Reset => self.reset(Act::ResetAfterApplied, false).await,
            Fault::ResetAndKill => self.reset(Act::HangAfterApplied, true).await,
            Fault::Hang => self.reset(Act::HangAfterApplied, false).await,
            Fault::Fail => self.fail().await,
            Fault::Kill => self.kill().await,
            Fault::Leave => self.leave().await,
            Fault::Join => self.join().await,
            Fault::Upgrade => self.upgrade().await,
            Fault::Zombie => self.zombie().await,
        }
        println!("{:>6.1} s  {fault:?}", begun.elapsed().as_secs_f64());
        self.took.entry(fault).or_default().push(begun.elapsed());
    }

    /// Waits for the rule to meet an insert, with more records where none comes.
    async fn meets(&self, mut armed: Armed, what: &str) -> (Fired, Armed) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(met) = armed.fired(NUDGE_AFTER).await {
                return (met, armed);
            }
            self.writer.allow(NUDGE);
        }
        panic!("{what}: no insert comes any more; behind: {:#?}", self.stage.behind(&self.writer.ends()));
    }

    /// Waits until the token is sent again and taken; who sent it.
    async fn sent_again(&self, met: &Fired, what: &str) -> usize {
        let again = self.stage.control.until(PATIENCE, |seen| seen.later(met).is_some()).await;
        let sends = self.stage.control.seen(|seen| seen.tokens[&met.token].clone());
        assert!(again, "{what}: {} is not sent again: {sends:#?}", met.token.text);
        self.stage.control.seen(|seen| seen.later(met).map(|sent| sent.node)).unwrap()
    }

    async fn reset(&mut self, act: Act, kill: bool) {
        let mut before = [0.0; 2];
        for (member, before) in self.members.iter().zip(&mut before) {
            *before = replays(member).await;
        }
        let armed = self.stage.control.arm(act, |_, _| true);
        let (met, _armed) = self.meets(armed, "reset").await;
        let status = self.stage.control.seen(|seen| seen.tokens[&met.token][met.number].status);
        assert_eq!(status, Some(200), "the server has applied {}", met.token.text);
        if kill {
            before[met.node] = 0.0;
            self.members[met.node].node.kill();
            self.pause(1_500).await;
            self.members[met.node].node.start();
        }
        let sender = self.sent_again(&met, "reset").await;
        let member = &self.members[sender];
        let counted = until(PATIENCE, async || (replays(member).await > before[sender]).then_some(())).await;
        assert!(counted.is_some(), "{} was sent again by node {sender}, which does not count it", met.token.text);
        self.resets_counted += 1;
    }

    async fn fail(&mut self) {
        let armed = self.stage.control.arm(Act::Fail, |_, _| true);
        let (met, _armed) = self.meets(armed, "500").await;
        self.sent_again(&met, "500").await;
    }

    async fn kill(&mut self) {
        let node = self.dice.below(2);
        self.pause(600).await;
        self.members[node].node.kill();
        self.pause(1_500).await;
        self.members[node].node.start();
    }

    async fn leave(&mut self) {
        let node = self.dice.below(2);
        self.pause(300).await;
        self.members[node].leave().await;
        self.pause(500).await;
        self.members[node].node.start();
    }

    async fn join(&mut self) {
        self.third.node.start_ready().await;
        let before = self.sent_by(self.third.number);
        self.writer.allow(NUDGE);
        // It has a share once it has sent something.
        let writer = self.writer;
        let shares = until(PATIENCE, async || {
            writer.allow(20);
            (self.sent_by(self.third.number) > before).then_some(())
        });
        assert!(shares.await.is_some(), "a third node gets no share");
        if self.dice.below(2) == 0 {
            self.third.node.kill();
        } else {
            self.third.leave().await;
        }
    }

    fn sent_by(&self, node: usize) -> usize {
        self.stage.control.seen(|seen| seen.tokens.values().flatten().filter(|sent| sent.node == node).count())
    }

    /// The range is inserted by one version, the nodes die before they commit, and another version, which makes other
    /// rows of the same range, goes on. The token wins: what was inserted first stays, whole and alone.
    async fn upgrade(&mut self) {
        let first_takes = self.dice.below(2) == 0;
        let (first, second) = if first_takes { (VERSION, OTHER_VERSION) } else { (OTHER_VERSION, VERSION) };
        self.become_version(first).await;
        let partition = self.dice.below(self.stage.topics.partitions as usize) as u32;
        let topic = self.stage.topics.name(Source::Events);
        let mut big = 0;
        let mut armed = None;
        self.writer.write(|author| {
            let offset = author.ends().get(&(Source::Events, partition)).copied().unwrap_or(0) + 1;
            big = offset;
            let covers = move |_: usize, token: &super::token::Token| token.covers(&topic, partition, offset);
            armed = Some(self.stage.control.arm(Act::HangAfterApplied, covers));
            // Neighbours of its own range, so that the range has rows in either version.
            let before = author.event_of(partition);
            let big = author.big_event(partition, BIG, first_takes);
            vec![before, big, author.event_of(partition)]
        });
        self.excused.insert((Source::Events, partition, big));
        let (met, _armed) = self.meets(armed.unwrap(), "upgrade").await;
        self.members.iter_mut().for_each(|member| member.node.kill());
        for member in &mut self.members {
            member.set_version(second);
            member.node.start();
        }
        self.sent_again(&met, "upgrade").await;
        let bodies: BTreeMap<u32, u64> = self
            .stage
            .control
            .seen(|seen| seen.tokens[&met.token].iter().map(|sent| (sent.version, sent.hash)).collect());
        let other = bodies.len() == 2 && bodies[&first] != bodies[&second];
        assert!(other, "the versions make different rows of {}: {bodies:?}", met.token.text);
        self.become_version(VERSION).await;
    }

    async fn become_version(&mut self, version: u32) {
        for member in &mut self.members {
            if member.node.settings.more.contains_key(&("kafka", "record_max_bytes")) || version != VERSION {
                member.node.kill();
                member.set_version(version);
                member.node.start();
            }
        }
        for member in &mut self.members {
            member.node.ready().await;
            if version == VERSION {
                member.node.settings.more.remove(&("kafka", "record_max_bytes"));
            }
        }
    }

    async fn zombie(&mut self) {
        let armed = self.stage.control.arm(Act::Hold, |_, _| true);
        let (met, mut armed) = self.meets(armed, "zombie").await;
        self.members[met.node].node.freeze();
        let successor = self.sent_again(&met, "zombie").await;
        assert_ne!(successor, met.node, "a frozen node sends nothing");
        if self.dice.below(2) == 0 {
            // What it had sent comes late, while it still sleeps.
            drop(armed.go.take());
            let late = self.stage.control.until(PATIENCE, |seen| seen.tokens[&met.token][met.number].status.is_some());
            assert!(late.await, "the held insert does not arrive");
            self.members[met.node].node.thaw();
        } else {
            // It wakes first and believes itself the owner.
            self.members[met.node].node.thaw();
            self.pause(1_000).await;
            drop(armed.go.take());
        }
    }

    async fn pause(&mut self, most_ms: usize) {
        let pause = self.dice.below(most_ms) as u64;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

async fn replays(member: &Member) -> f64 {
    member.node.sum("edgefeed_sink_token_replays_total").await
}
