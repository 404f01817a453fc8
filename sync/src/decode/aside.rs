//! What a record says that only the center keeps: the nodes rank without it. Read leniently, since no node refuses a
//! record for it: what cannot be read is left out.

use std::cell::RefCell;

use edgefeed_storage::model::{Id, TimestampMs};

use super::scalar::Scalar;

/// The longest text kept, in bytes.
const TEXT_MAX_BYTES: usize = 128;

/// The rest of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aside {
    /// `device` of an event.
    pub device: String,
    /// `app_ver` of an event.
    pub app_ver: String,
    /// `user_id` of a comment.
    pub user: Option<Id>,
    /// `created_at` of a row.
    pub created_at: Option<TimestampMs>,
    /// `deleted_at` of a post; 1970 where it is set to something that is no time.
    pub deleted_at: Option<TimestampMs>,
}

/// Where to put it, for those who want it.
pub(super) type Tray<'a> = Option<&'a RefCell<Aside>>;

impl Aside {
    /// Takes the texts of an event.
    pub(super) fn of_event(&mut self, device: Option<Scalar<'_>>, app_ver: Option<Scalar<'_>>) {
        let kept = |value: Option<Scalar<'_>>| match value {
            Some(Scalar::Text(text)) => cut(&text).to_owned(),
            Some(Scalar::Uint(number)) => number.to_string(),
            _ => String::new(),
        };
        self.device = kept(device);
        self.app_ver = kept(app_ver);
    }
}

/// The longest beginning that fits.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
