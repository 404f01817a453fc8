//! A store gone wrong, for tests of what finds and mends it. Nothing of the node calls this.

use crate::error::Result;
use crate::key::Family;
use crate::store::Store;

impl Store {
    /// Writes past every rule: for tests that need a store gone wrong.
    pub fn spoil(&self, family: Family, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let mut batch = rocksdb::WriteBatch::default();
        let family = self.engine.cf(family)?;
        match value {
            Some(value) => batch.put_cf(family, key, value),
            None => batch.delete_cf(family, key),
        }
        self.engine.write(batch)
    }

    /// Every key and value of a family, as they lie.
    pub fn each_raw(&self, family: Family, mut visit: impl FnMut(&[u8], &[u8])) -> Result<()> {
        self.engine.scan_all(family, &[], |key, value| {
            visit(key, value);
            Ok(true)
        })
    }
}
