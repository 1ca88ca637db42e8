//! The addresses of a run as environment variables: written by its owner, read by the processes it runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::start::Held;
use super::{NoServer, PostgresServer, ServerFacts, Servers, ValkeyServers};

const RUN: &str = "FF_CONFORMANCE_RUN";
const DIR: &str = "FF_CONFORMANCE_DIR";
const POSTGRES: &str = "FF_CONFORMANCE_POSTGRES";
const POSTGRES_MISSING: &str = "FF_CONFORMANCE_POSTGRES_MISSING";
const VALKEY: &str = "FF_CONFORMANCE_VALKEY";
const VALKEY_MISSING: &str = "FF_CONFORMANCE_VALKEY_MISSING";
const SERVERS: &str = "FF_CONFORMANCE_SERVERS";

/// All variables, so that an owner can clear what an outer run exported.
pub(crate) const ALL: [&str; 7] = [RUN, DIR, POSTGRES, POSTGRES_MISSING, VALKEY, VALKEY_MISSING, SERVERS];

const NOT_EXPORTED: &str = "no servers were exported to this process: \
     run it through `./dev test`, `./dev nextest <filter>` or `ff-conformance servers exec -- <command>`";

/// What is told about the servers beside their addresses.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    postgres: Option<ServerFacts>,
    valkey: Option<ServerFacts>,
}

impl Servers {
    /// The servers that the owner of this run exported; none is started here.
    #[must_use]
    pub fn from_env() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (Some(run), Some(dir)) = (text(RUN), text(DIR).map(PathBuf::from)) else {
            return Self::missing(NOT_EXPORTED);
        };
        let told: Told = match serde_json::from_str(&text(SERVERS).unwrap_or_default()) {
            Ok(told) => told,
            Err(error) => return Self::missing(&format!("{SERVERS} cannot be read ({error}): {NOT_EXPORTED}")),
        };
        let none = |name: &str| NoServer::new(text(name).unwrap_or_else(|| NOT_EXPORTED.to_owned()));
        let postgres = match (text(POSTGRES), told.postgres) {
            (Some(url), Some(facts)) => Ok(PostgresServer { url, facts, dir: dir.clone() }),
            _ => Err(none(POSTGRES_MISSING)),
        };
        let valkey = match (text(VALKEY), told.valkey) {
            (Some(urls), Some(facts)) => {
                let urls = urls.split(',').map(str::to_owned).collect();
                Ok(ValkeyServers { urls, facts, dir: dir.clone() })
            }
            _ => Err(none(VALKEY_MISSING)),
        };
        Self { run, dir, postgres, valkey, held: Held::default() }
    }

    /// The variables from which `from_env` builds the same value in another process.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let told = Told {
            postgres: self.postgres.as_ref().ok().map(|server| server.facts.clone()),
            valkey: self.valkey.as_ref().ok().map(|servers| servers.facts.clone()),
        };
        let mut variables = vec![
            (RUN, self.run.clone()),
            (DIR, self.dir.display().to_string()),
            (SERVERS, serde_json::to_string(&told).unwrap_or_default()),
        ];
        variables.push(match &self.postgres {
            Ok(server) => (POSTGRES, server.url.clone()),
            Err(none) => (POSTGRES_MISSING, none.to_string()),
        });
        variables.push(match &self.valkey {
            Ok(servers) => (VALKEY, servers.urls.join(",")),
            Err(none) => (VALKEY_MISSING, none.to_string()),
        });
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The names of all variables that `env` may set: unset them first where another run may have set them.
    #[must_use]
    pub fn env_names() -> &'static [&'static str] {
        &ALL
    }
}
