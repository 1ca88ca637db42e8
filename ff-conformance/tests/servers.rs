//! What the suite does to servers: a stranger's is left as it was, ours leave nothing behind.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ff_conformance::servers::{Kind, Options, SANDBOX, Servers, Source, ValkeySlot, Wanted};
use redis::aio::MultiplexedConnection;
use rstest::rstest;

type Tried<T = ()> = Result<T, Box<dyn Error>>;

const LIBRARY: &str = "#!lua name=billing\nredis.register_function('bill', function() return 1 end)";

/// An empty server that this test has for itself; the guard knows it by its address only.
async fn stranger() -> Tried<(ValkeySlot, MultiplexedConnection)> {
    let slot = Servers::from_env().valkey?.take().await?;
    slot.flush().await?;
    let connection = redis::Client::open(slot.url.as_str())?.get_multiplexed_async_connection().await?;
    Ok((slot, connection))
}

/// What a run finds whose user gave that address.
async fn given(url: &str, own_this_server: bool) -> Servers {
    let valkey_url = Some(url.to_owned());
    let options = Options { source: Some(Source::Url), valkey_url, own_this_server, ..Options::default() };
    Servers::start(Wanted::only(Kind::Valkey), &options).await
}

/// Every byte that a server holds: keys with their dumps by database, functions with their code, writes counted.
async fn contents(connection: &mut MultiplexedConnection) -> Tried<Vec<String>> {
    let mut all = Vec::new();
    for database in 0..16 {
        redis::cmd("SELECT").arg(database).query_async::<()>(connection).await?;
        let mut keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(connection).await?;
        keys.sort();
        for key in keys {
            let (dump, expires): (Vec<u8>, i64) =
                redis::pipe().cmd("DUMP").arg(&key).cmd("PEXPIRETIME").arg(&key).query_async(connection).await?;
            all.push(format!("{database} {key:?} {expires} {dump:?}"));
        }
    }
    redis::cmd("SELECT").arg(0).query_async::<()>(connection).await?;
    let functions: redis::Value = redis::cmd("FUNCTION").arg("LIST").arg("WITHCODE").query_async(connection).await?;
    all.push(format!("{functions:?}"));
    let info: String = redis::cmd("INFO").arg("persistence").query_async(connection).await?;
    all.extend(info.lines().filter(|line| line.starts_with("rdb_changes_since_last_save")).map(str::to_owned));
    Ok(all)
}

#[rstest]
#[case::key("0", &["SET", "orders:1", "paid"], "1 key in db0")]
#[case::key_of_another_database("9", &["SADD", "carts", "a", "b"], "1 key in db9")]
#[case::function("0", &["FUNCTION", "LOAD", LIBRARY], "the function library `billing`")]
#[tokio::test]
async fn a_strangers_server_is_left_byte_identical(
    #[case] database: &str,
    #[case] foreign: &[&str],
    #[case] named: &str,
) -> Tried {
    let (slot, mut connection) = stranger().await?;
    redis::cmd("SELECT").arg(database).query_async::<()>(&mut connection).await?;
    redis::cmd(foreign[0]).arg(&foreign[1..]).query_async::<redis::Value>(&mut connection).await?;
    let before = contents(&mut connection).await?;

    let servers = given(&slot.url, false).await;
    let refusal = servers.valkey.as_ref().err().map(ToString::to_string).unwrap_or_default();
    servers.shutdown().await;

    assert!(refusal.contains(named) && refusal.contains("--i-own-this-server"), "{refusal}");
    assert_eq!(contents(&mut connection).await?, before);
    Ok(slot.flush().await?)
}

#[tokio::test]
async fn an_empty_server_is_marked_and_stays_marked() -> Tried {
    let (slot, mut connection) = stranger().await?;
    let servers = given(&slot.url, false).await;
    let theirs = servers.valkey.clone()?.take().await?;
    redis::cmd("SET").arg("case:1").arg("x").query_async::<()>(&mut connection).await?;
    assert!(theirs.may_flush().await?);
    theirs.flush().await?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await?;
    assert_eq!(keys, [SANDBOX]);
    drop(theirs);
    servers.shutdown().await;

    // What an earlier run marked is taken again, whatever its cases left.
    redis::cmd("SET").arg("case:2").arg("x").query_async::<()>(&mut connection).await?;
    let again = given(&slot.url, false).await;
    assert!(again.valkey.is_ok());
    again.shutdown().await;
    Ok(slot.flush().await?)
}

#[tokio::test]
async fn a_server_that_lost_its_mark_is_not_flushed() -> Tried {
    let (slot, mut connection) = stranger().await?;
    let servers = given(&slot.url, false).await;
    let theirs = servers.valkey.clone()?.take().await?;
    redis::pipe()
        .cmd("DEL")
        .arg(SANDBOX)
        .cmd("SET")
        .arg("orders:1")
        .arg("paid")
        .query_async::<()>(&mut connection)
        .await?;
    assert!(theirs.flush().await.is_err());
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await?;
    assert_eq!(keys, ["orders:1"]);
    drop(theirs);
    servers.shutdown().await;
    Ok(slot.flush().await?)
}

#[tokio::test]
async fn who_owns_a_full_server_may_give_it() -> Tried {
    let (slot, mut connection) = stranger().await?;
    redis::cmd("SET").arg("orders:1").arg("paid").query_async::<()>(&mut connection).await?;
    let servers = given(&slot.url, true).await;
    assert!(servers.valkey.clone()?.take().await?.may_flush().await?);
    servers.shutdown().await;
    Ok(slot.flush().await?)
}

#[tokio::test]
async fn a_second_run_does_not_join_on_a_given_server() -> Tried {
    let (slot, _) = stranger().await?;
    let first = given(&slot.url, false).await;
    let second = given(&slot.url, false).await;
    let refusal = second.valkey.as_ref().err().map(ToString::to_string).unwrap_or_default();
    assert!(refusal.contains("another run"), "{refusal}");
    second.shutdown().await;
    first.shutdown().await;
    Ok(slot.flush().await?)
}

#[tokio::test]
async fn only_databases_that_the_suite_made_are_dropped() -> Tried {
    let server = Servers::from_env().postgres?;
    let name = format!("ffc_servers_{}", std::process::id());
    let url = server.create_database(&name, None).await?;
    assert!(url.contains(&name) && server.databases().await?.contains(&name));
    let copy = format!("{name}_copy");
    server.create_database(&copy, Some(&name)).await?;
    server.drop_database(&copy).await?;
    assert!(server.drop_database("postgres").await.is_err());
    server.drop_database(&name).await?;
    assert!(!server.databases().await?.contains(&name));

    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(&server.url).await?;
    sqlx::query("CREATE DATABASE ffc_of_a_stranger").execute(&mut connection).await?;
    let refused = server.drop_database("ffc_of_a_stranger").await;
    sqlx::query("DROP DATABASE ffc_of_a_stranger").execute(&mut connection).await?;
    assert!(refused.is_err());
    Ok(())
}

/// A run of its own, with one Valkey server, around a shell script.
fn run(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ff-conformance"));
    command.args(["servers", "exec", "--only", "valkey", "--", "sh", "-c", script]);
    command.env("FF_CONFORMANCE_VALKEY_POOL", "1").env_remove("FF_CONFORMANCE_KEEP").env_remove("FF_VALKEY_URL");
    command
}

#[test]
fn exec_lends_servers_and_passes_the_exit_code() -> Tried {
    let output = run("echo $FF_CONFORMANCE_DIR; echo $FF_CONFORMANCE_VALKEY; exit 7").output()?;
    let text = String::from_utf8(output.stdout)?;
    let (dir, url) = text.trim().split_once('\n').ok_or("two lines")?;
    assert_eq!(output.status.code(), Some(7));
    assert!(url.starts_with("redis://127.0.0.1:"), "{url}");
    assert!(!PathBuf::from(dir).exists());
    assert!(redis::Client::open(url)?.get_connection().is_err());
    Ok(())
}

#[tokio::test]
async fn a_killed_owner_leaves_nothing() -> Tried {
    let script = "echo $FF_CONFORMANCE_DIR; echo $FF_CONFORMANCE_VALKEY; exec cat";
    let mut owner = run(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(owner.stdout.take().ok_or("a pipe")?).lines();
    let dir = PathBuf::from(lines.next().ok_or("a folder")??);
    let client = redis::Client::open(lines.next().ok_or("an address")??)?;
    assert!(dir.exists() && client.get_connection().is_ok());
    owner.kill()?;
    owner.wait()?;

    let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
    tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while dir.exists() || client.get_connection().is_ok() {
            tick.tick().await;
        }
    })
    .await?;
    Ok(())
}
