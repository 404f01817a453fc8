//! A job's progress for whoever ordered it: bars on a terminal, plain lines elsewhere. On standard error, where it is in
//! nobody's way.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::job::{Shown, ShownTable};

/// Between two plain lines about the same table.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows progress, look by look.
#[derive(Debug)]
pub struct Screen {
    bars: Option<Bars>,
    last: String,
    said_at: Instant,
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    stage: ProgressBar,
    tables: BTreeMap<String, ProgressBar>,
}

impl Screen {
    /// Bars where standard error is a terminal.
    pub fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            let stage = all.add(ProgressBar::new_spinner());
            Bars { all, stage, tables: BTreeMap::new() }
        });
        Self { bars, last: String::new(), said_at: Instant::now() }
    }

    /// How far it is now.
    pub fn show(&mut self, shown: &Shown) {
        if let Some(bars) = &mut self.bars {
            bars.show(shown);
            return;
        }
        let line = line(shown);
        let begins = line.split(':').next() != self.last.split(':').next();
        if line != self.last && (begins || self.said_at.elapsed() >= LINE_EVERY) {
            // Should nobody read, the job goes on.
            drop(writeln!(std::io::stderr().lock(), "{line}"));
            self.last = line;
            self.said_at = Instant::now();
        }
    }

    /// Leaves the terminal as it should be.
    pub fn end(&mut self) {
        if let Some(bars) = self.bars.take() {
            bars.stage.finish_and_clear();
            bars.tables.values().for_each(ProgressBar::abandon);
        }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

impl Bars {
    fn show(&mut self, shown: &Shown) {
        let stage = shown
            .waiting
            .as_ref()
            .map_or_else(|| shown.stage.clone(), |why| format!("{}, waiting: {why}", shown.stage));
        self.stage.set_message(stage);
        self.stage.tick();
        for table in &shown.tables {
            let bar = self.tables.entry(table.table.clone()).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new(table.parts as u64));
                // The template is a constant; were it wrong, the library's own would do.
                if let Ok(style) = ProgressStyle::with_template("{prefix:>11} {bar:40} {pos}/{len} parts, {msg}") {
                    bar.set_style(style);
                }
                bar.set_prefix(table.table.clone());
                bar
            });
            bar.set_position(table.parts_done as u64);
            bar.set_message(format!("{} rows", table.rows));
        }
    }
}

/// One line of where it is: `stage: table 3/9 parts, 700 rows`.
fn line(shown: &Shown) -> String {
    let mut line = shown.stage.clone();
    if let Some(ShownTable { rows, parts_done, parts, .. }) = shown.tables.last().filter(|_| !shown.stage.is_empty()) {
        line.push_str(&format!(": {parts_done}/{parts} parts, {rows} rows of this table, {} in all", shown.rows));
    }
    if let Some(why) = &shown.waiting {
        line.push_str(&format!(" (waiting: {why})"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_stage_table_and_what_is_waited_for() {
        let table =
            ShownTable { table: "posts".to_owned(), rows: 7, rows_expected: 9, parts_done: 1, parts: 3, took_ms: 0 };
        let shown =
            Shown { stage: "reading posts".to_owned(), waiting: Some("x".to_owned()), rows: 8, tables: vec![table] };
        assert_eq!(line(&shown), "reading posts: 1/3 parts, 7 rows of this table, 8 in all (waiting: x)");
        assert_eq!(line(&Shown::default()), "");
    }
}
