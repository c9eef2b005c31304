//! What a request leans on: a grant, a support case or a registered flow.

use super::{Result, read_purpose};
use crate::{
    cbor::{CborError, Reader},
    codes::{basis_word, case_word},
    header::Tag,
};

#[derive(Debug, PartialEq)]
pub(crate) enum Evidence<'a> {
    Grant(Grant<'a>),
    Case(Case<'a>),
    Flow(Flow<'a>),
}

/// Somebody who approved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Approver<'a> {
    pub(crate) tag: Tag,
    pub(crate) country: &'a str,
    pub(crate) employer: &'a str,
}

impl<'a> Approver<'a> {
    /// The second approver stands in a list of its own.
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        if reader.array()? != 3 {
            return Err(CborError::Value("length of the second approver"));
        }
        Ok(Self { tag: reader.bytes()?, country: reader.text()?, employer: reader.text()? })
    }
}

/// How much may cross in all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Amount {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) subjects: u64,
}

impl Amount {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        if reader.array()? != 3 {
            return Err(CborError::Value("length of the amount"));
        }
        Ok(Self { rows: reader.unsigned()?, bytes: reader.unsigned()?, subjects: reader.unsigned()? })
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Grant<'a> {
    pub(crate) id: Tag,
    pub(crate) holder: Tag,
    pub(crate) approver: Approver<'a>,
    pub(crate) second: Option<Approver<'a>>,
    pub(crate) incident: Option<Tag>,
    pub(crate) amount: Amount,
    pub(crate) purpose: u16,
    pub(crate) dataset: &'a str,
    pub(crate) fields: Option<&'a str>,
    pub(crate) subject: Option<Tag>,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Case<'a> {
    pub(crate) id: Tag,
    pub(crate) engineer: Tag,
    pub(crate) approver: Approver<'a>,
    pub(crate) amount: Amount,
    pub(crate) kind: &'static str,
    pub(crate) subject: Tag,
    pub(crate) fields: &'a str,
    pub(crate) approved_at: u64,
    pub(crate) open: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Flow<'a> {
    pub(crate) name: &'a str,
    pub(crate) sink: Tag,
    pub(crate) fields: &'a str,
    pub(crate) destination: &'a str,
    pub(crate) basis: &'static str,
    pub(crate) active: bool,
}

impl<'a> Evidence<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self> {
        if reader.array()? != 2 {
            return Err(CborError::Value("length of the evidence"));
        }
        match reader.unsigned()? {
            1 => Grant::read(reader).map(Self::Grant),
            2 => Case::read(reader).map(Self::Case),
            3 => Flow::read(reader).map(Self::Flow),
            _ => Err(CborError::Value("kind of evidence")),
        }
    }
}

impl<'a> Grant<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        const MAP: &str = "the grant";
        let (mut id, mut holder, mut approver, mut country, mut purpose) = (None, None, None, None, None);
        let (mut dataset, mut fields, mut subject, mut not_before, mut not_after) =
            (None, None, None, None, None);
        let (mut employer, mut second, mut incident, mut amount) = (None, None, None, None);
        let mut keys = reader.map()?;
        while let Some(key) = keys.next(reader)? {
            match key {
                0 => id = Some(reader.bytes()?),
                1 => holder = Some(reader.bytes()?),
                2 => approver = Some(reader.bytes()?),
                3 => country = Some(reader.text()?),
                4 => purpose = Some(read_purpose(reader)?),
                5 => dataset = Some(reader.text()?),
                6 => fields = Some(reader.text()?),
                7 => subject = Some(reader.bytes()?),
                8 => not_before = Some(reader.unsigned()?),
                9 => not_after = Some(reader.unsigned()?),
                10 => employer = Some(reader.text()?),
                11 => second = Some(Approver::read(reader)?),
                12 => incident = Some(reader.bytes()?),
                13 => amount = Some(Amount::read(reader)?),
                other => return Err(CborError::UnknownKey(MAP, other)),
            }
        }
        let absent = |key| CborError::AbsentKey(MAP, key);
        Ok(Self {
            id: id.ok_or(absent(0))?,
            holder: holder.ok_or(absent(1))?,
            approver: Approver {
                tag: approver.ok_or(absent(2))?,
                country: country.ok_or(absent(3))?,
                employer: employer.ok_or(absent(10))?,
            },
            second,
            incident,
            amount: amount.ok_or(absent(13))?,
            purpose: purpose.ok_or(absent(4))?,
            dataset: dataset.ok_or(absent(5))?,
            fields,
            subject,
            not_before: not_before.ok_or(absent(8))?,
            not_after: not_after.ok_or(absent(9))?,
        })
    }
}

impl<'a> Case<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        const MAP: &str = "the case";
        let (mut id, mut engineer, mut approver, mut country, mut kind) = (None, None, None, None, None);
        let (mut subject, mut fields, mut approved_at, mut open) = (None, None, None, None);
        let (mut employer, mut amount) = (None, None);
        let mut keys = reader.map()?;
        while let Some(key) = keys.next(reader)? {
            match key {
                0 => id = Some(reader.bytes()?),
                1 => engineer = Some(reader.bytes()?),
                2 => approver = Some(reader.bytes()?),
                3 => country = Some(reader.text()?),
                4 => kind = case_word(reader.unsigned()?),
                5 => subject = Some(reader.bytes()?),
                6 => fields = Some(reader.text()?),
                7 => approved_at = Some(reader.unsigned()?),
                8 => open = Some(reader.boolean()?),
                9 => employer = Some(reader.text()?),
                10 => amount = Some(Amount::read(reader)?),
                other => return Err(CborError::UnknownKey(MAP, other)),
            }
        }
        let absent = |key| CborError::AbsentKey(MAP, key);
        Ok(Self {
            id: id.ok_or(absent(0))?,
            engineer: engineer.ok_or(absent(1))?,
            approver: Approver {
                tag: approver.ok_or(absent(2))?,
                country: country.ok_or(absent(3))?,
                employer: employer.ok_or(absent(9))?,
            },
            amount: amount.ok_or(absent(10))?,
            kind: kind.ok_or(CborError::Value("kind of the case"))?,
            subject: subject.ok_or(absent(5))?,
            fields: fields.ok_or(absent(6))?,
            approved_at: approved_at.ok_or(absent(7))?,
            open: open.ok_or(absent(8))?,
        })
    }
}

impl<'a> Flow<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        const MAP: &str = "the flow";
        let (mut name, mut sink, mut fields) = (None, None, None);
        let (mut destination, mut basis, mut active) = (None, None, None);
        let mut keys = reader.map()?;
        while let Some(key) = keys.next(reader)? {
            match key {
                0 => name = Some(reader.text()?),
                1 => sink = Some(reader.bytes()?),
                2 => fields = Some(reader.text()?),
                3 => destination = Some(reader.text()?),
                4 => basis = basis_word(reader.unsigned()?),
                5 => active = Some(reader.boolean()?),
                other => return Err(CborError::UnknownKey(MAP, other)),
            }
        }
        let absent = |key| CborError::AbsentKey(MAP, key);
        Ok(Self {
            name: name.ok_or(absent(0))?,
            sink: sink.ok_or(absent(1))?,
            fields: fields.ok_or(absent(2))?,
            destination: destination.ok_or(absent(3))?,
            basis: basis.ok_or(CborError::Value("basis of the flow"))?,
            active: active.ok_or(absent(5))?,
        })
    }
}
