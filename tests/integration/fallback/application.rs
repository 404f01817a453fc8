//! The application's database: follows, blocks and posts, and what the fallback must make of them.

use edgefeed_storage::model::{Id, IdKind};

use crate::real::database::{Database, insert};
use crate::real::stack::Stack;

/// One post as the test wrote it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Post {
    pub(super) id: Id,
    pub(super) author: Id,
    pub(super) created_us: i64,
}

pub(super) struct Application {
    pub(super) ids: IdKind,
    /// The address of the fallback's own role.
    pub(super) reader: String,
    database: Database,
}

impl Application {
    pub(super) async fn new(stack: &Stack, ids: IdKind) -> Self {
        let name = format!("f{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let url = {
            let _alone = stack.while_setting_up();
            stack.run("db-create", &[&name, "--ids", ids.name()])
        };
        let (_, place) = url.trim().split_once('@').unwrap();
        let reader = format!("postgres://edgefeed_reader:reader@{place}");
        Self { ids, reader, database: Database::open(url.trim()).await }
    }

    /// A new id, random as an application's would be.
    pub(super) fn id(&self) -> Id {
        let random = uuid::Uuid::new_v4().as_u128();
        match self.ids {
            IdKind::Uuid => Id(random),
            // PostgreSQL's bigint ends at 2^63.
            IdKind::U64 => Id(random >> 65),
        }
    }

    fn text(&self, id: Id) -> String {
        self.ids.format(id)
    }

    pub(super) async fn follow(&self, follower: Id, following: Id) {
        let row = [("follower_id", self.text(follower)), ("following_id", self.text(following))];
        self.database.run(insert("follows", &row)).await;
    }

    pub(super) async fn block(&self, blocker: Id, blocked: Id) {
        let row = [("blocker_id", self.text(blocker)), ("blocked_id", self.text(blocked))];
        self.database.run(insert("blocks", &row)).await;
    }

    /// Writes posts; `deleted`: with `deleted_at` set.
    pub(super) async fn write(&self, posts: &[Post], deleted: bool) {
        let rows = posts.iter().map(|post| {
            let deleted = if deleted { "now()" } else { "NULL" };
            let (id, author, created_us) = (self.text(post.id), self.text(post.author), post.created_us);
            format!(
                "INSERT INTO posts (id, user_id, created_at, deleted_at)
                 VALUES ('{id}', '{author}', 'epoch'::timestamptz + {created_us} * interval '1 microsecond', {deleted});"
            )
        });
        self.database.run(rows.collect()).await;
    }

    pub(super) async fn delete(&self, post: Id) {
        self.database.run(format!("DELETE FROM posts WHERE id = '{}'", self.text(post))).await;
    }
}

/// The order of the fallback: newest first, ties by id, highest first.
pub(super) fn newest_first(posts: &mut [Post]) {
    posts.sort_by_key(|post| std::cmp::Reverse((post.created_us, post.id)));
}
