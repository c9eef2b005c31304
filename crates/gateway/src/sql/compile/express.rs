//! What a view says of one column.

use model::catalogue::Kind;

use super::plan::{Plan, Shows, Subject};
use super::quote::{identifier, literal};
use super::{CompileError, PlanError};

/// A column as the catalogue of the database has it.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// Schema, table and column, for messages.
    pub(super) place: String,
    /// Its name.
    pub(super) name: String,
    /// Its type, of a domain the type below it.
    pub(super) type_name: String,
    /// Whether the type is an enumeration, or one of texts.
    pub(super) is_enum: bool,
    pub(super) is_text: bool,
    /// Whether two values that are not the same may compare as equal.
    pub(super) loose: bool,
}

/// Types whose text depends on the value alone, whatever a session sets. INVARIANT: a type whose text depends on `TimeZone`,
/// `DateStyle`, `IntervalStyle`, `extra_float_digits`, `bytea_output` or `lc_monetary` is none of them, for by changing the setting a
/// session would make many tokens of one value, and days of one moment.
const STEADY: &[&str] =
    &["smallint", "integer", "bigint", "numeric", "uuid", "cidr", "macaddr", "macaddr8", "boolean", "jsonb"];

impl Base {
    /// The column, in a view whose table is called `b`.
    fn column(&self) -> String {
        format!("b.{}", identifier(&self.name))
    }

    /// An expression for its text, the same in every session.
    fn text(&self) -> Option<String> {
        let column = self.column();
        Some(match self.type_name.as_str() {
            _ if self.is_text || self.is_enum => format!("{column}::text"),
            name if STEADY.contains(&name) => format!("{column}::text"),
            "inet" => format!("pg_catalog.host({column})"),
            "date" => format!("pg_catalog.to_char({column}::timestamp, 'YYYY-MM-DD')"),
            "timestamp without time zone" => {
                format!("pg_catalog.to_char({column}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')")
            }
            "timestamp with time zone" => {
                format!(
                    "pg_catalog.to_char({column} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
                )
            }
            _ => return None,
        })
    }

    fn needs_text(&self, wanted: &'static str) -> Result<String, CompileError> {
        self.text().ok_or_else(|| self.no(wanted))
    }

    fn no(&self, wanted: &'static str) -> CompileError {
        CompileError::Type { column: self.place.clone(), type_name: self.type_name.clone(), wanted }
    }

    /// What the view has under the column's name; `None` if it has nothing. `only` is whose rows it has, if this column says whose a
    /// row is.
    pub(super) fn shown(
        &self,
        shows: Shows,
        plan: &Plan,
        only: Option<&Subject>,
    ) -> Result<Option<String>, CompileError> {
        Ok(Some(match shows {
            Shows::Withheld => return Ok(None),
            Shows::Plain => self.column(),
            Shows::Masked => "'***'::text".to_owned(),
            Shows::Generalised { kind: Kind::Count } | Shows::Token { kind: Kind::Count, .. } => {
                self.count()?
            }
            Shows::Generalised { kind: Kind::Date } | Shows::Token { kind: Kind::Date, .. } => self.day()?,
            Shows::Generalised { .. } => {
                format!("case when {} is not null then '***'::text end", self.column())
            }
            // There is nothing to tell apart in one of two.
            Shows::Token { .. } if self.type_name == "boolean" => format!("{}::text", self.column()),
            Shows::Token { class, kind } => {
                // The one person's token is made once for a statement, and not for each row: a tenth of the time of many rows.
                if let Some(only) = only.and_then(|subject| self.text_of_only(subject))
                    && kind != Kind::Word
                {
                    return Ok(Some(format!("(select {})", token(plan, class, kind, &only)?)));
                }
                let text = self.needs_text("token")?;
                let token = token(plan, class, kind, &text)?;
                match kind {
                    Kind::Word => format!("case when clover.is_word({text}) then {text} else {token} end"),
                    _ => token,
                }
            }
        }))
    }

    /// A count keeps its type where it has one of whole numbers: none rounds up beyond it.
    fn count(&self) -> Result<String, CompileError> {
        let count = format!("clover.count({})", self.needs_text("count")?);
        Ok(match self.type_name.as_str() {
            name @ ("smallint" | "integer" | "bigint") => format!("{count}::{name}"),
            "numeric" => count,
            _ => format!("{count}::text"),
        })
    }

    fn day(&self) -> Result<String, CompileError> {
        let day = format!("clover.day({})", self.needs_text("day")?);
        Ok(match self.type_name.as_str() {
            "date" | "timestamp without time zone" | "timestamp with time zone" => {
                // Read with the one form that no setting changes.
                format!("pg_catalog.to_date({day}, 'YYYY-MM-DD')")
            }
            _ => day,
        })
    }

    /// The text that this column has in every row that [`Base::only`] leaves.
    fn text_of_only(&self, subject: &Subject) -> Option<String> {
        let value = literal(subject.only.as_ref()?);
        Some(match self.type_name.as_str() {
            "uuid" => format!("{value}::uuid::text"),
            _ => format!("{value}::text"),
        })
    }

    /// The filter that leaves one person's rows.
    pub(super) fn only(&self, subject: &Subject) -> Result<Option<String>, CompileError> {
        let Some(only) = &subject.only else { return Ok(None) };
        let column = self.column();
        let value = literal(only);
        Ok(Some(match self.type_name.as_str() {
            _ if self.is_text && self.loose => format!("{column}::text collate \"C\" = {value}::text"),
            _ if self.is_text => format!("{column}::text = {value}::text"),
            // As it is spelled there, and no other spelling of the same number.
            name @ ("smallint" | "integer" | "bigint")
                if only.parse::<i64>().is_ok_and(|n| n.to_string() == *only) =>
            {
                format!("{column} = {value}::{name}")
            }
            "uuid" => format!("{column} = {value}::uuid"),
            _ => return Err(self.no("person")),
        }))
    }
}

/// The token that [`transform::pseudonym`] makes of the same text.
fn token(plan: &Plan, class: model::DataClass, kind: Kind, text: &str) -> Result<String, PlanError> {
    let epoch = plan.key(class)?.epoch;
    let key = |pad: &str| {
        format!(
            "(select k.{pad} from clover.keys k where k.\"grant\" = {} and k.class = {} and k.epoch = {epoch})",
            literal(plan.role.as_str()),
            literal(class.word())
        )
    };
    let spelled = match kind {
        Kind::Email => format!("clover.email({text})"),
        Kind::Phone => format!("clover.phone({text})"),
        Kind::Handle => format!("clover.handle({text})"),
        Kind::Ip => format!("clover.ip({text})"),
        Kind::Link => text.to_owned(),
        Kind::Text | Kind::Date | Kind::Count | Kind::Word | Kind::Id => format!("clover.trim({text})"),
    };
    Ok(format!(
        "clover.token({}, {}, 't1.{epoch}.', {}, {spelled})",
        key("ipad"),
        key("opad"),
        literal(kind.word())
    ))
}
