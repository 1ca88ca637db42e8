//! Plants faults in the real stores, most of them in their SQL and Lua, and requires that the suite finds them:
//! `./dev mutate`.

mod manifest;
mod program;
mod sites;
mod tree;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Parser;
use ff_conformance::{
    CASES, Outcome, Report,
    report::{Status, read_report},
};

use manifest::Mutant;
use sites::Site;
use tree::Worktree;

/// Plants the faults of mutants.toml, or random ones, and runs the suite on each.
#[derive(Debug, Parser)]
#[command(name = "./dev mutate")]
struct Arguments {
    /// The mutants, for example `M01` or `M01-postgres`; all of them without it.
    id: Vec<String>,
    /// Plant so many random faults instead: of ten nine have to be found, by the cases that the changed file concerns,
    /// else by the whole suite, else by tapes in lock-step.
    #[arg(long, value_name = "N", conflicts_with = "id")]
    random: Option<usize>,
    /// Choose the random faults by this number.
    #[arg(long, value_name = "S", requires = "random")]
    seed: Option<u64>,
    /// Only faults of this backend.
    #[arg(long, value_name = "NAME", value_parser = ["postgres", "valkey"])]
    backend: Option<String>,
}

/// What became of a fault.
#[derive(Debug)]
enum Fate {
    /// The suite found what it had to find.
    Killed(String),
    /// The suite found nothing.
    Survived,
    /// The suite found something else.
    WrongReason(String),
    /// Nothing was judged.
    Unjudged(String),
}

impl Fate {
    fn line(&self) -> String {
        match self {
            Self::Killed(by) => format!("killed        {by}"),
            Self::Survived => "SURVIVED".to_owned(),
            Self::WrongReason(found) => format!("WRONG REASON  {found}"),
            Self::Unjudged(why) => format!("UNJUDGED      {why}"),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.random {
        Some(count) => random(&arguments, count),
        None => listed(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("mutate: {text}");
            ExitCode::FAILURE
        }
    }
}

/// True if every asked mutant was killed through its requirement.
fn listed(arguments: &Arguments) -> Result<bool, String> {
    let asked = |mutant: &Mutant| {
        (arguments.id.is_empty() || arguments.id.iter().any(|id| *id == mutant.id || *id == mutant.name()))
            && arguments.backend.as_ref().is_none_or(|store| *store == mutant.store)
    };
    let mutants: Vec<_> = manifest::read()?.into_iter().filter(asked).collect();
    if mutants.is_empty() {
        return Err(format!("no mutant is called {}", arguments.id.join(" or ")));
    }
    let tree = Worktree::new(&manifest::root())?;
    sound(&tree, &mutants)?;
    let mut killed = 0;
    for mutant in &mutants {
        let fate = match plant(&tree, mutant) {
            Ok(report) => judge(&report, &mutant.requirement),
            Err(why) => Fate::Unjudged(why),
        };
        tree.reset()?;
        println!("{:<14} {}  {}  {}", mutant.name(), mutant.requirement, fate.line(), mutant.what);
        if !matches!(fate, Fate::Killed(_)) {
            println!("{:<14} in {}", "", mutant.files.join(", "));
        }
        killed += usize::from(matches!(fate, Fate::Killed(_)));
    }
    println!("{killed} of {} killed", mutants.len());
    Ok(killed == mutants.len())
}

/// Without a fault the same cases find nothing; else a kill would say nothing.
fn sound(tree: &Worktree, mutants: &[Mutant]) -> Result<(), String> {
    let mut cases: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for mutant in mutants {
        cases.entry(&mutant.store).or_default().extend(mutant.cases.clone());
    }
    for (store, mut cases) in cases {
        cases.sort();
        cases.dedup();
        let report = Run { program: tree.sound(), store, cases, ends: Ends::Last }.report(tree, "K0")?;
        let red = wrong(&report);
        if !red.is_empty() {
            return Err(format!("{store} is red without a fault: {red}"));
        }
        println!("{:<14} green without a fault", format!("K0-{store}"));
    }
    Ok(())
}

fn plant(tree: &Worktree, mutant: &Mutant) -> Result<Report, String> {
    tree.apply(&mutant.patch())?;
    let (program, cases) = (tree.changed(&mutant.files)?, mutant.cases.clone());
    Run { program, store: &mutant.store, cases, ends: Ends::Last }.report(tree, &mutant.name())
}

/// A run of the suite on a store.
struct Run<'a> {
    program: PathBuf,
    store: &'a str,
    /// All of them if there is none.
    cases: Vec<String>,
    ends: Ends,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// After the last case.
    Last,
    /// Once a case is red.
    Red,
    /// After some minutes of tapes that follow from this number, or with the first that fails.
    Tapes(u64),
}

/// For how long tapes are played.
const MINUTES: &str = "2";

/// A case that finds no fault of a statement.
const PLAIN: &str = "capabilities::one_label_names_the_backend";

impl Run<'_> {
    /// Runs the suite; the exit code is in the report as well.
    fn report(&self, tree: &Worktree, name: &str) -> Result<Report, String> {
        let out = tree.out(name)?;
        let mut command = Command::new(&self.program);
        command.current_dir(tree.path()).args(["run", "--backend", self.store, "--out"]).arg(&out);
        match self.ends {
            Ends::Last => {}
            Ends::Red => {
                command.arg("--fail-fast");
            }
            Ends::Tapes(seed) => {
                command.args(["--lockstep", "--minutes", MINUTES, "--seed", &seed.to_string()]);
            }
        }
        for case in &self.cases {
            command.args(["--case", case]);
        }
        tree::output(&mut command).or_else(|text| if has_report(&out) { Ok(String::new()) } else { Err(text) })?;
        let entries = std::fs::read_dir(&out).map_err(|error| error.to_string())?;
        let mut files = entries.flatten().map(|entry| entry.path());
        let file = files.find(|path| path.extension().is_some_and(|ending| ending == "json")).ok_or("no report")?;
        read_report(&file).map_err(|error| error.to_string())
    }
}

fn has_report(folder: &Path) -> bool {
    folder.join("report.md").exists()
}

fn judge(report: &Report, requirement: &str) -> Fate {
    let killers: Vec<_> = report
        .cases
        .iter()
        .filter(|case| matches!(&case.outcome, Outcome::Failed { failure, .. } if failure.requirement == requirement))
        .map(|case| case.case.as_str())
        .collect();
    match (report.requirements.get(requirement), killers.first()) {
        (Some(Status::Violated), Some(first)) => Fate::Killed(format!("{} cases, {first}", killers.len())),
        _ => match wrong(report) {
            found if found.is_empty() => Fate::Survived,
            found => Fate::WrongReason(found),
        },
    }
}

/// What failed or could not be judged, by requirement, and the tapes on which the store and the specification part.
fn wrong(report: &Report) -> String {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &report.cases {
        match &case.outcome {
            Outcome::Failed { failure, .. } => *found.entry(&failure.requirement).or_default() += 1,
            Outcome::Errored { .. } => *found.entry("errored").or_default() += 1,
            Outcome::Passed | Outcome::Denied { .. } | Outcome::NotRun { .. } | Outcome::Ineligible { .. } => {}
        }
    }
    if let Some(tapes) = &report.lockstep {
        for failure in &tapes.failures {
            *found.entry(&failure.subject).or_default() += 1;
        }
        if !tapes.errored.is_empty() {
            found.insert("errored", tapes.errored.len());
        }
    }
    found.iter().map(|(id, cases)| format!("{id}×{cases}")).collect::<Vec<_>>().join(" ")
}

/// True if nine of ten random faults were found: one that nobody can see is left to the reader.
fn random(arguments: &Arguments, count: usize) -> Result<bool, String> {
    let seed = arguments.seed.unwrap_or_else(|| u64::from(std::process::id()));
    let root = manifest::root();
    let mut sites = sites::all(&root)?;
    sites.retain(|site| arguments.backend.as_ref().is_none_or(|store| store == site.store));
    println!("seed {seed}: {count} of {} places", sites.len());
    let tree = Worktree::new(&root)?;
    let mut survivors: Vec<Site> = Vec::new();
    for site in sites::choose(sites, count, seed) {
        let fate = hunt(&tree, &site, seed).unwrap_or_else(Fate::Unjudged);
        tree.reset()?;
        println!("{}:{}  {}\n    {}", site.file, site.line, site.change, fate.line());
        if !matches!(fate, Fate::Killed(_)) {
            survivors.push(site);
        }
    }
    println!("\n{} of {count} not killed (seed {seed})", survivors.len());
    for site in &survivors {
        println!("  {}:{}  {}", site.file, site.line, site.change);
    }
    Ok(survivors.len() * 10 <= count)
}

/// Runs the cases that the changed file concerns, the whole suite if they find nothing, and tapes if that finds nothing.
fn hunt(tree: &Worktree, site: &Site, seed: u64) -> Result<Fate, String> {
    site.plant(&tree.path())?;
    let program = tree.changed(std::slice::from_ref(&site.file))?;
    let mut concerns = site.concerns();
    concerns.retain(|text| CASES.iter().any(|case| case.path().contains(text)));
    let mut stages = vec![(Vec::new(), Ends::Red), (vec![PLAIN.to_owned()], Ends::Tapes(seed))];
    if !concerns.is_empty() {
        stages.insert(0, (concerns, Ends::Red));
    }
    for (cases, ends) in stages {
        let hunt = Run { program: program.clone(), store: site.store, cases, ends };
        let report = hunt.report(tree, &format!("R{}", site.line))?;
        let found = wrong(&report);
        if !found.is_empty() {
            return confirmed(tree, site.store, &report, found, ends);
        }
    }
    Ok(Fate::Survived)
}

/// What is red with the fault is green without it; else nothing was found.
fn confirmed(tree: &Worktree, store: &str, report: &Report, found: String, ends: Ends) -> Result<Fate, String> {
    let red = |outcome: &Outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Errored { .. });
    let cases: Vec<_> = report.cases.iter().filter(|case| red(&case.outcome)).map(|case| case.case.clone()).collect();
    let (by, cases, ends) = match (cases.first().cloned(), ends) {
        (None, Ends::Tapes(_)) => ("a tape in lock-step".to_owned(), vec![PLAIN.to_owned()], ends),
        (first, _) => (first.unwrap_or_default(), cases, Ends::Last),
    };
    let sound = Run { program: tree.sound(), store, cases, ends }.report(tree, "K0")?;
    match wrong(&sound) {
        without if without.is_empty() => Ok(Fate::Killed(format!("{found}, {by}"))),
        without => Ok(Fate::Unjudged(format!("{by} is red without the fault: {without}"))),
    }
}
