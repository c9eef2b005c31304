//! A person's export file: the shape, in the newer or the older key names.

mod activity;
mod json;

use super::{
    dice::{Dice, Stream},
    person::{Disclosure, Person},
    phrases::{self, Phrases},
};
use activity::{YEAR, spaced};
use json::{Json, list, object, or_not_available};

/// Which of the two spellings of the key names a file uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Newer,
    Older,
}

impl Names {
    fn pick(self, newer: &'static str, older: &'static str) -> &'static str {
        match self {
            Self::Newer => newer,
            Self::Older => older,
        }
    }
}

/// What the parts of a document share.
struct Writer<'a> {
    seed: u64,
    person: &'a Person,
    phrases: &'static Phrases,
    names: Names,
    dice: Dice,
}

/// The bytes of the person's file: compact JSON.
pub(super) fn bytes(seed: u64, person: &Person) -> serde_json::Result<Vec<u8>> {
    let language = super::country::of(seed, person.index).language;
    let mut writer = Writer {
        seed,
        person,
        phrases: phrases::of(language),
        names: if person.older_names { Names::Older } else { Names::Newer },
        dice: Dice::new(seed, person.index, Stream::Activity),
    };
    serde_json::to_vec(&writer.document())
}

impl Writer<'_> {
    fn document(&mut self) -> Json {
        let names = self.names;
        let likes = self.likes_and_favorites();
        let mut activity = self.activity();
        let mut sections = vec![(names.pick("Profile And Settings", "Profile"), self.profile())];
        match names {
            Names::Newer => {
                sections.push(("Your Activity", Json::Object(activity)));
                sections.push(("Likes and Favorites", Json::Object(likes)));
            }
            Names::Older => {
                activity.extend(likes);
                sections.push(("Activity", Json::Object(activity)));
            }
        }
        sections.extend([
            (names.pick("Post", "Video"), self.posts()),
            ("Comment", self.comments()),
            (names.pick("Direct Message", "Direct Messages"), self.messages()),
            (names.pick("TikTok Shop", "Tiktok Shopping"), self.shop()),
            ("Tiktok Live", self.live()),
            ("Ads and data", self.ads()),
        ]);
        object(sections)
    }

    fn profile(&mut self) -> Json {
        let names = self.names;
        object([
            (names.pick("Profile Info", "Profile Information"), object([("ProfileMap", self.profile_map())])),
            (names.pick("Autofill", "Auto Fill"), self.autofill()),
            (names.pick("Settings", "App Settings"), object([("SettingsMap", self.settings())])),
            ("Block List", object([("BlockList", self.people(2))])),
            ("Follower", object([("FansList", self.people(12))])),
            ("Following", object([("Following", self.people(10))])),
        ])
    }

    fn profile_map(&mut self) -> Json {
        let person = self.person;
        let likes: u64 = person.videos.iter().map(|video| video.likes).sum();
        let photo = format!("https://p16.tiktokcdn.example/{}.jpeg", self.dice.hex(32));
        object([
            ("userName", person.user_name.as_str().into()),
            ("bioDescription", person.bio.as_str().into()),
            ("birthDate", person.birth_date.strftime("%d-%b-%Y").to_string().into()),
            ("emailAddress", person.email.as_str().into()),
            ("telephoneNumber", person.phone.as_str().into()),
            ("likesReceived", likes.to_string().into()),
            ("profilePhoto", photo.into()),
            ("profileVideo", "None".into()),
            ("accountRegion", person.country.into()),
        ])
    }

    fn autofill(&mut self) -> Json {
        let person = self.person;
        let saved = self.dice.chance(60) || person.discloses(Disclosure::NationalIdInUnit);
        let text = |text: &str| or_not_available(if saved { text } else { "" });
        let unit = self.autofill_unit();
        object([
            ("PhoneNumber", text(&person.phone_national)),
            ("Email", text(&person.email)),
            ("FirstName", text(&person.given_name)),
            ("LastName", text(&person.family_name)),
            ("Address", text(&person.address.street)),
            ("ZipCode", text(&person.address.post_code)),
            ("Unit", text(&unit)),
            ("City", text(&person.address.city)),
            ("State", text(&person.address.region)),
            ("Country", text(person.address.country)),
        ])
    }

    fn autofill_unit(&mut self) -> String {
        match &self.person.national_id {
            Some(id) if self.person.discloses(Disclosure::NationalIdInUnit) => {
                self.phrases.unit.replace("{label}", id.label).replace("{value}", &id.value)
            }
            _ if self.dice.chance(30) => self.dice.between(1, 40).to_string(),
            _ => String::new(),
        }
    }

    fn settings(&mut self) -> Json {
        let who = ["Everyone", "Friends", "No one"];
        let topics =
            ["Football|Cooking|Travel", "Beauty|Pets", "Pregnancy|Home", "Gaming|Cars", "Diabetes|Fitness"];
        let private = if self.dice.chance(25) { "Enabled" } else { "Disabled" };
        object([
            ("Private Account", private.into()),
            ("Who Can Comment On Your Videos", self.dice.pick(&who).into()),
            ("Who Can Send You Direct Messages", self.dice.pick(&who).into()),
            ("Who Can Duet With You", self.dice.pick(&who).into()),
            ("Allow Downloads", self.dice.chance(60).into()),
            ("App Language", super::country::of(self.seed, self.person.index).language.into()),
            ("Interests", or_not_available(self.dice.pick(&topics))),
        ])
    }

    fn posts(&mut self) -> Json {
        let names = self.names;
        let person = self.person;
        let items = person.videos.iter().map(|video| {
            let answer = |yes: bool| if yes { "Yes" } else { "No" };
            let link = format!("https://www.tiktok.com/@{}/video/{}/", person.user_name, video.id);
            let location = if self.dice.chance(25) { person.address.city.as_str() } else { "" };
            object([
                ("Date", spaced(video.created).into()),
                ("Link", link.into()),
                ("Likes", video.likes.to_string().into()),
                ("WhoCanView", video.audience.word().into()),
                ("AllowComments", answer(self.dice.chance(90)).into()),
                ("AllowStitches", answer(self.dice.chance(80)).into()),
                ("AllowDuets", answer(self.dice.chance(80)).into()),
                (
                    "Sound",
                    self.dice.pick(&["original sound", "Summer Nights", "lofi study", "Roman Candle"]).into(),
                ),
                ("Location", or_not_available(location)),
                ("Title", video.title.as_str().into()),
            ])
        });
        let videos = list(items);
        object([(names.pick("Posts", "Videos"), object([("VideoList", videos)]))])
    }

    fn shop(&mut self) -> Json {
        let person = self.person;
        let address = object([
            ("Name", format!("{} {}", person.given_name, person.family_name).into()),
            ("Phone Number", person.phone_national.as_str().into()),
            ("Address", self.one_line_address().into()),
        ]);
        let account = if self.dice.chance(30) {
            list([object([("Type", "SEPA".into()), ("Account", person.iban.as_str().into())])])
        } else {
            Json::Null
        };
        object([
            ("Order History", object([("OrderHistories", self.orders())])),
            ("Saved Address Information", object([("SavedAddress", list([address]))])),
            ("Current Payment Information", object([("PayCard", account)])),
            ("Shopping Cart List", object([("ShoppingCart", Json::Null)])),
        ])
    }

    fn one_line_address(&self) -> String {
        let address = &self.person.address;
        format!("{}, {} {}, {}", address.street, address.post_code, address.city, address.country)
    }

    fn orders(&mut self) -> Json {
        let noted =
            self.person.national_id.as_ref().filter(|_| self.person.discloses(Disclosure::NationalIdInOrder));
        let count = self.dice.below(3).max(u64::from(noted.is_some()));
        let mut note = noted
            .map(|id| self.phrases.note.replace("{label}", id.label).replace("{value}", &id.value))
            .unwrap_or_default();
        list(self.moments(count, YEAR).into_iter().map(|date| {
            let total = format!("{}.{} EUR", self.dice.between(4, 90), self.dice.digits(2));
            object([
                ("Order ID", self.dice.digits(18).into()),
                ("Order Date", spaced(date).into()),
                (
                    "Product",
                    self.dice.pick(&["phone case", "face cream", "LED lamp", "hoodie", "tea cups"]).into(),
                ),
                ("Total Price", total.into()),
                ("Shipping Address", self.one_line_address().into()),
                ("Note", or_not_available(&std::mem::take(&mut note))),
            ])
        }))
    }
}
