//! What is called row-wise, held against the server's own plans.

use gateway::sql::gate::row_wise;
use testkit::Dice;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::world::server;

/// Nodes of plans that combine rows, or read a second relation.
const COMBINING: &[&str] = &[
    "Aggregate",
    "Group",
    "WindowAgg",
    "Join",
    "Nested Loop",
    "Unique",
    "SetOp",
    "Append",
    "SubPlan",
    "InitPlan",
    "ProjectSet",
    "CTE",
    "Function Scan",
    "Values Scan",
    "Result",
];

/// Pieces of statements, one a line.
const LISTS: &str = "id\n*\nc.*\nc.id, c.email\nc.count\ncount(*)\nc\nupper(email)\nid + 1\n(id)\ndistinct id\nmax(id)\nc.json_agg\n\
    (c).email\narray[id]\nemail::text\n(select 1)\ncase when id in (1) then 2 else (3) end\nc.any_value";
const FROMS: &str = "customers c\ncustomers as c\npublic.customers c\ncustomers c, orders\ncustomers c join orders o on true\n\
    only customers c\n(select * from customers) c\ncustomers c cross join orders\ncustomers c tablesample system (50)\norders c";
const RESTS: &str = " \nwhere id = 1\nwhere id in (1, 2)\nwhere id in (select id from orders)\norder by id\ngroup by id\n\
    order by c.count\nlimit 2\nwhere c.id > 1 and not (id = 2)\nunion select 1\nhaving true\nwhere exists (table orders)\n\
    window w as ()\nwhere id = any(array[1])\norder by count(*)\norder by c.id limit 1 offset 1";

/// How the server would run a statement, if it would.
async fn plan(client: &Client, statement: &str) -> Option<String> {
    let told = client.simple_query(&format!("explain (costs off) {statement}")).await.ok()?;
    let line = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    Some(told.iter().filter_map(line).collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn whatever_is_called_row_wise_is_planned_as_one_scan() {
    let server = server();
    let (client, connection) = tokio_postgres::connect(&server.address(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let mut dice = Dice::new(20_261_127);
    let [lists, froms, rests] = [LISTS, FROMS, RESTS].map(|text| text.lines().collect::<Vec<_>>());
    let mut pick = |from: &[&'static str]| from[dice.below(from.len())];
    let (mut taken, mut combining) = (0, 0);
    for _ in 0..2000 {
        let text = format!("select {} from {} {}", pick(&lists), pick(&froms), pick(&rests));
        let Some(plan) = plan(&client, &text).await else { continue };
        let combines = COMBINING.iter().any(|n| plan.contains(n));
        assert!(!(combines && row_wise(&text)), "{text}\n{plan}");
        taken += usize::from(row_wise(&text));
        combining += usize::from(combines);
    }
    assert!(taken > 100 && combining > 100, "{taken} {combining}");
    // Each aggregate that takes a whole row, called as if it were a column.
    let names =
        "select distinct proname from pg_proc where prokind = 'a' and pronargs - pronargdefaults <= 1";
    let mut called = 0;
    for row in client.query(names, &[]).await.unwrap() {
        let text = format!("select c.{} from customers c", row.get::<_, String>(0));
        if plan(&client, &text).await.is_some() {
            assert!(!row_wise(&text), "{text}");
            called += 1;
        }
    }
    assert!(called > 1, "the server calls no aggregate as a column: this test looks for nothing");
}
