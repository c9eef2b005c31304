//! What the relay asks of a session.

use std::sync::Arc;

use bytes::Bytes;
use model::Reason;

use super::gate::Shown;
use super::intended;
use super::reach;
use super::released::{Part, release};
use super::session::{Begun, Session};
use super::wire::relay::{Crossings, Refused, Statement, Window};
use super::words::{broken, told};

/// A session, as the relay asks it.
pub(super) struct Asked(pub(super) Arc<Session>);

impl Crossings for Asked {
    fn begin(&mut self, statement: Statement) -> impl Future<Output = Result<(), Refused>> + Send + 'static {
        let session = Arc::clone(&self.0);
        async move {
            let text = statement.cursor.as_ref().unwrap_or(&statement.source).prepared.text();
            let views = session.stand.tables.iter().map(|table| table.name.as_str());
            let reach = reach::of(text, statement.row_wise(), views);
            let mut begun = Begun { run: statement.source, reach, parts: 0, intended: None };
            let now = session.stand.now().await?;
            let ask = session.stand.ask(&now, Some(begun.digest()));
            let intent = match now.live.road.decide(&ask) {
                Ok(permitted) if !session.still_shows(&permitted) => {
                    let refused =
                        permitted.refuse(Reason::Evidence).of_statement(super::released::statement(&begun));
                    session.stand.record(refused).await;
                    return Err(told("57P01", "what you may see has changed: connect again"));
                }
                Ok(permitted) => permitted.needs_intent(),
                Err(refused) => {
                    let refused = refused.of_statement(super::released::statement(&begun));
                    return Err(session.stand.record(refused).await);
                }
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

    #[cfg(any())]
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
