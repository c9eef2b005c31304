//! Results of a database, whose fields have their treatment by the views of a grant.

use model::catalogue::{FieldIndex, Kind};
use model::{DataClass, Reason, Treatment};

use super::{Payload, Permitted, Refused, Treated};
use crate::format::Format;
use crate::treat::{Prose, Reader, Rows};

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
        self.outline.measured.insert("statement".to_owned(), rows.statement.clone());
        let reader = Reader::new(selection, &self.outcomes, self.prose(), (self.rows_max, people_max));
        let looked = match reader.read(rows) {
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
        Ok(Treated {
            classes: self.classes(),
            treatments: self.treatments(),
            outline: self.outline,
            payload: Payload::new(looked.out),
            format: Format::Messages,
            people: looked.people,
            population: false,
            rows: looked.rows,
            findings: looked.findings,
            fired: looked.fired,
        })
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
