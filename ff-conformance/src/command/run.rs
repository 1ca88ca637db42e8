//! `ff-conformance run`: the whole suite on every backend, its matrix and its reports.

mod args;
mod drive;
mod lockstep;
mod progress;
mod races;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use ff_conformance::{
    CASES, Case, Matrix, Report,
    report::{self, Conclusion, Provenance},
    servers::{Kind, Servers, Wanted},
};

pub(crate) use args::Arguments;
use args::Backend;

use crate::command::{INVALID, complain, servers::Signals, shown};

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let cases = match arguments.cases() {
        Ok(cases) => cases,
        Err(text) => return complain(&text),
    };
    if let Some(text) = unpublishable(&arguments, cases.len()) {
        return complain(&text);
    }
    let runtime = match ff_conformance::runtime() {
        Ok(runtime) => runtime,
        Err(text) => return complain(&text),
    };
    runtime.block_on(async {
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            Err(error) => return complain(&format!("signals: {error}")),
        };
        let servers = tokio::select! {
            servers = servers(&arguments) => servers,
            (_, number) = signals.next() => return interrupted(number),
        };
        let servers = match servers {
            Ok(servers) => servers,
            Err(text) => return complain(&text),
        };
        let code = tokio::select! {
            code = judge(&arguments, &cases, servers.as_ref()) => code,
            (_, number) = signals.next() => interrupted(number),
        };
        if let Some(servers) = servers {
            servers.shutdown().await;
        }
        code
    })
}

/// Why the reports of this run could not be committed, as far as that is known before it.
fn unpublishable(arguments: &Arguments, cases: usize) -> Option<String> {
    let folder = arguments.reports.as_ref()?.display();
    if cases < CASES.len() {
        return Some(format!("{folder}: a committed report is one of all cases: leave `--case` out"));
    }
    let dirty = Provenance::here("").dirty;
    dirty.then(|| format!("{folder}: a report names the commit that it is about: commit your changes first"))
}

fn interrupted(number: u8) -> ExitCode {
    eprintln!("ff-conformance: interrupted; no report was written");
    ExitCode::from(128 + number)
}

/// The servers that the backends need: those of an outer `servers exec`, else our own.
async fn servers(arguments: &Arguments) -> Result<Option<Servers>, String> {
    let backends = arguments.backends();
    let wanted =
        Wanted { postgres: backends.contains(&Backend::Postgres), valkey: backends.contains(&Backend::Valkey) };
    if !wanted.postgres && !wanted.valkey {
        return Ok(None);
    }
    let options = arguments.options()?;
    let given = options.urls(Kind::Postgres).is_some() || options.urls(Kind::Valkey).is_some();
    if std::env::var_os("FF_CONFORMANCE_RUN").is_some() && !given {
        return Ok(Some(Servers::from_env()));
    }
    let progress = progress::waiting("looking for servers");
    let servers = Servers::start(wanted, &options).await;
    progress.finish_and_clear();
    Ok(Some(servers))
}

async fn judge(arguments: &Arguments, cases: &[&'static Case], servers: Option<&Servers>) -> ExitCode {
    let columns = drive::columns(arguments, servers);
    for column in &columns {
        eprintln!("{:<9} {}", column.backend.to_string(), column.source());
    }
    if let Some(tape) = &arguments.tape {
        return lockstep::one(&columns, tape).await;
    }
    let mut reports = Vec::new();
    let driven = drive::drive(&columns, cases, arguments).await;
    let tapes = lockstep::many(&columns, arguments).await;
    let bursts = races::many(&columns, arguments).await;
    let folder = arguments.out.clone().unwrap_or_else(report::folder);
    for (((backend, events), tapes), bursts) in driven.into_iter().zip(tapes).zip(bursts) {
        let seeds = arguments.seed.into_iter().collect();
        let provenance = Provenance { seeds, ..Provenance::here(format!("./dev run --backend {backend}")) };
        match report::merge(events, &provenance) {
            Ok(report) => {
                if let Err(text) = races::write(backend, &report.profile.id, &bursts, &folder) {
                    return complain(&text);
                }
                let report = match tapes {
                    Some(tapes) => report.with_lockstep(tapes),
                    None => report,
                };
                reports.push(report.with_races(bursts));
            }
            Err(invalid) => return complain(&format!("{backend}: {invalid}")),
        }
    }
    print!("\n{}", shown(&Matrix::of(&reports)));
    print!("{}", report::summary(&reports));
    if arguments.share().is_some() {
        println!("\n{}", total(&reports, arguments.seed_of_plays()));
    }
    if let Err(text) = write(arguments, &reports) {
        return complain(&text);
    }
    ExitCode::from(report::exit_code(&reports))
}

/// How much was played in a time, and where the next run goes on.
fn total(reports: &[Report], seed: u64) -> String {
    let tapes: u64 = reports.iter().filter_map(|report| report.lockstep.as_ref()).map(|run| run.tapes).sum();
    let bursts: u64 = reports.iter().flat_map(|report| &report.races).map(|run| run.bursts).sum();
    let stores = reports.iter().flat_map(|report| &report.races).map(|run| run.stores);
    // All tapes come from the one seed.
    let next = seed.wrapping_add(stores.chain([1]).max().unwrap_or(1));
    let backends = reports.len();
    format!(
        "total: {tapes} tapes and {bursts} bursts on {backends} backends from seed {seed}; go on with --seed {next}"
    )
}

/// Writes a report for each profile and two documents over all of them, then what is committed, and says where.
fn write(arguments: &Arguments, reports: &[Report]) -> Result<(), String> {
    let folder = arguments.out.clone().unwrap_or_else(report::folder);
    println!();
    for report in reports {
        let text = report::text(report).map_err(|error| error.to_string())?;
        write_file(&folder.join(format!("{}.json", report.profile.id)), &text)?;
    }
    write_file(&folder.join("report.md"), &report::markdown(reports))?;
    write_file(&folder.join("report.html"), &report::html(reports))?;
    if let Some(folder) = &arguments.reports {
        publish(reports, folder)?;
    }
    if io::stdout().is_terminal() {
        println!("verdicts: certified 0, failed 1, partial 2, invalid {INVALID}");
    }
    Ok(())
}

/// Writes the form that is committed, all reports or none; one that says what is there already is left alone.
fn publish(reports: &[Report], folder: &Path) -> Result<(), String> {
    let mut files = Vec::new();
    for report in reports {
        let (id, file) = (&report.profile.id, folder.join(format!("{}.json", report.profile.id)));
        if report.footer.verdict == Conclusion::Failed {
            return Err(format!("{id}: has failed: nothing was written to {}", folder.display()));
        }
        let same = |old: Report| report::verify(&old).is_empty() && report::diff(&old, report).is_empty();
        if report::read_report(&file).is_ok_and(same) {
            println!("kept  {}: this run says the same", from_here(&file).display());
            continue;
        }
        let text = report::text(&report.clone().published()).map_err(|error| error.to_string())?;
        let wrong = report::verify_text(&text);
        if !wrong.is_empty() {
            return Err(format!("{id}: not fit to be published:\n  {}", wrong.join("\n  ")));
        }
        files.push((file, text));
    }
    files.iter().try_for_each(|(file, text)| write_file(file, text))
}

fn write_file(file: &Path, text: &str) -> Result<(), String> {
    report::write_file(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("wrote {}", from_here(file).display());
    Ok(())
}

/// A path as seen from here, if it lies below.
fn from_here(file: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(here).unwrap_or(file).to_path_buf()
}
