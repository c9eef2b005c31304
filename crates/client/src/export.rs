//! All records of one person, part by part.

use crate::{Client, Error, Listed, Subject};

/// All records of one person that a use may see, by collection and id. Nothing is read before it is asked for, and no more
/// than a part is held.
pub struct Export<'c> {
    client: &'c Client,
    of: &'c Subject,
    after: Option<String>,
    ended: bool,
}

impl<'c> Export<'c> {
    pub(crate) fn new(client: &'c Client, of: &'c Subject) -> Self {
        Self { client, of, after: None, ended: false }
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// [`Error`]; the same part can be asked for again.
    pub async fn next(&mut self) -> Result<Option<Vec<Listed>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let page = self.client.page(self.of, "/v1/records/person/export", self.after.as_deref()).await?;
        self.ended = page.next.is_none();
        self.after = page.next;
        Ok(Some(page.records))
    }
}
