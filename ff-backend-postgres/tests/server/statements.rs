//! Every statement prepares against the migrated schema, and its head tells the truth about it.

use std::{fs, path::Path};

#[expect(clippy::disallowed_types, reason = "the statements are read from their files")]
use sqlx::{
    AssertSqlSafe, Column, Either, Executor, PgConnection, SqlSafeStr, Statement, TypeInfo, postgres::PgTypeInfo,
};

use crate::database::Database;

/// The `.sql` files below `folder`: path and text.
fn statements(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            statements(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// What a head says: the parameters, and the columns that come back.
fn head(text: &str) -> (Vec<String>, Vec<String>) {
    let lines = || text.lines().map_while(|line| line.strip_prefix("--"));
    let list = |text: String| {
        let items = text.split(',').map(|item| item.trim().to_owned());
        items.filter(|item| !item.is_empty() && item != "nothing").collect::<Vec<_>>()
    };
    let parameters = lines().filter(|line| line.starts_with(" $")).collect::<String>();
    let returns: String =
        lines().skip_while(|line| !line.starts_with(" returns:")).take_while(returned).collect::<String>();
    (list(parameters), list(returns.replace(" returns:", "")))
}

/// True for the line that begins the list of columns and for those that continue it.
fn returned(line: &&str) -> bool {
    line.starts_with(" returns:") || line.starts_with("   ")
}

fn typed(name: &str, info: &PgTypeInfo) -> String {
    format!("{name} {}", info.name().to_lowercase())
}

/// The parameters and columns that the server tells, in the words of a head.
async fn told(session: &mut PgConnection, text: &str, names: &[String]) -> (Vec<String>, Vec<String>) {
    let statement = session.prepare(AssertSqlSafe(text).into_sql_str()).await.unwrap_or_else(|error| {
        panic!("{}: {error}", text.lines().next().unwrap_or_default());
    });
    let Some(Either::Left(parameters)) = statement.parameters() else { panic!("no parameter types") };
    let named = |at: usize| names.get(at).and_then(|item| item.rsplit_once(' ')).map_or("?", |(name, _)| name);
    let parameters = parameters.iter().enumerate().map(|(at, info)| typed(named(at), info)).collect();
    let columns = statement.columns().iter().map(|column| typed(column.name(), column.type_info())).collect();
    (parameters, columns)
}

#[tokio::test]
async fn every_statement_prepares_and_its_head_agrees() {
    let database = Database::migrated().await;
    let mut session = database.session().await;
    let mut found = Vec::new();
    statements(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() >= 16, "only {} statements were found", found.len());
    for (path, text) in found {
        let (parameters, columns) = head(&text);
        let numbered = |at: usize, item: &String| item.starts_with(&format!("${} ", at + 1));
        assert!(parameters.iter().enumerate().all(|(at, item)| numbered(at, item)), "{path}: {parameters:?}");
        assert_eq!(told(&mut session, &text, &parameters).await, (parameters, columns), "{path}");
    }
    database.drop().await;
}

/// What makes an execution ready that was not created so says in which part it stands from then on, and so does what moves
/// it: a claim does not look for new work where it has seen that there is none. The part for what time made ready is
/// entered in a counted pass only.
#[test]
fn what_returns_is_marked() {
    let mut found = Vec::new();
    statements(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let mut writers = 0;
    for (path, text) in found {
        let assigned = |column: &str| -> Vec<&str> {
            let ends = |rest: &'_ str| rest.find([',', '\n']).unwrap_or(rest.len());
            let after = text.split(column).skip(1);
            after.map(|rest| rest[..ends(rest)].trim()).collect()
        };
        let makes_ready = assigned(" ready = ").into_iter().filter(|value| *value != "false").count();
        let moves = assigned(" priority = ").into_iter().filter(|value| *value == "$2").count();
        let parts = assigned(" part = ");
        assert!(parts.iter().all(|value| ["1", "2"].contains(value)), "{path}: {parts:?}");
        assert_eq!(parts.len(), makes_ready + moves, "{path}");
        let counts = text.contains("UPDATE lanes SET passes = passes + 1");
        assert!(counts || !parts.contains(&"1"), "{path}");
        writers += parts.len();
    }
    assert!(writers >= 11, "only {writers} were found");
}
