//! The rules: what each finds, for which country, and whose description it was written from.

use std::fmt;

use crate::Kind;

/// A country by its ISO 3166-1 alpha-2 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// A country by two capital letters.
    #[must_use]
    pub const fn new(code: [u8; 2]) -> Option<Self> {
        let [first, second] = code;
        if first.is_ascii_uppercase() && second.is_ascii_uppercase() { Some(Self(code)) } else { None }
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // INVARIANT: two ASCII capitals, from `new`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a rule asks for beside the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Needs {
    /// The form alone tells it.
    Nothing,
    /// The form tells it only in the spelling in which it is printed; bare it needs context.
    Spelling,
    /// A key, a declared field or a neighbouring word.
    Context,
}

/// The rule that fired. Its code never changes its meaning; codes are only added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule(u16);

/// What the table holds of a rule.
struct Entry {
    code: u16,
    id: &'static str,
    kind: Kind,
    country: Option<Country>,
    needs: Needs,
    reference: &'static str,
}

/// Codes from here on are those of the operator's own rules.
const OPERATOR: u16 = 0x8000;

impl Rule {
    /// The operator's rule at this place of their list.
    pub(crate) const fn operator(place: u16) -> Self {
        Self(OPERATOR | place)
    }

    /// The place in the operator's list, for a rule of theirs.
    #[must_use]
    pub const fn operator_place(self) -> Option<usize> {
        if self.0 >= OPERATOR { Some((self.0 - OPERATOR) as usize) } else { None }
    }

    /// Every rule of ours, by code.
    pub fn all() -> impl Iterator<Item = Self> {
        ENTRIES.iter().map(|entry| Self(entry.code))
    }

    /// The rule with this name.
    #[must_use]
    pub fn named(id: &str) -> Option<Self> {
        ENTRIES.iter().find(|entry| entry.id == id).map(|entry| Self(entry.code))
    }

    /// The number of the rule.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    fn entry(self) -> Option<&'static Entry> {
        let place = PLACES.get(usize::from(self.0)).copied()?;
        ENTRIES.get(usize::from(place))
    }

    /// The stable name, such as `fi.hetu`; `operator` for a rule of the operator's.
    #[must_use]
    pub fn id(self) -> &'static str {
        self.entry().map_or("operator", |entry| entry.id)
    }

    /// What it finds.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.entry().map_or(Kind::Custom, |entry| entry.kind)
    }

    /// Whose identifier it is.
    #[must_use]
    pub fn country(self) -> Option<Country> {
        self.entry().and_then(|entry| entry.country)
    }

    /// What it asks for beside the form.
    #[must_use]
    pub fn needs(self) -> Needs {
        self.entry().map_or(Needs::Nothing, |entry| entry.needs)
    }

    /// The description that it was written from.
    #[must_use]
    pub fn reference(self) -> &'static str {
        self.entry().map_or("the operator", |entry| entry.reference)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

const fn country(code: &str) -> Option<Country> {
    match code.as_bytes() {
        [first, second] => Country::new([*first, *second]),
        _ => None,
    }
}

/// Size of the table by code: codes below are the only ones in use.
const CODES: usize = 256;

macro_rules! rules {
    ($($name:ident = $code:literal $id:literal $kind:ident $country:literal $needs:ident $reference:literal;)*) => {
        impl Rule {
            $(pub(crate) const $name: Self = Self($code);)*
        }

        static ENTRIES: &[Entry] = &[$(Entry {
            code: $code,
            id: $id,
            kind: Kind::$kind,
            country: country($country),
            needs: Needs::$needs,
            reference: $reference,
        }),*];
    };
}

/// From a code to the entry's place; places that are not in use point past the end.
static PLACES: [u16; CODES] = {
    let mut places = [u16::MAX; CODES];
    let mut at = 0;
    while at < ENTRIES.len() {
        #[expect(
            clippy::indexing_slicing,
            reason = "built at compile time: a code too large does not compile"
        )]
        {
            places[ENTRIES[at].code as usize] = at as u16;
        }
        at += 1;
    }
    places
};

rules! {
    EMAIL = 1 "email" Email "" Nothing "RFC 5321 4.1.2, RFC 6531 3.3";
    IPV4 = 2 "ipv4" Ipv4 "" Nothing "RFC 791, RFC 6890";
    IPV6 = 3 "ipv6" Ipv6 "" Nothing "RFC 4291 2.2, RFC 5952";
    IBAN = 4 "iban" Iban "" Nothing "ISO 13616, SWIFT IBAN registry";
    PHONE = 5 "phone.e164" Phone "" Nothing "ITU-T E.164, ITU list of assigned country codes";
    CARD = 6 "card" Card "" Nothing "ISO/IEC 7812-1, issuer ranges as the networks publish them";
    JWT = 7 "jwt" Jwt "" Nothing "RFC 7519, RFC 7515";
    PHONE_NATIONAL = 8 "phone.national" Phone "" Spelling "ITU-T E.164 Annex A, national numbering plans as filed with the ITU";
    MAC = 9 "mac" Mac "" Nothing "IEEE 802-2014 8.1, RFC 9542";
    EUI64 = 10 "eui64" Mac "" Nothing "IEEE 802-2014 8.2";
    IMEI = 11 "imei" Imei "" Context "3GPP TS 23.003 6.2, Annex B";
    IMSI = 12 "imsi" Imsi "" Context "3GPP TS 23.003 2.2, ITU-T E.212";
    ICCID = 13 "iccid" Iccid "" Context "ITU-T E.118, ISO/IEC 7812-1";
    ADVERTISING_ID = 14 "advertising-id" AdvertisingId "" Context "RFC 9562, platform pages on IDFA, IDFV and the Android advertising id";
    ANDROID_ID = 15 "android-id" DeviceId "" Context "Android reference, Settings.Secure.ANDROID_ID";
    BEARER = 17 "bearer" Secret "" Nothing "RFC 6750 2.1, RFC 7617 2";
    COOKIE = 18 "cookie" Secret "" Context "RFC 6265 4.2";
    SECRET = 19 "secret" Secret "" Context "key name, then form, then entropy";
    SECRET_PREFIX = 20 "secret.prefix" Secret "" Nothing "prefixes as their issuers publish them";
    PRIVATE_KEY = 21 "private-key" Secret "" Nothing "RFC 7468 10, 11, 13";
    COORDINATES = 22 "coordinates" Coordinates "" Context "ISO 6709, WGS 84";
    BIRTH_DATE = 23 "birth-date" BirthDate "" Context "ISO 8601-1";
    POSTCODE = 24 "postcode" Postcode "" Context "Universal Postal Union, addressing formats by country";
    NAME = 25 "name" Name "" Context "own list of given names and family names";
    ADDRESS = 26 "address" Address "" Context "own list of street words";
    DOCUMENT = 27 "document" Document "" Context "ICAO Doc 9303 part 3 (no check digit in the number itself)";
    DECLARED = 28 "declared" NationalId "" Context "the schema says so";

    AT_SVNR = 40 "at.svnr" SocialId "AT" Context "EC TIN specification 3.1; Dachverband der Sozialversicherungstraeger";
    AT_TIN = 41 "at.abgabenkontonummer" TaxId "AT" Context "EC TIN specification 3.1; BMF";
    BE_NRN = 42 "be.nrn" NationalId "BE" Nothing "EC TIN specification 3.2; Rijksregister/Registre national";
    BG_EGN = 43 "bg.egn" NationalId "BG" Context "EC TIN specification 3.3; GRAO";
    BG_PNF = 44 "bg.lnch" NationalId "BG" Context "EC TIN specification 3.3; Ministry of the Interior";
    HR_OIB = 45 "hr.oib" NationalId "HR" Context "EC TIN specification, Croatia; Porezna uprava";
    CY_TIC = 46 "cy.tic" TaxId "CY" Context "EC TIN specification, Cyprus";
    CZ_RC = 47 "cz.rodne-cislo" NationalId "CZ" Spelling "EC TIN specification, Czech Republic; act 133/2000 Sb. 13";
    SK_RC = 48 "sk.rodne-cislo" NationalId "SK" Spelling "EC TIN specification, Slovakia; act 301/1995 Z. z.";
    DK_CPR = 49 "dk.cpr" NationalId "DK" Context "EC TIN specification, Denmark; CPR-kontoret, Personnummeret i CPR";
    EE_ISIKUKOOD = 50 "ee.isikukood" NationalId "EE" Context "EC TIN specification, Estonia; EVS 585";
    LT_ASMENS_KODAS = 51 "lt.asmens-kodas" NationalId "LT" Context "EC TIN specification, Lithuania";
    FI_HETU = 52 "fi.hetu" NationalId "FI" Nothing "EC TIN specification, Finland; Digital and Population Data Services Agency";
    FR_NIR = 53 "fr.nir" SocialId "FR" Nothing "INSEE, numero d'inscription au repertoire";
    FR_SPI = 54 "fr.spi" TaxId "FR" Context "EC TIN specification, France; DGFiP";
    DE_IDNR = 55 "de.steuer-id" TaxId "DE" Context "EC TIN specification, Germany; BZSt";
    DE_RVNR = 56 "de.rvnr" SocialId "DE" Nothing "VKVV 2; Deutsche Rentenversicherung";
    DE_PERSO = 57 "de.personalausweis" Document "DE" Context "PAuswV Anhang 1; ICAO Doc 9303 part 3 4.9";
    GR_AFM = 58 "gr.afm" TaxId "GR" Context "EC TIN specification, Greece; AADE";
    GR_AMKA = 59 "gr.amka" SocialId "GR" Context "EFKA/IDIKA, AMKA";
    HU_TAX = 60 "hu.adoazonosito" TaxId "HU" Context "EC TIN specification, Hungary; NAV";
    HU_PERSONAL = 61 "hu.szemelyi-szam" NationalId "HU" Context "act XX of 1996, annex";
    HU_TAJ = 62 "hu.taj" SocialId "HU" Context "act XX of 1996, annex";
    IE_PPSN = 63 "ie.ppsn" NationalId "IE" Context "EC TIN specification, Ireland; Department of Social Protection";
    IT_CF = 64 "it.codice-fiscale" TaxId "IT" Nothing "EC TIN specification, Italy; D.M. 23 December 1976";
    LV_PK = 65 "lv.personas-kods" NationalId "LV" Spelling "EC TIN specification, Latvia; PMLP";
    LU_MATRICULE = 66 "lu.matricule" NationalId "LU" Nothing "EC TIN specification, Luxembourg; CTIE";
    MT_ID = 67 "mt.id-card" NationalId "MT" Context "EC TIN specification, Malta";
    NL_BSN = 68 "nl.bsn" NationalId "NL" Context "EC TIN specification, Netherlands; RvIG, Wabb";
    PL_PESEL = 69 "pl.pesel" NationalId "PL" Context "EC TIN specification, Poland; act on population registration art. 15";
    PL_NIP = 70 "pl.nip" TaxId "PL" Context "EC TIN specification, Poland; Ministry of Finance";
    PT_NIF = 71 "pt.nif" TaxId "PT" Context "EC TIN specification, Portugal; Autoridade Tributaria";
    PT_CC = 72 "pt.cartao-de-cidadao" NationalId "PT" Nothing "AMA/IRN, validation of the cartao de cidadao's document number";
    RO_CNP = 73 "ro.cnp" NationalId "RO" Context "EC TIN specification, Romania; act on registration of persons, annex";
    SE_PNR = 74 "se.personnummer" NationalId "SE" Spelling "EC TIN specification, Sweden; Skatteverket SKV 704, SKV 707";
    SI_EMSO = 75 "si.emso" NationalId "SI" Context "central population register act; stdnum's documentation";
    SI_TAX = 76 "si.davcna" TaxId "SI" Context "EC TIN specification, Slovenia; FURS";
    ES_DNI = 77 "es.dni" NationalId "ES" Nothing "EC TIN specification, Spain; Ministerio del Interior";
    ES_NIE = 78 "es.nie" NationalId "ES" Nothing "EC TIN specification, Spain; Ministerio del Interior";
    NO_FNR = 79 "no.fodselsnummer" NationalId "NO" Nothing "Skatteetaten; OECD TIN portal, Norway";
    IS_KENNITALA = 80 "is.kennitala" NationalId "IS" Spelling "OECD TIN portal, Iceland; Registers Iceland";
    LI_PEID = 81 "li.peid" TaxId "LI" Context "OECD TIN portal, Liechtenstein";
    CH_AHV = 82 "ch.ahv" SocialId "CH" Nothing "ZAS/CdC, AHV number of 13 digits; GS1 General Specifications 7.9";
    GB_NINO = 83 "gb.nino" SocialId "GB" Spelling "HMRC NIM39110; OECD TIN portal, United Kingdom";
    GB_NHS = 84 "gb.nhs" SocialId "GB" Context "NHS data dictionary, NHS number";
    GB_UTR = 85 "gb.utr" TaxId "GB" Context "OECD TIN portal, United Kingdom";
    PT_NISS = 86 "pt.niss" SocialId "PT" Context "Seguranca Social, NISS";

    BIC = 87 "bic" Bic "" Context "ISO 9362:2022 4, ISO 3166-1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_code_and_an_id_of_its_own() {
        let mut codes: Vec<u16> = Rule::all().map(Rule::code).collect();
        let mut ids: Vec<&str> = Rule::all().map(Rule::id).collect();
        codes.sort_unstable();
        ids.sort_unstable();
        assert!(codes.is_sorted_by(|a, b| a < b) && ids.is_sorted_by(|a, b| a < b));
        for rule in Rule::all() {
            assert!(!rule.reference().is_empty(), "{rule}");
            let national = rule.id().split_once('.').filter(|(head, _)| head.len() == 2);
            assert_eq!(
                rule.country().map(|c| c.to_string().to_lowercase()).as_deref(),
                national.map(|(head, _)| head)
            );
        }
    }
}
