//! What the relay asks of a session.

use std::sync::Arc;

use bytes::Bytes;
use crossing::Selection;
use model::Reason;

use super::gate::{Refusal, Shown, Verdict};
use super::intended;
use super::numbers::{self, Answer};
use super::reach::{self, Reach};
use super::released::{Part, leave, release, statement};
use super::session::{Begun, Session};
use super::stand::Now;
use super::wire::relay::{Crossings, Refused, Statement, Window};
use super::words::{broken, told};

/// A session, as the relay asks it.
pub(super) struct Asked(pub(super) Arc<Session>);

impl Drop for Asked {
    fn drop(&mut self) {
        // A run whose intent is on the ledger waits for its answer: without this it would wait for ever.
        self.0.forget();
    }
}

impl Crossings for Asked {
    fn begin(&mut self, statement: Statement) -> impl Future<Output = Result<(), Refused>> + Send + 'static {
        let session = Arc::clone(&self.0);
        async move {
            if *statement.source.prepared.verdict() == Verdict::Asked {
                return numbers(&session, statement).await;
            }
            let text = statement.cursor.as_ref().unwrap_or(&statement.source).prepared.text();
            let views = session.stand.tables.iter().map(|table| table.name.as_str());
            let reach = reach::of(text, statement.row_wise(), views);
            let mut begun = Begun { run: statement.source, reach, parts: 0, intended: None, answer: None };
            let now = session.stand.now().await?;
            if session.numbers.is_some() {
                let ask = session.stand.ask_numbers(&now, &session.stand.selection, Some(begun.digest()));
                refuse(&session, now.live.road.refuse(&ask, Reason::Unknown), &begun).await;
                return Err(told(
                    "42501",
                    "no rows are shown here: ask for numbers, such as SELECT count(*) FROM a table",
                ));
            }
            let ask = session.stand.ask(&now, Some(begun.digest()));
            let intent = match now.live.road.decide(&ask) {
                Ok(permitted) if !session.still_shows(&permitted) => {
                    refuse(&session, permitted.refuse(Reason::Evidence), &begun).await;
                    return Err(told("57P01", "what you may see has changed: connect again"));
                }
                Ok(permitted) => permitted.needs_intent(),
                Err(refused) => return Err(refuse(&session, refused, &begun).await),
            };
            if intent {
                begun.intended = Some(intended::intend(Arc::clone(&session), begun.clone()).await?);
            }
            session.begun(statement.id, begun);
            Ok(())
        }
    }

    fn window(&mut self, window: Window) -> impl Future<Output = Result<Bytes, Refused>> + Send + 'static {
        let session = Arc::clone(&self.0);
        async move {
            let Some(id) = window.statement else {
                // Descriptions, and errors before anything ran: they were made from the statement alone.
                return if window.rows == 0 { Ok(window.frames) } else { Err(broken()) };
            };
            let begun = session.part(id, window.last).ok_or_else(broken)?;
            if let Some(hand) = begun.intended.clone() {
                return hand.over(window).await;
            }
            let now = session.stand.now().await?;
            if let Some(answer) = begun.answer.clone() {
                if window.error.is_some() {
                    // Of the stand-in, which reads nothing.
                    return Ok(window.frames);
                }
                return answered(&session, &now, &begun, &answer, &window).await;
            }
            let ask = session.stand.ask(&now, Some(begun.digest()));
            match now.live.road.decide(&ask) {
                Ok(permitted) => {
                    let part = Part { begun: &begun, window: &window };
                    release(&session, &now, permitted, part).await
                }
                Err(refused) => Err(session.stand.record(refused).await),
            }
        }
    }

    fn stand_in(&self, text: &str) -> Option<String> {
        let numbers = self.0.numbers.as_ref()?;
        let tables = self.0.stand.tables.iter().map(|table| table.name.as_str());
        (reach::of(text, false, tables) != Reach::Nobody).then(|| numbers.stand_in(text))
    }

    fn refused(&mut self, text: &str, refusal: &Refusal) -> impl Future<Output = ()> + Send + 'static {
        let session = Arc::clone(&self.0);
        let cut: String = text.chars().take(16_384).collect();
        let statement = serde_json::json!({ "text": cut, "refused": refusal.text });
        async move {
            // A stranger by now, or one whose grant ended, was recorded as just that.
            if let Ok(now) = session.stand.now().await {
                let ask = session.stand.ask(&now, None);
                let refused = now.live.road.refuse(&ask, Reason::Unknown).of_statement(statement);
                session.stand.record(refused).await;
            }
        }
    }

    fn show(&mut self, shown: Shown) -> impl Future<Output = String> + Send + 'static {
        let session = Arc::clone(&self.0);
        async move { session.show(shown).await }
    }

    fn ended(&mut self) -> impl Future<Output = Refused> + Send + 'static {
        let session = Arc::clone(&self.0);
        async move {
            let enclave = &session.stand.enclave;
            let mut closed = session.granted.closed();
            let drifted = async {
                match closed.wait_for(Option::is_some).await {
                    Ok(why) => *why,
                    Err(_) => None,
                }
            };
            tokio::select! {
                _ = session.seen.ended(enclave, &session.tokens, enclave.looks()) => {
                    session.let_go();
                    told("57P01", "what this session stood on has ended: the grant, the sign-in, the rules or the country")
                }
                why = drifted => told("57P01", why.unwrap_or("the grant was closed")),
            }
        }
    }
}

/// Records the refusal of a run, with its statement in the sealed detail.
async fn refuse(session: &Session, refused: crossing::Refused, begun: &Begun) -> Refused {
    session.stand.record(refused.of_statement(statement(begun))).await
}

/// Answers a question about numbers, before the client is told anything of it.
async fn numbers(session: &Arc<Session>, statement: Statement) -> Result<(), Refused> {
    let (id, run) = (statement.id, statement.source);
    let mut begun = Begun { run, reach: Reach::Nobody, parts: 0, intended: None, answer: None };
    let stand = &session.stand;
    let numbers = session.numbers.as_ref().ok_or_else(broken)?;
    let now = stand.now().await?;
    let question = match numbers.question(begun.run.prepared.text()) {
        Ok(question) => question,
        Err(impossible) => {
            let ask = stand.ask_numbers(&now, &stand.selection, Some(begun.digest()));
            refuse(session, now.live.road.refuse(&ask, Reason::Unknown), &begun).await;
            return Err(impossible);
        }
    };
    let selection =
        stand.columns(&now.live, question.declared().name(), &question.columns()).ok_or_else(broken)?;
    let ask = stand.ask_numbers(&now, &selection, Some(begun.digest()));
    let plan = match numbers::plan(question, &now, &stand.dataset) {
        Ok(plan) => plan,
        Err(impossible) => {
            refuse(session, now.live.road.refuse(&ask, Reason::Unknown), &begun).await;
            return Err(impossible);
        }
    };
    let permitted = match now.live.road.decide(&ask) {
        Ok(permitted) => permitted,
        Err(refused) => return Err(refuse(session, refused, &begun).await),
    };
    let recipient = permitted.recipient().to_owned();
    let mut client = match session.source.held_open().await {
        Ok(client) => client,
        Err(e) => {
            tracing::error!(error = %e, "the database behind cannot be asked for numbers");
            return Err(refuse(session, permitted.refuse(Reason::Upstream), &begun).await);
        }
    };
    let answered = numbers::answer(session, &now, &recipient, plan, &mut client).await;
    drop(client);
    match answered {
        Ok(answer) => {
            begun.answer = Some(Arc::new((answer, selection)));
            session.begun(id, begun);
            Ok(())
        }
        Err(Ok(reason)) => Err(refuse(session, permitted.refuse(reason), &begun).await),
        Err(Err(words)) => {
            refuse(session, permitted.refuse(Reason::Privacy), &begun).await;
            Err(words)
        }
    }
}

/// Lets an answer out, decided anew.
async fn answered(
    session: &Arc<Session>,
    now: &Now,
    begun: &Begun,
    (answer, selection): &(Answer, Selection),
    window: &Window,
) -> Result<Bytes, Refused> {
    let ask = session.stand.ask_numbers(now, selection, Some(begun.digest()));
    let treated = now.live.road.decide(&ask);
    match treated.and_then(|permitted| answer.treated(permitted, window.description.as_ref(), begun)) {
        Ok(treated) => {
            let left = leave(session, now, treated).await?;
            answer.told(&session.source);
            Ok(left)
        }
        Err(refused) => Err(session.stand.record(refused).await),
    }
}
