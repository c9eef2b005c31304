//! Results of a database, whose fields have their treatment by the views of a grant.

use model::catalogue::{FieldIndex, Kind};
use model::{DataClass, Reason, SubjectId, Treatment};
use transform::pseudonym::{PseudonymKey, derive_bytes, derive_key, normalise};
use zeroize::Zeroizing;

use super::{Payload, Permitted, Refused, Treated};
use crate::format::Format;
use crate::select::Selection;
use crate::treat::{Looked, Prose, Reader, Rows};

impl Permitted<'_> {
    /// How a field is shown; `None` keeps it inside. What a view is made from.
    #[must_use]
    pub fn shown(&self, field: FieldIndex) -> Option<Treatment> {
        let used = self.selection?.uses.get(usize::from(field.0)).copied().flatten()?;
        let treatment = self.outcomes.get(usize::from(used.group)).copied().flatten()?;
        let prose =
            treatment == Treatment::Plain && used.kind == Kind::Text && used.class != DataClass::Restricted;
        // As on lanes: prose crosses where a lane lets it, and a view is none.
        (!prose || matches!(self.prose(), Prose::Inside)).then_some(treatment)
    }

    /// Looks at a result, or a part of one, on its way.
    ///
    /// # Errors
    /// [`Refused`] when it is no result, has too many rows or people, or a row that names nobody.
    pub fn rows(mut self, rows: &Rows<'_>) -> Result<Treated, Refused> {
        let Some(selection) = self.selection else { return Err(self.refuse(Reason::Policy)) };
        if self.needs_intent() {
            return Err(self.refuse(Reason::Evidence));
        }
        let people_max = usize::try_from(self.people_max).unwrap_or(usize::MAX);
        let prose = self.prose();
        let looked = match self.look(selection, prose, people_max, rows) {
            Ok(looked) => looked,
            Err(reason) => return Err(self.refuse(reason)),
        };
        if let Some((subject, _)) = &self.outline.subject
            && looked.people.iter().any(|person| person != subject)
        {
            return Err(self.refuse(Reason::Subject));
        }
        if let Some(reason) = self.beyond_intent(looked.people.len(), looked.out.len()) {
            return Err(self.refuse(reason));
        }
        Ok(self.looked_at(looked, false))
    }

    /// Looks at every value of a result, and has the sealed detail say of which statement it is.
    pub(super) fn look(
        &mut self,
        selection: &Selection,
        prose: Prose,
        people_max: usize,
        rows: &Rows<'_>,
    ) -> Result<Looked, Reason> {
        self.outline.measured.insert("statement".to_owned(), rows.statement.clone());
        let epoch = self.epoch();
        Reader::new(selection, &self.outcomes, prose, epoch, (self.rows_max, people_max)).read(rows)
    }

    /// A result that was looked at, of the people it names or of a population.
    pub(super) fn looked_at(self, looked: Looked, population: bool) -> Treated {
        Treated {
            classes: self.classes(),
            treatments: self.treatments(),
            outline: self.outline,
            payload: Payload::new(looked.out),
            format: Format::Messages,
            people: looked.people,
            population,
            rows: looked.rows,
            findings: looked.findings,
            fired: looked.fired,
        }
    }
}

impl Refused {
    /// The same, with what the sealed detail says of the statement that was refused.
    #[must_use]
    pub fn of_statement(mut self, statement: serde_json::Value) -> Self {
        self.outline.measured.insert("statement".to_owned(), statement);
        self
    }
}

/// What a database needs to make the tokens of a grant's views.
pub struct OwnerKeys {
    /// The epoch that the tokens name.
    pub epoch: u32,
    /// A key for each class.
    pub keys: Vec<(DataClass, Zeroizing<[u8; 32]>)>,
    people: PseudonymKey,
}

/// Of which class the tokens of people are: those who see no more than pseudonyms see this of whose a row is.
pub const PEOPLE_CLASS: DataClass = DataClass::Allowable;

impl OwnerKeys {
    /// What stands for a person in a view: the token of their handle, an id.
    #[must_use]
    pub fn person(&self, person: &SubjectId) -> Vec<u8> {
        let (label, mut token) = (Kind::Id.word(), Vec::new());
        self.people.token(label, &normalise(label, person.as_str().as_bytes()), &mut token);
        token
    }
}

impl std::fmt::Debug for OwnerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnerKeys(epoch {})", self.epoch)
    }
}

impl Permitted<'_> {
    /// The epoch of pseudonyms into which the entry's time falls; `None` when there is none, and then nothing gets a token.
    #[must_use]
    pub fn epoch(&self) -> Option<u32> {
        self.road.epoch_at(self.outline.now).map(|(epoch, _)| epoch)
    }

    /// The keys of that epoch, for this recipient and purpose alone. They go into a table that only the owner of the views
    /// reads, at a resident site.
    #[must_use]
    pub fn owner_keys(&self) -> Option<OwnerKeys> {
        let (epoch, secret) = self.road.epoch_at(self.outline.now)?;
        let (recipient, purpose) = (self.recipient.as_str(), self.outline.purpose.word());
        let classes = [DataClass::Public, DataClass::Allowable, DataClass::Restricted];
        let key = |class: DataClass| derive_bytes(&secret, recipient, purpose, class.word(), epoch);
        Some(OwnerKeys {
            epoch,
            keys: classes.map(|class| (class, key(class))).into(),
            people: derive_key(&secret, recipient, purpose, PEOPLE_CLASS.word(), epoch),
        })
    }
}
