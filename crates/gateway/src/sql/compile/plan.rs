//! What is to be compiled, as the road decided it.

use std::collections::BTreeSet;

use model::catalogue::Kind;
use model::tables::IDENTIFIER_MAX;
use model::{DataClass, UnixSeconds};
use zeroize::Zeroizing;

/// Most tables of one grant.
pub const TABLES_MAX: usize = 256;
/// Most columns of one table.
pub const COLUMNS_MAX: usize = 1_600;
/// Longest time that one statement may take.
const TIMEOUT_MS_MAX: u32 = 24 * 60 * 60 * 1_000;

/// Name of a compiled grant's role and schema: `clover_g_` and 24 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(String);

impl Role {
    /// What every such name begins with.
    pub const PREFIX: &'static str = "clover_g_";

    /// The role of a grant with this digest. Roles belong to a whole server: what is digested must name the database, too.
    ///
    /// ```
    /// use gateway::sql::compile::Role;
    ///
    /// assert_eq!(Role::of(&[0xab; 12]).as_str(), "clover_g_abababababababababababab");
    /// ```
    #[must_use]
    pub fn of(digest: &[u8; 12]) -> Self {
        Self(format!("{}{}", Self::PREFIX, data_encoding::HEXLOWER.encode(digest)))
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let hex = name.strip_prefix(Self::PREFIX)?;
        let right = hex.len() == 24 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        right.then(|| Self(name.to_owned()))
    }

    /// Whether its digest begins so.
    #[must_use]
    pub fn begins(&self, digest: &[u8]) -> bool {
        self.0
            .strip_prefix(Self::PREFIX)
            .is_some_and(|hex| hex.starts_with(&data_encoding::HEXLOWER.encode(digest)))
    }

    /// The name as PostgreSQL has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A grant as PostgreSQL is to enforce it.
pub struct Plan {
    /// Role and schema.
    pub role: Role,
    /// When the password ends. Sessions that run then are the gateway's to close.
    pub until: UnixSeconds,
    /// What may be seen.
    pub tables: Vec<Table>,
    /// One key for each class of which a column shows tokens.
    pub keys: Vec<KeyOf>,
    /// Longest time of a statement.
    pub statement_timeout_ms: u32,
    /// Most sessions at a time.
    pub connections_max: u16,
    /// Most bytes of temporary files, for each session.
    pub temp_bytes_max: u64,
    /// A SCRAM-SHA-256 verifier: never the password.
    pub verifier: Zeroizing<String>,
}

/// One table, and what of it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Schema of the table.
    pub schema: String,
    /// Its name.
    pub relation: String,
    /// What it is called in the schema of the grant.
    pub view: String,
    /// Its declared columns. One that is not listed is not in the view.
    pub columns: Vec<Column>,
    /// Whose a row is, where the table says so.
    pub subject: Option<Subject>,
}

/// The column that says whose a row is.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub column: String,
    /// The one person whose rows are seen, where the grant is for one.
    pub only: Option<String>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Subject({}, {})",
            self.column,
            if self.only.is_some() { "one person" } else { "everybody" }
        )
    }
}

/// A declared column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, also in the view.
    pub name: String,
    /// What is seen of it.
    pub shows: Shows,
}

/// What is seen of a column. A person's null is null whatever is shown, but for [`Shows::Masked`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// As stored.
    Plain,
    /// As `pseudonymised` makes it: a token, but a count with one digit, a day, and a short word as it is.
    Token {
        /// Whose key.
        class: DataClass,
        /// What it is.
        kind: Kind,
    },
    /// Coarser: a count with one digit, a day; anything else is `***`.
    Generalised {
        /// What it is.
        kind: Kind,
    },
    /// `***`.
    Masked,
    /// Not in the view.
    Withheld,
}

/// The key by which a class's tokens are made.
pub struct KeyOf {
    /// Of which class.
    pub class: DataClass,
    /// The epoch that the tokens name.
    pub epoch: u32,
    /// What [`transform::pseudonym::derive_bytes`] gives for the grant's recipient and purpose.
    pub key: Zeroizing<[u8; 32]>,
}

/// How a plan contradicts itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// More tables than [`TABLES_MAX`], or more columns than [`COLUMNS_MAX`].
    #[error("`{0}` has more parts than can be compiled")]
    TooLarge(String),
    /// A name that PostgreSQL would cut, or that a catalogue has.
    #[error("`{0}` cannot be the name of a table, view or column")]
    Name(String),
    /// Two views or columns of one name.
    #[error("`{0}` is there twice")]
    Twice(String),
    /// A column shows tokens of a class without a key, or a class has two.
    #[error("the class `{0}` needs one key")]
    Key(DataClass),
    /// A time or amount that is none.
    #[error("`{0}` is out of range")]
    Range(&'static str),
    /// The verifier is none of SCRAM-SHA-256.
    #[error("the verifier is none of SCRAM-SHA-256")]
    Verifier,
}

impl Plan {
    /// The key of a class.
    pub(super) fn key(&self, class: DataClass) -> Result<&KeyOf, PlanError> {
        let mut keys = self.keys.iter().filter(|key| key.class == class);
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(PlanError::Key(class)),
        }
    }

    /// Looks for contradictions before anything is asked of a database.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        if self.tables.len() > TABLES_MAX {
            return Err(PlanError::TooLarge(self.role.to_string()));
        }
        // Zero would be no limit at all.
        if !(1..=TIMEOUT_MS_MAX).contains(&self.statement_timeout_ms) {
            return Err(PlanError::Range("statement_timeout_ms"));
        }
        if self.connections_max == 0 {
            return Err(PlanError::Range("connections_max"));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b':' | b'$' | b'-');
        let parts = self.verifier.strip_prefix("SCRAM-SHA-256$");
        if !parts.is_some_and(|p| p.matches('$').count() == 1 && p.len() < 256 && p.bytes().all(plain)) {
            return Err(PlanError::Verifier);
        }
        for key in &self.keys {
            self.key(key.class)?;
        }
        let mut views = BTreeSet::new();
        for table in &self.tables {
            table.check()?;
            if !views.insert(&table.view) {
                return Err(PlanError::Twice(table.view.clone()));
            }
        }
        Ok(())
    }
}

impl Table {
    /// Schema and name, for messages.
    pub(super) fn place(&self) -> String {
        format!("{}.{}", self.schema, self.relation)
    }

    fn check(&self) -> Result<(), PlanError> {
        if self.columns.len() > COLUMNS_MAX {
            return Err(PlanError::TooLarge(self.place()));
        }
        // A view called as a catalogue is would hide it, or be hidden by it.
        if self.view.starts_with("pg_") {
            return Err(PlanError::Name(self.view.clone()));
        }
        let subject = self.subject.iter().map(|s| &s.column);
        let names = [&self.schema, &self.relation, &self.view].into_iter().chain(subject);
        for name in names.chain(self.columns.iter().map(|c| &c.name)) {
            if name.is_empty() || name.len() > IDENTIFIER_MAX || name.contains('\0') {
                return Err(PlanError::Name(name.clone()));
            }
        }
        let mut seen = BTreeSet::new();
        match self.columns.iter().find(|column| !seen.insert(&column.name)) {
            Some(column) => Err(PlanError::Twice(format!("{}.{}", self.place(), column.name))),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plan({}, {} tables)", self.role, self.tables.len())
    }
}

impl std::fmt::Debug for KeyOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyOf({}, epoch {})", self.class, self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let column = |name: &str| Column {
            name: name.into(),
            shows: Shows::Token { class: DataClass::Allowable, kind: Kind::Email },
        };
        let table = Table {
            schema: "shop".into(),
            relation: "orders".into(),
            view: "orders".into(),
            columns: vec![column("email"), column("other")],
            subject: None,
        };
        Plan {
            role: Role::of(&[1; 12]),
            until: UnixSeconds(2_000_000_000),
            tables: vec![table],
            keys: vec![KeyOf { class: DataClass::Allowable, epoch: 1, key: Zeroizing::new([0; 32]) }],
            statement_timeout_ms: 1_000,
            connections_max: 2,
            temp_bytes_max: 1 << 30,
            verifier: Zeroizing::new("SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy".to_owned()),
        }
    }

    #[test]
    fn a_plan_that_contradicts_itself_is_refused_before_a_database_is_asked() {
        assert_eq!(plan().check(), Ok(()));
        let refused = |change: fn(&mut Plan)| {
            let mut plan = plan();
            change(&mut plan);
            plan.check().unwrap_err()
        };
        assert_eq!(refused(|p| p.statement_timeout_ms = 0), PlanError::Range("statement_timeout_ms"));
        assert_eq!(refused(|p| p.connections_max = 0), PlanError::Range("connections_max"));
        assert_eq!(refused(|p| *p.verifier = "secret".into()), PlanError::Verifier);
        assert_eq!(refused(|p| *p.verifier = "SCRAM-SHA-256$4096:a' b$c:d".into()), PlanError::Verifier);
        assert_eq!(refused(|p| p.tables.push(p.tables[0].clone())), PlanError::Twice("orders".into()));
        assert_eq!(refused(|p| p.tables[0].view = "pg_class".into()), PlanError::Name("pg_class".into()));
        assert_eq!(
            refused(|p| p.tables[0].columns[0].name = "x".repeat(64)),
            PlanError::Name("x".repeat(64))
        );
        let twice = refused(|p| p.tables[0].columns[1].name = "email".into());
        assert_eq!(twice, PlanError::Twice("shop.orders.email".into()));
        let two = refused(|p| {
            p.keys.push(KeyOf { class: DataClass::Allowable, epoch: 2, key: Zeroizing::new([0; 32]) });
        });
        assert_eq!(two, PlanError::Key(DataClass::Allowable));
    }

    #[test]
    fn only_names_of_ours_are_roles() {
        let role = Role::of(&[7; 12]);
        assert_eq!(Role::parse(role.as_str()), Some(role));
        for other in [
            "postgres",
            "clover_g_",
            "clover_views",
            "clover_g_0707070707070707070707070",
            "clover_g_070707070707070707070707x",
        ] {
            assert_eq!(Role::parse(other), None, "{other}");
        }
    }
}
