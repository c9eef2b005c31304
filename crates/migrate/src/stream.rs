//! The source's changes, as PostgreSQL's `pgoutput` writes them: "Logical Replication Message Formats", protocol version 1.

use crate::error::MigrateError;
use crate::progress::Lsn;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// A transaction begins: its number, and where in the log it will say that it is committed.
    Begin { at: Lsn, xid: u32 },
    /// It ends: where in the log.
    Commit { end: Lsn },
    /// What a table looks like from here on.
    Relation(Relation),
    /// A row came.
    Insert { table: u32, new: Vec<Cell<'a>> },
    /// A row changed; what it was before, as far as that is said.
    Update { table: u32, old: Option<Vec<Cell<'a>>>, new: Vec<Cell<'a>> },
    /// A row went: what it was, as far as that is said.
    Delete { table: u32, old: Vec<Cell<'a>> },
    /// All rows went.
    Truncate { tables: Vec<u32> },
    /// Nothing that is of rows.
    Other,
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Null,
    /// A long value that the change did not touch, and which is not sent.
    Untouched,
    Text(&'a str),
}

/// A table as the stream describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) number: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Name, number of the type, and its modifier.
    pub(crate) columns: Vec<(String, u32, i32)>,
}

const SHORT: MigrateError = MigrateError::Stream("a message is shorter than it says");

/// Reads a message from its start.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], MigrateError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = rest;
        Ok(head)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], MigrateError> {
        self.take(N)?.try_into().map_err(|_| SHORT)
    }

    fn byte(&mut self) -> Result<u8, MigrateError> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    fn int16(&mut self) -> Result<u16, MigrateError> {
        self.bytes().map(u16::from_be_bytes)
    }

    fn int32(&mut self) -> Result<u32, MigrateError> {
        self.bytes().map(u32::from_be_bytes)
    }

    fn lsn(&mut self) -> Result<Lsn, MigrateError> {
        self.bytes().map(|bytes| Lsn(u64::from_be_bytes(bytes)))
    }

    fn text(&mut self) -> Result<String, MigrateError> {
        let end = self.0.iter().position(|b| *b == 0).ok_or(SHORT)?;
        let text =
            std::str::from_utf8(self.take(end)?).map_err(|_| MigrateError::Stream("a name is no UTF-8"))?;
        self.byte()?;
        Ok(text.to_owned())
    }

    fn tuple(&mut self) -> Result<Vec<Cell<'a>>, MigrateError> {
        let count = self.int16()?;
        (0..count).map(|_| self.cell()).collect()
    }

    fn cell(&mut self) -> Result<Cell<'a>, MigrateError> {
        match self.byte()? {
            b'n' => Ok(Cell::Null),
            b'u' => Ok(Cell::Untouched),
            b't' => {
                let length = self.int32()? as usize;
                let text = std::str::from_utf8(self.take(length)?);
                text.map(Cell::Text).map_err(|_| MigrateError::Stream("a value is no UTF-8"))
            }
            _ => Err(MigrateError::Stream("a value is written in a way that was not asked for")),
        }
    }

    fn relation(&mut self) -> Result<Relation, MigrateError> {
        let (number, schema, name) = (self.int32()?, self.text()?, self.text()?);
        // Which columns tell rows apart.
        self.byte()?;
        let count = self.int16()?;
        let mut columns = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            self.byte()?;
            columns.push((self.text()?, self.int32()?, self.bytes().map(i32::from_be_bytes)?));
        }
        Ok(Relation { number, schema, name, columns })
    }
}

/// Reads one message.
pub(crate) fn decode(message: &[u8]) -> Result<Message<'_>, MigrateError> {
    let mut reader = Reader(message);
    Ok(match reader.byte()? {
        b'B' => {
            let at = reader.lsn()?;
            reader.take(8)?;
            Message::Begin { at, xid: reader.int32()? }
        }
        b'C' => {
            reader.take(9)?;
            Message::Commit { end: reader.lsn()? }
        }
        b'R' => Message::Relation(reader.relation()?),
        b'I' => {
            let table = reader.int32()?;
            expect(&mut reader, b'N')?;
            Message::Insert { table, new: reader.tuple()? }
        }
        b'U' => {
            let table = reader.int32()?;
            let mut mark = reader.byte()?;
            let mut old = None;
            if matches!(mark, b'K' | b'O') {
                old = Some(reader.tuple()?);
                mark = reader.byte()?;
            }
            if mark != b'N' {
                return Err(MigrateError::Stream("a change has no new row"));
            }
            Message::Update { table, old, new: reader.tuple()? }
        }
        b'D' => {
            let table = reader.int32()?;
            if !matches!(reader.byte()?, b'K' | b'O') {
                return Err(MigrateError::Stream("a row that went is not told"));
            }
            Message::Delete { table, old: reader.tuple()? }
        }
        b'T' => {
            let count = reader.int32()?;
            reader.byte()?;
            Message::Truncate { tables: (0..count).map(|_| reader.int32()).collect::<Result<_, _>>()? }
        }
        // Types, origins and messages of others.
        b'Y' | b'O' | b'M' => Message::Other,
        _ => return Err(MigrateError::Stream("a message is of an unknown kind")),
    })
}

fn expect(reader: &mut Reader<'_>, mark: u8) -> Result<(), MigrateError> {
    if reader.byte()? == mark { Ok(()) } else { Err(MigrateError::Stream("a row is not where it should be")) }
}

/// Which transactions a snapshot of the source sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    least: u64,
    end: u64,
    running: Vec<u64>,
}

impl Snapshot {
    /// As `pg_snapshot` is written: `xmin:xmax:xip_list`.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let least = parts.next()?.parse().ok()?;
        let end = parts.next()?.parse().ok()?;
        let running = parts.next()?.split(',').filter(|n| !n.is_empty());
        Some(Self { least, end, running: running.map(str::parse).collect::<Result<_, _>>().ok()? })
    }

    /// True if what the transaction did is in what was copied. The stream has the lower half of its number only: the upper one
    /// is that with which it is nearest.
    pub(crate) fn sees(&self, xid: u32) -> bool {
        let near = self.end & !0xffff_ffff | u64::from(xid);
        let number = if near > self.end + (1 << 31) {
            near.saturating_sub(1 << 32)
        } else if near + (1 << 31) < self.end {
            near + (1 << 32)
        } else {
            near
        };
        number < self.least || number < self.end && !self.running.contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn changes_are_read() {
        let row = b"\0\x03t\0\0\0\x02abnu";
        let cells = vec![Cell::Text("ab"), Cell::Null, Cell::Untouched];
        let message = |head: &[u8]| [head, row].concat();
        assert_eq!(
            decode(&message(b"I\0\0\0\x07N")).unwrap(),
            Message::Insert { table: 7, new: cells.clone() }
        );
        let both = [&message(b"U\0\0\0\x07K")[..], b"N", row].concat();
        let changed = Message::Update { table: 7, old: Some(cells.clone()), new: cells.clone() };
        assert_eq!(decode(&both).unwrap(), changed);
        assert_eq!(decode(&message(b"D\0\0\0\x07O")).unwrap(), Message::Delete { table: 7, old: cells });
        assert_eq!(decode(b"T\0\0\0\x01\0\0\0\0\x07").unwrap(), Message::Truncate { tables: vec![7] });
        let commit = [b"C\0".as_slice(), &[0; 8], &0x1_0000_0002u64.to_be_bytes(), &[0; 8]].concat();
        assert_eq!(decode(&commit).unwrap(), Message::Commit { end: Lsn::of("1/2").unwrap() });
        let relation = b"R\0\0\0\x07app\0users\0d\0\x01\x01id\0\0\0\0\x17\xff\xff\xff\xff";
        let told = Relation {
            number: 7,
            schema: "app".into(),
            name: "users".into(),
            columns: vec![("id".into(), 23, -1)],
        };
        assert_eq!(decode(relation).unwrap(), Message::Relation(told));
        assert!(
            decode(b"I\0\0\0\x07N\0\x01t\0\0\0\x09ab").is_err()
                && decode(b"").is_err()
                && decode(b"?").is_err()
        );
    }

    #[test]
    fn a_snapshot_sees_what_was_committed_before_it_and_no_other_also_where_numbers_begin_anew() {
        let snapshot = Snapshot::of("100:105:101,103").unwrap();
        let seen: Vec<u32> = (98..108).filter(|xid| snapshot.sees(*xid)).collect();
        assert_eq!(seen, [98, 99, 100, 102, 104]);
        let late = Snapshot::of("4294967290:4294967300:4294967295").unwrap();
        assert!(
            late.sees(u32::MAX - 6)
                && !late.sees(u32::MAX)
                && late.sees(2)
                && !late.sees(4)
                && !late.sees(900)
        );
        assert_eq!((Snapshot::of("1:2"), Snapshot::of("a:2:"), Lsn::of("x/y")), (None, None, None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(message in proptest::collection::vec(any::<u8>(), 0..60), kind in "[BCRYOIUDTM]") {
            drop(decode(&[kind.as_bytes(), &message].concat()));
        }
    }
}
