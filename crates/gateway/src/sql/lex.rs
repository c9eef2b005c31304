//! Words of SQL, as PostgreSQL's own scanner parts them (`scan.l`, with `standard_conforming_strings` on).
//!
//! Nothing is understood here: texts are parted into tokens, so that nobody takes for a word what stands in a literal or a
//! comment, or the other way round. One pass, and what does not end is an error: the server says the same of it.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name or key word without quotes.
    Word,
    /// A name in double quotes, `U&""` included.
    Quoted,
    /// A literal in quotes of any form, dollars included, with the parts that continue it.
    Text,
    /// A number, and what clings to it.
    Number,
    /// `$1`.
    Parameter,
    /// An operator, `::`, `:=`, `=>` and `..` included.
    Operator,
    /// One of `( ) [ ] , ; . :`, or a character that means nothing.
    Sign,
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// As it stands there.
    pub text: &'a str,
}

impl Token<'_> {
    /// Whether this is a word, which is given in lower case.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether this is one of some words.
    #[must_use]
    pub fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|w| self.is(w))
    }

    /// Whether this is a sign.
    #[must_use]
    pub fn sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }
}

/// Why a text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LexError {
    /// A comment goes on to the end.
    #[error("a comment does not end")]
    Comment,
    /// So does a literal.
    #[error("a literal does not end")]
    Literal,
    /// So does a name in quotes.
    #[error("a name in quotes does not end")]
    Name,
    /// The server knows no name of no letters.
    #[error("a name in quotes is empty")]
    Empty,
}

/// The tokens of a text, one after the other. After an error there are none.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    /// Of this text.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The place after the last token.
    #[must_use]
    pub fn place(&self) -> usize {
        self.at
    }

    fn byte(&self, place: usize) -> u8 {
        // A text has no zero byte: it came as a string that ends with one. Where it had, this ends nothing early.
        self.text.as_bytes().get(place).copied().unwrap_or(0)
    }

    fn rest(&self, place: usize) -> &'a [u8] {
        self.text.as_bytes().get(place..).unwrap_or_default()
    }

    fn ended(&self, place: usize) -> bool {
        place >= self.text.len()
    }

    /// The place after a line's comment.
    fn line(&self, place: usize) -> usize {
        let end = self.rest(place).iter().position(|b| matches!(b, b'\n' | b'\r'));
        end.map_or(self.text.len(), |length| place + length)
    }

    /// The place after a comment that begins here, and those within it.
    fn comment(&self, mut place: usize) -> Result<usize, LexError> {
        let mut depth = 0_usize;
        while !self.ended(place) {
            match (self.byte(place), self.byte(place + 1)) {
                (b'/', b'*') => (depth, place) = (depth + 1, place + 2),
                (b'*', b'/') => {
                    (depth, place) = (depth - 1, place + 2);
                    if depth == 0 {
                        return Ok(place);
                    }
                }
                _ => place += 1,
            }
        }
        Err(LexError::Comment)
    }

    /// The place of the next token.
    fn blank(&self, mut place: usize) -> Result<usize, LexError> {
        loop {
            match (self.byte(place), self.byte(place + 1)) {
                (b' ' | b'\t' | b'\n' | b'\r' | 0x0c | 0x0b, _) => place += 1,
                (b'-', b'-') => place = self.line(place),
                (b'/', b'*') => place = self.comment(place)?,
                _ => return Ok(place),
            }
        }
    }

    /// The place after a quoted part whose first quote is here; `''` is one quote in it.
    fn quoted(&self, open: usize, quote: u8, escapes: bool) -> Option<usize> {
        let mut place = open + 1;
        while !self.ended(place) {
            let byte = self.byte(place);
            if byte == b'\\' && escapes {
                place += 2;
            } else if byte != quote {
                place += 1;
            } else if self.byte(place + 1) == quote {
                place += 2;
            } else {
                return Some(place + 1);
            }
        }
        None
    }

    /// The quote that continues a literal which ends here: after blanks that have a line's end in them, and comments of lines.
    fn continued(&self, end: usize) -> Option<usize> {
        let (mut place, mut lines) = (end, 0);
        loop {
            match (self.byte(place), self.byte(place + 1)) {
                (b'\n' | b'\r', _) => (place, lines) = (place + 1, lines + 1),
                (b' ' | b'\t' | 0x0c | 0x0b, _) => place += 1,
                (b'-', b'-') => place = self.line(place),
                (b'\'', _) if lines > 0 => return Some(place),
                _ => return None,
            }
        }
    }

    /// The place after a literal whose first quote is here.
    fn literal(&self, open: usize, escapes: bool) -> Result<usize, LexError> {
        let mut open = open;
        loop {
            let end = self.quoted(open, b'\'', escapes).ok_or(LexError::Literal)?;
            match self.continued(end) {
                Some(next) => open = next,
                None => return Ok(end),
            }
        }
    }

    fn name(&self, open: usize) -> Result<usize, LexError> {
        match self.quoted(open, b'"', false) {
            Some(end) if end == open + 2 => Err(LexError::Empty),
            end => end.ok_or(LexError::Name),
        }
    }

    /// The place after letters, digits and dollars.
    fn word(&self, place: usize) -> usize {
        let end =
            self.rest(place).iter().position(|b| !(begins_word(*b) || b.is_ascii_digit() || *b == b'$'));
        end.map_or(self.text.len(), |length| place + length)
    }

    /// What a dollar begins.
    fn dollar(&self, place: usize) -> Result<(Kind, usize), LexError> {
        if self.byte(place + 1).is_ascii_digit() {
            // What clings to it is an error of the server's.
            return Ok((Kind::Parameter, self.word(place + 1)));
        }
        let tag = self.rest(place + 1).iter().position(|b| !(begins_word(*b) || b.is_ascii_digit()));
        let end = place + 1 + tag.unwrap_or(self.text.len());
        if self.byte(end) != b'$' {
            return Ok((Kind::Sign, place + 1));
        }
        let (Some(mark), Some(rest)) = (self.text.get(place..=end), self.text.get(end + 1..)) else {
            return Err(LexError::Literal);
        };
        let length = rest.find(mark).ok_or(LexError::Literal)?;
        Ok((Kind::Text, end + 1 + length + mark.len()))
    }

    /// The place after a number: digits, a point, an exponent, and whatever clings to it.
    fn number(&self, place: usize) -> usize {
        let digits = |mut place: usize| {
            while self.byte(place).is_ascii_digit() || self.byte(place) == b'_' {
                place += 1;
            }
            place
        };
        let mut end = digits(place);
        // `1..2` is a number, two points and a number.
        if self.byte(end) == b'.' && self.byte(end + 1) != b'.' {
            end = digits(end + 1);
        }
        let sign = usize::from(matches!(self.byte(end + 1), b'+' | b'-'));
        if matches!(self.byte(end), b'e' | b'E') && self.byte(end + 1 + sign).is_ascii_digit() {
            end = digits(end + 1 + sign);
        }
        self.word(end)
    }

    /// The place after an operator. It ends before a comment, and with no sign of a number unless it is of a special kind.
    fn operator(&self, place: usize) -> usize {
        let mut end = place;
        while is_operator(self.byte(end)) {
            if matches!((self.byte(end), self.byte(end + 1)), (b'-', b'-') | (b'/', b'*')) && end > place {
                break;
            }
            end += 1;
        }
        let special =
            |b: &u8| matches!(b, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%');
        while end > place + 1
            && matches!(self.byte(end - 1), b'+' | b'-')
            && !self.text.as_bytes().get(place..end - 1).unwrap_or_default().iter().any(special)
        {
            end -= 1;
        }
        end
    }

    fn token(&self, place: usize) -> Result<(Kind, usize), LexError> {
        let (first, second, third) = (self.byte(place), self.byte(place + 1), self.byte(place + 2));
        Ok(match first {
            b'\'' => (Kind::Text, self.literal(place, false)?),
            b'e' | b'E' if second == b'\'' => (Kind::Text, self.literal(place + 1, true)?),
            b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if second == b'\'' => {
                (Kind::Text, self.literal(place + 1, false)?)
            }
            b'u' | b'U' if second == b'&' && third == b'\'' => (Kind::Text, self.literal(place + 2, false)?),
            b'u' | b'U' if second == b'&' && third == b'"' => (Kind::Quoted, self.name(place + 2)?),
            b'"' => (Kind::Quoted, self.name(place)?),
            b'$' => self.dollar(place)?,
            b'0'..=b'9' => (Kind::Number, self.number(place)),
            b'.' if second.is_ascii_digit() => (Kind::Number, self.number(place)),
            b'.' if second == b'.' => (Kind::Operator, place + 2),
            b':' if matches!(second, b':' | b'=') => (Kind::Operator, place + 2),
            b if begins_word(b) => (Kind::Word, self.word(place)),
            b if is_operator(b) => (Kind::Operator, self.operator(place)),
            _ => (Kind::Sign, place + 1),
        })
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Result<Token<'a>, LexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.blank(self.at).and_then(|place| {
            if self.ended(place) {
                Ok(None)
            } else {
                self.token(place).map(|(kind, end)| Some((place, kind, end)))
            }
        });
        match found {
            Ok(Some((place, kind, end))) => {
                // An escape may reach past the end, and does then not end; every other end is one of a character.
                let text = self.text.get(place..end)?;
                self.at = end;
                Some(Ok(Token { kind, text }))
            }
            Ok(None) => {
                self.at = self.text.len();
                None
            }
            Err(error) => {
                self.at = self.text.len();
                Some(Err(error))
            }
        }
    }
}

/// All bytes that are no ASCII begin a word, as they do for the server.
fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

/// The form of a statement that is the same for all its values: literals, numbers and parameters are `?`, blanks and comments one
/// space, words in lower case. Its digest names the statement in an entry.
///
/// # Errors
/// When the text is not SQL's at all.
pub fn normalised(text: &str) -> Result<String, LexError> {
    let mut out = String::with_capacity(text.len());
    for token in Tokens::of(text) {
        let token = token?;
        if token.sign(";") {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        match token.kind {
            Kind::Text | Kind::Number | Kind::Parameter => out.push('?'),
            Kind::Word => out.extend(token.text.chars().map(|c| c.to_ascii_lowercase())),
            Kind::Quoted | Kind::Operator | Kind::Sign => out.push_str(token.text),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parted(text: &str) -> String {
        Tokens::of(text)
            .map(|t| t.map_or_else(|e| format!("!{e:?}"), |t| t.text.to_owned()))
            .collect::<Vec<_>>()
            .join("|")
    }

    #[test]
    fn texts_are_parted_as_the_server_parts_them() {
        for (text, parts) in [
            ("select 1 /* a /* nested */ , email from c -- */", "select|1"),
            ("select 1 /* a /* b */ */ , x -- */", "select|1|,|x"),
            ("select $x$ ' $x$, email", "select|$x$ ' $x$|,|email"),
            ("select $$a$b$$,$1,$tag$ $$ $tag$", "select|$$a$b$$|,|$1|,|$tag$ $$ $tag$"),
            (r"select E'\' , (select email) --'", r"select|E'\' , (select email) --'"),
            (r"select '\' , email --'", r"select|'\'|,|email"),
            ("select 'a''b' 'c'", "select|'a''b'|'c'"),
            ("select 'a' -- x\n 'b', 1", "select|'a' -- x\n 'b'|,|1"),
            ("E'a'\n'\\'' , 1", "E'a'\n'\\''|,|1"),
            ("'a' /* x */\n 'b'", "'a'|'b'"),
            (r#"U&"em\0061il"|U&'x' u & "y""#, r#"U&"em\0061il"|||U&'x'|u|&|"y""#),
            ("b'01' X'ff' n'a' e 'x'", "b'01'|X'ff'|n'a'|e|'x'"),
            ("a$b$ 1.5e-3 .5 1..2 0x1F 1e", "a$b$|1.5e-3|.5|1|..|2|0x1F|1e"),
            ("x=-1 @-1 a--b\n*/*c*/2", "x|=|-|1|@-|1|a|*|2"),
            ("a::int[] :=b=>c<>d", "a|::|int|[|]|:=|b|=>|c|<>|d"),
            ("\"a\"\"b\".größe", "\"a\"\"b\"|.|größe"),
            ("$x", "$|x"),
            ("'a", "!Literal"),
            ("E'a\\'", "!Literal"),
            ("E'a\\", "!Literal"),
            ("$a$ $b$", "!Literal"),
            ("1 /* /* */", "1|!Comment"),
            ("\"a", "!Name"),
            ("\"\"", "!Empty"),
        ] {
            assert_eq!(parted(text), parts, "{text}");
        }
    }

    #[test]
    fn the_form_of_a_statement_has_no_values() {
        let form = normalised("SELECT  \"A\", e'x' FROM t -- c\n WHERE id = $1 and n > 1.5e3;").unwrap();
        assert_eq!(form, "select \"A\" , ? from t where id = ? and n > ?");
        assert_eq!(normalised("select 1;").unwrap(), normalised("/* */ SELECT 2").unwrap());
        assert_eq!(normalised("select 'x").unwrap_err(), LexError::Literal);
    }

    proptest! {
        #[test]
        fn every_text_comes_to_an_end_and_tokens_stand_in_it_in_order(text in ".{0,200}") {
            let mut at = 0;
            for token in Tokens::of(&text) {
                let Ok(token) = token else { break };
                prop_assert!(!token.text.is_empty());
                let place = token.text.as_ptr() as usize - text.as_ptr() as usize;
                prop_assert!(place >= at);
                at = place + token.text.len();
            }
        }

        #[test]
        fn sql_like_texts_come_to_an_end(text in r#"([-/*'"$eEuU&xab1;.\\ \n(]){0,60}"#) {
            let count = Tokens::of(&text).count();
            prop_assert!(count <= text.len());
            let _ = normalised(&text);
        }
    }
}
