//! Small mistakes in policies, one at a time: a policy left out, a conjunct dropped, a comparison turned round. A
//! mistake that no test and no property notices could be made by anybody.

use cedar_policy::{Policy, PolicyId};
use serde_json::{Map, Value, json};

/// No rulebook comes near so many.
const MUTANTS_MAX: usize = 20_000;

/// One mistake.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// The policy that it is made in.
    pub policy: String,
    /// What it is.
    pub what: String,
    /// The policy with the mistake; `None` if it is left out.
    pub mutated: Option<Policy>,
}

impl std::fmt::Display for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.policy, self.what)
    }
}

impl Mutant {
    /// All policies as one text, with the mistake in its place.
    #[must_use]
    pub fn text(&self, policies: &[Policy]) -> String {
        let mut text = String::new();
        for policy in policies {
            let own = *policy.id() == PolicyId::new(&self.policy);
            let shown = if own { self.mutated.as_ref() } else { Some(policy) };
            if let Some(cedar) = shown.and_then(Policy::to_cedar) {
                text.push_str(&cedar);
                text.push('\n');
            }
        }
        text
    }
}

/// Every such mistake in some policies, in their order.
#[must_use]
pub fn mutants(policies: &[Policy]) -> Vec<Mutant> {
    let mut all = Vec::new();
    for policy in policies {
        let id = policy.id().to_string();
        all.push(Mutant { policy: id.clone(), what: "left out".to_owned(), mutated: None });
        let Ok(original) = policy.to_json() else { continue };
        let conditions = original.get("conditions").and_then(Value::as_array).map_or(0, Vec::len);
        for n in 0..conditions {
            let place = format!("/conditions/{n}/body");
            let Some(body) = original.pointer(&place) else { continue };
            // Without its body a clause asks for nothing: `when` holds always, `unless` never.
            let kind = original.pointer(&format!("/conditions/{n}/kind")).and_then(Value::as_str);
            let nothing = json!({ "Value": kind != Some("unless") });
            for (what, changed) in changes(body, &nothing) {
                let mut json = original.clone();
                let Some(target) = json.pointer_mut(&place) else { continue };
                *target = changed;
                let Ok(mutated) = Policy::from_json(Some(PolicyId::new(&id)), json) else { continue };
                all.push(Mutant { policy: id.clone(), what, mutated: Some(mutated) });
            }
        }
        if all.len() > MUTANTS_MAX {
            break;
        }
    }
    all.truncate(MUTANTS_MAX);
    all
}

/// Each change of one expression, with what it is.
fn changes(body: &Value, nothing: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    if conjuncts(body).len() < 2 {
        all.push((format!("without `{}`", cedar(body)), nothing.clone()));
    }
    inside(body, &mut |value| value, &mut all);
    all
}

/// Changes anywhere in an expression; `whole` puts a changed part back into its place.
fn inside(part: &Value, whole: &mut dyn FnMut(Value) -> Value, all: &mut Vec<(String, Value)>) {
    let list = conjuncts(part);
    if list.len() > 1 {
        for (n, dropped) in list.iter().enumerate() {
            let rest = list.iter().enumerate().filter(|(i, _)| *i != n).map(|(_, c)| (*c).clone());
            all.push((format!("without `{}`", cedar(dropped)), whole(conjoined(rest))));
            let put = |changed: Value| {
                let with = |(i, c): (usize, &&Value)| if i == n { changed.clone() } else { (*c).clone() };
                conjoined(list.iter().enumerate().map(with))
            };
            inside(dropped, &mut |changed| whole(put(changed)), all);
        }
        return;
    }
    if let Some((turned, operands)) = turned(part) {
        let changed = json!({ turned: operands });
        all.push((format!("`{}` for `{}`", cedar(&changed), cedar(part)), whole(changed)));
    }
    match part {
        Value::Object(object) => {
            for (key, value) in object {
                inside(value, &mut |changed| whole(Value::Object(replaced(object, key, changed))), all);
            }
        }
        Value::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                let put = |changed: Value| {
                    let with = |(i, v): (usize, &Value)| if i == n { changed.clone() } else { v.clone() };
                    Value::Array(items.iter().enumerate().map(with).collect())
                };
                inside(value, &mut |changed| whole(put(changed)), all);
            }
        }
        _ => {}
    }
}

fn replaced(object: &Map<String, Value>, key: &str, value: Value) -> Map<String, Value> {
    let mut object = object.clone();
    object.insert(key.to_owned(), value);
    object
}

/// What stands between `&&` in a chain of them; the expression itself if it is none.
fn conjuncts(value: &Value) -> Vec<&Value> {
    match value.get("&&").map(|both| (both.get("left"), both.get("right"))) {
        Some((Some(left), Some(right))) => [conjuncts(left), conjuncts(right)].concat(),
        _ => vec![value],
    }
}

fn conjoined(mut parts: impl Iterator<Item = Value>) -> Value {
    let first = parts.next().unwrap_or_else(|| json!({ "Value": true }));
    parts.fold(first, |left, right| json!({ "&&": { "left": left, "right": right } }))
}

/// The opposite of a comparison, and what is compared.
fn turned(value: &Value) -> Option<(&'static str, &Value)> {
    const OPPOSITES: [(&str, &str); 6] =
        [("==", "!="), ("!=", "=="), ("<", ">="), (">=", "<"), (">", "<="), ("<=", ">")];
    let object = value.as_object().filter(|o| o.len() == 1)?;
    let (operator, operands) = object.iter().next()?;
    let (_, opposite) = OPPOSITES.iter().find(|(known, _)| known == operator)?;
    operands.get("left").and(operands.get("right"))?;
    Some((opposite, operands))
}

/// An expression as people write it.
fn cedar(expression: &Value) -> String {
    let any = json!({ "op": "All" });
    let policy = json!({
        "effect": "permit", "principal": any, "action": any, "resource": any,
        "conditions": [{ "kind": "when", "body": expression }],
    });
    let text = Policy::from_json(None, policy).ok().and_then(|p| p.to_cedar()).unwrap_or_default();
    let inner = text.find('{').zip(text.rfind('}')).and_then(|(from, to)| text.get(from + 1..to));
    inner.unwrap_or("?").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(String, String)> {
        let policy = Policy::parse(Some(PolicyId::new("P")), text).unwrap();
        let shown = |m: Mutant| (m.what, m.mutated.and_then(|p| p.to_cedar()).unwrap_or_default());
        mutants(&[policy]).into_iter().map(shown).collect()
    }

    #[test]
    fn a_policy_is_left_out_and_each_conjunct_dropped_and_each_comparison_turned() {
        let found = of("permit (principal, action, resource) when { context.a && context.n <= 3 };");
        let whats: Vec<_> = found.iter().map(|(what, _)| what.as_str()).collect();
        let wanted = [
            "left out",
            "without `context.a`",
            "without `context.n <= 3`",
            "`!context.n <= 3` for `context.n <= 3`",
        ];
        let plain = |text: &str| text.replace(['(', ')', '[', ']', '"'], "");
        assert_eq!(whats.iter().map(|w| plain(w)).collect::<Vec<_>>(), wanted.map(plain), "{whats:?}");
        assert!(found[3].1.contains("context.a && (!(context.n <= 3))"), "{found:?}");
    }

    #[test]
    fn mistakes_are_made_within_alternatives_and_in_every_clause() {
        let text = "forbid (principal, action, resource) when { context.a }
            unless { (context.b && context.c) || context.n == 1 };";
        let found = of(text);
        // Left out; `a`; the whole of `unless`; `b`, `c`; and the comparison.
        assert_eq!(found.len(), 6, "{found:?}");
        for wanted in ["context.a && (!false)", "true && (!(", "(!(context.c ||", "(!(context.n == 1))"] {
            assert!(found.iter().any(|(_, text)| text.contains(wanted)), "{wanted}: {found:#?}");
        }
    }
}
