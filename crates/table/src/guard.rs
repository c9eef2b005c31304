//! What a file says of its columns and pages, held against where they are, before anything is made as long as it says.
//!
//! Each page begins with a header in Thrift's compact protocol (`parquet-format`, `parquet.thrift`: `PageHeader`). The sizes in it decide how much the
//! library allocates, and the encoding how much comes out of a page; both are looked at here.

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::{Limits, TableError};

/// Columns of a file, and groups of rows.
const COLUMNS_MAX: usize = 2_000;
const GROUPS_MAX: usize = 10_000;
/// How many times as long as what comes out may a file's pages be when they are opened.
const OPENED: usize = 4;
/// Fields within one another in a header.
const DEPTH_MAX: u32 = 8;

/// Encodings whose pages hold what comes out of them, or refer to a dictionary that does: PLAIN, PLAIN_DICTIONARY, RLE,
/// DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, RLE_DICTIONARY, BYTE_STREAM_SPLIT. DELTA_BYTE_ARRAY repeats what came before.
const ENCODINGS: &[i64] = &[0, 2, 3, 5, 6, 8, 9];

/// Checks a file's own account of itself.
pub(super) fn check(file: &[u8], told: &ParquetMetaData, limits: Limits) -> Result<(), TableError> {
    let rows =
        told.row_groups().iter().try_fold(0u64, |n, g| n.checked_add(u64::try_from(g.num_rows()).ok()?));
    let said = u64::try_from(told.file_metadata().num_rows()).ok();
    if rows.is_none() || rows != said {
        return Err(TableError::Lies("rows"));
    }
    if rows > Some(limits.rows) || told.num_row_groups() > GROUPS_MAX {
        return Err(TableError::TooLarge);
    }
    let mut left = limits.bytes.saturating_mul(OPENED);
    for group in told.row_groups() {
        if group.num_columns() > COLUMNS_MAX {
            return Err(TableError::TooLarge);
        }
        for column in group.columns() {
            chunk(file, column, &mut left)?;
        }
    }
    Ok(())
}

/// Checks a column's pages, and takes what they open to from what is left.
fn chunk(file: &[u8], column: &ColumnChunkMetaData, left: &mut usize) -> Result<(), TableError> {
    if !matches!(column.compression(), Compression::UNCOMPRESSED | Compression::SNAPPY) {
        return Err(TableError::Unread("it is compressed; write it with Snappy or not compressed"));
    }
    let place = |n: i64| usize::try_from(n).map_err(|_| TableError::Lies("columns"));
    // Where the library begins.
    let from = place(column.dictionary_page_offset().unwrap_or(column.data_page_offset()))?;
    let pages = from
        .checked_add(place(column.compressed_size())?)
        .and_then(|to| file.get(from..to))
        .ok_or(TableError::Lies("columns"))?;
    let mut rest = pages;
    while !rest.is_empty() {
        let mut header = Reader { bytes: rest, depth: 0 };
        let page = header.page().ok_or(TableError::Lies("pages"))?;
        let size = |n: Option<i64>| n.and_then(|n| usize::try_from(n).ok()).ok_or(TableError::Lies("pages"));
        let (opened, packed) = (size(page.opened)?, size(page.packed)?);
        rest = header.bytes.get(packed..).ok_or(TableError::Lies("pages"))?;
        *left = left.checked_sub(opened).ok_or(TableError::TooLarge)?;
        let (values, encoding) = match page.kind {
            Some(DATA) => page.data,
            Some(DICTIONARY) => page.dictionary,
            Some(DATA_V2) => page.data_v2,
            // An index holds no values.
            Some(INDEX) => continue,
            _ => return Err(TableError::Lies("pages")),
        };
        let (values, encoding) = (size(values)?, encoding.ok_or(TableError::Lies("pages"))?);
        if !ENCODINGS.contains(&encoding) {
            return Err(TableError::Unread(
                "it repeats the beginnings of values (DELTA_BYTE_ARRAY): write it in another encoding",
            ));
        }
        // Each value of a dictionary stands in its page; those of a list may be many in one row.
        if page.kind == Some(DICTIONARY) && values > opened {
            return Err(TableError::Lies("dictionaries"));
        }
        if column.column_descr().max_rep_level() > 0 {
            *left = left.checked_sub(values.saturating_mul(ELEMENT)).ok_or(TableError::TooLarge)?;
        }
    }
    Ok(())
}

/// Kinds of pages.
const DATA: i64 = 0;
const INDEX: i64 = 1;
const DICTIONARY: i64 = 2;
const DATA_V2: i64 = 3;
/// About how much memory an element of a list takes.
const ELEMENT: usize = 64;

/// How many values a page has, and their encoding.
type Values = (Option<i64>, Option<i64>);

/// Of a page's header, what decides how much memory it takes.
#[derive(Default)]
struct Page {
    kind: Option<i64>,
    opened: Option<i64>,
    packed: Option<i64>,
    data: Values,
    dictionary: Values,
    data_v2: Values,
}

/// Reads Thrift's compact protocol.
struct Reader<'a> {
    bytes: &'a [u8],
    depth: u32,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Zig-zag: the sign is the last bit.
    fn signed(&mut self) -> Option<i64> {
        let number = self.unsigned()?;
        Some(i64::try_from(number >> 1).ok()? ^ -i64::from(number & 1 == 1))
    }

    /// `PageHeader`: 1 kind, 2 uncompressed size, 3 compressed size, 5 data page, 7 dictionary page, 8 data page of version 2.
    fn page(&mut self) -> Option<Page> {
        let mut page = Page::default();
        self.fields(&mut |reader, id, kind| match (id, kind) {
            (1, INT) => reader.signed().map(|n| page.kind = Some(n)),
            (2, INT) => reader.signed().map(|n| page.opened = Some(n)),
            (3, INT) => reader.signed().map(|n| page.packed = Some(n)),
            (5, STRUCT) => reader.values(2).map(|values| page.data = values),
            (7, STRUCT) => reader.values(2).map(|values| page.dictionary = values),
            (8, STRUCT) => reader.values(4).map(|values| page.data_v2 = values),
            // In another type the library would read it all the same.
            (1..=3 | 5 | 7 | 8, _) => None,
            (_, kind) => reader.skip(kind),
        })?;
        Some(page)
    }

    /// Field 1 is how many values there are; which field the encoding is differs with the kind of page.
    fn values(&mut self, encoding: i64) -> Option<Values> {
        let (mut values, mut found) = (None, None);
        self.fields(&mut |reader, id, kind| match (id, kind) {
            (1, INT) => reader.signed().map(|n| values = Some(n)),
            (id, INT) if id == encoding => reader.signed().map(|n| found = Some(n)),
            (id, _) if id == 1 || id == encoding => None,
            (_, kind) => reader.skip(kind),
        })?;
        Some((values, found))
    }

    /// The fields of a struct, until it ends.
    fn fields(&mut self, each: &mut dyn FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        self.depth = self.depth.checked_add(1).filter(|depth| *depth <= DEPTH_MAX)?;
        let mut id = 0i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                self.depth -= 1;
                return Some(());
            }
            id = match head >> 4 {
                0 => self.signed()?,
                step => id.checked_add(i64::from(step))?,
            };
            each(self, id, head & 0x0f)?;
        }
    }

    fn skip(&mut self, kind: u8) -> Option<()> {
        match kind {
            // The type of a boolean is its value.
            1 | 2 => Some(()),
            3 => self.byte().map(drop),
            4 | INT | 6 => self.unsigned().map(drop),
            7 => self.over(8),
            8 => {
                let length = self.unsigned()?;
                self.over(usize::try_from(length).ok()?)
            }
            STRUCT => self.fields(&mut |reader, _, kind| reader.skip(kind)),
            // Lists and maps are in no header that is known.
            _ => None,
        }
    }

    fn over(&mut self, count: usize) -> Option<()> {
        self.bytes = self.bytes.get(count..)?;
        Some(())
    }
}

/// Types of fields: 32 bits, and a struct.
const INT: u8 = 5;
const STRUCT: u8 = 12;
