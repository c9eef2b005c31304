//! What an administrator runs once in a database, as text.

use std::fmt::Write;

use super::quote::identifier;

/// The text of [`setup`] but for what is made here.
const TEXT: &str = include_str!("setup.sql");

/// What is stable rather than immutable, and yet tells nothing that a role may not know: time, forms of text, and what clients ask of
/// catalogues when they connect or list tables.
const STABLE: &[&str] = &[
    "now",
    "statement_timestamp",
    "transaction_timestamp",
    "to_char",
    "to_date",
    "to_timestamp",
    "to_number",
    "date_trunc",
    "date_part",
    "extract",
    "timezone",
    "age",
    "generate_series",
    "make_timestamptz",
    "convert_to",
    "convert_from",
    "quote_ident",
    "quote_literal",
    "quote_nullable",
    "concat",
    "concat_ws",
    "format",
    "array_to_string",
    "textanycat",
    "anytextcat",
    "to_json",
    "to_jsonb",
    "row_to_json",
    "array_to_json",
    "json_build_object",
    "json_build_array",
    "jsonb_build_object",
    "jsonb_build_array",
    "json_agg",
    "jsonb_agg",
    "array_agg",
    "string_agg",
    "pg_typeof",
    "version",
    "current_schema",
    "current_schemas",
    "current_database",
    "current_setting",
    "current_user",
    "session_user",
    "pg_client_encoding",
    "pg_encoding_to_char",
    "pg_char_to_encoding",
    "pg_get_userbyid",
    "format_type",
    "obj_description",
    "col_description",
    "shobj_description",
    "to_regclass",
    "to_regtype",
    "to_regnamespace",
    "pg_get_expr",
    "pg_get_constraintdef",
    "pg_get_indexdef",
    "pg_get_partkeydef",
    "pg_get_statisticsobjdef_columns",
    "pg_get_function_arguments",
    "pg_get_function_result",
    "pg_get_function_identity_arguments",
    "pg_get_keywords",
    "pg_get_serial_sequence",
    "pg_relation_is_publishable",
    "pg_relation_is_updatable",
    "pg_column_is_updatable",
    "pg_table_is_visible",
    "pg_function_is_visible",
    "pg_type_is_visible",
    "pg_operator_is_visible",
    "pg_collation_is_visible",
    "pg_my_temp_schema",
    "pg_is_other_temp_schema",
    "has_table_privilege",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_schema_privilege",
    "has_sequence_privilege",
    "pg_has_role",
];

/// Where scripts begin their digits, as `transform::pseudonym::normalise` has them.
const ZEROS: [u32; 8] = [0x0660, 0x06F0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0E50, 0x0BE6];

/// A table of which grants may show something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub relation: String,
    /// Its columns that are declared, with the one of the person: what the owner of all views may read.
    pub columns: Vec<String>,
}

/// What the administrator of a database runs before grants can be compiled in it: roles, the table of keys, functions of tokens, and
/// who may call what. It may be run again and changes nothing then; after a new extension or function it must be.
///
/// The login `clover_gateway` gets no password here: the administrator gives it one, or a certificate's rule.
///
/// ```
/// use gateway::sql::compile::{Declared, setup};
///
/// let columns = vec!["id".to_owned(), "email".to_owned()];
/// let text = setup(&[Declared { schema: "shop".into(), relation: "orders".into(), columns }]);
/// assert!(text.contains(r#"grant select ("id", "email") on "shop"."orders" to clover_views;"#));
/// ```
#[must_use]
pub fn setup(tables: &[Declared]) -> String {
    let mut text = TEXT
        .replace("{base32}", &base32())
        .replace("{digits}", &digits())
        .replace("{names}", &STABLE.join(" "));
    for table in tables {
        let (schema, relation) = (identifier(&table.schema), identifier(&table.relation));
        let columns: Vec<_> = table.columns.iter().map(|c| identifier(c)).collect();
        let columns = columns.join(", ");
        // Never fails: writing to a text.
        let _ = write!(
            text,
            "begin;\ngrant usage on schema {schema} to clover_views;\nrevoke all on {schema}.{relation} from clover_views;\n\
             grant select ({columns}) on {schema}.{relation} to clover_views;\ncommit;\n"
        );
    }
    text
}

/// An expression for the 26 letters that spell 16 bytes (RFC 4648 in lower case, without padding).
fn base32() -> String {
    let letter = |n: usize| {
        let (byte, bit) = (n * 5 / 8, n * 5 % 8);
        let this = format!("get_byte(bytes, {byte})");
        let group = match bit {
            0..=3 => format!("{this} >> {}", 3 - bit),
            _ if byte + 1 < 16 => {
                format!("(({this} << {}) | (get_byte(bytes, {}) >> {}))", bit - 3, byte + 1, 11 - bit)
            }
            _ => format!("({this} << {})", bit - 3),
        };
        format!("substr('abcdefghijklmnopqrstuvwxyz234567', (({group}) & 31) + 1, 1)")
    };
    (0..26).map(letter).collect::<Vec<_>>().join("\n    || ")
}

/// The two arguments that make digits of other scripts those of ASCII.
fn digits() -> String {
    let from: String =
        ZEROS.iter().flat_map(|zero| (0..10).map(move |n| format!("\\{:04X}", zero + n))).collect();
    format!("U&'{from}', '{}'", "0123456789".repeat(ZEROS.len()))
}
