//! Keeps a stranger's Valkey server from harm: looks before the first write, and flushes only what may be flushed.

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};

use super::probe::connect_valkey;
pub(crate) use super::probe::shown;
use super::{NoServer, Owned, ServerError};

/// The key that says that a server may be emptied by this suite.
pub const SANDBOX: &str = "ff:conformance:sandbox";

/// What stands on one server.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    /// Databases that are not empty, with the number of their keys.
    keys: Vec<(String, u64)>,
    /// Function libraries.
    libraries: Vec<String>,
    sandbox: bool,
}

impl Contents {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.libraries.is_empty()
    }

    fn describe(&self) -> String {
        let keys = self
            .keys
            .iter()
            .map(|(database, count)| format!("{count} key{} in {database}", if *count == 1 { "" } else { "s" }));
        let libraries = self.libraries.iter().map(|name| format!("the function library `{name}`"));
        keys.chain(libraries).collect::<Vec<_>>().join(", ")
    }
}

/// Reads what stands on the servers and refuses them if that is somebody's; writes nothing.
///
/// # Errors
/// If a server holds something and no server carries the sandbox key, or one cannot be read.
pub(crate) async fn inspect(urls: &[String]) -> Result<(), NoServer> {
    let mut found = Vec::with_capacity(urls.len());
    for url in urls {
        let mut connection = connect_valkey(url).await.map_err(|error| unreadable(url, &error))?;
        found.push((url, contents(&mut connection).await.map_err(|error| unreadable(url, &error.to_string()))?));
    }
    // The nodes of a cluster share one key space, and the sandbox key lives on one of them.
    if found.iter().any(|(_, contents)| contents.sandbox) {
        return Ok(());
    }
    let foreign: Vec<_> = found
        .iter()
        .filter(|(_, contents)| !contents.is_empty())
        .map(|(url, contents)| format!("{} holds {}", shown(url), contents.describe()))
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(NoServer::new(format!(
        "{}\nNothing was written: a server given by URL is used only if it is empty or carries the key {SANDBOX}.\n\
         Give an empty one, or say that everything on this one may be lost: --i-own-this-server",
        foreign.join("\n")
    )))
}

/// Marks accepted servers as ours to empty.
pub(crate) async fn mark(urls: &[String]) -> Result<(), ServerError> {
    each_node(urls, async |connection| {
        redis::cmd("SET")
            .arg(SANDBOX)
            .arg("this server may be emptied by ff-conformance")
            .query_async::<()>(connection)
            .await
    })
    .await
    .map(|_| ())
}

pub(crate) async fn has_sandbox_key(urls: &[String]) -> Result<bool, ServerError> {
    let found: Vec<bool> = each_node(urls, async |connection| sandbox(connection).await).await?;
    Ok(found.contains(&true))
}

/// Removes all keys and functions of servers that may be emptied; a stranger's keep their mark throughout.
pub(crate) async fn flush(urls: &[String], owned: Owned) -> Result<(), ServerError> {
    if owned == Owned::Theirs && urls.len() == 1 {
        return each_node(urls, async |connection| {
            let mut all = redis::pipe();
            all.atomic().cmd("FLUSHALL").cmd("FUNCTION").arg("FLUSH").cmd("SET").arg(SANDBOX).arg("kept by a flush");
            all.query_async::<()>(connection).await
        })
        .await
        .map(|_| ());
    }
    each_node(urls, async |connection| {
        redis::pipe().cmd("FLUSHALL").cmd("FUNCTION").arg("FLUSH").query_async::<()>(connection).await
    })
    .await?;
    if owned == Owned::Theirs { mark(urls).await } else { Ok(()) }
}

/// Does something on every node; a node that is not the one for it, or a replica, is left out.
async fn each_node<T>(
    urls: &[String],
    act: impl AsyncFn(&mut MultiplexedConnection) -> Result<T, RedisError>,
) -> Result<Vec<T>, ServerError> {
    let mut done = Vec::with_capacity(urls.len());
    for url in urls {
        let trouble = |error: String| ServerError::new(format!("{}: {error}", shown(url)));
        let mut connection = connect_valkey(url).await.map_err(trouble)?;
        match act(&mut connection).await {
            Ok(value) => done.push(value),
            Err(error) if elsewhere(&error) => {}
            Err(error) => return Err(trouble(error.to_string())),
        }
    }
    if done.is_empty() {
        return Err(ServerError::new("none of the given nodes is the primary of the slot: give all primaries"));
    }
    Ok(done)
}

fn elsewhere(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::ReadOnly))
}

fn unreadable(url: &str, error: &str) -> NoServer {
    NoServer::new(format!(
        "cannot see what is on {}: {error}. Check the address, the password and that it runs",
        shown(url)
    ))
}

async fn contents(connection: &mut MultiplexedConnection) -> Result<Contents, RedisError> {
    let keyspace: String = redis::cmd("INFO").arg("keyspace").query_async(connection).await?;
    let libraries: Vec<Value> = redis::cmd("FUNCTION").arg("LIST").query_async(connection).await?;
    Ok(Contents {
        keys: keyspace.lines().filter_map(key_count).collect(),
        libraries: libraries.iter().filter_map(library_name).collect(),
        sandbox: match sandbox(connection).await {
            Err(error) if elsewhere(&error) => false,
            answer => answer?,
        },
    })
}

async fn sandbox(connection: &mut MultiplexedConnection) -> Result<bool, RedisError> {
    redis::cmd("EXISTS").arg(SANDBOX).query_async(connection).await
}

/// Reads `db0:keys=1,expires=0,…`.
fn key_count(line: &str) -> Option<(String, u64)> {
    let (database, counts) = line.trim().split_once(":keys=")?;
    let count = counts.split(',').next()?.parse().ok()?;
    Some((database.to_owned(), count)).filter(|_| count > 0)
}

/// Finds the name in one entry of `FUNCTION LIST`, a map that older protocols flatten.
fn library_name(entry: &Value) -> Option<String> {
    let named = match entry {
        Value::Array(items) => {
            items.chunks_exact(2).find(|pair| is_text(&pair[0], "library_name")).map(|pair| &pair[1])
        }
        Value::Map(pairs) => pairs.iter().find(|(name, _)| is_text(name, "library_name")).map(|(_, value)| value),
        _ => None,
    };
    // A library that hides its name is a library all the same.
    let name = named.and_then(|value| String::from_redis_value_ref(value).ok());
    Some(name.unwrap_or_else(|| "?".to_owned()))
}

fn is_text(value: &Value, text: &str) -> bool {
    String::from_redis_value_ref(value).is_ok_and(|value| value == text)
}

#[cfg(test)]
mod tests {
    use super::{Contents, key_count};

    #[test]
    fn a_refusal_names_databases_and_libraries() {
        let found = Contents {
            keys: "# Keyspace\r\ndb0:keys=1,expires=0\r\ndb3:keys=20,expires=2".lines().filter_map(key_count).collect(),
            libraries: vec!["billing".to_owned()],
            sandbox: false,
        };
        assert_eq!(found.describe(), "1 key in db0, 20 keys in db3, the function library `billing`");
    }
}
