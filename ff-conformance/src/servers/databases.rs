//! Makes and drops case databases; a database that this suite did not make is never touched.

use sqlx::postgres::PgConnection;
#[expect(clippy::disallowed_types, reason = "CREATE and DROP DATABASE take no parameters; the names were checked")]
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::probe::{connect_postgres, shown};
use super::{PostgresServer, ServerError};

/// How the names of all databases of the suite begin.
const PREFIX: &str = "ffc_";

/// The comment that tells our databases from a stranger's of the same name.
const MARK: &str = "made by ff-conformance";

impl PostgresServer {
    /// Makes a database, empty or as a copy of one that this suite made, and returns its address.
    ///
    /// # Errors
    /// If the name is not `ffc_` and lower-case letters, digits and `_`, or is taken, or the server refuses.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<String, ServerError> {
        let source = match template {
            Some(template) => format!("\"{}\"", checked(template)?),
            None => "template0 ENCODING 'UTF8'".to_owned(),
        };
        let name = checked(name)?;
        let mut connection = self.maintenance().await?;
        self.run(&mut connection, format!("CREATE DATABASE \"{name}\" TEMPLATE {source} STRATEGY FILE_COPY")).await?;
        self.run(&mut connection, format!("COMMENT ON DATABASE \"{name}\" IS '{MARK}'")).await?;
        close(connection).await;
        Ok(self.database_url(name))
    }

    /// Drops a database that this suite made, and the connections to it; one that is gone is no error.
    ///
    /// # Errors
    /// If the name or the mark says that it is not ours, or the server refuses.
    pub async fn drop_database(&self, name: &str) -> Result<(), ServerError> {
        let name = checked(name)?;
        let mut connection = self.maintenance().await?;
        let mark: Option<Option<String>> = sqlx::query_scalar(include_str!("databases/mark.sql"))
            .bind(name)
            .fetch_optional(&mut connection)
            .await
            .map_err(|error| self.trouble(&error))?;
        match mark {
            None => {}
            Some(Some(mark)) if mark == MARK => {
                self.run(&mut connection, format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await?;
            }
            Some(_) => {
                let text = format!("the database {name} on {} lacks our mark: it stays", shown(&self.url));
                return Err(ServerError::new(text));
            }
        }
        close(connection).await;
        Ok(())
    }

    /// The names of all databases that this suite made and did not drop.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn databases(&self) -> Result<Vec<String>, ServerError> {
        let mut connection = self.maintenance().await?;
        let names = sqlx::query_scalar(include_str!("databases/marked.sql"))
            .bind(MARK)
            .fetch_all(&mut connection)
            .await
            .map_err(|error| self.trouble(&error))?;
        close(connection).await;
        Ok(names)
    }

    /// The address of another database of the same server.
    #[must_use]
    pub fn database_url(&self, name: &str) -> String {
        let (place, parameters) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let authority = place.find("://").map_or(0, |at| at + 3);
        let end = place[authority..].find('/').map_or(place.len(), |at| authority + at);
        let question = if parameters.is_empty() { "" } else { "?" };
        format!("{}/{name}{question}{parameters}", &place[..end])
    }

    async fn maintenance(&self) -> Result<PgConnection, ServerError> {
        let connected = connect_postgres(&self.url).await;
        connected.map_err(|error| ServerError::new(format!("{}: {error}", shown(&self.url))))
    }

    async fn run(&self, connection: &mut PgConnection, statement: String) -> Result<(), ServerError> {
        connection.execute(AssertSqlSafe(statement)).await.map(|_| ()).map_err(|error| self.trouble(&error))
    }

    fn trouble(&self, error: &sqlx::Error) -> ServerError {
        ServerError::new(format!("{}: {error}", shown(&self.url)))
    }
}

async fn close(connection: PgConnection) {
    // The work is done; how the connection ends changes nothing.
    let _ = connection.close().await;
}

/// Lets through what cannot be a stranger's database and needs no quoting.
fn checked(name: &str) -> Result<&str, ServerError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.starts_with(PREFIX) && name.len() <= 63 && name.bytes().all(plain) {
        return Ok(name);
    }
    Err(ServerError::new(format!(
        "`{name}` is no name for a database of the suite: {PREFIX} and at most 59 of a-z, 0-9 and _"
    )))
}

#[cfg(test)]
mod tests {
    use super::checked;

    #[test]
    fn only_names_of_the_suite_pass() {
        assert!(checked("ffc_20260101_leases_7").is_ok());
        for name in ["postgres", "ffc_\"; DROP", "FFC_x", "ffcx", &format!("ffc_{}", "a".repeat(60))] {
            assert!(checked(name).is_err(), "{name}");
        }
    }
}
