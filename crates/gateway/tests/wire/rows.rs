//! What is called row-wise, held against the server's own plans.

use gateway::sql::gate::row_wise;
use testkit::Dice;

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

#[test]
fn whatever_is_called_row_wise_is_planned_as_one_scan() {
    let server = server();
    let mut dice = Dice::new(20_261_127);
    let lists = [
        "id",
        "*",
        "c.*",
        "c.id, c.email",
        "c.count",
        "count(*)",
        "c",
        "upper(email)",
        "id + 1",
        "(id)",
        "distinct id",
        "max(id)",
        "c.json_agg",
        "(c).email",
        "array[id]",
        "email::text",
        "(select 1)",
        "case when id in (1) then 2 else (3) end",
        "c.any_value",
    ];
    let froms = [
        "customers c",
        "customers as c",
        "public.customers c",
        "customers c, orders",
        "customers c join orders o on true",
        "only customers c",
        "(select * from customers) c",
        "customers c cross join orders",
        "customers c tablesample system (50)",
        "orders c",
    ];
    let rests = [
        "",
        "where id = 1",
        "where id in (1, 2)",
        "where id in (select id from orders)",
        "order by id",
        "group by id",
        "order by c.count",
        "limit 2",
        "where c.id > 1 and not (id = 2)",
        "union select 1",
        "having true",
        "where exists (table orders)",
        "window w as ()",
        "where id = any(array[1])",
        "order by count(*)",
        "order by c.id limit 1 offset 1",
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (taken, combining) = runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&server.address(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let (mut taken, mut combining) = (0, 0);
        for _ in 0..2000 {
            let mut pick = |from: &[&'static str]| from[dice.below(from.len())];
            let text = format!("select {} from {} {}", pick(&lists), pick(&froms), pick(&rests));
            let Ok(plan) = client.simple_query(&format!("explain (costs off) {text}")).await else {
                continue;
            };
            let plan: String = plan
                .iter()
                .filter_map(|m| {
                    if let tokio_postgres::SimpleQueryMessage::Row(row) = m { row.get(0) } else { None }
                })
                .collect::<Vec<_>>()
                .join("\n");
            let combines = COMBINING.iter().any(|n| plan.contains(n));
            assert!(!(combines && row_wise(&text)), "{text}\n{plan}");
            taken += usize::from(row_wise(&text));
            combining += usize::from(combines);
        }
        // Each aggregate that takes a whole row, called as if it were a column.
        let names =
            "select distinct proname from pg_proc where prokind = 'a' and pronargs - pronargdefaults <= 1";
        let rows = client.query(names, &[]).await.unwrap();
        let mut called = 0;
        for name in rows.iter().map(|r| r.get::<_, String>(0)) {
            let text = format!("select c.{name} from customers c");
            let Ok(plan) = client.simple_query(&format!("explain (costs off) {text}")).await else {
                continue;
            };
            assert!(!plan.is_empty() && !row_wise(&text), "{text}");
            called += 1;
        }
        assert!(called > 1, "the server does not call aggregates as columns: this test looks for nothing");
        (taken, combining)
    });
    assert!(taken > 100 && combining > 100, "{taken} {combining}");
}
