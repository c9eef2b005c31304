//! Who takes a server's changes, held against who may. A name is no identity: role, address, certificate and slot are
//! what counts, and two under one name are one too many.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Fact, Why};

/// Who may take changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replica {
    /// Its `application_name`.
    pub name: String,
    /// The role that it comes as.
    pub role: String,
    /// The network that it comes from, or `local` for the server's own socket.
    pub address: String,
    /// The subject of its client certificate, as `pg_stat_ssl.client_dn` has it. Without one, it need only be encrypted,
    /// and on the own socket nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Its slot, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// `stream` for changes, `backup` for a whole copy.
    pub purpose: Purpose,
    /// Why it is there.
    pub reason: String,
}

/// What is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Changes as they come.
    Stream,
    /// A base backup.
    Backup,
}

impl Replica {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.address != "local"
            && self.address.parse::<IpNet>().is_err()
            && self.address.parse::<IpAddr>().is_err()
        {
            return Err("its address is a network, or `local`".to_owned());
        }
        if self.reason.trim().is_empty() { Err("it has no reason".to_owned()) } else { Ok(()) }
    }

    fn is_from(&self, address: &str) -> bool {
        if self.address == "local" || address == "local" {
            return self.address == address;
        }
        let Ok(address) = address.parse::<IpAddr>() else { return false };
        match (self.address.parse::<IpNet>(), self.address.parse::<IpAddr>()) {
            (Ok(net), _) => net.contains(&address),
            (_, Ok(one)) => one == address,
            _ => false,
        }
    }

    fn is(&self, seen: &Walsender) -> bool {
        let certified = match &self.certificate {
            Some(subject) => seen.certificate == *subject,
            None => seen.encrypted || seen.address == "local",
        };
        self.name == seen.name
            && self.role == seen.role
            && self.is_from(&seen.address)
            && certified
            && self.slot.as_deref().unwrap_or_default() == seen.slot
            && self.purpose == seen.purpose
    }
}

/// Somebody who takes changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walsender {
    /// What it calls itself.
    pub name: String,
    /// The role that it came as.
    pub role: String,
    /// Its address, or `local`.
    pub address: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The subject of its certificate; empty without.
    pub certificate: String,
    /// The slot that it holds; empty without.
    pub slot: String,
    /// What it takes.
    pub purpose: Purpose,
}

impl Walsender {
    fn fact(&self) -> Fact {
        let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { format!("`{text}`") };
        let purpose = match self.purpose {
            Purpose::Stream => "stream",
            Purpose::Backup => "backup",
        };
        let encrypted = if self.encrypted { "encrypted" } else { "in the clear" };
        let text = format!(
            "{purpose} to `{}` as role `{}` from {} {encrypted}, certificate {}, slot {}",
            self.name,
            self.role,
            self.address,
            or_none(&self.certificate),
            or_none(&self.slot)
        );
        Fact::new("replication", text)
    }
}

/// What is wrong with those who take changes. Each declaration stands for one of them.
pub(super) fn judge(seen: &[Walsender], declared: &[Replica]) -> Vec<(Fact, Why)> {
    let mut free: Vec<&Replica> = declared.iter().collect();
    let mut wrong = Vec::new();
    for walsender in seen {
        if let Some(place) = free.iter().position(|r| r.is(walsender)) {
            free.swap_remove(place);
        } else {
            let named = declared.iter().any(|r| r.name == walsender.name);
            wrong.push((walsender.fact(), if named { Why::Impostor } else { Why::Undeclared }));
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hamar() -> (Replica, Walsender) {
        let text = |t: &str| t.to_owned();
        let replica = Replica {
            name: text("hamar"),
            role: text("replicator_hamar"),
            address: text("10.1.0.0/16"),
            certificate: Some(text("/CN=hamar")),
            slot: Some(text("hamar")),
            purpose: Purpose::Stream,
            reason: text("site"),
        };
        let walsender = Walsender {
            name: text("hamar"),
            role: text("replicator_hamar"),
            address: text("10.1.2.3"),
            encrypted: true,
            certificate: text("/CN=hamar"),
            slot: text("hamar"),
            purpose: Purpose::Stream,
        };
        (replica, walsender)
    }

    #[test]
    fn whoever_differs_in_anything_from_what_is_declared_is_an_impostor() {
        let (replica, good) = hamar();
        let judged = |seen: &[Walsender]| judge(seen, std::slice::from_ref(&replica));
        assert_eq!(judged(std::slice::from_ref(&good)), vec![]);
        let change: [fn(&mut Walsender); 6] = [
            |w| w.role = "postgres".to_owned(),
            |w| w.address = "203.0.113.9".to_owned(),
            |w| w.address = "local".to_owned(),
            |w| w.certificate = String::new(),
            |w| w.slot = String::new(),
            |w| w.purpose = Purpose::Backup,
        ];
        for change in change {
            let mut other = good.clone();
            change(&mut other);
            assert!(
                matches!(judged(std::slice::from_ref(&other)).as_slice(), [(_, Why::Impostor)]),
                "{other:?}"
            );
        }
        let mut stranger = good.clone();
        stranger.name = "walreceiver".to_owned();
        assert!(matches!(judged(&[stranger]).as_slice(), [(_, Why::Undeclared)]));
    }

    #[test]
    fn two_under_one_declaration_are_one_too_many_even_if_alike() {
        let (replica, good) = hamar();
        let judged = judge(&[good.clone(), good], std::slice::from_ref(&replica));
        assert!(matches!(judged.as_slice(), [(_, Why::Impostor)]));
    }

    #[test]
    fn over_a_network_nothing_goes_in_the_clear() {
        let (mut replica, mut walsender) = hamar();
        replica.certificate = None;
        assert_eq!(judge(std::slice::from_ref(&walsender), std::slice::from_ref(&replica)), vec![]);
        walsender.encrypted = false;
        assert_eq!(judge(&[walsender], &[replica]).len(), 1);
    }
}
