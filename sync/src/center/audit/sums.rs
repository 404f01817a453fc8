//! The views held against what they are made of: `events`, each event once. What a view should hold is asked by the very
//! statement that feeds it.

use std::ops::RangeInclusive;
use std::time::Duration;

use edgefeed_storage::model::Day;
use serde::Serialize;

use super::Center;
use crate::center::error::Result;
use crate::center::schema::FILES;

/// A table that a materialized view feeds from `events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// `post_metrics_1h`.
    Hourly,
    /// `post_metrics_daily`.
    Daily,
    /// `user_author_90d`.
    Affinity,
}

/// The sums every view has; affinity's has the last time as well, as milliseconds.
const SUMS: &str = "views, impressions, likes, comments, shares, dwell_ms";

impl View {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Hourly, Self::Daily, Self::Affinity];

    /// The table.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Hourly => "post_metrics_1h",
            Self::Daily => "post_metrics_daily",
            Self::Affinity => "user_author_90d",
        }
    }

    /// The key's columns without the arrival day, each with its type; the last one is what the row is about.
    pub(super) const fn key(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Hourly => &[("post_id", "{id}"), ("window_start", "DateTime('UTC')")],
            Self::Daily => &[("post_id", "{id}"), ("day", "Date")],
            Self::Affinity => &[("user_id", "{id}"), ("author_id", "{id}"), ("day", "Date")],
        }
    }

    fn about(self) -> &'static str {
        self.key().last().map_or("", |(column, _)| column)
    }

    pub(super) fn key_texts(self) -> String {
        let texts: Vec<String> = self.key().iter().map(|(column, _)| format!("toString({column})")).collect();
        format!("[{}]", texts.join(", "))
    }

    fn key_columns(self) -> String {
        self.key().iter().map(|(column, _)| *column).collect::<Vec<_>>().join(", ")
    }

    /// What the table holds. Three days: the first and the last of arrival, and the first of what it is about.
    fn held(self) -> String {
        let last = if self == Self::Affinity { ", toUInt64(toUnixTimestamp64Milli(max(last_ts)))" } else { "" };
        let sums: Vec<String> = SUMS.split(", ").map(|sum| format!("sum({sum})")).collect();
        format!(
            "SELECT {} AS key, toUInt16(arrival_day) AS arrived, [{}{last}] AS sums FROM {} \
             WHERE arrival_day >= toDate(?) AND arrival_day <= toDate(?) AND toDate({about}) >= toDate(?) \
             GROUP BY {}, arrival_day",
            self.key_texts(),
            sums.join(", "),
            self.table(),
            self.key_columns(),
            about = self.about(),
        )
    }

    /// What it should hold; the same three days.
    fn due(self) -> String {
        let last = if self == Self::Affinity { ", toUInt64(toUnixTimestamp64Milli(last_ts))" } else { "" };
        let sums: Vec<String> = SUMS.split(", ").map(|sum| format!("toUInt64({sum})")).collect();
        format!(
            "SELECT {} AS key, toUInt16(arrival_day) AS arrived, [{}{last}] AS sums FROM ({}) \
             WHERE toDate({}) >= toDate(?)",
            self.key_texts(),
            sums.join(", "),
            self.feeding(),
            self.about(),
        )
    }

    /// The statement of the view, over the events of some arrival days, each once.
    fn feeding(self) -> String {
        let name = format!("mv_{}", self.table());
        let text = FILES.iter().find(|file| file.makes() == name).map_or("", |file| file.text);
        let select = text.split_once(" AS\n").map_or("", |(_, select)| select);
        select.replace(
            "{database}.events",
            "(SELECT * FROM events FINAL WHERE toDate(_ts, 'UTC') >= toDate(?) AND toDate(_ts, 'UTC') <= toDate(?)) \
             AS events",
        )
    }
}

/// The key of one row of a view: its columns as the server writes them, and the day of arrival.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct SumKey {
    /// The view.
    pub view: View,
    /// The UTC day of arrival, counted from 1970.
    pub arrived: Day,
    /// The other columns.
    pub key: Vec<String>,
}

/// A row of a view that is not what it should be. Both sides: views, impressions, likes, comments, shares, dwell time, and
/// of affinity the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Which row.
    pub key: SumKey,
    /// What it holds; zeros when there is none.
    pub held: Vec<u64>,
    /// What it should hold; zeros when there should be none.
    pub due: Vec<u64>,
}

#[derive(clickhouse::Row, serde::Deserialize)]
struct Line {
    key: Vec<String>,
    held: Vec<u64>,
    due: Vec<u64>,
}

/// What is being done, for errors.
const WHAT: &str = "comparing a view with events";

impl Center {
    /// The arrival days of which a view is not what `events` make of it. `about_from`: rows about earlier days are left
    /// out, since the tables let go of them at different times.
    pub(crate) async fn days_that_differ(
        &self,
        view: View,
        arrived: RangeInclusive<Day>,
        about_from: Day,
        limit: Duration,
    ) -> Result<Vec<Day>> {
        let mark = "groupBitXor(xxHash64(concat(arrayStringConcat(key, '|'), '#', \
                    arrayStringConcat(arrayMap(sum -> toString(sum), sums), '|'))))";
        let sql = format!(
            "SELECT arrived FROM (SELECT arrived, count() AS rows, {mark} AS mark FROM ({}) GROUP BY arrived \
             UNION ALL SELECT arrived, count() AS rows, {mark} AS mark FROM ({}) GROUP BY arrived) \
             GROUP BY arrived HAVING count() < 2 OR uniqExact(rows, mark) > 1 ORDER BY arrived",
            view.held(),
            view.due()
        );
        let (first, last) = arrived.into_inner();
        let mut query = self.audited(&sql, limit);
        for day in [first, last, about_from, first, last, about_from] {
            query = query.bind(day);
        }
        self.fetch(WHAT, query, limit).await
    }

    /// The rows of one arrival day that are not what they should be, `most` of them at most.
    pub(crate) async fn sums_that_differ(
        &self,
        view: View,
        arrived: Day,
        about_from: Day,
        most: usize,
        limit: Duration,
    ) -> Result<Vec<Sum>> {
        let zeros = "arrayMap(sum -> toUInt64(0), sums)";
        let sql = format!(
            "SELECT key, sumForEach(h) AS held, sumForEach(d) AS due FROM \
             (SELECT key, sums AS h, {zeros} AS d FROM ({}) UNION ALL SELECT key, {zeros} AS h, sums AS d FROM ({})) \
             GROUP BY key HAVING held != due ORDER BY key LIMIT ?",
            view.held(),
            view.due()
        );
        let mut query = self.audited(&sql, limit);
        for day in [arrived, arrived, about_from, arrived, arrived, about_from] {
            query = query.bind(day);
        }
        let rows: Vec<Line> = self.fetch(WHAT, query.bind(most as u64), limit).await?;
        let sum = |Line { key, held, due }| Sum { key: SumKey { view, arrived, key }, held, due };
        Ok(rows.into_iter().map(sum).collect())
    }

    /// The arrival days that `events` or a view has anything of, the first and the last; `None` when there is nothing.
    pub(crate) async fn arrival_days(&self, limit: Duration) -> Result<Option<RangeInclusive<Day>>> {
        let views: Vec<String> = View::ALL
            .iter()
            .map(|view| {
                format!("SELECT min(arrival_day) AS a, max(arrival_day) AS b, count() AS n FROM {}", view.table())
            })
            .collect();
        let sql = format!(
            "SELECT toUInt16(min(a)), toUInt16(max(b)) FROM (SELECT toDate(min(_ts), 'UTC') AS a, toDate(max(_ts), 'UTC') AS b, count() AS n \
             FROM events UNION ALL {}) WHERE n > 0 HAVING count() > 0",
            views.join(" UNION ALL ")
        );
        let found: Vec<(u16, u16)> = self.fetch(WHAT, self.audited(&sql, limit), limit).await?;
        Ok(found.first().map(|(first, last)| *first..=*last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_view_should_hold_is_asked_by_the_statement_that_feeds_it() {
        for view in View::ALL {
            let due = view.due();
            assert!(due.contains("countIf(action = 'view') AS views"), "{due}");
            assert!(!due.contains('{') && !due.contains("MATERIALIZED"), "{due}");
            assert_eq!((view.held().matches('?').count(), due.matches('?').count()), (3, 3));
        }
    }
}
