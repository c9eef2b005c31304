//! Sessions of those who see no rows: questions of the closed grammar, and answers with noise or in groups of enough people.
//!
//! INVARIANT: what costs of a privacy budget is charged for, durably, before its statement runs, and is never given back. The same
//! question on the same day has the same answer, free of charge.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use crossing::{Column as Looked, Permitted, Rows, Told, Treated, Whose};
use model::counts::decimal;
use model::tables::Table;
use model::{Name, Reason};
use tokio_postgres::Client;
use transform::budget::Query;
use transform::dp::Cost;
use vault::control::{Charged, Prepaid, Spend, SpendError};

use super::aggregate::run::{RunError, run};
use super::aggregate::{
    self, Column, Declared, Key, Kind, Noisy, Plan, Question, Refusal, Row, Told as Shown,
};
use super::session::{Begun, Session};
use super::source::Source;
use super::stand::Now;
use super::wire::frame::put;
use super::wire::own::Description;
use super::wire::relay::Refused;
use super::words::{broken, told};

/// Longest time of one statement of ours.
const WITHIN: Duration = Duration::from_secs(60);

/// The tables of a dataset, as numbers of them may be asked.
pub(super) struct Numbers(Vec<Arc<Declared>>);

/// An answer that may be told, and how it came about.
pub(super) struct Answer {
    shown: Shown,
    noisy: Option<Box<Drawn>>,
}

/// How an answer was drawn, and what it took that no entry says yet.
struct Drawn {
    noisy: Box<Noisy>,
    charged: Charged,
    query: Query,
    took: Cost,
}

impl Numbers {
    /// Of tables of the rulebook. What may not be asked of a table is left out of it.
    pub(super) fn of(tables: &[Table]) -> Self {
        Self(tables.iter().filter_map(|table| declared(table).map(Arc::new)).collect())
    }

    /// A statement of the same form as the answer to a text, which gives no row.
    pub(super) fn stand_in(&self, text: &str) -> String {
        let columns = match aggregate::parse(text, &self.0) {
            Ok(question) => question.columns_told(),
            // It is refused when it is to be run, with its reason.
            Err(_) => Vec::new(),
        };
        let kind = |oid| match oid {
            16 => "bool",
            20 => "int8",
            1082 => "date",
            1700 => "numeric",
            _ => "text",
        };
        let quoted = |name: &str| name.replace('"', "\"\"");
        let column = |c: &aggregate::ToldColumn| {
            format!("NULL::pg_catalog.{} AS \"{}\"", kind(c.oid), quoted(&c.name))
        };
        let columns: Vec<String> = columns.iter().map(column).collect();
        format!("SELECT {} WHERE false", columns.join(", "))
    }

    /// Reads a question.
    pub(super) fn question(&self, text: &str) -> Result<Question, Refused> {
        aggregate::parse(text, &self.0).map_err(|refusal| impossible(&refusal))
    }
}

/// What a client reads of a refusal: why, and what is possible.
fn impossible(refusal: &Refusal) -> Refused {
    told(refusal.sqlstate, format!("{}; {}", refusal.why, refusal.possible))
}

fn declared(table: &Table) -> Option<Declared> {
    let keys = table.asked.keys.iter().map(|(name, values)| Column {
        name: name.clone(),
        kind: Kind::Text,
        key: Key::Listed(values.clone()),
        filter: true,
        sum: None,
    });
    let bands =
        |name: &String| table.asked.bands.get(name).map_or(Key::No, |edges| Key::Bands(edges.clone()));
    let sums = table.asked.sums.iter().map(|(name, sum)| Column {
        name: name.clone(),
        kind: if sum.scale == 0 { Kind::Integer } else { Kind::Numeric { scale: sum.scale } },
        key: bands(name),
        filter: true,
        sum: Some(aggregate::Sum { low: sum.low, high: sum.high, missing: sum.low.max(0) }),
    });
    let banded = table.asked.bands.keys().filter(|name| !table.asked.sums.contains_key(*name));
    let banded = banded.map(|name| Column {
        name: name.clone(),
        kind: Kind::Integer,
        key: bands(name),
        filter: true,
        sum: None,
    });
    let place = (table.schema.as_str(), table.relation.as_str());
    let bounds = (table.asked.rows_max, table.asked.groups_max);
    Declared::new(&table.name, place, &table.person, bounds, keys.chain(sums).chain(banded).collect()).ok()
}

/// How a question is to be answered, by what the rulebook says of its dataset.
pub(super) fn plan(question: Question, now: &Now, dataset: &Name) -> Result<Plan, Refused> {
    let rulebook = now.live.road.rulebook();
    let plan = Plan::new(question, rulebook.lanes.counting(dataset), rulebook.programme.k);
    match plan.map_err(|refusal| impossible(&refusal))? {
        Plan::Exact(exact) if exact.guarded() => Err(told(
            "0A000",
            "numbers of this dataset leave by a guard, which is asked over HTTP (/v1/count)",
        )),
        plan => Ok(plan),
    }
}

/// Answers a question: charges first, where it has noise.
pub(super) async fn answer(
    session: &Session,
    now: &Now,
    recipient: &str,
    plan: Plan,
    client: &mut Client,
) -> Result<Answer, Result<Reason, Refused>> {
    match plan {
        Plan::Exact(exact) => {
            let mut measuring = exact.measure();
            let statement = exact.statement();
            let declared = exact.question().declared();
            run(client, declared, &statement, WITHIN, &mut |row| measuring.take(row))
                .await
                .map_err(failed)?;
            let measured = measuring.done().map_err(|e| failed(e.into()))?;
            Ok(Answer { shown: measured.told, noisy: None })
        }
        Plan::Noisy(noisy) => with_noise(session, now, recipient, noisy, client).await,
    }
}

async fn with_noise(
    session: &Session,
    now: &Now,
    recipient: &str,
    noisy: Box<Noisy>,
    client: &mut Client,
) -> Result<Answer, Result<Reason, Refused>> {
    let stand = &session.stand;
    let (rulebook, day) = (stand.rulebook.to_string(), now.at.day().to_string());
    let query = noisy.query(&[recipient, stand.dataset.as_str(), &rulebook, &day]);
    let (control, dataset, recipient) =
        (Arc::clone(stand.enclave.control()), stand.dataset.clone(), recipient.to_owned());
    let (limits, cost, at) = (noisy.limits(), noisy.cost(), now.at);
    let paid = tokio::task::spawn_blocking(move || {
        control.prepay(&Spend { recipient: &recipient, dataset: &dataset, query, limits, cost }, at)
    });
    let charged = match paid.await.map_err(|_| Err(broken()))?.map_err(spent)? {
        Prepaid::Known(charged) => charged,
        Prepaid::Paid(paid) => {
            let mut seed = [0; 8];
            vault::keys::random(&mut seed).map_err(|_| Err(broken()))?;
            let statement = noisy.statement(i64::from_be_bytes(seed));
            let mut rows: Vec<Row> = Vec::new();
            let declared = noisy.question().declared();
            let take = &mut |row| {
                rows.push(row);
                Ok(())
            };
            run(client, declared, &statement, WITHIN, take).await.map_err(failed)?;
            let (control, drawing) = (Arc::clone(stand.enclave.control()), noisy.clone());
            let drawn = tokio::task::spawn_blocking(move || {
                let noised = drawing.draw(rows).map_err(|e| failed(e.into()))?;
                control.answer(paid, noised).map_err(spent)
            });
            drawn.await.map_err(|_| Err(broken()))??
        }
    };
    let shown = noisy.told(charged.released().answer()).map_err(|e| failed(e.into()))?;
    // What was charged stands in the entry of the first release, whoever that is to.
    let nothing = charged.took() == Cost::default();
    let took = if nothing { session.source.untold(query, None).unwrap_or_default() } else { charged.took() };
    session.source.untold(query, (took != Cost::default()).then_some(took));
    Ok(Answer { shown, noisy: Some(Box::new(Drawn { noisy, charged, query, took })) })
}

/// A budget that is spent is told, with when there is something again: all of it follows from what was asked.
fn spent(error: SpendError) -> Result<Reason, Refused> {
    match error {
        SpendError::Exhausted(left) => {
            let back = left
                .back
                .map_or_else(String::new, |back| format!("; as much is there again on {}", back.rfc3339()));
            Err(told(
                "53400",
                format!(
                    "no more may be learned of this dataset now: it costs {} of epsilon, and {} is left{back}",
                    decimal(left.cost_micro),
                    decimal(left.left_micro)
                ),
            ))
        }
        SpendError::Store(e) => {
            tracing::error!(error = %e, "a privacy budget could not be charged; nothing was asked");
            Err(broken())
        }
        _ => Err(broken()),
    }
}

fn failed(error: RunError) -> Result<Reason, Refused> {
    tracing::warn!(error = %error, "a question was not answered");
    Ok(Reason::Upstream)
}

impl Answer {
    /// It was told, and its entry says what it took.
    pub(super) fn told(&self, source: &Source) {
        if let Some(drawn) = &self.noisy {
            source.untold(drawn.query, None);
        }
    }

    /// Looks at the answer on its way, as messages in the formats that the client bound.
    pub(super) fn treated(
        &self,
        permitted: Permitted<'_>,
        description: Option<&Description>,
        begun: &Begun,
    ) -> Result<Treated, crossing::Refused> {
        let binary: Vec<bool> =
            description.into_iter().flat_map(Description::columns).map(|c| c.binary).collect();
        let messages = messages(&self.shown, &binary);
        // Of a key's values only those that the rulebook names are told, and numbers are numbers.
        let looked = Looked { field: None, text: false };
        let columns = vec![looked; self.shown.columns.len()];
        let statement = super::released::statement(begun);
        let rows = Rows { messages: &messages, columns: &columns, whose: Whose::All(&[]), statement };
        let noise = self.noisy.as_ref().map(|drawn| Told {
            query: drawn.query,
            privacy: drawn.noisy.privacy(),
            released: drawn.charged.released(),
            took: drawn.took,
        });
        permitted.numbers(noise.as_ref(), &rows)
    }
}

/// Rows as PostgreSQL sends them, and their end.
fn messages(shown: &Shown, binary: &[bool]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for row in &shown.rows {
        let mut body = BytesMut::new();
        body.put_u16(u16::try_from(row.len()).unwrap_or(u16::MAX));
        for (place, cell) in row.iter().enumerate() {
            let value = match binary.get(place) {
                Some(true) => cell.binary(),
                _ => cell.text().map(String::into_bytes),
            };
            let Some(value) = value else {
                body.put_i32(-1);
                continue;
            };
            body.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
            body.extend_from_slice(&value);
        }
        put(&mut out, b'D', &[&body]);
    }
    put(&mut out, b'C', &[format!("SELECT {}\0", shown.rows.len()).as_bytes()]);
    out.to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::tables::{Asked, Sum};

    use super::*;

    #[test]
    fn what_the_rulebook_says_of_a_table_is_what_may_be_asked_of_it() {
        let asked = Asked {
            keys: BTreeMap::from([("state".to_owned(), vec!["held".to_owned(), "shown".to_owned()])]),
            bands: BTreeMap::from([("seconds".to_owned(), vec![0, 15]), ("views".to_owned(), vec![1, 10])]),
            sums: BTreeMap::from([
                ("price".to_owned(), Sum { low: 0, high: 100, scale: 2 }),
                ("seconds".to_owned(), Sum { low: 0, high: 60, scale: 0 }),
            ]),
            groups_max: 2,
            rows_max: 3,
        };
        let table = Table {
            name: "videos".to_owned(),
            source: Name::parse("services").unwrap(),
            schema: "app".to_owned(),
            relation: "videos".to_owned(),
            dataset: Name::parse("video").unwrap(),
            person: "owner".to_owned(),
            demands_person: false,
            columns: Vec::new(),
            asked,
        };
        let declared = Arc::new(declared(&table).unwrap());
        let asked = |text: &str| aggregate::parse(text, std::slice::from_ref(&declared));
        let columns =
            |text: &str| asked(text).unwrap().columns().into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            columns("select state, views, sum(price), avg(seconds) from videos group by state, views"),
            ["price", "seconds", "state", "views"]
        );
        let quantile = |column: &str| {
            format!("select percentile_disc(0.5) within group (order by {column}) from videos")
        };
        assert_eq!(columns(&quantile("views")), ["views"]);
        assert_eq!(columns("select seconds, sum(seconds) from videos group by seconds"), ["seconds"]);
        for not in [
            "select sum(views) from videos",
            "select price, count(*) from videos group by price",
            &quantile("price"),
        ] {
            assert!(asked(not).is_err(), "{not}");
        }
    }
}
