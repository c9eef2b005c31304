//! Who is at the door: connections that have not signed in yet, counted by where they come from, so that nobody alone keeps all
//! others waiting.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most from one address; of IPv6 from one network of 64 bits, which is what one host is given.
const OF_ONE_MAX: usize = 32;
/// The bits of that network.
const NETWORK: u128 = !0 << 64;

/// Connections at the door.
#[derive(Default)]
pub(super) struct Door(Mutex<HashMap<IpAddr, usize>>);

/// One of them, until it is dropped.
pub(super) struct Waiting<'d> {
    door: &'d Door,
    from: IpAddr,
}

impl Door {
    /// A place at the door, unless too many of the same address wait there.
    pub(super) fn enter(&self, from: IpAddr) -> Option<Waiting<'_>> {
        let from = match from.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
            v4 @ IpAddr::V4(_) => v4,
        };
        let mut all = self.all();
        let count = all.entry(from).or_default();
        if *count >= OF_ONE_MAX {
            return None;
        }
        *count += 1;
        Some(Waiting { door: self, from })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut all = self.door.all();
        if let Some(count) = all.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_or_network_fills_its_own_places_only_and_nothing_stays_behind() {
        let door = Door::default();
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut waiting: Vec<_> =
            (0..OF_ONE_MAX).map(|n| door.enter(at(&format!("2001:db8::{n:x}"))).unwrap()).collect();
        assert!(door.enter(at("2001:db8::ffff")).is_none(), "the same network");
        assert!(door.enter(at("2001:db8:0:1::1")).is_some() && door.enter(at("192.0.2.1")).is_some());
        waiting.pop();
        waiting.push(door.enter(at("2001:db8::ffff")).unwrap());
        assert!(door.enter(at("2001:db8::1")).is_none());
        waiting.extend((0..OF_ONE_MAX).map(|_| door.enter(at("::ffff:192.0.2.1")).unwrap()));
        assert!(door.enter(at("192.0.2.1")).is_none(), "one address, however it is written");
        drop(waiting);
        assert!(door.all().is_empty());
    }
}
