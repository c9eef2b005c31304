//! Without a solver, and of what no proof speaks: every request of a small world put to the real engines of two
//! rulebooks. What it finds is so; what it does not find may be there. Its word is "bounded", and never "proved".

mod world;

use model::rulebook::Rulebook;
use model::{Problems, Treatment};
use policy::Engine;
use serde::Serialize;

use crate::book::Book;
use world::{Ask, Side, World};

/// Examples that are kept.
const EXAMPLES_MAX: usize = 20;

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Bounded {
    /// Requests that were put.
    pub requests: usize,
    /// Whether they were all of the small world.
    pub complete: bool,
    /// Forms of kinds of fields that the candidate gives and the rulebook in force does not.
    pub wider: u64,
    /// A few of them, in words.
    pub examples: Vec<Wider>,
    /// Answers that an engine could not give.
    pub errors: u64,
}

/// A request by which more is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wider {
    /// The request.
    pub words: Vec<String>,
    /// The policies by which it is given.
    pub by: Vec<String>,
}

/// Holds a candidate against the rulebook in force, by at most `requests_max` requests: each is put to both engines for
/// every form of every kind of field.
///
/// # Errors
/// The problems of one of the two, which [`Book::read`] would have told.
pub fn bounded(candidate: &Book, active: &Book, requests_max: usize) -> Result<Bounded, Problems> {
    let read = |book: &Book| {
        let rulebook = Rulebook::parse(&book.files, |_| book.digest)?;
        let engine = Engine::new(&rulebook)?;
        Ok::<_, Problems>((rulebook, engine))
    };
    let ((old, old_engine), (new, new_engine)) = (read(active)?, read(candidate)?);
    let world = World::of(&old, &new);
    let (old, new) = (Side::new(&old, old_engine, true), Side::new(&new, new_engine, false));
    let mut found = Bounded { requests: 0, complete: true, wider: 0, examples: Vec::new(), errors: 0 };
    for ask in world.asks() {
        if found.requests >= requests_max {
            found.complete = false;
            break;
        }
        found.requests += 1;
        one(&world, &ask, &old, &new, &mut found);
    }
    Ok(found)
}

fn one(world: &World, ask: &Ask, old: &Side<'_>, new: &Side<'_>, found: &mut Bounded) {
    for treatment in Treatment::ALL {
        let then = new.decide(world, ask, *treatment);
        found.errors += u64::from(then.errors);
        if !then.allowed.contains(&true) {
            continue;
        }
        let today = old.decide(world, ask, *treatment);
        found.errors += u64::from(today.errors);
        let fields = world.fields(ask);
        for ((field, then_so), today_so) in fields.iter().zip(&then.allowed).zip(&today.allowed) {
            if *then_so && !today_so {
                found.wider += 1;
                if found.examples.len() < EXAMPLES_MAX {
                    let words = world.words(ask, field, *treatment);
                    let wider = Wider { words, by: then.policies.clone() };
                    if !found.examples.iter().any(|known| known.by == wider.by) || found.examples.len() < 5 {
                        found.examples.push(wider);
                    }
                }
            }
        }
    }
}
