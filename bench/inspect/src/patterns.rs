//! What Hyperscan is asked to find: one pattern for each form, so that as few as possible run.
//!
//! A pattern for each of the 47 national kinds would be the usual way, and slower; here the validators tell them apart.

/// What a match can be, before the validators.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Email,
    Ipv4,
    Ipv6,
    Mac,
    Iban,
    PhoneAbroad,
    Jwt,
    Digits,
    Letters,
    Uuid,
    Hex16,
    ApiKey,
    Bearer,
    Bic,
    Date,
    Coordinate,
    CoordinatePair,
    Keyed(&'static str),
}

const CASELESS: u32 = 1;

/// Expression, flags, form.
pub(crate) const PATTERNS: &[(&str, u32, Form)] = &[
    (r"[\w.%+'\-\x80-\xff]+(?:@|%40)[\w\-\x80-\xff]+(?:\.[\w\-\x80-\xff]+)+\b", 0, Form::Email),
    (r"\b(?:\d{1,3}\.){3}\d{1,3}\b", 0, Form::Ipv4),
    (r"\b[0-9a-f]{1,4}(?::{1,2}[0-9a-f]{1,4}){2,7}\b", CASELESS, Form::Ipv6),
    (r"\b[0-9a-f]{2}(?:[:\-][0-9a-f]{2}){5}\b", CASELESS, Form::Mac),
    (r"\b[a-z]{2}\d{2} ?[a-z0-9]{4}(?: ?[a-z0-9]{4}){1,6}(?: ?[a-z0-9]{1,4})?\b", CASELESS, Form::Iban),
    // Cards, telephones at home, and everything else of digits and separators: one run instead of four.
    (r"\b\d(?:[ .\-/]?\d){6,18}\b", 0, Form::Digits),
    (r"(?:\+|\b00)[1-9]\d(?:[ \-()/.]{0,2}\d){6,12}\b", 0, Form::PhoneAbroad),
    (r"\beyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]+\b", 0, Form::Jwt),
    (
        r"\b(?:\d{7}[a-z]{1,2}|\d{8}-?[a-z]|[xyz]-?\d{7}-?[a-z]|[a-z]{6}[0-9l-v]{2}[a-ehlmprst][0-9l-v]{2}[a-z][0-9l-v]{3}[a-z]|\d{6}[\-+a-fu-y]\d{3}[0-9a-y]|[a-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d]|\d{2} ?\d{6} ?[a-z] ?\d{3}|[12] ?\d\d ?\d\d ?2[ab] ?\d{3} ?\d{3} ?\d\d|\d{8} ?\d ?[0-9a-z]{2}\d)\b",
        CASELESS,
        Form::Letters,
    ),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", CASELESS, Form::Uuid),
    (r"\b[0-9a-f]{16}\b", 0, Form::Hex16),
    (
        r"\b(?:AKIA[A-Z2-7]{16}|ghp_\w{36}|sk_live_\w{24}|xox[bp]-[\w\-]{40,60}|glpat-\w{20}|AIza[\w\-]{35}|npm_\w{36})\b",
        0,
        Form::ApiKey,
    ),
    (r#"(?:token|session_?id|bearer)["':= ]{1,4}[\w\-+/=]{20}"#, CASELESS, Form::Bearer),
    (r"\b[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?\b", 0, Form::Bic),
    (r"\b(?:(?:19|20)\d\d-?[01]\d-?[0-3]\d|[0-3]\d[./][01]\d[./](?:19|20)\d\d)", 0, Form::Date),
    (
        r#""[\w.]{0,12}(?:lat|lon|lng|latitude|longitude)\w{0,6}": ?"?-?\d{1,3}\.\d{4,8}\b"#,
        CASELESS,
        Form::Coordinate,
    ),
    (r"-?\b\d{1,2}\.\d{4,8}, ?-?\d{1,3}\.\d{4,8}\b", 0, Form::CoordinatePair),
    (
        r#""(?:zip|plz|post_?code|postal_?code|zip_?code|code_postal)": ?"?[\w \-]{3,10}[",}]"#,
        CASELESS,
        Form::Keyed("postcode"),
    ),
    (r#""(?:passwor[dt]|passwd|pwd|user_?password)": ?"[^"]{4,64}""#, CASELESS, Form::Keyed("password")),
    (
        r#""(?:full_?name|customer_?name|name_of_holder|account_?holder)": ?"[^"]{2,64}""#,
        CASELESS,
        Form::Keyed("name"),
    ),
    (
        r#""(?:address|street_?address|billing_?address|shipping_?address)": ?"[^"]{4,99}""#,
        CASELESS,
        Form::Keyed("address"),
    ),
];
