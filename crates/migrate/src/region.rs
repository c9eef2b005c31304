//! Whose rows move, as a condition on a table.

use crate::database::{literal, quoted};
use crate::plan::Plan;
use crate::table::Table;

/// A list of texts as an array of SQL.
fn array(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| literal(text)).collect();
    format!("array[{}]::text[]", texts.join(", "))
}

impl Plan {
    fn home(&self, table: &Table, place: usize) -> String {
        let column = table.columns.get(place).map(|c| quoted(&c.name)).unwrap_or_default();
        format!("({column}::text = any ({}))", array(&self.region.homes))
    }

    /// True for the rows of a table that move, as the source knows them.
    pub(crate) fn moves(&self, tables: &[Table], table: &Table) -> String {
        if let Some(home) = table.home {
            return self.home(table, home);
        }
        let Some(people) = self.people(tables, table) else { return "false".into() };
        let (Some(subject), Some(id), Some(home)) =
            (table.columns.get(table.subject), people.columns.get(people.subject), people.home)
        else {
            return "false".into();
        };
        let (subject, id) = (quoted(&subject.name), quoted(&id.name));
        format!("({subject} in (select p.{id} from {} p where {}))", people.name, self.home(people, home))
    }

    /// True for a row of the region's people, in a trigger.
    pub(crate) fn is_of_region(&self, tables: &[Table], table: &Table, row: &str) -> String {
        let column = |table: &Table, place: usize| {
            table.columns.get(place).map(|c| quoted(&c.name)).unwrap_or_default()
        };
        if let Some(home) = table.home {
            return format!("({row}.{}::text = any ({}))", column(table, home), array(&self.region.homes));
        }
        let Some(people) = self.people(tables, table) else { return "true".into() };
        let home = people.home.map(|home| self.home(people, home)).unwrap_or_default();
        let (id, subject) = (column(people, people.subject), column(table, table.subject));
        format!("(exists (select 1 from {} p where p.{id} = {row}.{subject} and {home}))", people.name)
    }

    /// True for people of whom the plan does not say whether they are the region's.
    pub(crate) fn unknown(&self, table: &Table) -> Option<String> {
        let column = quoted(&table.columns.get(table.home?)?.name);
        let known: Vec<String> = self.region.homes.iter().chain(&self.region.others).cloned().collect();
        Some(format!("(({column}::text = any ({})) is not true)", array(&known)))
    }

    /// The table of people whose rows a table has.
    pub(crate) fn people<'t>(&self, tables: &'t [Table], table: &Table) -> Option<&'t Table> {
        let of = self.sets.iter().find(|set| set.table == table.plain)?.of.as_deref()?;
        tables.iter().find(|t| t.plain == of)
    }
}
