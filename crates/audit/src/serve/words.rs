//! Every word that the pages say, in one place, so that another language is another table.

use crate::html::escape;

macro_rules! words {
    ($($name:ident = $text:literal;)*) => {
        /// The words of one language. `{}` stands for what is put in, in order.
        pub(super) struct Words {
            $(pub(super) $name: &'static str,)*
        }

        /// English.
        pub(super) const EN: Words = Words { $($name: $text,)* };
    };
}

words! {
    lang = "en";
    brand = "Clover audit";
    site = "Site";
    menu = "Pages";
    skip = "Skip to the content";
    footer = "Made by the auditor’s own program from the auditor’s own mirror. It only reads, and holds no secret key. Times are UTC.";
    to_overview = "To the overview";

    menu_overview = "Overview";
    menu_findings = "Findings";
    menu_incidents = "Incidents";
    menu_samples = "Samples";
    menu_compare = "Comparison";
    menu_watch = "Watch";
    menu_report = "Report";

    overview = "Overview";
    checked_at = "The newest whole check began at";
    checked_never = "No whole check has ended yet.";
    running = "A check is running, since {}.";
    being_checked = "The record is being checked for the first time; there is no result yet.";
    being_read = "The entries are being read; there are no numbers yet.";
    look_again = "Look again";
    look_again_here = "Look again";
    cover_green = "Green: everything is covered";
    cover_green_about = "Every log is held to where the newest round says it is, and everything checked holds.";
    cover_red = "Red: not everything is covered";
    cover_unknown = "Being checked: no result yet";
    more_reasons = "And {} more reasons.";
    mirror_unreadable = "The mirror cannot be read: {}";
    mirror_problem = "The mirror keeps as wrong for good: {}";
    round_unreadable = "The newest round cannot be read: {}";
    round_none = "The newest entries of the site log hold no round";
    round_old = "The newest round is {} old";
    round_ahead = "The newest round is {} ahead of this machine’s clock";
    log_unreadable = "The log `{}` cannot be read: {}";
    log_unnamed = "The log `{}` is missing in the newest round";
    log_behind = "The log `{}` is held to {} of the {} entries that the newest round says";
    findings_reason = "Findings of the newest whole check: {}";
    check_failed = "The newest check could not be made: {}";
    check_copy = "what the mirror holds cannot be copied: {}";
    check_old = "No check has ended for {}";

    entries_held = "entries held";
    entries_verified = "entries verified";
    findings_figure = "findings";
    incidents_open = "incidents not closed";
    round_age = "since the newest round";
    gaps = "gaps of more than 10 s";

    findings = "Findings";
    findings_none = "Everything that was checked holds";
    findings_none_of = "There is no finding of this code.";
    findings_all = "All findings";
    findings_count = "Findings: {}. Something does not hold";
    findings_about = "Each finding is one thing that must hold and does not. It stays until the record is put right or the cause is explained; nothing here can be marked as read.";
    findings_clean = "{} entries were verified, {} decisions made again and {} day maps compared.";
    findings_each = "Each finding";
    findings_of = "Findings of {}";
    findings_unfiltered = "Show all";
    findings_unlisted = "{} more are counted and not listed.";
    by_code = "By code";
    must_hold = "What must hold";
    code = "Code";
    place = "Place";
    what = "What";
    notices = "Notices";
    notices_intro = "They break nothing. {} in all, the first {} are shown.";

    incidents = "Incidents";
    incidents_about = "An incident has a clock that nobody can stop. Whoever caused it cannot close it.";
    incidents_not_asked = "Incidents are not shown: no folder of a watch was given";
    no_folder = "There is no folder `{}`.";
    incidents_unreadable = "Incidents cannot be read";
    incidents_none = "No incident was ever opened";
    incidents_none_open = "No incident waits for anybody.";
    incidents_open_title = "Incidents that are not closed";
    incidents_open_caption = "Incidents that are not closed, the least time left first";
    incidents_all = "All incidents ({} not closed)";
    incidents_count = "{} in all, {} of them not closed.";
    incidents_back = "All incidents";
    incident_title = "Incident {}";
    incident = "Incident";
    damaged = "Its record was tampered with or cut";
    state = "State";
    state_open = "open";
    state_escalated = "escalated";
    state_closed = "closed";
    state_damaged = "damaged";
    clock = "Clock";
    clock_left = "{} left";
    clock_over = "overdue by {}";
    clock_closed = "stopped: closed";
    opened = "Opened";
    deadline = "Deadline";
    after = "{} after it was opened";
    severity = "Severity";
    severity_notice = "notice";
    severity_serious = "serious";
    severity_grave = "grave";
    rule = "Rule";
    cause = "Cause";
    about = "About";
    entries_shown = "Entries that show it";
    entry = "Entry";
    history = "History";
    history_about = "Every act is signed, and each names the one before.";
    history_none = "Nothing of it can be read.";
    act = "Act";
    act_open = "opened";
    act_escalate = "escalated";
    act_close = "closed";
    act_reopen = "opened again";
    by = "By";
    by_clock = "(by the clock)";
    party_of = "{} of {}";
    why = "Why";
    when = "When";

    watch_title = "What the watch said";
    watch_about = "What is unusual, as it came, the newest first. Grave findings open incidents.";
    watch_not_asked = "The watch is not shown: its folder was not given";
    watch_how = "Start `serve` with --watch and --parties to see it here.";
    watch_none = "The watch has found nothing";
    watch_unreadable = "What the watch said cannot be read";

    samples = "Samples";
    samples_about = "Entries that the auditor had the site open, chosen so that nobody could foresee them.";
    samples_by_log = "Gateways";
    opened_entries = "Entries opened";
    last_opened = "Last opened";
    never = "never";
    no_gateways = "The site enrols no gateway.";
    due = "To open now";
    due_about = "On these the choice falls if {} entries of each gateway are asked for under the checkpoint that was read; a newer checkpoint chooses others.";
    due_none = "There is nothing to open: no round counts an entry of a gateway.";
    due_how = "<code>clover-audit sample</code> asks the site for them and checks what it gives.";
    chosen_from = "Of entries";
    chosen_by = "Checkpoint";
    entries_named = "Entries";
    recorded = "Opened so far";
    recorded_about = "As the site log has it. Whether what was given was right is with whoever asked.";
    samples_none = "No samples are recorded.";
    site_entry = "Entry of the site log";

    compare = "Comparison";
    compare_about = "What the operator says in public, beside what the mirror holds.";
    compare_not_asked = "There is nothing to compare with: no operator was given";
    compare_how = "Start `serve` with --operator and the address of the operator’s public pages.";
    compare_silent = "The operator does not answer";
    compare_unclear = "The operator’s answer cannot be used";
    compare_at = "Asked: `{}/{}`.";
    compare_long = "it has more words than there can be";
    compare_days = "its days `from` and `to` are no period";
    compare_period = "From {} to {}.";
    compare_read = "The mirror was read at";
    compare_today = "The period is not over: what came after the mirror was read is in the operator’s numbers only.";
    compare_since = "{} of {} numbers are higher at the operator’s: that may be what came since";
    compare_same = "All {} numbers are the same";
    compare_differ = "{} of {} numbers differ";
    in_all = "In all";
    by_country = "Crossings by country";
    by_purpose = "Crossings by purpose";
    by_class = "Crossings by class";
    by_treatment = "Crossings by treatment";
    entries_of_gateways = "Entries of gateways";
    neither = "Neither has any.";
    nameless = "(without a name)";
    number = "Number";
    theirs = "Operator";
    ours = "Mirror";
    verdict = "Comparison";
    row_same = "same";
    row_more = "differs: {} more than the mirror holds";
    row_fewer = "differs: {} fewer than the mirror holds";
    row_unsaid = "not said by the operator";

    chart_title = "Crossings per day";
    chart_intro = "The last 30 days, counted from the entries held at";
    chart_label = "Crossings per day from {} to {}: {} in all, at most {} on a day. The table below has every number.";
    chart_bar = "{}: crossings {}";
    chart_sum = "Crossings in these days: {}.";
    chart_table = "The numbers as a table";
    day = "Day";
    crossings = "Crossings";
    records = "Records";
    refusals = "Refusals";

    logs = "Logs";
    logs_intro = "How many entries the mirror holds, how many the newest round says, and how many the newest check verified and decided again.";
    logs_none = "No log can be read.";
    log = "Log";
    held = "Held";
    named = "In the newest round";
    verified = "Verified";
    decided = "Decided again";
    behind = "{} not held yet";
    not_readable = "cannot be read";
    retired = "retired";

    report = "Report on a period";
    report_about = "Choose the first and the last day. The report counts every crossing, refusal, approval and incident of these days, and says what was checked and what was not.";
    report_coming = "The report is being made";
    report_coming_about = "Every entry is read for it.";
    report_failed = "The report cannot be made";
    report_checked = "What was verified is of the whole check that began at";
    report_json = "The same as JSON";
    period = "Period";
    from = "First day";
    to = "Last day";
    show = "Show the report";

    page_of = "Page {} of {}: {} to {} of {}";
    pages = "Pages of the list";
    page_before = "Before";
    page_after = "Next";
    ago = "{} ago";

    not_found = "There is no such page";
    not_found_about = "The address leads nowhere.";
    no_page = "The list has no such page";
    no_page_about = "It may have become shorter.";
    no_incident = "There is no such incident";
    no_incident_about = "No incident of this name can be read here.";
    bad_method = "These pages are only read";
    bad_method_about = "Nothing can be sent here: only GET and HEAD are answered.";
    bad_host = "This is not the name of these pages";
    bad_host_about = "The request names another host. Whoever runs these pages allows a name with --name.";
    too_long = "The address is too long";
    too_long_about = "No page has such an address.";
    bad_input = "The address cannot be understood";
    bad_query = "What follows the “?” has only letters, digits, “-” and “_”.";
    bad_twice = "Something stands in the address twice.";
    bad_page = "A page is a number from 1 on.";
    bad_code = "A code looks like AUD-05.";
    bad_half = "A period needs its first day and its last day, as from=YYYY-MM-DD&to=YYYY-MM-DD.";
    bad_from = "The first day is not a date of the form YYYY-MM-DD.";
    bad_to = "The last day is not a date of the form YYYY-MM-DD.";
    bad_order = "The first day is after the last day.";
    busy = "Too many reports are being made";
    busy_about = "Ask again in a while.";
    failed = "The page could not be made";
    failed_about = "Something broke here; it says nothing about the record.";
}

const UNITS: [(u64, &str, &str); 4] =
    [(86_400, "day", "days"), (3600, "hour", "hours"), (60, "minute", "minutes"), (1, "second", "seconds")];

const SHORT: [&str; 4] = ["d", "h", "min", "s"];

/// A text with its gaps filled, not escaped.
pub(super) fn plain(text: &str, values: &[&str]) -> String {
    let mut parts = text.split("{}");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    let mut values = values.iter();
    for part in parts {
        filled.push_str(values.next().copied().unwrap_or_default());
        filled.push_str(part);
    }
    filled
}

/// HTML with its gaps filled by text, which is escaped.
pub(super) fn fill(html: &str, values: &[&str]) -> String {
    let safe: Vec<String> = values.iter().map(|value| escape(value)).collect();
    plain(html, &safe.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A number as it is shown.
pub(super) fn number(value: u64) -> String {
    crate::html::number(value)
}

/// So many seconds in the two greatest units that they fill.
pub(super) fn span(seconds: u64) -> String {
    let mut rest = seconds;
    let mut words = Vec::new();
    for (size, one, more) in UNITS {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            words.push(format!("{} {}", number(count), if count == 1 { one } else { more }));
        } else if !words.is_empty() {
            break;
        }
        if words.len() == 2 {
            break;
        }
    }
    if words.is_empty() { "0 seconds".to_owned() } else { words.join(" ") }
}

/// So many seconds in the greatest unit that they fill, in short.
pub(super) fn short(seconds: u64) -> String {
    let unit = UNITS.into_iter().zip(SHORT).find(|((size, ..), _)| seconds >= *size);
    let (size, name) = unit.map_or((1, "s"), |((size, ..), name)| (size, name));
    format!("{}\u{a0}{name}", number(seconds / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_two_greatest_units() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (61, "1 minute 1 second"),
            (3600, "1 hour"),
            (3601, "1 hour"),
            (90_061, "1 day 1 hour"),
            (259_199, "2 days 23 hours"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn what_is_filled_in_is_escaped_and_fills_no_gap_itself() {
        assert_eq!(fill("a {} b {}", &["{}<i>", "&"]), "a {}&lt;i&gt; b &amp;");
    }
}
