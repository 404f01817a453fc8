//! A table emptied in the application's database is empty at the center, and stays so.

use edgefeed_storage::model::{Id, IdKind};
use edgefeed_sync::center::row::{CdcRow, Origin, cdc, seal};
use edgefeed_sync::center::{Encoded, Table};

use super::server::Server;

const NOW: i64 = 1_795_373_021_120;
const BEFORE: u64 = 10;
const TRUNCATE: u64 = 20;
const AFTER: u64 = 30;

fn row_of(table: Table, number: u128) -> CdcRow {
    let (one, two, three, created_at) = (Id(number), Id(number + 1), Id(number + 2), NOW);
    match table {
        Table::Posts => CdcRow::Post { id: one, user_id: two, created_at, deleted_at: None },
        Table::Follows => CdcRow::Follow { follower_id: one, following_id: two, created_at },
        Table::Comments => CdcRow::Comment { id: one, post_id: two, user_id: three, created_at },
        Table::Likes => CdcRow::Like { user_id: one, post_id: two, created_at },
        Table::Blocks => CdcRow::Block { blocker_id: one, blocked_id: two, created_at },
        Table::Events => panic!("events are never emptied"),
    }
}

fn insert(server: &Server, ids: IdKind, table: Table, rows: &[(u128, u64, bool)], token: &str) {
    let mut bytes = Vec::new();
    for (offset, (number, version, deleted)) in (0..).zip(rows) {
        let origin = Origin { cluster: "west", epoch: 0, topic: "cdc", partition: 1, offset, ts: NOW };
        cdc(&mut bytes, ids, &row_of(table, *number), *version, *deleted, &origin);
        seal(&mut bytes, 0, 9);
    }
    server.wait(server.center.insert(table, &Encoded::new(bytes), token)).unwrap();
}

#[test]
fn an_emptied_table_keeps_what_is_newer_and_nothing_older_comes_back_however_often_it_is_emptied() {
    for ids in [IdKind::Uuid, IdKind::U64] {
        let Some(server) = Server::with_tables("an emptied table keeps what is newer", ids) else { return };
        for table in Table::ALL.into_iter().filter(|table| *table != Table::Events) {
            let name = table.name();
            let live = || server.one::<u64>(&format!("SELECT count() FROM {{db}}.{name} FINAL"));
            insert(&server, ids, table, &[(100, BEFORE, false), (200, BEFORE, false), (300, AFTER, false)], "a");
            assert_eq!(live(), 3, "{name}");
            for _ in 0..2 {
                server.wait(server.center.truncate(table, TRUNCATE)).unwrap();
                assert_eq!(live(), 1, "{name}: only the row that came after is left");
            }
            insert(&server, ids, table, &[(200, BEFORE, false), (100, AFTER, false)], "b");
            assert_eq!(live(), 2, "{name}: the late old row stays gone, the one made anew is there");
        }
    }
}
