//! What a session tells of itself: `SHOW clover.grant`, `clover.budget` and `clover.last_receipt`.

use super::gate::Shown;
use super::session::Session;
use crate::passage::Named;

impl Session {
    /// What the gateway shows of this session. Nothing of it is about anybody's data.
    pub(super) async fn show(&self, shown: Shown) -> String {
        match shown {
            Shown::Grant => self.show_grant().await,
            Shown::Budget => self.show_budget().await,
            Shown::LastReceipt => self.show_receipt(),
        }
    }

    async fn show_grant(&self) -> String {
        let (kind, name) = match &self.stand.named {
            Named::Grant(name) => ("grant", name.as_str()),
            Named::Case(name) => ("case", name.as_str()),
            Named::Purpose(purpose) => ("purpose", purpose.word()),
        };
        let Ok(now) = self.stand.now().await else { return format!("{kind} {name}: does not serve now") };
        let whose = if now.subject().is_some() { "one person" } else { "all people" };
        let (purpose, until) = (now.serving.purpose.word(), now.serving.until.rfc3339());
        format!("{kind} {name}: {} of {whose}, for {purpose}, until {until}", self.stand.dataset)
    }

    async fn show_budget(&self) -> String {
        let Ok(now) = self.stand.now().await else {
            return "nothing: the grant does not serve now".to_owned();
        };
        let ground = now.serving.ground;
        let (Some(name), Some(amount)) = (ground.name, ground.amount) else { return "no limit".to_owned() };
        let control = self.stand.enclave.control().clone();
        let left = tokio::task::spawn_blocking(move || control.left(&name, &amount)).await;
        match left {
            Ok(Ok(left)) => format!(
                "rows {} of {}, bytes {} of {}, people {} of {}",
                left.rows, amount.rows, left.bytes, amount.bytes, left.subjects, amount.subjects
            ),
            _ => "not known now".to_owned(),
        }
    }

    fn show_receipt(&self) -> String {
        match self.last() {
            Some((entry, log)) => format!("entry {entry} of {log}"),
            None => "nothing was released in this session".to_owned(),
        }
    }
}
