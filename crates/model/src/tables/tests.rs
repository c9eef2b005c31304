use super::*;
use crate::lanes::Lanes;

const CATALOGUE: &str = r#"
    [[dataset]]
    name = "video"
    [[dataset.collection]]
    name = "status"
    fields = [
      { key = "state", class = "allowable", kind = "word" },
      { key = "seconds", class = "allowable", kind = "count" },
      { key = "title", class = "public", kind = "text" },
    ]
    [[dataset]]
    name = "export"
    [[dataset.collection]]
    name = "profile"
    fields = [ { key = "email", class = "restricted", kind = "email" } ]
"#;

const TABLE: &str = r#"
    [[table]]
    name = "videos"
    source = "services"
    relation = "app.videos"
    dataset = "video"
    person = "owner"
    [table.columns]
    state = "video.status.state"
    seconds = "video.status.seconds"
    [table.keys]
    state = ["hidden", "shown"]
    [table.sums]
    seconds = { low = 0, high = 3600 }
    [table.bands]
    seconds = [0, 15, 60]
"#;

fn parse(text: &str) -> Result<BTreeMap<String, Table>, Problems> {
    let catalogue = Catalogue::parse(CATALOGUE).unwrap();
    Lanes::parse(text, &catalogue).map(|lanes| lanes.tables)
}

#[test]
fn a_table_binds_columns_to_fields_and_says_what_may_be_computed_of_it() {
    let tables = parse(TABLE).unwrap();
    let table = &tables["videos"];
    assert_eq!(
        (table.schema.as_str(), table.relation.as_str(), table.person.as_str()),
        ("app", "videos", "owner")
    );
    let demanding =
        parse(&TABLE.replace("[table.columns]", "demands_person = true\n[table.columns]")).unwrap();
    assert_eq!((table.demands_person, demanding["videos"].demands_person), (false, true));
    let columns: Vec<_> = table.columns.iter().map(|(name, index)| (name.as_str(), index.0)).collect();
    assert_eq!(columns, [("seconds", 1), ("state", 0)]);
    assert_eq!(table.asked.sums["seconds"], Sum { low: 0, high: 3600, scale: 0 });
    assert_eq!(table.asked.bands["seconds"], [0, 15, 60]);
    assert_eq!((table.asked.groups_max, table.asked.keys["state"].len()), (1, 2));
}

#[test]
fn a_table_that_is_not_wholly_clear_is_refused_with_its_reason() {
    let second = TABLE.replace("\"videos\"", "\"more\"");
    for (from, to, why) in [
        ("app.videos", "videos", "no plain name"),
        ("app.videos", "app.videos; drop", "no plain name"),
        ("app.videos", "App.videos", "no plain name"),
        ("\"videos\"", "\"pg\\\"x\"", "no plain name"),
        ("person = \"owner\"", "person = \"state\"", "says whose a row is"),
        ("video.status.state", "export.profile.email", "not of the table's dataset"),
        ("video.status.state", "video.status.none", "not declared"),
        ("dataset = \"video\"", "dataset = \"other\"", "not declared"),
        ("state = [\"hidden\", \"shown\"]", "state = [\"shown\", \"hidden\"]", "cannot be told apart"),
        ("state = [\"hidden\", \"shown\"]", "state = []", "cannot be told apart"),
        ("state = [\"hidden\", \"shown\"]", "seconds = [\"1\"]", "no column of words"),
        ("seconds = { low = 0, high = 3600 }", "state = { low = 0, high = 1 }", "no column of counts"),
        ("seconds = [0, 15, 60]", "seconds = [15, 0]", "the bands of `seconds` are none"),
        ("seconds = [0, 15, 60]", "seconds = []", "the bands of `seconds` are none"),
        ("seconds = [0, 15, 60]", "seconds = [1_000_000_000]", "the bands of `seconds` are none"),
        ("seconds = [0, 15, 60]", "state = [0]", "no column of whole counts"),
        ("high = 3600", "high = 3600, scale = 2", "no column of whole counts"),
        ("high = 3600", "high = -1", "bounds"),
        ("high = 3600", "high = 1, scale = 7", "bounds"),
        ("person = \"owner\"", "person = \"owner\"\ngroups_max = 17", "groups_max"),
        ("person = \"owner\"", "person = \"owner\"\nrows_max = 0", "rows_max"),
        ("person = \"owner\"", "person = \"owner\"\nfilter = \"true\"", "filter"),
        ("", &second.replace("services", "elsewhere"), "two databases"),
        ("", TABLE, "declared twice"),
    ] {
        let text = if from.is_empty() { format!("{TABLE}{to}") } else { TABLE.replace(from, to) };
        let problems = parse(&text).unwrap_err();
        assert!(problems.list().iter().any(|p| p.why.contains(why)), "{to}: {problems}");
    }
}
