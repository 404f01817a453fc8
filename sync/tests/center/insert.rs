//! Rows arrive as they were and land once, in the views too.

use edgefeed_storage::model::{Action, Event, Id, IdKind};
use edgefeed_sync::center::row::{CdcRow, EventRow, LATEST_MS, Origin, cdc, event, seal};
use edgefeed_sync::center::{Encoded, Latest, Table};

use super::server::Server;

const DAY_MS: i64 = 86_400_000;
/// 2026-11-22T18:43:41.120Z.
const NOW: i64 = 1_795_373_021_120;
const BIG: u128 = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;

fn origin(offset: u64, ts: i64) -> Origin<'static> {
    Origin { cluster: "west", epoch: 3, topic: "events", partition: 7, offset, ts }
}

/// Rows of one range of events: every action, of several days and months, some without an author.
fn events(ids: IdKind, first: u64, count: u64) -> Encoded {
    const ACTIONS: [Action; 6] =
        [Action::View, Action::Impression, Action::Like, Action::Comment, Action::Share, Action::Hide];
    let mut rows = Vec::new();
    for offset in first..first + count {
        let number = u128::from(offset);
        let at = NOW - i64::try_from(offset % 80).unwrap() * DAY_MS;
        let sent = Event {
            event_id: number + 1,
            event_time: at - 5_000,
            user: Id(number % 5),
            post: Id(number % 11),
            author: (offset % 4 != 0).then_some(Id(number % 3)),
            action: ACTIONS[usize::try_from(offset % 6).unwrap()],
            dwell_ms: u32::try_from(offset).unwrap(),
        };
        event(&mut rows, ids, &EventRow { event: &sent, device: "ios", app_ver: "" }, &origin(offset, at));
        seal(&mut rows, first, first + count - 1);
    }
    Encoded::new(rows)
}

/// Rows of `events`, and what each view counts of them.
fn totals(server: &Server) -> (u64, [u64; 3]) {
    let counted = |table| {
        server.one::<u64>(&format!(
            "SELECT sum(views + impressions + likes + comments + shares + dwell_ms) FROM {{db}}.{table}"
        ))
    };
    let views = ["post_metrics_1h", "post_metrics_daily", "user_author_90d"].map(counted);
    (server.one("SELECT count() FROM {db}.events"), views)
}

#[test]
fn a_range_sent_many_times_lands_once_in_events_and_in_every_view() {
    let Some(server) = Server::with_tables("a range lands once", IdKind::Uuid) else { return };
    let (rows, token) = (events(IdKind::Uuid, 100, 1_200), "west:0:edgefeed-sink:events:events:7:100-1299");
    for _ in 0..3 {
        server.wait(server.center.insert(Table::Events, &rows, token)).unwrap();
    }
    // A zombie and the new owner at once.
    let (one, other) = (server.center.clone(), server.center.clone());
    let (first, second) = server.wait(async {
        tokio::join!(one.insert(Table::Events, &rows, token), other.insert(Table::Events, &rows, token))
    });
    first.and(second).unwrap();

    let dwell: u64 = (100..1_300).sum();
    let with_author: u64 = (100..1_300).filter(|offset| offset % 4 != 0).sum();
    let acts = |offset: &u64| offset % 6 != 5;
    let counted = (100..1_300).filter(acts).count() as u64;
    let counted_with_author = (100..1_300_u64).filter(|offset| offset % 4 != 0).filter(acts).count() as u64;
    let expected = (1_200, [dwell + counted, dwell + counted, with_author + counted_with_author]);
    assert_eq!(totals(&server), expected);

    // Another range is another token.
    server.wait(server.center.insert(Table::Events, &events(IdKind::Uuid, 1_300, 10), "another")).unwrap();
    assert_eq!(totals(&server).0, 1_210);
}

#[test]
fn a_range_that_failed_in_a_view_is_completed_by_sending_it_again() {
    let Some(server) = Server::with_tables("a failed view is completed", IdKind::U64) else { return };
    let rows = events(IdKind::U64, 0, 60);
    // The last of the views cannot take its rows, whatever became of the others.
    server.run("ALTER TABLE {db}.user_author_90d ADD CONSTRAINT full CHECK views > 1000000");
    let error = server.wait(server.center.insert(Table::Events, &rows, "t")).unwrap_err();
    assert_eq!(error.code(), Some(469), "{error}");
    server.run("ALTER TABLE {db}.user_author_90d DROP CONSTRAINT full");
    for _ in 0..2 {
        server.wait(server.center.insert(Table::Events, &rows, "t")).unwrap();
    }
    let expected = {
        let clean = Server::with_tables("", IdKind::U64).unwrap();
        clean.wait(clean.center.insert(Table::Events, &rows, "t")).unwrap();
        totals(&clean)
    };
    assert_eq!(totals(&server), expected);
    assert_eq!(expected.0, 60);
}

#[test]
fn an_event_arrives_as_it_was() {
    for ids in [IdKind::Uuid, IdKind::U64] {
        let Some(server) = Server::with_tables("an event arrives as it was", ids) else { return };
        let given = |id: u128| if ids == IdKind::Uuid { Id(id) } else { Id(u128::from(id as u64)) };
        let device = "ü".repeat(100);
        let sent = Event {
            event_id: BIG,
            event_time: NOW - 1,
            user: given(BIG),
            post: given(BIG + 1),
            author: Some(given(BIG + 2)),
            action: Action::Comment,
            dwell_ms: u32::MAX,
        };
        let mut rows = Vec::new();
        event(&mut rows, ids, &EventRow { event: &sent, device: &device, app_ver: "1.2" }, &origin(u64::MAX, NOW));
        seal(&mut rows, 5, 6);
        server.wait(server.center.insert(Table::Events, &Encoded::new(rows), "t")).unwrap();

        let columns = Table::Events.columns().join(", ");
        let shown: String = server.one(&format!(
            "SELECT arrayStringConcat(arrayMap(x -> toString(x), [{}]), '|') FROM {{db}}.events",
            {
                let texts: Vec<_> = columns.split(", ").map(|column| format!("toString({column})")).collect();
                texts.join(", ")
            }
        ));
        let text = |id: u128| ids.format(given(id));
        let expected = format!(
            "01234567-89ab-cdef-fedc-ba9876543210|2026-11-22 18:43:41.119|{}|{}|{}|comment|4294967295|{device}|1.2|west|3|\
             events|7|18446744073709551615|2026-11-22 18:43:41.120|5|6",
            text(BIG),
            text(BIG + 1),
            text(BIG + 2)
        );
        assert_eq!(shown, expected);

        // Hours and days are UTC's, whatever the server's zone is.
        let days = "concat(toString(day), '|', toString(arrival_day))";
        let about: String =
            server.one(&format!("SELECT concat({days}, '|', toString(last_ts)) FROM {{db}}.user_author_90d"));
        assert_eq!(about, "2026-11-22|2026-11-22|2026-11-22 18:43:41.119");
        let hour: String =
            server.one("SELECT concat(toString(window_start), '|', toString(arrival_day)) FROM {db}.post_metrics_1h");
        assert_eq!(hour, "2026-11-22 18:00:00|2026-11-22");
        assert_eq!(
            server.one::<String>(&format!("SELECT {days} FROM {{db}}.post_metrics_daily")),
            "2026-11-22|2026-11-22"
        );
    }
}

/// The columns of one row of a `…_cdc` table that the application has, and version and deletion.
fn shown(server: &Server, table: Table) -> String {
    let own = table.columns().iter().take_while(|column| **column != "_cluster");
    let texts: Vec<_> = own.map(|column| format!("ifNull(toString({column}), 'NULL')")).collect();
    server.one(&format!("SELECT concatWithSeparator('|', {}) FROM {{db}}.{}", texts.join(", "), table.name()))
}

#[test]
fn a_row_of_the_application_arrives_as_it_was_and_of_a_deleted_one_only_the_key() {
    let Some(server) = Server::with_tables("a row arrives as it was", IdKind::U64) else { return };
    let (created_at, time) = (NOW, "2026-11-22 18:43:41.120");
    let zero = "1970-01-01 00:00:00.000";
    let cases = [
        (
            CdcRow::Post { id: Id(1), user_id: Id(2), created_at, deleted_at: Some(NOW + 1) },
            format!("1|2|{time}|2026-11-22 18:43:41.121|9|0"),
            format!("1|0|{zero}|NULL|9|1"),
        ),
        (
            CdcRow::Follow { follower_id: Id(3), following_id: Id(4), created_at },
            format!("3|4|{time}|9|0"),
            format!("3|4|{zero}|9|1"),
        ),
        (
            CdcRow::Comment { id: Id(5), post_id: Id(6), user_id: Id(7), created_at },
            format!("5|6|7|{time}|9|0"),
            format!("5|0|0|{zero}|9|1"),
        ),
        (
            CdcRow::Like { user_id: Id(8), post_id: Id(9), created_at },
            format!("8|9|{time}|9|0"),
            format!("8|9|{zero}|9|1"),
        ),
        (
            CdcRow::Block { blocker_id: Id(10), blocked_id: Id(11), created_at },
            format!("10|11|{time}|9|0"),
            format!("10|11|{zero}|9|1"),
        ),
    ];
    for (row, alive, gone) in cases {
        let table = row.table();
        for (deleted, expected) in [(false, alive), (true, gone)] {
            let mut rows = Vec::new();
            cdc(&mut rows, IdKind::U64, &row, 9, deleted, &origin(1, NOW));
            seal(&mut rows, 1, 1);
            server.run(&format!("TRUNCATE TABLE {{db}}.{}", table.name()));
            let token = format!("{deleted}");
            server.wait(server.center.insert(table, &Encoded::new(rows), &token)).unwrap();
            assert_eq!(shown(&server, table), expected);
        }
    }
}

#[test]
fn a_time_beyond_what_tables_hold_becomes_the_latest_that_they_do() {
    let Some(server) = Server::with_tables("a time out of bounds is kept in them", IdKind::U64) else { return };
    for (offset, at) in [(1, i64::MIN), (2, -1), (3, i64::MAX), (4, LATEST_MS + 1)] {
        let sent = Event {
            event_id: u128::from(offset),
            event_time: at,
            user: Id(1),
            post: Id(1),
            author: Some(Id(2)),
            action: Action::View,
            dwell_ms: 0,
        };
        let mut rows = Vec::new();
        event(&mut rows, IdKind::U64, &EventRow { event: &sent, device: "", app_ver: "" }, &origin(offset, at));
        seal(&mut rows, offset, offset);
        server.wait(server.center.insert(Table::Events, &Encoded::new(rows), &format!("{offset}"))).unwrap();
    }
    // Those of 1970 are older than these tables keep.
    let last = |of: &str| server.one::<String>(&format!("SELECT toString(max({of}"));
    assert_eq!(last("event_time)) FROM {db}.events"), "2100-01-01 00:00:00.000");
    assert_eq!(last("window_start)) FROM {db}.post_metrics_1h"), "2100-01-01 00:00:00");
    assert_eq!(last("day)) FROM {db}.user_author_90d"), "2100-01-01");

    let mut rows = Vec::new();
    let row = CdcRow::Post { id: Id(1), user_id: Id(2), created_at: i64::MIN, deleted_at: Some(i64::MAX) };
    cdc(&mut rows, IdKind::U64, &row, 1, false, &origin(1, NOW));
    seal(&mut rows, 1, 1);
    server.wait(server.center.insert(Table::Posts, &Encoded::new(rows), "p")).unwrap();
    assert_eq!(shown(&server, Table::Posts), "1|2|1970-01-01 00:00:00.000|2100-01-01 00:00:00.000|1|0");
}

#[test]
fn rows_of_more_than_a_hundred_months_go_in_at_once() {
    let Some(server) = Server::with_tables("rows of many months go in at once", IdKind::U64) else { return };
    let mut rows = Vec::new();
    for month in 0..120 {
        let at = NOW + i64::try_from(month).unwrap() * 31 * DAY_MS;
        let sent = Event {
            event_id: u128::from(month),
            event_time: at,
            user: Id(1),
            post: Id(1),
            author: Some(Id(2)),
            action: Action::View,
            dwell_ms: 0,
        };
        event(&mut rows, IdKind::U64, &EventRow { event: &sent, device: "", app_ver: "" }, &origin(month, at));
        seal(&mut rows, 0, 119);
    }
    let rows = Encoded::new(rows);
    for _ in 0..2 {
        server.wait(server.center.insert(Table::Events, &rows, "t")).unwrap();
    }
    assert_eq!(totals(&server), (120, [120; 3]));
}

#[test]
fn the_center_says_how_far_it_holds_a_partition() {
    let Some(server) = Server::with_tables("the center says how far it holds a partition", IdKind::U64) else {
        return;
    };
    let center = server.center.clone();
    let ask = |cluster: &'static str, partition| {
        let latest = server.wait(center.latest_range(cluster, "events", partition, Table::Events)).unwrap();
        let any = server.wait(center.has_rows(cluster, "events", partition, Table::Events)).unwrap();
        assert_eq!(latest.is_some(), any);
        latest
    };
    assert_eq!(ask("west", 7), None);
    server.wait(center.insert(Table::Events, &events(IdKind::U64, 10, 20), "a")).unwrap();
    server.wait(center.insert(Table::Events, &events(IdKind::U64, 30, 5), "b")).unwrap();
    assert_eq!(ask("west", 7), Some(Latest { epoch: 3, max_offset: 34, range_first: 30, range_last: 34 }));
    assert_eq!((ask("west", 6), ask("east", 7)), (None, None));

    // A row that came another way, and one of an epoch begun since.
    let copied = |epoch, offset| {
        format!(
            "INSERT INTO {{db}}.events (event_id, user_id, _cluster, _epoch, _topic, _partition, _offset, _ts) \
             VALUES (generateUUIDv4(), 1, 'west', {epoch}, 'events', 7, {offset}, now())"
        )
    };
    server.run(&copied(3, 40));
    assert_eq!(ask("west", 7), Some(Latest { epoch: 3, max_offset: 40, range_first: 0, range_last: 0 }));
    server.run(&copied(4, 2));
    assert_eq!(ask("west", 7), Some(Latest { epoch: 4, max_offset: 2, range_first: 0, range_last: 0 }));
}

#[test]
fn a_reader_s_history_is_read_by_the_primary_key() {
    let Some(server) = Server::with_tables("history is read by the primary key", IdKind::U64) else { return };
    let rows =
        "number % 100000, number % 97, toDate('2026-11-22'), toDate('2026-11-22'), 1, 0, 0, 0, 0, 0, now64(3, 'UTC')";
    server.run(&format!("INSERT INTO {{db}}.user_author_90d SELECT {rows} FROM numbers(500000)"));
    let plan: Vec<String> = server.ask(
        "EXPLAIN indexes = 1 SELECT author_id, sum(views) FROM {db}.user_author_90d \
         WHERE user_id = 4711 AND day >= toDate('2026-08-25') GROUP BY author_id",
    );
    let at = plan.iter().position(|line| line.contains("PrimaryKey")).unwrap_or_else(|| panic!("{plan:#?}"));
    let keys = plan[at..].iter().take_while(|line| !line.contains("Condition")).any(|line| line.contains("user_id"));
    let granules = plan[at..].iter().find_map(|line| line.trim().strip_prefix("Granules: ")).unwrap();
    let (read, of) = granules.split_once('/').unwrap();
    assert!(keys && read.parse::<u32>().unwrap() <= 2 && of.parse::<u32>().unwrap() > 10, "{plan:#?}");
}
