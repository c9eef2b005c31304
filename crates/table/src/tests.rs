use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { bytes: 1 << 20, rows: 1_000 };

/// A file of people, with a date, a number and perhaps a name each.
fn file(names: &[Option<&str>], ratio: f64, compression: Compression) -> Vec<u8> {
    let schema = "message people { required int64 id; optional binary name (utf8); required int32 born (date); \
                  required double ratio; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut out = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut out, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let count = names.len();
    let mut column = group.next_column().unwrap().unwrap();
    let ids: Vec<i64> = (0..count).map(|n| i64::MAX - i64::try_from(n).unwrap()).collect();
    column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<ByteArray> = names.iter().flatten().map(|n| ByteArray::from(*n)).collect();
    let levels: Vec<i16> = names.iter().map(|n| i16::from(n.is_some())).collect();
    column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&vec![4017; count], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&vec![ratio; count], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    out
}

#[test]
fn rows_are_lines_in_which_numbers_keep_their_digits_and_what_is_missing_is_null() {
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
        let file = file(&[Some("Zoë \"Z\""), None], 0.5, compression);
        let lines = String::from_utf8(lines(&file, LIMITS).unwrap()).unwrap();
        assert_eq!(
            lines,
            "{\"id\":9223372036854775807,\"name\":\"Zoë \\\"Z\\\"\",\"born\":\"1980-12-31\",\"ratio\":0.5}\n\
             {\"id\":9223372036854775806,\"name\":null,\"born\":\"1980-12-31\",\"ratio\":0.5}\n"
        );
    }
}

#[test]
fn what_json_cannot_say_and_what_is_too_long_is_refused() {
    let nan = file(&[Some("a")], f64::NAN, Compression::UNCOMPRESSED);
    assert_eq!(lines(&nan, LIMITS), Err(TableError::Value));
    let many = file(&vec![Some("a"); 2_000], 1.0, Compression::SNAPPY);
    assert_eq!(lines(&many, LIMITS), Err(TableError::TooLarge));
    let long = "x".repeat(5 << 20);
    let bomb = file(&[Some(&long)], 1.0, Compression::SNAPPY);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(lines(&bomb, LIMITS), Err(TableError::TooLarge));
    assert_eq!(lines(b"PAR1", LIMITS), Err(TableError::Form));
    assert_eq!(lines(b"{}", LIMITS), Err(TableError::Form));
}

/// A page's header in Thrift's compact protocol: kind, length when opened, length, and a header of that kind.
fn header(kind: u8, opened: &[u8], values: &[u8], encoding: u8) -> Vec<u8> {
    let field = if kind == 4 { 0x4c } else { 0x2c };
    [&[0x15, kind, 0x15], opened, &[0x15, 0x00, field, 0x15], values, &[0x15, encoding, 0x00, 0x00]].concat()
}

/// What the guard says of a column whose first page has this header in place of its own.
fn guarded(header: &[u8], lists: bool) -> Result<(), TableError> {
    let path = format!("{}/testdata/people.parquet", env!("CARGO_MANIFEST_DIR"));
    let mut lie = std::fs::read(path).unwrap();
    let reader = SerializedFileReader::new(Bytes::from(lie.clone())).unwrap();
    let columns = reader.metadata().row_group(0).columns();
    let column = columns.iter().find(|c| (c.column_descr().max_rep_level() > 0) == lists).unwrap();
    let from = usize::try_from(column.dictionary_page_offset().unwrap_or(column.data_page_offset())).unwrap();
    lie[from..from + header.len()].copy_from_slice(header);
    guard::check(&lie, reader.metadata(), LIMITS)
}

#[test]
fn a_page_that_lies_is_refused_before_anything_is_made_as_long_as_it_says() {
    const TWO_GIGABYTES: &[u8] = &[0xfe, 0xff, 0xff, 0xff, 0x0f];
    let small = &[0x10][..];
    let refused = |header: &[u8], lists| guarded(header, lists).unwrap_err();
    assert_eq!(refused(&header(0, TWO_GIGABYTES, small, 0), false), TableError::TooLarge);
    assert_eq!(refused(&header(4, small, TWO_GIGABYTES, 0), false), TableError::Lies("dictionaries"));
    assert_eq!(refused(&header(0, small, TWO_GIGABYTES, 0), true), TableError::TooLarge, "one row of a list");
    assert!(
        matches!(refused(&header(0, small, small, 14), false), TableError::Unread(_)),
        "it repeats beginnings"
    );
    assert_eq!(refused(&header(10, small, small, 0), false), TableError::Lies("pages"), "no such kind");
    // The encoding in another type, which the library reads all the same.
    let mut other = header(0, small, small, 0);
    let place = other.len() - 4;
    other[place] = 0x16;
    assert_eq!(refused(&other, false), TableError::Lies("pages"));
}

proptest! {
    #[test]
    fn no_change_of_a_file_is_a_panic_or_more_than_was_allowed(
        at in any::<proptest::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 1..6), cut in any::<bool>(),
    ) {
        let mut changed = file(&[Some("ann"), None, Some("bob")], 2.0, Compression::SNAPPY);
        let place = at.index(changed.len());
        if cut {
            changed.truncate(place);
        } else {
            for (to, from) in changed.iter_mut().skip(place).zip(&bytes) {
                *to = *from;
            }
        }
        if let Ok(read) = lines(&changed, LIMITS) {
            prop_assert!(read.len() <= LIMITS.bytes);
            for line in read.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok());
            }
        }
    }
}

/// Files that another library wrote (Apache Arrow's for Python): the same two rows.
#[test]
fn files_of_another_writer_are_read_and_what_is_not_read_is_told() {
    let read = |name: &str| {
        let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
        lines(&std::fs::read(path).unwrap(), LIMITS).map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let rows = read("people.parquet").unwrap();
    assert_eq!(
        rows,
        "{\"user\":7,\"email\":\"ann@example.org\",\"born\":\"1980-12-31\",\"seen\":\"2026-11-27 01:02:03.004000 +00:00\",\
         \"paid\":\"12.30\",\"tags\":[\"a\",\"b\"],\"photo\":\"AP8=\"}\n\
         {\"user\":8,\"email\":null,\"born\":\"2001-02-03\",\"seen\":null,\"paid\":\"-0.05\",\"tags\":[],\"photo\":null}\n"
    );
    assert_eq!(read("people-v2.parquet").unwrap(), rows);
    let told = |name| read(name).unwrap_err().to_string();
    assert!(told("people-gzip.parquet").contains("Snappy"));
    assert!(told("people-delta.parquet").contains("DELTA_BYTE_ARRAY"));
}
