//! Where events and reports lie, and how they are written and read.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Event, Invalid, Report, Stopwatch, facts::rfc3339};

/// The folder of events and reports: `FF_CONFORMANCE_OUT`, else `ff-conformance` in Cargo's target folder.
#[must_use]
pub fn folder() -> PathBuf {
    if let Some(out) = std::env::var_os("FF_CONFORMANCE_OUT").filter(|out| !out.is_empty()) {
        return PathBuf::from(out);
    }
    let program = std::env::current_exe().unwrap_or_default();
    // Cargo marks its target folder as a cache; the test's or command's own program lies below it.
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.map_or_else(|| PathBuf::from("target"), Path::to_path_buf).join("ff-conformance")
}

/// The run that this process belongs to: that of its servers, else that of nextest, else its own.
#[must_use]
pub fn run_id() -> String {
    let given = |name: &str| std::env::var(name).ok().filter(|id| !id.is_empty());
    given("FF_CONFORMANCE_RUN").or_else(|| given("NEXTEST_RUN_ID")).unwrap_or_else(own_run_id)
}

/// When this process first asked, and its number.
fn own_run_id() -> String {
    static ID: OnceLock<String> = OnceLock::new();
    let id = || {
        let begin: String = rfc3339(Stopwatch::start().started_ms()).chars().filter(|c| !"-:".contains(*c)).collect();
        format!("{begin}-{}", std::process::id())
    };
    ID.get_or_init(id).clone()
}

/// Writes a file as a whole: a reader sees all of it or none.
///
/// # Errors
/// If the folder or the file cannot be written.
pub fn write_file(file: &Path, text: &str) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".{}-{}.tmp", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    fs::write(&draft, text)?;
    fs::rename(&draft, file)
}

/// Writes a report into `folder` in every form: `report.json`, `report.md`, `report.xml` and `badge.json`; tells where.
///
/// # Errors
/// If a file cannot be written.
pub fn write_report(folder: &Path, report: &Report) -> io::Result<Vec<PathBuf>> {
    let json = super::text(report).map_err(io::Error::other)?;
    let mut written = Vec::new();
    for (name, text) in [
        ("report.json", json),
        ("report.md", super::markdown(std::slice::from_ref(report))),
        ("report.html", super::html(std::slice::from_ref(report))),
        ("report.xml", super::junit(report)),
        ("badge.json", super::badge(report).to_string() + "\n"),
    ] {
        let file = folder.join(name);
        write_file(&file, &text)?;
        written.push(file);
    }
    Ok(written)
}

/// The newest run of one profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The folder of the run.
    pub folder: PathBuf,
    /// Its events.
    pub events: Vec<Event>,
}

/// The newest run of every profile below `folder`, or the one run whose folder it is.
///
/// # Errors
/// `Invalid` if a file cannot be read or is no event of this schema.
pub fn read_events(folder: &Path) -> Result<Vec<Found>, Invalid> {
    let own = events_in(folder)?;
    if !own.is_empty() {
        return Ok(vec![Found { folder: folder.to_path_buf(), events: own }]);
    }
    let mut found = Vec::new();
    for profile in folders_in(folder)? {
        let own = events_in(&profile)?;
        if !own.is_empty() {
            found.push(Found { folder: profile, events: own });
            continue;
        }
        let mut newest: Option<Found> = None;
        for run in folders_in(&profile)? {
            let events = events_in(&run)?;
            let began = |found: &Found| found.events.iter().map(|event| event.started_ms).max();
            let run = Found { folder: run, events };
            if newest.as_ref().is_none_or(|newest| began(newest) < began(&run)) {
                newest = Some(run);
            }
        }
        found.extend(newest);
    }
    Ok(found)
}

/// Reads one report.
///
/// # Errors
/// `Invalid` if the file cannot be read or is no report of this schema.
pub fn read_report(file: &Path) -> Result<Report, Invalid> {
    let text = fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    serde_json::from_str(&text).map_err(|error| unreadable(file, &error))
}

/// The reports that lie in `folder`, by name; none if there is no such folder.
///
/// # Errors
/// `Invalid` if one of its JSON files cannot be read or is no report of this schema.
pub fn read_reports(folder: &Path) -> Result<Vec<(PathBuf, Report)>, Invalid> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let files = entries(folder)?.into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.map(|file| read_report(&file).map(|report| (file, report))).collect()
}

fn events_in(folder: &Path) -> Result<Vec<Event>, Invalid> {
    let mut events = Vec::new();
    for entry in entries(folder)? {
        let is_event = entry.extension().is_some_and(|ending| ending == "json")
            && entry.file_stem().and_then(|name| name.to_str()).is_some_and(|name| name.contains('.'));
        // Reports of a command lie in the same tree; their names hold no `<stem>.<case>`.
        if is_event && entry.is_file() {
            let text = fs::read_to_string(&entry).map_err(|error| unreadable(&entry, &error))?;
            let text: Option<Event> = match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(value) if value["schema"] == super::SCHEMA => None,
                Ok(value) => Some(serde_json::from_value(value).map_err(|error| unreadable(&entry, &error))?),
                Err(error) => return Err(unreadable(&entry, &error)),
            };
            events.extend(text);
        }
    }
    Ok(events)
}

fn folders_in(folder: &Path) -> Result<Vec<PathBuf>, Invalid> {
    Ok(entries(folder)?.into_iter().filter(|entry| entry.is_dir()).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Invalid> {
    let list = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut entries = list
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(folder, &error))?;
    entries.sort();
    Ok(entries)
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Invalid {
    Invalid::new(format!("{}: {error}", path.display()))
}
