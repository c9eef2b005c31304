//! User agents.

/// What kind of program asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Chrome, Chromium and what does not say otherwise.
    Chrome,
    /// Edge.
    Edge,
    /// Firefox.
    Firefox,
    /// Opera.
    Opera,
    /// The browser of Samsung's phones.
    Samsung,
    /// Safari.
    Safari,
    /// A page inside an app.
    WebView,
    /// A program that says it is one: crawlers and previews.
    Bot,
    /// An HTTP library.
    Library,
    /// Anything else.
    Other,
}

/// On what it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Platform {
    /// Android.
    Android,
    /// iPhone, iPad.
    Ios,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
    /// Linux and ChromeOS.
    Linux,
    /// Anything else.
    Other,
}

/// In the order of looking: browsers name their ancestors too, so the youngest comes first.
const FAMILIES: &[(&str, Family)] = &[
    ("bot", Family::Bot),
    ("crawl", Family::Bot),
    ("spider", Family::Bot),
    ("facebookexternalhit", Family::Bot),
    ("curl/", Family::Library),
    ("wget/", Family::Library),
    ("okhttp", Family::Library),
    ("python-", Family::Library),
    ("go-http-client", Family::Library),
    ("java/", Family::Library),
    ("dalvik/", Family::Library),
    ("cfnetwork/", Family::Library),
    ("edg/", Family::Edge),
    ("edga/", Family::Edge),
    ("edgios/", Family::Edge),
    ("edge/", Family::Edge),
    ("opr/", Family::Opera),
    ("opera", Family::Opera),
    ("samsungbrowser/", Family::Samsung),
    ("firefox/", Family::Firefox),
    ("fxios/", Family::Firefox),
    ("; wv)", Family::WebView),
    ("crios/", Family::Chrome),
    ("chrome/", Family::Chrome),
    ("chromium/", Family::Chrome),
    ("safari/", Family::Safari),
    ("applewebkit/", Family::WebView),
];

const PLATFORMS: &[(&str, Platform)] = &[
    ("android", Platform::Android),
    ("iphone", Platform::Ios),
    ("ipad", Platform::Ios),
    ("ipod", Platform::Ios),
    ("windows", Platform::Windows),
    ("mac os x", Platform::MacOs),
    ("macintosh", Platform::MacOs),
    ("cros ", Platform::Linux),
    ("linux", Platform::Linux),
];

/// Longest user agent that is looked at; what is longer is a carrier of something else.
const AGENT_MAX: usize = 2_048;

/// The family and platform of a user agent. Versions, models and languages go: together they are
/// a fingerprint. Both answers come from a closed list, so nothing of the text can show.
///
/// ```
/// use transform::generalise::{Family, Platform, agent};
///
/// let text = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) \
///             Chrome/126.0.6478.71 Mobile Safari/537.36";
/// assert_eq!(agent(text), (Family::Chrome, Platform::Android));
/// assert_eq!(agent("my home page fetcher"), (Family::Other, Platform::Other));
/// ```
#[must_use]
pub fn agent(text: &str) -> (Family, Platform) {
    if text.len() > AGENT_MAX {
        return (Family::Other, Platform::Other);
    }
    let text = text.to_ascii_lowercase();
    (
        FAMILIES.iter().find(|(word, _)| text.contains(word)).map_or(Family::Other, |(_, family)| *family),
        PLATFORMS.iter().find(|(word, _)| text.contains(word)).map_or(Platform::Other, |(_, on)| *on),
    )
}

impl Family {
    /// The word that is released.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Chrome => "Chrome",
            Self::Edge => "Edge",
            Self::Firefox => "Firefox",
            Self::Opera => "Opera",
            Self::Samsung => "Samsung Internet",
            Self::Safari => "Safari",
            Self::WebView => "WebView",
            Self::Bot => "Bot",
            Self::Library => "Library",
            Self::Other => "Other",
        }
    }
}

impl Platform {
    /// The word that is released.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Android => "Android",
            Self::Ios => "iOS",
            Self::MacOs => "macOS",
            Self::Windows => "Windows",
            Self::Linux => "Linux",
            Self::Other => "Other",
        }
    }
}
