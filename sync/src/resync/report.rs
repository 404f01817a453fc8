//! How far a job is, for whoever looks: a terminal, `/status`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::counter;
use serde::Serialize;

use crate::center::Walk;

/// One table of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// What is read.
    pub table: &'static str,
    /// Rows read in this run.
    pub rows: u64,
    /// Rows there are, roughly; 0 where that is not known.
    pub rows_expected: u64,
    /// Parts done, those of earlier runs included.
    pub parts_done: usize,
    /// Parts there are.
    pub parts: usize,
    /// How long it took in this run, in milliseconds; 0 until it is done.
    pub took_ms: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Inside {
    stage: String,
    waiting: Option<String>,
    rows: u64,
    tables: Vec<Progress>,
}

/// A job's account of itself. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Report(Arc<Mutex<Inside>>);

impl Report {
    /// What is being done.
    pub fn stage(&self) -> String {
        self.inside().stage.clone()
    }

    /// Why nothing happens at the moment, if so.
    pub fn waiting(&self) -> Option<String> {
        self.inside().waiting.clone()
    }

    /// Rows read in this run.
    pub fn rows(&self) -> u64 {
        self.inside().rows
    }

    /// Every table begun, in order.
    pub fn tables(&self) -> Vec<Progress> {
        self.inside().tables.clone()
    }

    /// All of it, in JSON.
    pub fn snapshot(&self) -> serde_json::Value {
        serde_json::to_value(&*self.inside()).unwrap_or_default()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, stage: &str) {
        let mut inside = self.inside();
        stage.clone_into(&mut inside.stage);
        inside.waiting = None;
    }

    pub(crate) fn wait(&self, why: Option<String>) {
        self.inside().waiting = why;
    }

    pub(crate) fn table(&self, walk: Walk, rows_expected: u64, parts_done: usize, parts: usize) {
        let table = Progress { table: walk.name(), rows: 0, rows_expected, parts_done, parts, took_ms: 0 };
        self.inside().tables.push(table);
    }

    pub(crate) fn read(&self, walk: Walk, rows: u64) {
        counter!("edgefeed_resync_rows_total", "table" => walk.name()).increment(rows);
        let mut inside = self.inside();
        inside.rows += rows;
        if let Some(table) = inside.tables.iter_mut().rev().find(|table| table.table == walk.name()) {
            table.rows += rows;
        }
    }

    pub(crate) fn table_done(&self, walk: Walk, took_ms: u64) {
        let mut inside = self.inside();
        if let Some(table) = inside.tables.iter_mut().rev().find(|table| table.table == walk.name()) {
            table.took_ms = took_ms;
        }
    }

    pub(crate) fn part_done(&self, walk: Walk) {
        let mut inside = self.inside();
        if let Some(table) = inside.tables.iter_mut().rev().find(|table| table.table == walk.name()) {
            table.parts_done += 1;
        }
    }
}
