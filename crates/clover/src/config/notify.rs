//! Who is told of requests: `[notify]`, its webhooks and its mail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use console::notify::Limits;
use console::notify::mail::{Book, Mailbox, Server};
use console::notify::notice::Kind;
use console::notify::webhook;
use model::{ActorId, Name, Problems};

/// Most webhooks.
const WEBHOOKS_MAX: usize = 16;
/// Most addresses: each may be looked up for each notice.
const ADDRESSES_MAX: usize = 1000;
/// Longest time for which a notice is tried, in minutes: a week.
const GIVE_UP_MINUTES_MAX: u64 = 7 * 24 * 60;
/// Longest queue.
const QUEUE_MAX: usize = 100_000;
/// What the receiver of mail is called in metrics.
const MAIL: &str = "mail";

/// Who is told of requests.
#[derive(Debug, Clone)]
pub struct Notify {
    /// What links begin with.
    pub console_url: String,
    /// The file with the roots that the certificates of receivers lead to.
    pub ca_file: Option<PathBuf>,
    /// Chat tools and the like.
    pub webhooks: Vec<Webhook>,
    /// Mail.
    pub mail: Option<Mail>,
    /// How much is held, and how long it is tried.
    pub limits: Limits,
}

/// A receiver of events.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub url: String,
    /// The file with its secret.
    pub secret_file: PathBuf,
    /// What it gets.
    pub kinds: Vec<Kind>,
}

/// How mail is sent, and to whom.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Where it is handed over.
    pub server: Server,
    /// The name there, and the file with the password.
    pub login: Option<(String, PathBuf)>,
    /// The sender.
    pub from: Mailbox,
    /// Who has which address.
    pub book: Book,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    console_url: String,
    ca_file: Option<PathBuf>,
    #[serde(default = "queue_max")]
    queue_max: usize,
    #[serde(default = "give_up_minutes")]
    give_up_minutes: u64,
    #[serde(default)]
    webhooks: BTreeMap<String, RawWebhook>,
    mail: Option<RawMail>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    url: String,
    secret_file: PathBuf,
    events: Option<Vec<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMail {
    smtp_url: String,
    user: Option<String>,
    password_file: Option<PathBuf>,
    from: String,
    auditor: Option<String>,
    pager: Option<String>,
    #[serde(default)]
    sets: BTreeMap<String, String>,
    #[serde(default)]
    accounts: BTreeMap<String, String>,
}

fn queue_max() -> usize {
    1000
}
fn give_up_minutes() -> u64 {
    24 * 60
}

/// Checks `[notify]`.
pub(super) fn check(raw: Option<RawNotify>, p: &mut Problems) -> Option<Notify> {
    let raw = raw?;
    let at = "enclave.toml: notify";
    let console = webhook::allowed(&raw.console_url).ok();
    if !console.is_some_and(|u| u.scheme_str() == Some("https") && u.query().is_none()) {
        p.add(
            format!("{at}.console_url"),
            "this is no https address",
            "give the console's address, as a browser has it",
        );
    }
    if raw.queue_max == 0 || raw.queue_max > QUEUE_MAX {
        p.add(format!("{at}.queue_max"), "not between 1 and 100000", "use 1000");
    }
    if raw.give_up_minutes == 0 || raw.give_up_minutes > GIVE_UP_MINUTES_MAX {
        p.add(format!("{at}.give_up_minutes"), "not between 1 and 10080", "use 1440");
    }
    if raw.webhooks.len() > WEBHOOKS_MAX {
        p.add(format!("{at}.webhooks"), "more than 16", "let one of them pass it on");
    }
    let webhooks = raw.webhooks.into_iter().filter_map(|(name, hook)| webhook(&name, hook, p)).collect();
    let mail = raw.mail.and_then(|mail| self::mail(mail, p));
    let limits = Limits {
        queue: raw.queue_max,
        give_up: Duration::from_secs(raw.give_up_minutes.saturating_mul(60)),
        ..Limits::default()
    };
    Some(Notify { console_url: raw.console_url, ca_file: raw.ca_file, webhooks, mail, limits })
}

fn webhook(name: &str, raw: RawWebhook, p: &mut Problems) -> Option<Webhook> {
    let at = format!("enclave.toml: notify.webhooks.{name}");
    let parsed = p.keep(&at, "choose another name", Name::parse(name));
    if name == MAIL {
        p.add(&at, "mail is called so", "choose another name");
    }
    let fix = "use `https`; `http` is for 127.0.0.1 and ::1";
    let url = p.keep(&format!("{at}.url"), fix, webhook::allowed(&raw.url));
    let mut kind = |word: &String| {
        let kind = Kind::parse(word);
        if kind.is_none() {
            p.add(format!("{at}.events"), "there is no such event", "docs/notify.md has all of them");
        }
        kind
    };
    let kinds = match &raw.events {
        Some(words) => words.iter().filter_map(&mut kind).collect(),
        // An approver who reads along must not learn which requests were decoys, unless somebody wants that.
        None => Kind::ALL.into_iter().filter(|kind| *kind != Kind::DecoySigned).collect(),
    };
    url.and(Some(Webhook { name: parsed?, url: raw.url, secret_file: raw.secret_file, kinds }))
}

fn mail(raw: RawMail, p: &mut Problems) -> Option<Mail> {
    let at = "enclave.toml: notify.mail";
    let fix = "use smtps://host:465 or smtp+starttls://host:587; smtp://127.0.0.1:25 is for this machine";
    let server = p.keep(&format!("{at}.smtp_url"), fix, Server::parse(&raw.smtp_url));
    if raw.user.is_some() != raw.password_file.is_some() {
        p.add(at, "a user needs a password", "name user and password_file, or neither");
    }
    if raw.sets.len() + raw.accounts.len() > ADDRESSES_MAX {
        p.add(at, "more than 1000 addresses", "give sets the address of a list");
    }
    let mut address = |key: &str, text: &str| {
        p.keep(&format!("{at}.{key}"), "write somebody@host.example", Mailbox::parse(text))
    };
    let from = address("from", &raw.from);
    let auditor = raw.auditor.as_deref().and_then(|text| address("auditor", text));
    let pager = raw.pager.as_deref().and_then(|text| address("pager", text));
    let of_sets: Vec<_> = raw.sets.iter().map(|(key, text)| (key, address("sets", text))).collect();
    let of_accounts: Vec<_> =
        raw.accounts.iter().map(|(key, text)| (key, address("accounts", text))).collect();
    let (mut sets, mut accounts) = (BTreeMap::new(), BTreeMap::new());
    for (key, address) in of_sets {
        let name = p.keep(&format!("{at}.sets"), "name a set of access.toml", Name::parse(key));
        sets.extend(name.zip(address));
    }
    for (key, address) in of_accounts {
        let id = p.keep(&format!("{at}.accounts"), "name an actor on record", ActorId::parse(key));
        accounts.extend(id.zip(address));
    }
    let login = raw.user.zip(raw.password_file);
    Some(Mail { server: server?, login, from: from?, book: Book { accounts, sets, auditor, pager } })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, starter};
    use super::*;

    const GOOD: &str = "[notify]\nconsole_url = \"https://console.example:8447\"\n\
        [notify.webhooks.chat]\nurl = \"https://chat.example/hook\"\nsecret_file = \"keys/chat.secret\"\n\
        [notify.mail]\nsmtp_url = \"smtps://mail.example\"\nfrom = \"clover@example.org\"\n\
        auditor = \"auditor@example.org\"\n[notify.mail.sets]\nleads = \"leads@example.org\"\n\
        [notify.mail.accounts]\naoife = \"aoife@example.org\"\n";

    fn parsed(notify: &str) -> Result<Notify, String> {
        let text = format!("{}\n{notify}", starter("dublin-1"));
        Config::parse(&text).map(|c| c.notify.unwrap()).map_err(|p| p.to_string())
    }

    #[test]
    fn a_webhook_gets_every_event_but_signed_decoys_unless_it_names_its_own() {
        let notify = parsed(GOOD).unwrap();
        assert_eq!(notify.webhooks[0].kinds.len(), Kind::ALL.len() - 1);
        assert!(!notify.webhooks[0].kinds.contains(&Kind::DecoySigned));
        assert_eq!(notify.mail.unwrap().book.accounts.len(), 1);
        let own =
            GOOD.replace("chat.secret\"", "chat.secret\"\nevents = [\"break-glass\", \"decoy-signed\"]");
        assert_eq!(parsed(&own).unwrap().webhooks[0].kinds, [Kind::BreakGlass, Kind::DecoySigned]);
    }

    #[test]
    fn receivers_in_the_clear_secrets_in_urls_and_words_that_mean_nothing_are_problems() {
        for (from, to, key) in [
            ("https://chat.example", "http://chat.example", "webhooks.chat.url"),
            ("https://chat.example", "https://me:secret@chat.example", "webhooks.chat.url"),
            ("webhooks.chat]", "webhooks.mail]", "webhooks.mail"),
            ("chat.secret\"", "chat.secret\"\nevents = [\"everything\"]", "webhooks.chat.events"),
            ("smtps://", "smtp://", "mail.smtp_url"),
            ("smtps://", "smtps://me:secret@", "mail.smtp_url"),
            ("clover@example.org", "clover", "mail.from"),
            ("leads@example.org", "leads@example.org>", "mail.sets"),
            ("from =", "user = \"clover\"\nfrom =", "notify.mail"),
            ("https://console.example:8447", "http://127.0.0.1:8447", "console_url"),
            ("8447\"\n", "8447\"\nqueue_max = 0\n", "queue_max"),
            ("8447\"\n", "8447\"\ngive_up_minutes = 20000\n", "give_up_minutes"),
        ] {
            let said = parsed(&GOOD.replace(from, to)).unwrap_err();
            assert!(said.contains(key), "{key}: {said}");
            assert!(!said.contains("secret@"), "{said}");
        }
        assert!(parsed(&GOOD.replace("from =", "password = \"p\"\nfrom =")).is_err());
    }
}
