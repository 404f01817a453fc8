//! What a record says that only the center keeps: the nodes rank without it. Read leniently, since no node refuses a
//! record for it: what cannot be read is left out.

use std::borrow::Cow;
use std::cell::RefCell;

use edgefeed_storage::model::{Id, TimestampMs};

use super::scalar::Scalar;

/// The longest text kept, in bytes.
const TEXT_MAX_BYTES: usize = 128;

/// The rest of a record, its texts where they stand in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aside<'a> {
    /// `device` of an event.
    pub device: Cow<'a, str>,
    /// `app_ver` of an event.
    pub app_ver: Cow<'a, str>,
    /// `user_id` of a comment.
    pub user: Option<Id>,
    /// `created_at` of a row.
    pub created_at: Option<TimestampMs>,
    /// `deleted_at` of a post; 1970 where it is set to something that is no time.
    pub deleted_at: Option<TimestampMs>,
}

/// Where to put it, for those who want it.
pub(super) type Tray<'t, 'a> = Option<&'t RefCell<Aside<'a>>>;

impl<'a> Aside<'a> {
    /// Takes the texts of an event.
    pub(super) fn of_event(&mut self, device: Option<Scalar<'a>>, app_ver: Option<Scalar<'a>>) {
        let kept = |value: Option<Scalar<'a>>| match value {
            Some(Scalar::Text(Cow::Borrowed(text))) => Cow::Borrowed(cut(text)),
            Some(Scalar::Text(Cow::Owned(text))) => Cow::Owned(cut(&text).to_owned()),
            Some(Scalar::Uint(number)) => Cow::Owned(number.to_string()),
            _ => Cow::default(),
        };
        self.device = kept(device);
        self.app_ver = kept(app_ver);
    }

    /// The same for longer than the record's bytes are there.
    pub(crate) fn into_owned(self) -> Aside<'static> {
        let Self { device, app_ver, user, created_at, deleted_at } = self;
        let (device, app_ver) = (Cow::Owned(device.into_owned()), Cow::Owned(app_ver.into_owned()));
        Aside { device, app_ver, user, created_at, deleted_at }
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
