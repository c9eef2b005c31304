//! A proposed rulebook beside the one in force: put on the road, counted, shown. It can keep nothing from starting.

use std::sync::Arc;

use crossing::Road;
use crossing::shadow::{Seen, Shadow};
use gateway::Enclave;
use gateway::metrics::ShadowGroups;
use prometheus_client::registry::Registry;

use crate::assemble;
use crate::config::Config;
use crate::layout::Layout;

/// Puts the configured candidate beside a road. One that cannot be used is told, and the road goes without.
pub(crate) fn beside(layout: &Layout, config: &Config, road: Road) -> Road {
    let Some(folder) = &config.shadow else { return road };
    let files = assemble::read_files(&layout.file(folder)).map_err(|e| format!("{e:#}"));
    let shadow = files.and_then(|files| Shadow::new(road.rulebook(), &files).map_err(|e| e.to_string()));
    match shadow {
        Ok(shadow) => {
            tracing::info!(rulebook = %shadow.digest(), "a proposed rulebook is asked beside the one in force");
            road.shadowed(shadow)
        }
        Err(why) => {
            tracing::warn!(why, "the shadow of the rulebook cannot be used; nothing is compared");
            road
        }
    }
}

/// Registers its counts. Another rulebook in force begins to count anew.
pub(crate) fn counted(enclave: &Arc<Enclave>, configured: bool, registry: &mut Registry) {
    if configured {
        let enclave = Arc::clone(enclave);
        let now = move || {
            enclave.live().road.shadow().map_or_else(|| parts(&Seen::default()), |s| parts(&s.seen()))
        };
        registry.register_collector(Box::new(ShadowGroups::new(now)));
    }
}

fn parts(seen: &Seen) -> [(&'static str, u64); 4] {
    let now = seen.now();
    [("same", now.same), ("wider", now.wider), ("narrower", now.narrower), ("error", now.errors)]
}

/// What the status shows of it.
pub(crate) fn shown(enclave: &Enclave) -> Option<console::api::Shadowed> {
    let live = enclave.live();
    let shadow = live.road.shadow()?;
    let now = shadow.seen().now();
    let (same, wider, narrower, errors) = (now.same, now.wider, now.narrower, now.errors);
    Some(console::api::Shadowed { rulebook: shadow.digest().to_string(), same, wider, narrower, errors })
}
