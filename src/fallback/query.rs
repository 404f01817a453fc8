//! The one question asked of PostgreSQL.

use edgefeed_storage::model::{Id, IdKind};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{PgConnection, Postgres, Row as _, query::Query};
use uuid::Uuid;

use crate::cursor::Keyset;

/// See the file for what it does and how it stays fast.
const FOLLOWED_POSTS: &str = include_str!("../../sql/postgres/query/followed_posts.sql");

/// A post as PostgreSQL lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The post.
    pub id: Id,
    /// Its author.
    pub author: Id,
    /// When it was written, in microseconds since 1970.
    pub created_us: i64,
}

impl Listed {
    /// Where a chain stands after this post.
    pub fn place(&self) -> Keyset {
        Keyset::exact(self.created_us, self.id)
    }
}

/// What is asked: the newest posts by whom a reader follows, below a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) ids: IdKind,
    pub(super) viewer: Id,
    pub(super) below: Keyset,
    pub(super) limit: usize,
}

impl Question {
    /// Asks on a connection. The caller bounds the time.
    pub(super) async fn ask(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Listed>> {
        let query = sqlx::query(FOLLOWED_POSTS);
        let query = self.bind_id(query, self.viewer).bind(self.below.created_us);
        let query = self.bind_id(query, self.below.id).bind(i64::try_from(self.limit).unwrap_or(i64::MAX));
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(|row| self.read(row)).collect()
    }

    fn bind_id<'q>(&self, query: Query<'q, Postgres, PgArguments>, id: Id) -> Query<'q, Postgres, PgArguments> {
        match self.ids {
            IdKind::Uuid => query.bind(Uuid::from_u128(id.0)),
            // PostgreSQL's bigint ends at 2^63, so nobody beyond it has a row there.
            IdKind::U64 => query.bind(i64::try_from(id.0).unwrap_or(i64::MAX)),
        }
    }

    fn read(&self, row: &PgRow) -> sqlx::Result<Listed> {
        Ok(Listed {
            id: self.read_id(row, "id")?,
            author: self.read_id(row, "author_id")?,
            created_us: row.try_get("created_us")?,
        })
    }

    fn read_id(&self, row: &PgRow, column: &str) -> sqlx::Result<Id> {
        match self.ids {
            IdKind::Uuid => row.try_get(column).map(|id: Uuid| Id(id.as_u128())),
            IdKind::U64 => {
                let id: i64 = row.try_get(column)?;
                let id = u128::try_from(id).map_err(|_| sqlx::Error::Decode(format!("a negative {column}").into()))?;
                Ok(Id(id))
            }
        }
    }
}
