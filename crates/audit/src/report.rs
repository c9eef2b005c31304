//! What was checked and what was found.

use std::fmt;

use serde::{Serialize, Serializer};

/// More findings than this are counted, not listed.
const FINDINGS_MAX: usize = 10_000;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// What must hold. The code is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Rule {
            /// The code under which findings against this rule are reported.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// What must hold, in words.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc,)+).trim_ascii_start(),)+
                }
            }
        }
    };
}

rules! {
    /// The checkpoint is well formed and signed by the log.
    Checkpoint = "AUD-01",
    /// Every file of the published size is there.
    Missing = "AUD-02",
    /// No other file is there.
    Extra = "AUD-03",
    /// A file can be read and has the right length and form.
    Shape = "AUD-04",
    /// A hash tile holds the hashes of the entries.
    Tile = "AUD-05",
    /// The signed root is the root of the entries.
    Root = "AUD-06",
    /// A header is as the format says.
    Header = "AUD-07",
    /// An entry belongs to this log and stands where it says.
    Sequence = "AUD-08",
    /// Time does not go back.
    Time = "AUD-09",
    /// A flow id is used once.
    Flow = "AUD-10",
    /// Facts are there when they must be, well formed and deterministic.
    Facts = "AUD-11",
    /// Facts and header say the same.
    Agreement = "AUD-12",
    /// A tag list is there, ascending, and hashes to its root.
    TagList = "AUD-13",
    /// The first entry activates a rulebook.
    First = "AUD-14",
    /// A rulebook is complete, unaltered, signed by operator and auditor, and can be read.
    Rulebook = "AUD-15",
    /// An entry names the rulebook that was activated last.
    Activation = "AUD-16",
    /// What was released is permitted by the rulebook.
    Release = "AUD-17",
    /// What was refused for policy is not permitted by the rulebook.
    Refusal = "AUD-18",
    /// No restricted record leaves the region.
    Region = "AUD-19",
    /// Nothing in plain goes to a heightened country.
    Heightened = "AUD-20",
    /// A support case is used within two hours of its approval.
    CaseWindow = "AUD-21",
    /// An aggregate shows no group smaller than the programme allows, and never below 10.
    GroupSize = "AUD-22",
    /// Nobody approves their own access or uses another's.
    Approval = "AUD-23",
    /// An answer stays within the bounds that were enforced.
    Bounds = "AUD-24",
    /// Each group is one of the catalogue: so many fields of the dataset have just its class and lists.
    Catalogue = "AUD-25",
    /// A flow is as the rulebook registers it, on its lane and for its purpose.
    Register = "AUD-26",
    /// A declared lane carries its own dataset, and no more rows than it allows.
    Lane = "AUD-27",
    /// What goes on with a stream finds it open, and repeats what its open entry says.
    Stream = "AUD-28",
    /// A stream releases no more than its budget, which never falls.
    Budget = "AUD-29",
    /// A lease lasts an hour at most, never ends earlier than before, and is extended before it ends.
    Lease = "AUD-30",
    /// A stream is closed at the latest 60 s after its lease.
    Orphan = "AUD-31",
    /// The site log begins with the list of its logs; a log keeps its key and its place, leaves the list by a retirement
    /// only, and then never grows or comes back.
    Enrolment = "AUD-32",
    /// A round names all enrolled logs and no other.
    Round = "AUD-33",
    /// No log is shorter than a round, or a checkpoint seen elsewhere, has counted it.
    Rollback = "AUD-34",
    /// A root in a round, or in a checkpoint seen elsewhere, is that of the log at that size.
    History = "AUD-35",
    /// The site log has an entry at least every 10 s.
    Gap = "AUD-36",
    /// A gateway activates the rulebook that is in force at its site.
    SiteRulebook = "AUD-37",
    /// A border override is signed by two companies, short, and used once.
    Override = "AUD-38",
    /// An entry's time is that of the rounds around it, to 300 s.
    Late = "AUD-39",
    /// An entry that names people has one key release, which says the same.
    Unreleased = "AUD-40",
    /// A key release has its entry.
    Stray = "AUD-41",
    /// The site's checkpoint is cosigned by the quorum of the policy.
    Quorum = "AUD-42",
    /// What leaves the region has an assessment in force that names its form, and its adequacy is in force.
    Assessment = "AUD-43",
    /// A suspension is signed by operator or auditor, its lifting by both, and none is older than the one before.
    SuspensionOrder = "AUD-44",
    /// Nothing crosses to or from a country while crossings there are suspended.
    Suspended = "AUD-45",
    /// A demand is signed by the operator.
    Demand = "AUD-46",
    /// A grant or case was asked for and approved on the site log, and serves; acts on a request follow one another.
    Grant = "AUD-60",
    /// All crossings under a grant or case together stay within its amount.
    Amount = "AUD-61",
    /// Counts with noise take of privacy budgets no more than one release may, and in thirty days no more than a recipient and a
    /// dataset have.
    Noise = "AUD-62",
    /// A release is measured as its lane asks, and what became of it agrees with the verdict.
    Risk = "AUD-63",
    /// The stages of a migration follow one another, each signed by those who must: nothing is destroyed without the auditor's mark.
    Migration = "AUD-64",
    /// A day map of the site log is the one that the entries give.
    DayMap = "AUD-50",
    /// No entry of a day stands outside of the day's final map.
    DayMapLate = "AUD-51",
    /// The calendar has each day once, in order, when it is over.
    Calendar = "AUD-52",
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The entry of this number, counted from 0.
    Entry(u64),
    /// The file of this path in the tree.
    File(String),
    /// The log as a whole.
    Log,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(index) => write!(f, "entry {index}"),
            // File names come from the tree that is checked: they must not steer a terminal.
            Self::File(path) => write!(f, "file `{}`", path.escape_debug()),
            Self::Log => f.write_str("log"),
        }
    }
}

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: Rule,
    /// Where.
    pub place: Place,
    /// What is wrong, in one line.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "finding[{}]: {}: {}", self.rule.code(), self.place, self.text.escape_debug())
    }
}

/// The outcome of a check.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// First line of the checkpoint; empty if the checkpoint was refused.
    pub origin: String,
    /// Entries that the checkpoint claims.
    pub size: u64,
    /// The signed root, in base64.
    pub root: String,
    /// Entries that were checked.
    pub entries: u64,
    /// Hash tiles, full and partial, that were compared.
    pub tiles: u64,
    /// Tag lists that were checked.
    pub tag_lists: u64,
    /// Rulebooks that were checked.
    pub rulebooks: u64,
    /// Entries that record a refusal.
    pub refusals: u64,
    /// Streams that were opened.
    pub streams: u64,
    /// Streams that are open at the end.
    pub streams_open: u64,
    /// Entries that were decided again.
    pub decisions: u64,
    /// Decisions among them that policy could tell apart, and that were really made.
    pub decisions_distinct: u64,
    /// Nanoseconds that all threads together took to make those.
    pub decisions_nanos: u64,
    /// Whether decisions were made again at all.
    pub redecided: bool,
    /// What does not hold, in the order in which it was met; at most 10,000.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are listed.
    pub findings_unlisted: u64,
    /// What somebody should know though it breaks nothing; at most 10,000.
    pub notices: Vec<Finding>,
}

impl Report {
    /// Whether everything holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    pub(crate) fn add(&mut self, rule: Rule, place: Place, text: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { rule, place, text: text.into() });
        } else {
            self.findings_unlisted = self.findings_unlisted.saturating_add(1);
        }
    }

    pub(crate) fn entry(&mut self, rule: Rule, index: u64, text: impl Into<String>) {
        self.add(rule, Place::Entry(index), text);
    }

    pub(crate) fn notice(&mut self, rule: Rule, place: Place, text: impl Into<String>) {
        if self.notices.len() < FINDINGS_MAX {
            self.notices.push(Finding { rule, place, text: text.into() });
        }
    }

    pub(crate) fn file(&mut self, rule: Rule, path: impl Into<String>, text: impl Into<String>) {
        self.add(rule, Place::File(path.into()), text);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.origin.is_empty() {
            writeln!(f, "log         {}", self.origin.escape_debug())?;
            writeln!(f, "root        {} of {} entries", self.root, self.size)?;
        }
        writeln!(f, "entries     {} checked, {} of them refusals", self.entries, self.refusals)?;
        writeln!(f, "tiles       {} checked", self.tiles)?;
        writeln!(f, "tag lists   {} checked", self.tag_lists)?;
        writeln!(f, "rulebooks   {} checked", self.rulebooks)?;
        if self.streams > 0 {
            writeln!(f, "streams     {} opened, {} still open", self.streams, self.streams_open)?;
        }
        if self.redecided {
            writeln!(f, "decisions   {} made again, {} distinct", self.decisions, self.decisions_distinct)?;
        } else {
            writeln!(f, "decisions   not made again")?;
        }
        for notice in &self.notices {
            writeln!(f, "notice[{}]: {}: {}", notice.rule.code(), notice.place, notice.text.escape_debug())?;
        }
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        if self.findings_unlisted > 0 {
            writeln!(f, "and {} more findings", self.findings_unlisted)?;
        }
        let total = self.findings_unlisted.saturating_add(self.findings.len() as u64);
        writeln!(f, "findings    {total}")
    }
}
