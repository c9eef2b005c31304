//! The facts of one person, drawn from seed and index alone.

use std::fmt;

use jiff::{
    SignedDuration,
    civil::{Date, DateTime},
};

use super::{
    Sex,
    country::{self, Country},
    dice::{Dice, Stream},
    ids::{self, national},
    names,
    phrases::{self, Phrases},
};

/// The moment at which every sample was "downloaded"; nothing in a file is later.
pub(super) const DOWNLOADED: DateTime = jiff::civil::datetime(2026, 10, 31, 12, 0, 0, 0);

/// One invented person: what a test or a demonstration may want to find again.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Person {
    /// Which person of the sample, from 1.
    pub index: u64,
    /// Country of the account, ISO 3166-1 alpha-2; `accountRegion` in the file.
    pub country: &'static str,
    /// The account's name, unique within a sample.
    pub user_name: String,
    /// Given name as the person writes it.
    pub given_name: String,
    /// Family name as the person writes it.
    pub family_name: String,
    /// Sex, as some national numbers show it.
    pub sex: Sex,
    /// Date of birth.
    pub birth_date: Date,
    /// E-mail address, in a domain that RFC 2606 reserves.
    pub email: String,
    /// Mobile number in E.164.
    pub phone: String,
    /// The same number as people in the country write it.
    pub phone_national: String,
    /// National identification number; none where the country has none with a check digit.
    pub national_id: Option<NationalId>,
    /// Bank account.
    pub iban: String,
    /// Postal address.
    pub address: Address,
    /// Phone and its identifiers.
    pub device: Device,
    /// Text of the profile.
    pub bio: String,
    /// Own videos, the newest first.
    pub videos: Vec<Video>,
    /// Where the person gave away something that no declared field holds.
    pub disclosures: Vec<Disclosure>,
    /// Whether the file uses the older key names.
    pub older_names: bool,
    /// How much the person does on the platform, in percent of the usual.
    pub activity: u64,
}

/// A national identification number.
#[derive(Clone, PartialEq, Eq)]
pub struct NationalId {
    /// What people call it.
    pub label: &'static str,
    /// The number as people write it.
    pub value: String,
}

/// A postal address.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Street and house number.
    pub street: String,
    /// Post code.
    pub post_code: String,
    /// City.
    pub city: String,
    /// Region, county or state.
    pub region: String,
    /// Country as people there write it.
    pub country: &'static str,
    /// Latitude and longitude, decimal degrees by WGS 84, near the city.
    pub place: String,
}

/// A phone.
#[derive(Clone, PartialEq, Eq)]
pub struct Device {
    /// Model name.
    pub model: &'static str,
    /// `iOS` or `Android` with version.
    pub system: &'static str,
    /// Mobile carrier.
    pub carrier: &'static str,
    /// IMEI.
    pub imei: String,
    /// Apple's advertising identifier; empty on Android.
    pub idfa: String,
    /// Apple's identifier for the vendor; empty on Android.
    pub idfv: String,
    /// Google's advertising identifier; empty on iOS.
    pub gaid: String,
    /// Android's device identifier, 16 hexadecimal digits; empty on iOS.
    pub android_id: String,
    /// Usual IPv4 address, from a range for documentation or benchmarks (RFC 5737, RFC 2544).
    pub ipv4: String,
    /// Usual IPv6 address, from the range for documentation (RFC 3849).
    pub ipv6: String,
}

/// A video of the person.
#[derive(Clone, PartialEq, Eq)]
pub struct Video {
    /// The platform's number of the video; its upper 32 bits are the time of creation.
    pub id: u64,
    /// Time of creation, UTC.
    pub created: DateTime,
    /// Who may see it.
    pub audience: Audience,
    /// Title; may name the author.
    pub title: String,
    /// Likes.
    pub likes: u64,
}

/// Who may see a video; `WhoCanView` in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    Public,
    /// Friends of the author.
    Friends,
    /// The author alone.
    OnlyMe,
}

/// Something personal in a place that is not declared for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// The national number in a direct message.
    NationalIdInMessage,
    /// The national number in the note of an order.
    NationalIdInOrder,
    /// The national number in the `Unit` of the saved address.
    NationalIdInUnit,
    /// The bank account in a direct message.
    IbanInMessage,
    /// The phone number in a direct message.
    PhoneInMessage,
    /// The phone number in a comment.
    PhoneInComment,
    /// The e-mail address in a direct message.
    EmailInMessage,
    /// The e-mail address in the text of the profile.
    EmailInBio,
    /// The e-mail address in the title of a video.
    EmailInTitle,
    /// The device number in a direct message.
    ImeiInMessage,
    /// The postal address in a direct message.
    AddressInMessage,
}

/// What another person's file may mention.
pub(super) struct Identity {
    pub(super) country: &'static Country,
    pub(super) sex: Sex,
    pub(super) given: String,
    pub(super) family: String,
    pub(super) user_name: String,
}

impl Audience {
    /// The word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Public => "Public",
            Self::Friends => "Friends",
            Self::OnlyMe => "Only me",
        }
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({}, {}, {} videos)", self.index, self.country, self.videos.len())
    }
}

impl fmt::Debug for NationalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NationalId({}, {} bytes)", self.label, self.value.len())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({} bytes)", self.street.len() + self.city.len())
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.model)
    }
}

impl fmt::Debug for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Video({:?}, title of {} bytes)", self.audience, self.title.len())
    }
}

pub(super) fn identity(seed: u64, index: u64) -> Identity {
    let mut dice = Dice::new(seed, index, Stream::Identity);
    let country = country::of(seed, index);
    let sex = if dice.chance(50) { Sex::Female } else { Sex::Male };
    let (given, family) = names::draw(country, sex, &mut dice);
    let user_name = user_name(&given, &family, index, &mut dice);
    Identity { country, sex, given, family, user_name }
}

/// Ends in the index behind a sign that is no digit: no two people share one.
fn user_name(given: &str, family: &str, index: u64, dice: &mut Dice) -> String {
    let (given, family) = (names::plain(given), names::plain(family));
    let first: String = given.chars().take(1).collect();
    match dice.below(5) {
        0 => format!("{given}.{family}{index}"),
        1 => format!("{given}_{index}"),
        2 => format!("{family}.{first}{index}"),
        3 => format!("its.{given}{index}"),
        _ => format!("{first}{family}_{index}"),
    }
}

pub(super) fn draw(seed: u64, index: u64) -> Person {
    let Identity { country, sex, given, family, user_name } = identity(seed, index);
    let mut dice = Dice::new(seed, index, Stream::Facts);
    let phrases = phrases::of(country.language);
    let birth_date = birth_date(&mut dice);
    let bearer = national::Bearer { birth: birth_date, sex, given: &given, family: &family };
    let national_id = national::draw(country.code, &bearer, &mut dice);
    let number = dice.fill(country.mobile);
    let mut person = Person {
        index,
        country: country.code,
        email: email(&given, &family, &user_name, country, &mut dice),
        phone: format!("+{}{number}", country.dial),
        phone_national: national::grouped(&number, country.national),
        iban: ids::iban(country, &mut dice),
        address: address(country, &mut dice),
        device: device(country, &mut dice),
        bio: String::new(),
        videos: Vec::new(),
        disclosures: disclosures(national_id.is_some(), &mut dice),
        older_names: dice.chance(10),
        activity: activity(&mut dice),
        user_name,
        given_name: given,
        family_name: family,
        sex,
        birth_date,
        national_id,
    };
    person.bio = bio(&person, phrases, &mut dice);
    person.videos = videos(&person, phrases, &mut dice);
    person
}

impl Person {
    pub(super) fn discloses(&self, disclosure: Disclosure) -> bool {
        self.disclosures.contains(&disclosure)
    }

    /// The phrase with the author's city and name in their places.
    pub(super) fn say(&self, phrase: &str) -> String {
        phrase
            .replace("{city}", &self.address.city)
            .replace("{given}", &self.given_name)
            .replace("{family}", &self.family_name)
    }
}

/// Between 13 and 75 years before the download, the younger the likelier.
fn birth_date(dice: &mut Dice) -> Date {
    let days = dice.between(13 * 366, 75 * 365);
    let days = days.min(dice.between(13 * 366, 75 * 365));
    let days = SignedDuration::from_hours(24 * i64::try_from(days).unwrap_or(0));
    DOWNLOADED.date().saturating_sub(days)
}

fn email(given: &str, family: &str, user_name: &str, country: &Country, dice: &mut Dice) -> String {
    let (given, family) = (names::plain(given), names::plain(family));
    let domain = match dice.below(4) {
        0 => "example.com".to_owned(),
        1 => "example.org".to_owned(),
        2 => format!("webmail.{}.example", country.code.to_lowercase()),
        _ => "post.example".to_owned(),
    };
    match dice.below(3) {
        0 => format!("{user_name}@{domain}"),
        1 => format!("{given}.{family}{}@{domain}", dice.between(1, 9999)),
        _ => format!("{family}-{given}+tt{}@{domain}", dice.between(1, 9999)),
    }
}

fn address(country: &'static Country, dice: &mut Dice) -> Address {
    let city = dice.pick(country.cities);
    let mut parts = city.split('|');
    let mut part = || parts.next().unwrap_or_default();
    let (city, region, post_code, latitude, longitude) = (part(), part(), part(), part(), part());
    let street = dice.pick(country.streets).replace("{n}", &dice.between(1, 140).to_string());
    // Four more digits put the place within about a kilometre of the centre.
    let place = format!("{latitude}{},{longitude}{}", dice.digits(4), dice.digits(4));
    Address {
        street,
        post_code: dice.fill(post_code),
        city: city.to_owned(),
        region: region.to_owned(),
        country: country.name,
        place,
    }
}

fn device(country: &'static Country, dice: &mut Dice) -> Device {
    let apple = dice.chance(38);
    let (model, system) = if apple {
        (
            dice.pick(&["iPhone12,1", "iPhone13,2", "iPhone14,5", "iPhone15,4"]),
            dice.pick(&["iOS 17.6", "iOS 18.1"]),
        )
    } else {
        (
            dice.pick(&["SM-A546B", "SM-S911B", "Pixel 8", "2312DRA50G", "CPH2581"]),
            dice.pick(&["Android 13", "Android 14", "Android 15"]),
        )
    };
    let only = |wanted: bool, text: String| if wanted { text } else { String::new() };
    Device {
        model,
        system,
        carrier: dice.pick(country.carriers),
        imei: ids::imei(dice),
        idfa: only(apple, dice.uuid().to_uppercase()),
        idfv: only(apple, dice.uuid().to_uppercase()),
        gaid: only(!apple, dice.uuid()),
        android_id: only(!apple, dice.hex(16)),
        ipv4: ipv4(dice),
        ipv6: ipv6(dice),
    }
}

/// An address from the ranges that no provider hands out.
pub(super) fn ipv4(dice: &mut Dice) -> String {
    match dice.below(10) {
        0 => format!("192.0.2.{}", dice.between(1, 254)),
        1 => format!("203.0.113.{}", dice.between(1, 254)),
        _ => format!("198.{}.{}.{}", dice.between(18, 19), dice.below(256), dice.between(1, 254)),
    }
}

fn ipv6(dice: &mut Dice) -> String {
    let host = format!("{}:{}:{}:{}", dice.hex(4), dice.hex(4), dice.hex(4), dice.hex(4));
    // By way of the standard library's type for the one right spelling (RFC 5952).
    let text = format!("2001:db8:{}:{}:{host}", dice.hex(4), dice.hex(4));
    text.parse::<std::net::Ipv6Addr>().map_or(text, |address| address.to_string())
}

fn disclosures(has_national_id: bool, dice: &mut Dice) -> Vec<Disclosure> {
    use Disclosure as D;
    let shares = [
        (D::NationalIdInMessage, 25),
        (D::NationalIdInOrder, 12),
        (D::NationalIdInUnit, 4),
        (D::IbanInMessage, 25),
        (D::PhoneInMessage, 35),
        (D::PhoneInComment, 4),
        (D::EmailInMessage, 12),
        (D::EmailInBio, 8),
        (D::EmailInTitle, 4),
        (D::ImeiInMessage, 8),
        (D::AddressInMessage, 15),
    ];
    let needs_id =
        |what: D| matches!(what, D::NationalIdInMessage | D::NationalIdInOrder | D::NationalIdInUnit);
    let drawn: Vec<D> =
        shares.into_iter().filter_map(|(what, percent)| dice.chance(percent).then_some(what)).collect();
    drawn.into_iter().filter(|what| has_national_id || !needs_id(*what)).collect()
}

/// Most people are near the usual; one in forty does several times as much, one in two hundred far more.
fn activity(dice: &mut Dice) -> u64 {
    match dice.below(200) {
        0 => dice.between(750, 1000),
        1..=4 => dice.between(250, 400),
        _ => dice.between(35, 175),
    }
}

fn bio(person: &Person, phrases: &Phrases, dice: &mut Dice) -> String {
    let bio = person.say(dice.pick(phrases.bios));
    if person.discloses(Disclosure::EmailInBio) {
        format!("{bio} | {}", phrases.bookings.replace("{value}", &person.email))
    } else if dice.chance(20) {
        String::new()
    } else {
        bio
    }
}

fn videos(person: &Person, phrases: &Phrases, dice: &mut Dice) -> Vec<Video> {
    let count = dice.between(1, 1 + 9 * person.activity / 100);
    let mut ago = 0;
    let mut videos: Vec<Video> = (0..count).map(|_| video(person, phrases, &mut ago, dice)).collect();
    if let (true, Some(newest)) = (person.discloses(Disclosure::EmailInTitle), videos.first_mut()) {
        newest.title = format!("{} {}", newest.title, phrases.bookings.replace("{value}", &person.email));
    }
    videos
}

fn video(person: &Person, phrases: &Phrases, seconds_ago: &mut u64, dice: &mut Dice) -> Video {
    *seconds_ago += dice.between(3_000, 1_300_000);
    let created = before(*seconds_ago);
    let audience = match dice.below(10) {
        0..=5 => Audience::Public,
        6..=7 => Audience::Friends,
        _ => Audience::OnlyMe,
    };
    let title = match dice.below(6) {
        0 => format!("{} @{}", person.say(dice.pick(phrases.titles)), person.user_name),
        1 => {
            format!("{} #fyp #{}", person.say(dice.pick(phrases.titles)), names::plain(&person.address.city))
        }
        _ => person.say(dice.pick(phrases.titles)),
    };
    let likes = dice.below(40) * dice.below(40) * dice.below(12);
    Video { id: video_id(created, dice), created, audience, title, likes }
}

/// A moment before the download.
pub(super) fn before(seconds: u64) -> DateTime {
    DOWNLOADED.saturating_sub(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
}

/// A number as the platform makes them: seconds since 1970 above 32 other bits.
pub(super) fn video_id(created: DateTime, dice: &mut Dice) -> u64 {
    let seconds = created.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0)).as_secs();
    (u64::try_from(seconds).unwrap_or(0) << 32) | dice.below(1 << 32)
}
