//! What must be done besides releasing when a permit decides. Duties only ever add up.

/// One duty, as a policy's `@duty("notify,review")` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Duty {
    /// The person whose data it is sees it in their own record.
    Notify,
    /// Somebody reviews it afterwards.
    Review,
    /// Somebody on call is told at once.
    Page,
    /// That somebody is about to see something is on the ledger before anything of it is opened.
    RecordIntent,
}

impl Duty {
    /// Every duty.
    pub const ALL: [Self; 4] = [Self::Notify, Self::Review, Self::Page, Self::RecordIntent];

    /// The word that policies use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Review => "review",
            Self::Page => "page",
            Self::RecordIntent => "recordIntent",
        }
    }

    /// The duty of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.word() == word)
    }
}
