//! The arguments of `ff-conformance run`.

use std::{fmt, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use ff_conformance::{CASES, Case, report::Provenance, servers::Options};

use crate::command::servers::Switches;

/// The arguments of `ff-conformance run`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Judge this backend; all three without it. May be given several times.
    #[arg(long, value_enum, value_name = "NAME")]
    backend: Vec<Backend>,
    /// Run the cases whose `stem::name` contains this text. May be given several times.
    #[arg(long = "case", value_name = "TEXT")]
    case: Vec<String>,
    /// Use this server, for example `--url valkey=redis://127.0.0.1:6379`. May be given for each backend.
    #[arg(long, value_name = "BACKEND=URL", value_parser = url)]
    url: Vec<(Backend, String)>,
    /// Run so many cases of a backend at once; as many as there are processors without it.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Begin no further case of a backend once one of its cases is red; what was not run is told as such.
    #[arg(long, conflicts_with = "reports")]
    pub(super) fail_fast: bool,
    /// Write the reports into this folder instead of `target/ff-conformance`.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Also write the reports that are committed into this folder; they must be fit to be published.
    #[arg(long, value_name = "DIR")]
    pub(super) reports: Option<PathBuf>,
    /// Run the cases in the order that follows from this number; no case depends on another.
    #[arg(long, value_name = "NUMBER")]
    pub(super) seed: Option<u64>,
    /// Then also play tapes, sequences of calls that are drawn from a seed, beside the executable specification.
    #[arg(long)]
    pub(super) lockstep: bool,
    /// So many tapes on each backend; without it at most 200, until the last 20 showed nothing new.
    #[arg(long, value_name = "N", requires = "lockstep")]
    pub(super) tapes: Option<u64>,
    /// Play this tape and no case.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["case", "lockstep", "reports"])]
    pub(super) tape: Option<PathBuf>,
    /// Then also play bursts: clients call at the same time, and one order has to explain what they saw.
    #[arg(long)]
    pub(super) races: bool,
    /// Then also play bursts whose calls meet faults on their way.
    #[arg(long)]
    pub(super) faults: bool,
    /// So many bursts of each kind on each backend; 200 without it.
    #[arg(long, value_name = "N")]
    pub(super) bursts: Option<u64>,
    /// Play tapes and bursts for so many hours on each backend, however many they become.
    #[arg(long, value_name = "H", value_parser = time)]
    hours: Option<f64>,
    /// The same for so many minutes.
    #[arg(long, value_name = "M", value_parser = time, conflicts_with = "hours")]
    minutes: Option<f64>,
    #[command(flatten)]
    switches: Switches,
}

fn time(text: &str) -> Result<f64, String> {
    let time: f64 = text.parse().map_err(|_| "a number, such as 0.5".to_owned())?;
    if time > 0.0 && time <= 10_000.0 { Ok(time) } else { Err("more than 0 and at most 10000".to_owned()) }
}

/// The backends of this project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// In this process.
    Memory,
    /// On PostgreSQL.
    Postgres,
    /// On Valkey or Redis.
    Valkey,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Postgres => "postgres",
            Self::Valkey => "valkey",
        })
    }
}

fn url(text: &str) -> Result<(Backend, String), String> {
    let form = "the form is BACKEND=URL, for example postgres=postgres://user@127.0.0.1:5432/postgres";
    let (name, url) = text.split_once('=').ok_or(form)?;
    match Backend::from_str(name, false)? {
        Backend::Memory => Err("memory has no server".to_owned()),
        backend if url.contains("://") => Ok((backend, url.to_owned())),
        _ => Err(form.to_owned()),
    }
}

impl Arguments {
    /// The backends to judge, each once, in the order of the matrix.
    pub(super) fn backends(&self) -> Vec<Backend> {
        let asked = |backend: &Backend| self.backend.is_empty() || self.backend.contains(backend);
        Backend::value_variants().iter().copied().filter(asked).collect()
    }

    /// How servers are found.
    pub(super) fn options(&self) -> Result<Options, String> {
        let mut options = self.switches.options().map_err(|error| error.to_string())?;
        for (backend, url) in &self.url {
            match backend {
                Backend::Postgres => options.postgres_url = Some(url.clone()),
                Backend::Valkey => options.valkey_url = Some(url.clone()),
                Backend::Memory => {}
            }
        }
        Ok(options)
    }

    /// The time of each kind of play that was asked for, tapes, bursts and bursts with faults: each has the same share.
    pub(super) fn share(&self) -> Option<Duration> {
        let seconds = self.hours.map(|hours| hours * 3600.0).or(self.minutes.map(|minutes| minutes * 60.0))?;
        let kinds = u32::from(self.lockstep) + u32::from(self.races) + u32::from(self.faults);
        Some(Duration::from_secs_f64(seconds) / kinds.max(1))
    }

    /// The seed of tapes and bursts; without one it follows from the commit.
    pub(super) fn seed_of_plays(&self) -> u64 {
        self.seed.unwrap_or_else(|| Provenance::here("").seed())
    }

    /// How many cases of a backend run at once, at most `most`.
    pub(super) fn jobs(&self, most: usize) -> usize {
        let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.jobs.unwrap_or_else(processors).get().min(most.max(1))
    }

    /// The cases to run, in the order to run them.
    pub(super) fn cases(&self) -> Result<Vec<&'static Case>, String> {
        let asked = |case: &&Case| self.case.is_empty() || self.case.iter().any(|text| case.path().contains(text));
        let mut cases: Vec<_> = CASES.iter().filter(asked).collect();
        if cases.is_empty() {
            return Err(format!("no case contains {}; the stems are {}", self.case.join(" or "), stems().join(", ")));
        }
        if let Some(seed) = self.seed {
            shuffle(&mut cases, seed);
        }
        Ok(cases)
    }
}

fn stems() -> Vec<&'static str> {
    let mut stems: Vec<_> = CASES.iter().map(|case| case.stem).collect();
    stems.dedup();
    stems
}

/// Puts `items` in an order that follows from `seed`: Fisher-Yates over SplitMix64.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let place = bits % (last as u64 + 1);
        items.swap(last, usize::try_from(place).unwrap_or(last));
    }
}

#[cfg(test)]
mod tests {
    use super::{shuffle, url};

    #[test]
    fn an_order_follows_from_its_seed() {
        let order = |seed| {
            let mut items: Vec<_> = (0..50).collect();
            shuffle(&mut items, seed);
            items
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
        let mut sorted = order(7);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_url_names_its_backend() {
        assert!(url("postgres=postgres://h/db?a=b").is_ok());
        for bad in ["postgres://h/db", "memory=x://y", "mysql=mysql://h", "valkey=h:6379"] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
