//! Which kinds of statements pass.
//!
//! PostgreSQL enforces what a grant may see. The gate refuses what no privilege can refuse (plans, which tell of hidden rows; notices
//! between sessions; settings), what would only be refused later, and more than one statement at a time. It looks at the first words
//! of a statement, not at what it means, and whatever it does not know is refused. The server's tag of what it ran is compared
//! with the verdict afterwards ([`Verdict::fits`]): where they differ the session ends.

mod rows;
mod settings;
#[cfg(test)]
mod tests;

use model::tables::IDENTIFIER_MAX;

use super::lex::{Kind, LexError, Token, Tokens};

pub use self::rows::row_wise;
pub use self::settings::{Ceilings, startup};

/// What a statement is, of those that pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing but blanks.
    Empty,
    /// `SELECT`, `VALUES`, `TABLE`, `WITH`.
    Read,
    /// `SHOW` of a setting of the server.
    Show,
    /// `SHOW` of what the gateway answers itself.
    Own(Shown),
    /// A question that is answered by others than the server.
    Asked,
    /// Control of transactions, with the tags that the server may give.
    Transaction(&'static [&'static str]),
    /// `DECLARE` of a cursor with this name.
    Declare(String),
    /// `FETCH` from a cursor.
    Fetch(String),
    /// `MOVE` in a cursor, which tells how many rows there are.
    Move(String),
    /// `CLOSE` of one cursor or all.
    Close,
    /// `DEALLOCATE` of one prepared statement, or of all.
    Deallocate(Option<String>),
    /// `SET` of one of a few settings.
    Set,
    /// `COPY .. TO STDOUT`.
    CopyOut,
}

/// What the gateway tells of itself in the form of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// `clover.grant`
    Grant,
    /// `clover.budget`
    Budget,
    /// `clover.last_receipt`
    LastReceipt,
}

impl Shown {
    /// The setting's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Grant => "clover.grant",
            Self::Budget => "clover.budget",
            Self::LastReceipt => "clover.last_receipt",
        }
    }
}

impl Verdict {
    /// Whether the result tells anything that the one who asked did not say.
    #[must_use]
    pub fn tells(&self) -> bool {
        matches!(self, Self::Read | Self::Show | Self::Asked | Self::Fetch(_) | Self::Move(_) | Self::CopyOut)
    }

    /// Whether the server's tag of what it ran is that of this kind.
    #[must_use]
    pub fn fits(&self, tag: &str) -> bool {
        let counted = |word: &str| {
            let count = tag.strip_prefix(word).and_then(|t| t.strip_prefix(' '));
            count.is_some_and(|c| !c.is_empty() && c.bytes().all(|b| b.is_ascii_digit()))
        };
        match self {
            Self::Empty => false,
            Self::Read | Self::Own(_) | Self::Asked => counted("SELECT"),
            Self::Show => tag == "SHOW",
            Self::Transaction(tags) => tags.contains(&tag),
            Self::Declare(_) => tag == "DECLARE CURSOR",
            Self::Fetch(_) => counted("FETCH"),
            Self::Move(_) => counted("MOVE"),
            Self::Close => matches!(tag, "CLOSE CURSOR" | "CLOSE CURSOR ALL"),
            Self::Deallocate(_) => matches!(tag, "DEALLOCATE" | "DEALLOCATE ALL"),
            Self::Set => tag == "SET",
            Self::CopyOut => counted("COPY"),
        }
    }
}

/// Why a statement does not pass, for who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// The SQLSTATE: `42501`, or `42601` for what is no statement.
    pub code: &'static str,
    /// What to do instead, where there is something.
    pub text: &'static str,
}

const fn no(text: &'static str) -> Refusal {
    Refusal { code: "42501", text }
}

const UNKNOWN: Refusal = no(
    "only reading is possible here: SELECT, VALUES, TABLE, WITH, SHOW, cursors, COPY .. TO STDOUT and transactions",
);
const WRITES: Refusal = no("this grant reads only: nothing is written through here");
const SEVERAL: Refusal = no("one statement at a time: send each in a message of its own");
const INTO: Refusal = no("SELECT INTO makes a table: leave out INTO");
const LOCKS: Refusal = no("rows are not locked through here: leave out FOR UPDATE or FOR SHARE");
const CURSOR: Refusal = no("a cursor has a plain name of at most 63 bytes here");
const HOLD: Refusal = no("a cursor lives as long as its transaction: leave out WITH HOLD");
const COPY: Refusal = no("COPY goes to the client only: COPY (SELECT ..) TO STDOUT");
const READ_WRITE: Refusal = no("transactions read only here: leave out READ WRITE");
const SNAPSHOT: Refusal = no("each statement sees what is there now: ISOLATION LEVEL READ COMMITTED only");
const TRANSACTION: Refusal = no("this form of transaction is not possible here");

impl From<LexError> for Refusal {
    fn from(error: LexError) -> Self {
        let text = match error {
            LexError::Comment => "a comment does not end",
            LexError::Literal => "a literal does not end",
            LexError::Name => "a name in quotes does not end",
            LexError::Empty => "a name in quotes is empty",
        };
        Self { code: "42601", text }
    }
}

/// What kind of statement a text is.
///
/// # Errors
/// When it is of none that passes, or more than one statement.
pub fn judge(text: &str, ceilings: &Ceilings) -> Result<Verdict, Refusal> {
    let mut words = Words::of(text);
    let mut bare = true;
    let first = loop {
        match words.next()? {
            None if bare => return Ok(Verdict::Empty),
            None => return Err(UNKNOWN),
            Some(t) if t.sign("(") => bare = false,
            Some(t) => break t,
        }
    };
    if is_read(&first) {
        return read(&mut words, first).map(|()| Verdict::Read);
    }
    if !bare || first.kind != Kind::Word {
        return Err(UNKNOWN);
    }
    statement(first.text.to_ascii_lowercase().as_str(), &mut words, ceilings)
}

fn statement(first: &str, words: &mut Words<'_>, ceilings: &Ceilings) -> Result<Verdict, Refusal> {
    match first {
        "show" => show(words),
        "begin" => transaction(words, &["BEGIN"]),
        "start" if words.next()?.is_some_and(|t| t.is("transaction")) => {
            transaction(words, &["START TRANSACTION"])
        }
        // A transaction that had failed is told to be rolled back.
        "commit" | "end" => transaction(words, &["COMMIT", "ROLLBACK"]),
        "rollback" | "abort" => rollback(words),
        "savepoint" => one_name(words, &["SAVEPOINT"]),
        "release" => one_name(words, &["RELEASE"]),
        "declare" => declare(words),
        "fetch" => cursor(words).map(Verdict::Fetch),
        "move" => cursor(words).map(Verdict::Move),
        "close" => cursor(words).map(|_| Verdict::Close),
        "deallocate" => deallocate(words),
        "set" => settings::set(words, ceilings).map(|()| Verdict::Set),
        "copy" => copy(words),
        "insert" | "update" | "delete" | "merge" | "truncate" => Err(WRITES),
        "explain" => Err(no("a plan tells of rows that are hidden: EXPLAIN is not possible here")),
        "prepare" | "execute" => Err(no(
            "prepare statements with your driver, by the protocol: PREPARE and EXECUTE are not possible here",
        )),
        "reset" | "discard" => Err(no("connect anew in place of RESET and DISCARD")),
        "listen" | "notify" | "unlisten" => {
            Err(no("sessions send each other nothing: LISTEN and NOTIFY are not possible here"))
        }
        "do" | "call" => Err(no("no code is run through here: DO and CALL are not possible")),
        "lock" => Err(LOCKS),
        _ => Err(UNKNOWN),
    }
}

/// The words of one statement. What stands behind its end is an error.
#[derive(Clone)]
struct Words<'a> {
    tokens: Tokens<'a>,
    begun: bool,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        Self { tokens: Tokens::of(text), begun: false }
    }

    fn next(&mut self) -> Result<Option<Token<'a>>, Refusal> {
        let mut ended = false;
        for token in self.tokens.by_ref() {
            let token = token?;
            match token.sign(";") {
                true => ended |= self.begun,
                false if ended => return Err(SEVERAL),
                false => {
                    self.begun = true;
                    return Ok(Some(token));
                }
            }
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<(), Refusal> {
        self.next()?.map_or(Ok(()), |_| Err(UNKNOWN))
    }
}

fn is_read(token: &Token<'_>) -> bool {
    token.is_any(&["select", "values", "table", "with"])
}

/// What no reading statement has.
fn reads(before: &Token<'_>, token: &Token<'_>) -> Result<(), Refusal> {
    if token.is("into") {
        return Err(INTO);
    }
    if before.is("for") && token.is_any(&["update", "share", "no", "key"]) {
        return Err(LOCKS);
    }
    // A part of WITH that writes, or what such parts are for.
    if (before.sign("(") || before.sign(")")) && token.is_any(&["insert", "update", "delete", "merge"]) {
        return Err(WRITES);
    }
    Ok(())
}

fn read<'a>(words: &mut Words<'a>, first: Token<'a>) -> Result<(), Refusal> {
    let mut before = first;
    while let Some(token) = words.next()? {
        reads(&before, &token)?;
        before = token;
    }
    Ok(())
}

fn show(words: &mut Words<'_>) -> Result<Verdict, Refusal> {
    let mut name = String::new();
    while let Some(token) = words.next()? {
        let fits = matches!(token.kind, Kind::Word | Kind::Quoted) || token.sign(".");
        if !fits || name.len() + token.text.len() > 2 * IDENTIFIER_MAX {
            return Err(UNKNOWN);
        }
        name.push_str(&token.text.to_ascii_lowercase());
    }
    match [Shown::Grant, Shown::Budget, Shown::LastReceipt].into_iter().find(|s| s.name() == name) {
        Some(shown) => Ok(Verdict::Own(shown)),
        None if name.starts_with("clover.") => {
            Err(no("the gateway shows clover.grant, clover.budget and clover.last_receipt"))
        }
        None => Ok(Verdict::Show),
    }
}

/// Modes of a transaction, none of which lets it write.
fn modes(words: &mut Words<'_>) -> Result<(), Refusal> {
    const MODES: &[&str] = &[
        "work",
        "transaction",
        "isolation",
        "level",
        "read",
        "committed",
        "uncommitted",
        "only",
        "not",
        "deferrable",
        "and",
        "no",
        "chain",
    ];
    while let Some(token) = words.next()? {
        if token.is("write") {
            return Err(READ_WRITE);
        }
        if token.is_any(&["serializable", "repeatable"]) {
            return Err(SNAPSHOT);
        }
        if !(token.is_any(MODES) || token.sign(",")) {
            return Err(TRANSACTION);
        }
    }
    Ok(())
}

fn transaction(words: &mut Words<'_>, tags: &'static [&'static str]) -> Result<Verdict, Refusal> {
    modes(words).map(|()| Verdict::Transaction(tags))
}

fn rollback(words: &mut Words<'_>) -> Result<Verdict, Refusal> {
    let mut ahead = words.clone();
    let mut next = ahead.next()?;
    if next.is_some_and(|t| t.is_any(&["work", "transaction"])) {
        next = ahead.next()?;
    }
    if next.is_some_and(|t| t.is("to")) {
        one_name(&mut ahead, &["ROLLBACK"])
    } else {
        transaction(words, &["ROLLBACK"])
    }
}

fn one_name(words: &mut Words<'_>, tags: &'static [&'static str]) -> Result<Verdict, Refusal> {
    let mut name = words.next()?;
    let mut ahead = words.clone();
    if name.is_some_and(|t| t.is("savepoint")) && ahead.next()?.is_some() {
        name = words.next()?;
    }
    if !name.is_some_and(|t| matches!(t.kind, Kind::Word | Kind::Quoted)) {
        return Err(TRANSACTION);
    }
    words.end().map_err(|e| if e == UNKNOWN { TRANSACTION } else { e })?;
    Ok(Verdict::Transaction(tags))
}

/// A cursor's name as the server keeps it.
fn name(token: &Token<'_>) -> Result<String, Refusal> {
    let name = match (token.kind, token.text.strip_prefix('"').and_then(|t| t.strip_suffix('"'))) {
        (Kind::Word, _) => token.text.to_ascii_lowercase(),
        (Kind::Quoted, Some(inner)) => inner.replace("\"\"", "\""),
        _ => return Err(CURSOR),
    };
    if name.len() <= IDENTIFIER_MAX { Ok(name) } else { Err(CURSOR) }
}

/// The name of a cursor, which comes last.
fn cursor(words: &mut Words<'_>) -> Result<String, Refusal> {
    let mut last = None;
    while let Some(token) = words.next()? {
        last = Some(token);
    }
    name(&last.ok_or(CURSOR)?)
}

fn declare(words: &mut Words<'_>) -> Result<Verdict, Refusal> {
    let cursor = name(&words.next()?.ok_or(CURSOR)?)?;
    let mut before = None;
    loop {
        let Some(token) = words.next()? else { return Err(UNKNOWN) };
        match before {
            Some("with") if token.is("hold") => return Err(HOLD),
            _ if token.is("for") => break,
            _ => {}
        }
        const OPTIONS: &[&str] =
            &["binary", "asensitive", "insensitive", "no", "scroll", "cursor", "with", "without", "hold"];
        if !token.is_any(OPTIONS) {
            return Err(UNKNOWN);
        }
        before = token.is("with").then_some("with");
    }
    query(words)?;
    Ok(Verdict::Declare(cursor))
}

/// The rest is a query.
fn query(words: &mut Words<'_>) -> Result<(), Refusal> {
    loop {
        match words.next()? {
            Some(t) if t.sign("(") => {}
            Some(t) if is_read(&t) => return read(words, t),
            Some(t) if t.is_any(&["insert", "update", "delete", "merge"]) => return Err(WRITES),
            _ => return Err(UNKNOWN),
        }
    }
}

fn deallocate(words: &mut Words<'_>) -> Result<Verdict, Refusal> {
    let mut ahead = words.clone();
    // `prepare` may be left out, or be the name.
    if ahead.next()?.is_some_and(|t| t.is("prepare")) && ahead.next()?.is_some() {
        words.next()?;
    }
    let Some(token) = words.next()? else { return Err(UNKNOWN) };
    words.end()?;
    if token.is("all") {
        Ok(Verdict::Deallocate(None))
    } else {
        name(&token).map(|n| Verdict::Deallocate(Some(n)))
    }
}

fn copy(words: &mut Words<'_>) -> Result<Verdict, Refusal> {
    let Some(first) = words.next()? else { return Err(COPY) };
    let mut next = if first.sign("(") { copied(words)? } else { relation(words, &first)? };
    if !next.is_some_and(|t| t.is("to")) {
        return Err(COPY);
    }
    next = words.next()?;
    if !next.is_some_and(|t| t.is("stdout")) {
        return Err(COPY);
    }
    // Options of the form.
    while words.next()?.is_some() {}
    Ok(Verdict::CopyOut)
}

/// A query in parentheses, the first of which is gone, and the word after it.
fn copied<'a>(words: &mut Words<'a>) -> Result<Option<Token<'a>>, Refusal> {
    let mut depth = 1_usize;
    let mut before: Option<Token<'_>> = None;
    while let Some(token) = words.next()? {
        if token.sign("(") {
            depth += 1;
        } else if token.sign(")") {
            depth -= 1;
            if depth == 0 {
                return if before.is_some() { words.next() } else { Err(COPY) };
            }
        }
        match before {
            None if token.sign("(") => continue,
            None if token.is_any(&["insert", "update", "delete", "merge"]) => return Err(WRITES),
            None if !is_read(&token) => return Err(COPY),
            None => {}
            Some(before) => reads(&before, &token)?,
        }
        before = Some(token);
    }
    Err(COPY)
}

/// A relation's name with its columns, and the word after them.
fn relation<'a>(words: &mut Words<'a>, first: &Token<'a>) -> Result<Option<Token<'a>>, Refusal> {
    if !matches!(first.kind, Kind::Word | Kind::Quoted) {
        return Err(COPY);
    }
    let mut next = words.next()?;
    while next.is_some_and(|t| t.sign(".")) {
        words.next()?;
        next = words.next()?;
    }
    if next.is_some_and(|t| t.sign("(")) {
        while !next.is_none_or(|t| t.sign(")")) {
            next = words.next()?;
        }
        next = words.next()?;
    }
    Ok(next)
}
