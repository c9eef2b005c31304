//! What is wrong with a properties file is told, and a property permits nothing.

use model::facts::Evidence;
use model::rulebook::PROPERTIES;
use model::{Country, Problems};
use policy::{Engine, Promise, Texts};

use crate::cast::{employee, engine, files, parse, request};

/// A rulebook whose properties are these words alone.
fn texts(properties: &str) -> Result<Texts, Problems> {
    let mut files = files();
    files.insert(PROPERTIES.to_owned(), properties.to_owned());
    let rulebook = parse(&files);
    let texts = Texts::read(&rulebook);
    assert_eq!(texts.is_ok(), Engine::new(&rulebook).is_ok(), "check and load differ on {properties}");
    texts
}

fn refused(properties: &str, word: &str) {
    let problems = texts(properties).err().unwrap_or_else(|| panic!("`{properties}` was taken"));
    let told = problems.list().iter().any(|p| p.place == PROPERTIES && p.why.contains(word));
    assert!(told, "no `{word}` in: {problems}");
}

#[test]
fn the_starter_has_a_promise_of_each_way_in_plain_words() {
    let texts = Texts::read(&parse(&files())).unwrap();
    assert!(texts.properties.len() > 25, "{}", texts.properties.len());
    for way in Promise::ALL {
        assert!(texts.properties.iter().any(|p| p.promise == way), "no property is proved `{}`", way.word());
    }
}

#[test]
fn a_property_without_its_words_is_refused() {
    refused("@id(\"A\") @says(\"x\") permit (principal, action, resource);", "unknown @prove ``");
    refused(
        "@id(\"A\") @prove(\"nver\") @says(\"x\") permit (principal, action, resource);",
        "@prove `nver`",
    );
    refused("@id(\"A\") @prove(\"never\") permit (principal, action, resource);", "no @says");
    refused("@prove(\"never\") @says(\"x\") permit (principal, action, resource);", "without @id");
    let twice = "@id(\"A\") @prove(\"never\") @says(\"x\") permit (principal, action, resource);";
    refused(&format!("{twice}{twice}"), "two policies with the @id `A`");
    refused(&twice.replace('A', "P11-public"), "`P11-public` is the @id of a policy");
    refused(&twice.replace("@says", "@duty(\"notify\") @says"), "unknown annotation `@duty`");
}

#[test]
fn a_property_that_could_look_away_is_refused() {
    let with = |scope: &str| format!("@id(\"A\") @prove(\"only\") @says(\"x\") {scope};");
    refused(&with("forbid (principal, action, resource)"), "is a forbid");
    refused(&with("permit (principal in Clover::Team::\"x\", action, resource)"), "names a single principal");
    refused(&with("permit (principal, action, resource == Clover::Field::\"x\")"), "names a single");
    let none =
        "permit (principal is Clover::DataSubject, action == Clover::Action::\"releasePlain\", resource)";
    refused(&with(none), "speaks of no request");
}

#[test]
fn a_property_is_validated_as_strictly_as_a_policy() {
    let with = |when: &str| {
        format!(
            "@id(\"A\") @prove(\"never\") @says(\"x\") permit (principal, action, resource) when {{ {when} }};"
        )
    };
    refused(&with("resource.colour == 1"), "colour");
    refused(&with("false"), "`A`");
    refused("permit (", "unexpected end of input");
}

#[test]
fn a_property_permits_nothing() {
    let all = "@id(\"A\") @prove(\"never\") @says(\"x\") permit (principal, action, resource);";
    let mut files = files();
    files.insert(PROPERTIES.to_owned(), all.to_owned());
    let with = Engine::new(&parse(&files)).unwrap();
    for place in ["IE", "SG", "CN", "RU"] {
        let mut facts = request(employee(place), Evidence::None);
        facts.principal.country = Country::parse(place).unwrap();
        assert_eq!(with.decide(facts.clone()), engine().decide(facts));
    }
}

#[test]
fn a_rulebook_without_properties_still_decides() {
    let mut files = files();
    files.remove(PROPERTIES).unwrap();
    assert!(Engine::new(&parse(&files)).is_ok());
    assert!(Texts::read(&parse(&files)).unwrap().properties.is_empty());
}
