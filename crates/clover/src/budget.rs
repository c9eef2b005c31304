//! What was learned of datasets with noise, and what may still be: for the control API, and so for `clover budget`.

use gateway::Enclave;
use model::UnixSeconds;
use model::counts::{Noise, Privacy, decimal};
use serde_json::{Value, json};
use transform::budget::{Limits, Spending};
use vault::control::{StoreError, Tally};

use crate::now;

/// The budgets of all datasets that have noise, or had it.
///
/// # Errors
/// [`StoreError`] when the control store does not say.
pub(crate) fn shown(enclave: &Enclave) -> Result<Value, StoreError> {
    let spent = enclave.control().spent()?;
    let live = enclave.live();
    let counts = live.road.rulebook().lanes.counts.iter();
    let noisy = counts.filter_map(|(dataset, privacy)| match privacy {
        Privacy::Noise(noise) => Some((dataset.as_str(), *noise)),
        Privacy::Threshold | Privacy::Guard => None,
    });
    Ok(told(&spent, &noisy.collect::<Vec<_>>(), now()))
}

fn told(spent: &[Tally], noisy: &[(&str, Noise)], now: UnixSeconds) -> Value {
    let limits = |dataset: &str| {
        let noise = noisy.iter().find(|(name, _)| *name == dataset).map(|(_, noise)| noise);
        noise.and_then(|n| Limits::new(n.recipient_micro, n.dataset_micro).ok()).unwrap_or_default()
    };
    let tallies = spent.iter().map(|tally| {
        let limits = limits(&tally.dataset);
        line(&tally.dataset, tally.recipient.as_deref(), &tally.spending, &limits, now)
    });
    let untouched = noisy.iter().filter(|(name, _)| spent.iter().all(|tally| tally.dataset != *name));
    let untouched = untouched.map(|(name, _)| line(name, None, &Spending::default(), &limits(name), now));
    let datasets = noisy.iter().map(|(name, noise)| {
        json!({
            "dataset": name,
            "epsilon": decimal(u64::from(noise.epsilon_micro)),
            "of_recipient": decimal(noise.recipient_micro),
            "of_all": decimal(noise.dataset_micro),
        })
    });
    let (datasets, budgets): (Vec<_>, Vec<_>) = (datasets.collect(), tallies.chain(untouched).collect());
    json!({ "at": now.rfc3339(), "datasets": datasets, "budgets": budgets })
}

/// One budget. Epsilon is told in decimal, exactly.
fn line(
    dataset: &str,
    recipient: Option<&str>,
    spending: &Spending,
    limits: &Limits,
    now: UnixSeconds,
) -> Value {
    let left = match recipient {
        Some(_) => spending.left_of_recipient(limits, now),
        None => spending.left_of_dataset(limits, now),
    };
    json!({
        "dataset": dataset,
        "recipient": recipient,
        "spent": decimal(spending.counts(now).total_epsilon_micro()),
        "left": decimal(left),
        "next_back": spending.comes_back(now).map(UnixSeconds::rfc3339),
        "ever": decimal(spending.ever().total_epsilon_micro()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_of_which_nothing_was_learned_has_its_whole_budget() {
        let noise = Noise { epsilon_micro: 500_000, recipient_micro: 2_000_000, dataset_micro: 6_000_000 };
        let told = told(&[], &[("export", noise)], UnixSeconds(1_800_000_000));
        assert_eq!(told["datasets"][0]["epsilon"], "0.5");
        let budget = &told["budgets"][0];
        assert_eq!((&budget["left"], &budget["spent"]), (&json!("6"), &json!("0")));
        assert_eq!((&budget["recipient"], &budget["next_back"]), (&Value::Null, &Value::Null));
    }
}
