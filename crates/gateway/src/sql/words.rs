//! What clients are told when nothing is released: words of ours, with the entry that says so.

use model::Reason;

use super::wire::relay::Refused;

/// A refusal in these words.
pub(super) fn told(code: &'static str, text: impl Into<String>) -> Refused {
    Refused { code, text: text.into() }
}

/// The machinery broke: whatever it was, nothing left.
pub(super) fn broken() -> Refused {
    told("58000", "the border is closed; nothing was released")
}

/// A refusal that is on the ledger.
pub(super) fn refused(reason: Reason, index: u64) -> Refused {
    let (code, words) = words(reason);
    told(code, format!("{words} (entry {index})"))
}

fn words(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Evidence => ("28000", "the grant or case does not serve you now"),
        Reason::Subject => (
            "42501",
            "nobody can say whose rows these are: select the person's column from one table, row by row, or ask for a grant of fewer people",
        ),
        Reason::Limit => ("54000", "more rows or people than may cross at once: ask for fewer"),
        Reason::Budget => ("53400", "nothing is left of what was granted"),
        Reason::Privacy => ("53400", "no more may be learned of this dataset now"),
        Reason::Difference => ("42501", "with what was told before this would be a count of too few people"),
        Reason::Threshold => ("42501", "no group is large enough to show"),
        Reason::Border => ("58000", "the border is closed; nothing was released"),
        Reason::Suspended => {
            ("42501", "all crossings to and from this country are suspended; nothing was released")
        }
        Reason::Rulebook => ("57P01", "the rules were replaced: connect again"),
        Reason::Upstream => ("08006", "the database gave no usable answer"),
        Reason::Assessment => (
            "42501",
            "the country has no assessment in force that lets this cross; ask the programme's owner to review it",
        ),
        Reason::Malformed => {
            ("XX000", "the database answered in a form that is not known; nothing was released")
        }
        _ => ("42501", "not permitted"),
    }
}
