//! The places of the SQL and Lua files where one small change makes a fault, and a choice among them by a seed.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

/// What is read, and the backend that it belongs to.
const FOLDERS: [(&str, &str, &str); 2] = [("ff-backend-postgres/src", "sql", "postgres"), ("lua", "lua", "valkey")];

const SQL: [(&str, &str); 6] =
    [(" <= ", " < "), (" >= ", " > "), (" <> ", " = "), (" < ", " <= "), (" > ", " >= "), (" = ", " <> ")];
const LUA: [(&str, &str); 6] =
    [(" <= ", " < "), (" >= ", " > "), (" == ", " ~= "), (" ~= ", " == "), (" < ", " <= "), (" > ", " >= ")];

/// The beginnings of Lua lines that write and answer nothing.
const LUA_WRITES: [&str; 11] = [
    "redis.call(\"HSET\"",
    "redis.call(\"SET\"",
    "redis.call(\"ZADD\"",
    "redis.call(\"SADD\"",
    "redis.call(\"SREM\"",
    "redis.call(\"ZREM\"",
    "ff.tell_",
    "ff.set_due(",
    "ff.make_ready(",
    "ff.unmake_ready(",
    "ff.end_attempt(",
];

/// One change of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// The backend that it changes.
    pub(crate) store: &'static str,
    /// The file, from the top of the repository.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: usize,
    /// What it changes, for a reader.
    pub(crate) change: String,
    bytes: Range<usize>,
    by: String,
}

impl Site {
    /// The line with the change.
    fn changed(&self, line: &str) -> String {
        let mut text = line.to_owned();
        text.replace_range(self.bytes.clone(), &self.by);
        text
    }

    /// Changes the file below `root`.
    pub(crate) fn plant(&self, root: &Path) -> Result<(), String> {
        let file = root.join(&self.file);
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", self.file))?;
        let lines = text.lines().enumerate();
        let changed: Vec<_> =
            lines.map(|(at, line)| if at + 1 == self.line { self.changed(line) } else { line.to_owned() }).collect();
        fs::write(&file, changed.join("\n") + "\n").map_err(|error| format!("{}: {error}", self.file))
    }
}

/// Every place below `root`, in the order of files and lines.
pub(crate) fn all(root: &Path) -> Result<Vec<Site>, String> {
    let mut sites = Vec::new();
    for (folder, ending, store) in FOLDERS {
        let mut files = Vec::new();
        collect(&root.join(folder), ending, &mut files).map_err(|error| format!("{folder}: {error}"))?;
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            sites.extend(of_text(store, &name, &text));
        }
    }
    Ok(sites)
}

fn collect(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, ending, files)?;
        } else if path.extension().is_some_and(|extension| extension == ending) {
            files.push(path);
        }
    }
    Ok(())
}

fn of_text(store: &'static str, file: &str, text: &str) -> Vec<Site> {
    let is_sql = file.ends_with(".sql");
    let mut sites = Vec::new();
    // Within `UPDATE … SET` a `=` assigns, until the next `FROM`.
    let mut assigns = false;
    for (at, line) in text.lines().enumerate() {
        let code = line.split("--").next().unwrap_or_default();
        let trimmed = code.trim();
        if is_sql && (trimmed.starts_with("FROM ") || trimmed.starts_with("WHERE ")) {
            assigns = false;
        }
        let mut site = |bytes: Range<usize>, by: &str, change: String| {
            let (file, by) = (file.to_owned(), by.to_owned());
            sites.push(Site { store, file, line: at + 1, change, bytes, by });
        };
        for &(operator, other) in if is_sql { &SQL } else { &LUA } {
            let decides = |place: usize| operator != " = " || !assigns && !code[..place].ends_with("SET");
            for (place, _) in code.match_indices(operator).filter(|(place, _)| decides(*place)) {
                let change = format!("`{}` → `{}` in: {trimmed}", operator.trim(), other.trim());
                site(place..place + operator.len(), other, change);
            }
        }
        if is_sql && trimmed.starts_with("UPDATE ") && trimmed.ends_with(" SET") {
            assigns = true;
        } else if drops(trimmed, is_sql, assigns) {
            site(0..line.len(), "", format!("without: {trimmed}"));
        }
    }
    sites
}

/// True if the line writes, stands for itself, and may be left out.
fn drops(trimmed: &str, is_sql: bool, assigns: bool) -> bool {
    let whole = trimmed.matches('(').count() == trimmed.matches(')').count();
    if is_sql {
        return assigns && whole && trimmed.ends_with(',') && trimmed.contains(" = ") && !trimmed.contains("WHEN");
    }
    whole && trimmed.ends_with(')') && LUA_WRITES.iter().any(|begin| trimmed.starts_with(begin))
}

/// `count` of `sites`, chosen by `seed`: Fisher-Yates over SplitMix64.
pub(crate) fn choose(mut sites: Vec<Site>, count: usize, seed: u64) -> Vec<Site> {
    let mut state = seed;
    for last in (1..sites.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let place = bits % (last as u64 + 1);
        sites.swap(last, usize::try_from(place).unwrap_or(last));
    }
    sites.truncate(count);
    sites
}
