//! A browser, as far as signing in needs one: cookies for each host, redirects, forms.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use http::Method;
use xtask::client::{Answer, Client};

/// Most redirects that are followed.
const REDIRECTS_MAX: usize = 12;

/// A host with its cookies.
struct Site {
    host: String,
    client: Client,
    jar: BTreeMap<String, String>,
}

/// One person's browser.
pub(super) struct Browser {
    sites: Vec<Site>,
    /// Every `Set-Cookie` of the console, as it came.
    pub(super) set: Vec<String>,
}

/// A place to go: which of the sites, and a path there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    site: usize,
    pub(super) path: String,
}

const CONSOLE: usize = 0;
const PROVIDER: usize = 1;

pub(super) fn console(path: &str) -> Place {
    Place { site: CONSOLE, path: path.to_owned() }
}

pub(super) fn provider(path: &str) -> Place {
    Place { site: PROVIDER, path: path.to_owned() }
}

impl Browser {
    /// A browser at an address. Of the console and the provider it knows the names and ports.
    pub(super) fn new(console: &str, provider: &str, from: IpAddr, ca: &Path) -> Self {
        let site = |host: &str| {
            let port = host.rsplit(':').next().unwrap().parse::<u16>().unwrap();
            let client = Client::new(([127, 0, 0, 1], port).into(), from, ca, None).unwrap();
            Site { host: host.to_owned(), client, jar: BTreeMap::new() }
        };
        Self { sites: vec![site(console), site(provider)], set: Vec::new() }
    }

    /// The same cookies in a browser at another address.
    pub(super) fn moved(&self, from: IpAddr, ca: &Path) -> Self {
        let hosts: Vec<&str> = self.sites.iter().map(|s| s.host.as_str()).collect();
        let mut moved = Self::new(hosts[CONSOLE], hosts[PROVIDER], from, ca);
        for (to, from) in moved.sites.iter_mut().zip(&self.sites) {
            to.jar.clone_from(&from.jar);
        }
        moved
    }

    /// The value of a cookie of the console.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.sites[CONSOLE].jar.get(name).map(String::as_str)
    }

    /// Forgets the console's cookies.
    pub(super) fn forget(&mut self) {
        self.sites[CONSOLE].jar.clear();
    }

    /// One request, with the cookies of its host.
    pub(super) async fn send(
        &mut self,
        method: Method,
        to: &Place,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let site = &mut self.sites[to.site];
        let jar: Vec<String> = site.jar.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let jar = jar.join("; ");
        let mut all = vec![("host", site.host.as_str())];
        if !jar.is_empty() {
            all.push(("cookie", &jar));
        }
        all.extend_from_slice(headers);
        let answer = site.client.send(method, &to.path, &all, body.to_owned()).await.unwrap();
        for line in answer.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()) {
            if to.site == CONSOLE {
                self.set.push(line.to_owned());
            }
            let (pair, rest) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let gone = value.is_empty() || rest.contains("Max-Age=0") || rest.contains("01 Jan 1970");
            if gone {
                site.jar.remove(name);
            } else {
                site.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub(super) async fn get(&mut self, to: &Place) -> Answer {
        self.send(Method::GET, to, &[], "").await
    }

    /// Sends a form of a page of that host.
    pub(super) async fn submit(&mut self, to: &Place, form: &str) -> Answer {
        let origin = format!("https://{}", self.sites[to.site].host);
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())];
        self.send(Method::POST, to, &headers, form).await
    }

    /// Where an answer leads.
    fn led(&self, at: &Place, answer: &Answer) -> Option<Place> {
        let location = answer.headers.get("location")?.to_str().unwrap();
        if location.starts_with('/') {
            return Some(Place { site: at.site, path: location.to_owned() });
        }
        let rest = location.strip_prefix("https://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let site = self.sites.iter().position(|s| s.host == host).expect("a redirect to nobody known");
        Some(Place { site, path: format!("/{path}") })
    }

    /// Follows redirects until there is a page, or until the browser is to go back to the console's callback.
    pub(super) async fn follow(&mut self, mut at: Place, mut answer: Answer) -> (Place, Option<Answer>) {
        for _ in 0..REDIRECTS_MAX {
            let Some(next) = self.led(&at, &answer) else { return (at, Some(answer)) };
            at = next;
            if at.site == CONSOLE && at.path.starts_with("/signin/callback") {
                return (at, None);
            }
            answer = self.get(&at).await;
        }
        panic!("redirects without end");
    }

    /// Begins at the console, signs in as somebody at the provider, and stops where it would go back.
    pub(super) async fn until_callback(&mut self, who: &str) -> Place {
        let begin = console("/signin");
        let answer = self.get(&begin).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let (page, shown) = self.follow(begin, answer).await;
        if shown.is_none() {
            // The provider knows this browser already.
            return page;
        }
        let (back, rest) = self.log_in(&page, who).await;
        assert!(rest.is_none(), "no way back: {back:?}");
        back
    }

    /// Signs in on the provider's page for that.
    pub(super) async fn log_in(&mut self, page: &Place, who: &str) -> (Place, Option<Answer>) {
        assert!(page.path.starts_with("/interaction/"), "{page:?}");
        let answer = self.submit(page, &format!("login={who}")).await;
        self.follow(page.clone(), answer).await
    }

    /// Signs in as somebody, back at the console and all.
    pub(super) async fn sign_in(&mut self, who: &str) -> Answer {
        let back = self.until_callback(who).await;
        self.get(&back).await
    }
}

/// The value of a hidden field in a page.
pub(super) fn hidden(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\""))?;
    let (_, rest) = rest.split_once("value=\"")?;
    rest.split('"').next().map(str::to_owned)
}
