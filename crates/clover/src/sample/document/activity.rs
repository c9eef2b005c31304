//! The long lists of a file: what the person watched, liked, searched, wrote and received.

use jiff::{SignedDuration, civil::DateTime};

use super::{
    super::person::{self, Disclosure, Identity},
    Names, Writer,
    json::{Json, list, object, or_not_available},
};

/// A year in seconds: how far back most lists reach.
pub(super) const YEAR: u64 = 365 * 86_400;

/// The platform's usual way to write a moment, UTC without saying so.
pub(super) fn spaced(moment: DateTime) -> String {
    moment.strftime("%F %T").to_string()
}

impl Writer<'_> {
    /// Scales a usual count by how much this person does.
    fn count(&mut self, usual: u64) -> u64 {
        let most = usual * self.person.activity / 100;
        self.dice.between(most * 2 / 3, most)
    }

    /// `count` moments of the last `seconds`, the newest first.
    pub(super) fn moments(&mut self, count: u64, seconds: u64) -> Vec<DateTime> {
        let mut moments: Vec<_> = (0..count).map(|_| person::before(self.dice.below(seconds))).collect();
        moments.sort_unstable_by(|one, other| other.cmp(one));
        moments
    }

    /// Another person of the sample, for the most part of the neighbourhood.
    fn somebody(&mut self) -> Identity {
        let first = self.person.index.saturating_sub(300).max(1);
        let index = first + self.dice.below(600);
        person::identity(self.seed, index)
    }

    /// A link to a video that was some days old at that moment.
    fn link(&mut self, seen: DateTime) -> String {
        let age = SignedDuration::from_secs(i64::try_from(self.dice.below(200 * 86_400)).unwrap_or(0));
        let video = person::video_id(seen.saturating_sub(age), &mut self.dice);
        format!("https://www.tiktokv.com/share/video/{video}/")
    }

    /// `count` entries of `Date` and `Link`, in either spelling of the two names.
    fn links(&mut self, count: u64, date: &'static str, link: &'static str) -> Json {
        list(
            self.moments(count, YEAR)
                .into_iter()
                .map(|seen| object([(date, spaced(seen).into()), (link, self.link(seen).into())])),
        )
    }

    pub(super) fn people(&mut self, usual: u64) -> Json {
        let count = self.count(usual);
        list(self.moments(count, 2 * YEAR).into_iter().map(|date| {
            object([("Date", spaced(date).into()), ("UserName", self.somebody().user_name.into())])
        }))
    }

    pub(super) fn activity(&mut self) -> Vec<(&'static str, Json)> {
        let names = self.names;
        let watched = self.count(45);
        vec![
            ("Login History", object([("LoginHistoryList", self.logins())])),
            ("Status", object([("Status List", self.status())])),
            (
                names.pick("Watch History", "Video Browsing History"),
                object([("VideoList", self.links(watched, "Date", "Link"))]),
            ),
            (names.pick("Searches", "Search History"), object([("SearchList", self.searches())])),
            ("Share History", object([("ShareHistoryList", self.shares())])),
            ("Purchase History", object([("SendGifts", object([("SendGifts", Json::Null)]))])),
            ("Most Recent Location Data", object([("LocationData", self.location())])),
        ]
    }

    fn logins(&mut self) -> Json {
        let device = &self.person.device;
        let count = self.count(10).max(1);
        list(self.moments(count, YEAR / 2).into_iter().map(|date| {
            let ip = match self.dice.below(10) {
                0..=5 => device.ipv4.clone(),
                6..=7 => device.ipv6.clone(),
                _ => person::ipv4(&mut self.dice),
            };
            object([
                ("Date", spaced(date).into()),
                ("IP", ip.into()),
                ("DeviceModel", device.model.into()),
                ("DeviceSystem", device.system.into()),
                ("NetworkType", self.dice.pick(&["Wi-Fi", "4G", "5G"]).into()),
                ("Carrier", device.carrier.into()),
            ])
        }))
    }

    fn status(&mut self) -> Json {
        let device = &self.person.device;
        list([object([
            ("Resolution", self.dice.pick(&["1080*2340", "1170*2532", "1440*3120"]).into()),
            ("App Version", format!("4{}.{}.{}", self.dice.below(4), self.dice.below(10), 1).into()),
            ("IDFA", or_not_available(&device.idfa)),
            ("GAID", or_not_available(&device.gaid)),
            ("Android ID", or_not_available(&device.android_id)),
            ("IDFV", or_not_available(&device.idfv)),
            ("Web ID", format!("7{}", self.dice.digits(18)).into()),
        ])])
    }

    fn searches(&mut self) -> Json {
        let count = self.count(8);
        list(self.moments(count, YEAR).into_iter().map(|date| {
            let term = match self.dice.below(8) {
                0 => format!("@{}", self.somebody().user_name),
                _ => self.person.say(self.dice.pick(self.phrases.searches)),
            };
            object([("Date", spaced(date).into()), ("SearchTerm", term.into())])
        }))
    }

    fn shares(&mut self) -> Json {
        let count = self.count(5);
        list(self.moments(count, YEAR).into_iter().map(|date| {
            object([
                ("Date", spaced(date).into()),
                ("SharedContent", self.dice.pick(&["video", "profile", "sound"]).into()),
                ("Link", self.link(date).into()),
                ("Method", self.dice.pick(&["chat_merge", "whatsapp", "copy", "email"]).into()),
            ])
        }))
    }

    fn location(&mut self) -> Json {
        let person = self.person;
        let known = self.dice.chance(55);
        object([
            ("Date", spaced(person::before(self.dice.below(864_000))).into()),
            ("GpsData", or_not_available(if known { &person.address.place } else { "" })),
            ("LastRegion", person.address.region.as_str().into()),
        ])
    }

    pub(super) fn likes_and_favorites(&mut self) -> Vec<(&'static str, Json)> {
        let (liked, videos, sounds) = (self.count(20), self.count(6), self.count(3));
        // Both capitalisations occur in real files.
        let (date, link) = match self.names {
            Names::Newer => ("date", "link"),
            Names::Older => ("Date", "Link"),
        };
        vec![
            ("Like List", object([("ItemFavoriteList", self.links(liked, date, link))])),
            ("Favorite Videos", object([("FavoriteVideoList", self.links(videos, "Date", "Link"))])),
            ("Favorite Sounds", object([("FavoriteSoundList", self.links(sounds, "Date", "Link"))])),
            ("Favorite Hashtags", object([("FavoriteHashtagList", Json::Null)])),
            ("Favorite Effects", object([("FavoriteEffectsList", Json::Null)])),
        ]
    }

    pub(super) fn comments(&mut self) -> Json {
        let count = self.count(9).max(1);
        let mut items: Vec<String> =
            (0..count).map(|_| self.person.say(self.dice.pick(self.phrases.comments))).collect();
        if let (true, Some(last)) = (self.person.discloses(Disclosure::PhoneInComment), items.last_mut()) {
            *last = self.phrases.phone.replace("{value}", &self.person.phone_national);
        }
        let moments = self.moments(items.len() as u64, YEAR);
        let items = list(items.into_iter().zip(moments).map(|(comment, moment)| {
            let date = moment.strftime("%FT%TZ").to_string();
            object([
                ("date", date.into()),
                ("comment", comment.into()),
                ("photo", "N/A".into()),
                ("url", "".into()),
            ])
        }));
        object([("Comments", object([("CommentsList", items)]))])
    }

    pub(super) fn messages(&mut self) -> Json {
        let mut secrets = self.secrets();
        let chats = self.count(3).max(1);
        let mut history: Vec<(String, Json)> = Vec::new();
        while (history.len() as u64) < chats {
            let friend = self.somebody().user_name;
            let name = format!("Chat History with {friend}:");
            if friend == self.person.user_name || history.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let chat = self.chat(&friend, std::mem::take(&mut secrets));
            history.push((name, chat));
        }
        let key = self.names.pick("Direct Messages", "Chat History");
        object([(key, object([("ChatHistory", Json::Map(history))]))])
    }

    /// What the person gives away in messages.
    fn secrets(&self) -> Vec<String> {
        let (person, phrases) = (self.person, self.phrases);
        let id = person
            .national_id
            .as_ref()
            .map(|id| phrases.id.replace("{label}", id.label).replace("{value}", &id.value));
        let say = |phrase: &str, value: &str| Some(phrase.replace("{value}", value));
        [
            (Disclosure::NationalIdInMessage, id),
            (Disclosure::IbanInMessage, say(phrases.iban, &person.iban)),
            (Disclosure::PhoneInMessage, say(phrases.phone, &person.phone_national)),
            (Disclosure::EmailInMessage, say(phrases.email, &person.email)),
            (Disclosure::ImeiInMessage, say(phrases.imei, &person.device.imei)),
            (Disclosure::AddressInMessage, say(phrases.address, &self.one_line_address())),
        ]
        .into_iter()
        .filter_map(|(what, text)| text.filter(|_| person.discloses(what)))
        .collect()
    }

    fn chat(&mut self, friend: &str, secrets: Vec<String>) -> Json {
        let usual = self.count(7).min(400) + 1;
        let mut messages: Vec<(bool, String)> = (0..usual)
            .map(|_| (self.dice.chance(50), self.person.say(self.dice.pick(self.phrases.chats))))
            .collect();
        messages.extend(secrets.into_iter().map(|text| (true, text)));
        let start = self.dice.between(1_000_000, YEAR);
        let me = self.person.user_name.as_str();
        list(messages.into_iter().enumerate().map(|(place, (mine, content))| {
            let date = spaced(person::before(start.saturating_sub(place as u64 * 131)));
            object([
                ("Date", date.into()),
                ("From", if mine { me } else { friend }.into()),
                ("Content", content.into()),
            ])
        }))
    }

    pub(super) fn live(&mut self) -> Json {
        let count = self.count(2);
        let watched = self.moments(count, YEAR).into_iter().map(|date| {
            let room = format!("7{}", self.dice.digits(18));
            let link = format!("https://www.tiktok.com/@{}/live", self.somebody().user_name);
            let value = object([
                ("WatchTime", spaced(date).into()),
                ("Link", link.into()),
                ("Comments", Json::Null),
                ("Questions", Json::Null),
            ]);
            (room, value)
        });
        let watched = watched.collect();
        object([
            ("Watch Live History", object([("WatchLiveMap", Json::Map(watched))])),
            ("Go Live History", object([("GoLiveList", Json::Null)])),
        ])
    }

    pub(super) fn ads(&mut self) -> Json {
        let count = self.count(4);
        let events = list(self.moments(count, YEAR).into_iter().map(|date| {
            object([
                ("TimeStamp", spaced(date).into()),
                ("Source", self.dice.pick(&["shop.example", "pharmacy.example", "news.example"]).into()),
                ("Event", self.dice.pick(&["ViewContent", "AddToCart", "Purchase"]).into()),
            ])
        }));
        let interests = self.dice.pick(&["Sports, Food", "Parenting", "Dating", "Finance, Loans", ""]);
        object([
            ("Off TikTok Activity", object([("OffTikTokActivityDataList", events)])),
            ("Ad Interests", object([("AdInterestCategories", or_not_available(interests))])),
        ])
    }
}
