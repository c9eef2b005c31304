//! `clover budget`: what was learned of datasets with noise, and what may still be.

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use super::output::Output;
use crate::config::Config;
use crate::control;
use crate::error::CommandError;
use crate::layout::Layout;

#[derive(Debug, Args)]
pub(super) struct Budget {
    /// Of this recipient only: an employer, or `flow NAME`.
    #[arg(long)]
    recipient: Option<String>,
    /// Of this dataset only.
    #[arg(long)]
    dataset: Option<String>,
}

impl Budget {
    /// Asks the running enclave.
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let config = Config::load(&layout.config())?;
        let answer = control::ask(config.control, "/budget")?;
        let mut told: Value = serde_json::from_str(&answer).context("the enclave tells no budgets now")?;
        if let Some(name) = &self.dataset {
            self.only(&mut told, name)?;
        }
        let recipient = self.recipient.as_ref().map(|name| match name.split_once(' ') {
            Some(_) => name.clone(),
            None => format!("employer {name}"),
        });
        if let Some(recipient) = &recipient {
            of_recipient(&mut told, recipient);
        }
        output.data(&text(&told), &told);
        Ok(())
    }

    fn only(&self, told: &mut Value, name: &str) -> Result<()> {
        for list in ["datasets", "budgets"] {
            if let Some(list) = told.get_mut(list).and_then(Value::as_array_mut) {
                list.retain(|line| field(line, "dataset") == name);
            }
        }
        if lines(told, "budgets").next().is_some() {
            Ok(())
        } else {
            Err(CommandError::Unknown { kind: "noise for counts of", name: name.to_owned() }.into())
        }
    }
}

/// Keeps one recipient's budgets. Of whom nothing is on record has everything left.
fn of_recipient(told: &mut Value, recipient: &str) {
    let untouched: Vec<Value> = lines(told, "datasets")
        .filter(|dataset| {
            let name = field(dataset, "dataset");
            lines(told, "budgets").all(|b| field(b, "dataset") != name || field(b, "recipient") != recipient)
        })
        .map(|dataset| {
            json!({
                "dataset": dataset.get("dataset"), "recipient": recipient, "spent": "0",
                "left": dataset.get("of_recipient"), "next_back": null, "ever": "0",
            })
        })
        .collect();
    if let Some(budgets) = told.get_mut("budgets").and_then(Value::as_array_mut) {
        budgets.retain(|line| field(line, "recipient") == recipient);
        budgets.extend(untouched);
    }
}

fn lines<'a>(told: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    told.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn field<'a>(line: &'a Value, name: &str) -> &'a str {
    line.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A line for each budget.
fn text(told: &Value) -> String {
    let budgets: Vec<_> = lines(told, "budgets").collect();
    if budgets.is_empty() {
        return "no dataset has noise for its counts".to_owned();
    }
    let line = |b: &Value| {
        let who = b.get("recipient").and_then(Value::as_str).unwrap_or("all recipients");
        let back = match field(b, "next_back") {
            "" => String::new(),
            time => format!("; the next of it is back on {}", time.get(..10).unwrap_or(time)),
        };
        format!(
            "{:12} {who:24} spent {:8} left {:8} ever {}{back}",
            field(b, "dataset"),
            field(b, "spent"),
            field(b, "left"),
            field(b, "ever"),
        )
    };
    budgets.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_of_whom_nothing_is_on_record_has_everything_left() {
        let mut told = json!({
            "datasets": [{ "dataset": "export", "epsilon": "0.5", "of_recipient": "4", "of_all": "8" }],
            "budgets": [
                { "dataset": "export", "recipient": null, "spent": "0.5", "left": "7.5", "next_back": "2026-12-28T00:00:00Z", "ever": "0.5" },
                { "dataset": "export", "recipient": "employer acme-cn", "spent": "0.5", "left": "3.5", "next_back": null, "ever": "0.5" },
            ],
        });
        let all = text(&told);
        assert!(all.contains("all recipients") && all.contains("back on 2026-12-28"), "{all}");
        of_recipient(&mut told, "employer acme-eu");
        let one = text(&told);
        assert!(
            one.contains("employer acme-eu") && one.contains("left 4 ") && !one.contains("acme-cn"),
            "{one}"
        );
    }
}
