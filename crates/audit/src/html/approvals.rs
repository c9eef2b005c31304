//! The part about approvers.

use super::{escape, grid, number, section};
use crate::approvals::{Approvals, Approver, Pair};

const TITLE: &str = "Approvals";
const INTRO: &str = "How approvers decided, by their tags, from the acts on the site log alone. Time runs from the beginning of a \
    step. A request counts as a decoy once it is over; decoys are left out of all columns but their own.";

pub(super) fn approvals(all: &Approvals) -> String {
    if all.requests == 0 && all.approvers.is_empty() && all.decoys.shown == 0 {
        return section(
            TITLE,
            "",
            "<p class=\"none\">Nothing was asked for or decided in this period.</p>\n",
        );
    }
    let text = format!(
        "<p>Requests asked for: {} ({} granted, {} denied, {} ended by time). Decoys that were over: {} ({} refused, {} approved \
         by somebody).</p>\n",
        number(all.requests),
        number(all.granted),
        number(all.denied),
        number(all.timed_out),
        number(all.decoys.shown),
        number(all.decoys.refused),
        number(all.decoys.approved)
    );
    section(TITLE, INTRO, &(text + &approvers(all) + &pairs(&all.repeated_pairs)))
}

fn approvers(all: &Approvals) -> String {
    if all.approvers.is_empty() {
        return String::new();
    }
    let head =
        ["Approver", "Decisions", "Approved", "Median", "Under 10 s", "Decoys approved", "Decoys denied"];
    let line = |(tag, one): (&String, &Approver)| {
        let of = |value: Option<u64>, unit: &str| value.map_or_else(|| "–".to_owned(), |v| number(v) + unit);
        let cells = [
            number(one.decisions),
            of(one.rate_percent, " %"),
            of(one.median_seconds, " s"),
            number(one.under_10_seconds),
            number(one.decoys_approved),
            number(one.decoys_denied),
        ];
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr><th scope=\"row\"><code>{}</code></th>{cells}</tr>\n", escape(tag))
    };
    table(TITLE, &head, &all.approvers.iter().map(line).collect::<String>())
}

fn pairs(pairs: &[Pair]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let line = |pair: &Pair| {
        format!(
            "<tr><th scope=\"row\"><code>{}</code></th><td class=\"text\"><code>{}</code></td><td>{}</td></tr>\n",
            escape(&pair.approver),
            escape(&pair.requester),
            number(pair.approvals)
        )
    };
    let rows: String = pairs.iter().map(line).collect();
    let title = "Who approved whose requests again";
    format!("<h3>{title}</h3>\n{}", table(title, &["Approver", "Requester", "Approvals"], &rows))
}

fn table(title: &str, head: &[&str], rows: &str) -> String {
    let head: String = head.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    grid(title, &format!("<tr>{head}</tr>"), rows)
}
