//! The facts around a run: the suite, the profile, the machine, the time it took.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use ff_core::{Capabilities, Capability};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CASES, Control, Environment, REGISTRY_SHA256, Topology};

/// The suite that judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteFacts {
    /// Its version.
    pub version: String,
    /// The version of the contract; suite and contract are released together.
    pub contract: String,
    /// The hash of the registry: which cases there are and what they cover.
    pub registry_sha256: String,
    /// How many cases it has.
    pub cases: usize,
}

impl SuiteFacts {
    /// This suite.
    #[must_use]
    pub fn current() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            contract: env!("CARGO_PKG_VERSION").to_owned(),
            registry_sha256: REGISTRY_SHA256.to_owned(),
            cases: CASES.len(),
        }
    }
}

/// What a backend ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Backend, server version and topology in one word.
    pub id: String,
    /// The server and its version.
    pub server: String,
    /// How the server was found.
    pub source: String,
    /// The image and its digest, if there is one.
    pub image: Option<String>,
    /// Where the store lives.
    pub topology: Topology,
    /// Settings that matter for what the report says.
    pub settings: BTreeMap<String, String>,
    /// What the suite could do to the store.
    pub controls: Vec<Control>,
}

impl Profile {
    /// The profile of a store with these controls.
    #[must_use]
    pub fn of(environment: Environment, controls: &[Control]) -> Self {
        Self {
            id: environment.profile,
            server: environment.server,
            source: environment.source,
            image: environment.image,
            topology: environment.topology,
            settings: environment.settings,
            controls: controls.to_vec(),
        }
    }
}

/// What a backend says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// Each capability of the contract: there or not.
    pub capabilities: BTreeMap<String, bool>,
    /// How it behaves where more than one way is right.
    pub properties: BTreeMap<String, Value>,
    /// Its numbers.
    pub limits: BTreeMap<String, Value>,
}

impl Declared {
    /// What `capabilities` say.
    #[must_use]
    pub fn of(capabilities: &Capabilities) -> Self {
        let has = |capability: &Capability| (capability.as_str().to_owned(), capabilities.supports.has(*capability));
        Self {
            capabilities: Capability::ALL.iter().map(has).collect(),
            properties: fields(&capabilities.properties),
            limits: fields(&capabilities.limits),
        }
    }

    /// True if it says that `capability` is not there.
    #[must_use]
    pub fn lacks(&self, capability: Capability) -> bool {
        self.capabilities.get(capability.as_str()) == Some(&false)
    }
}

/// The fields of a struct by name.
fn fields(value: &impl Serialize) -> BTreeMap<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields.into_iter().collect(),
        Ok(_) | Err(_) => BTreeMap::new(),
    }
}

/// The machine that the suite ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Processors.
    pub cpus: usize,
    /// Operating system and architecture.
    pub os: String,
}

impl Host {
    /// This machine.
    #[must_use]
    pub fn current() -> Self {
        Self {
            cpus: std::thread::available_parallelism().map_or(1, Into::into),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// What the caller of a merge knows about the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The commit of the working tree, if there is one.
    pub commit: Option<String>,
    /// True if the working tree had changes.
    pub dirty: bool,
    /// The seeds that chose what the run did.
    pub seeds: Vec<u64>,
    /// The command that does the run again.
    pub reproduce: String,
}

/// By how much limits of real time are stretched: `FF_CONFORMANCE_TIME_FACTOR`, 1 by default.
#[must_use]
pub fn time_factor() -> f64 {
    let given = std::env::var("FF_CONFORMANCE_TIME_FACTOR").ok().and_then(|text| text.parse().ok());
    given.filter(|factor: &f64| (0.1..=100.0).contains(factor)).unwrap_or(1.0)
}

/// Measures how long something took on the suite's machine.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
    started_ms: u64,
}

impl Stopwatch {
    /// Begins to measure.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "measures the suite; no store is told this time")]
    pub fn start() -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_ms: ms(epoch) }
    }

    /// When it began, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// Milliseconds since then.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        ms(self.started.elapsed())
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An instant as RFC 3339 writes it, in UTC and whole seconds.
pub(crate) fn rfc3339(epoch_ms: u64) -> String {
    let seconds = epoch_ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // The calendar repeats every 400 years of 146,097 days; counted from 1 March a leap day comes last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn instants_are_written_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1000), text);
        }
    }
}
