//! The places of the SQL, the Lua and the Rust of the stores where one small change makes a fault, and a choice among
//! them by a seed.

use std::{
    collections::BTreeSet,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

/// What is read, and the backend that it belongs to.
const FOLDERS: [(&str, &str, &str); 4] = [
    ("ff-backend-postgres/src", "sql", "postgres"),
    ("ff-backend-postgres/src", "rs", "postgres"),
    ("lua", "lua", "valkey"),
    ("ff-backend-valkey/src", "rs", "valkey"),
];

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

/// One small change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// The backend that it changes.
    pub(crate) store: &'static str,
    /// The file, from the top of the repository.
    pub(crate) file: String,
    /// The first line that changes, from 1.
    pub(crate) line: usize,
    /// What it changes, for a reader.
    pub(crate) change: String,
    /// What stands where instead, from the front to the back.
    edits: Vec<(Range<usize>, String)>,
}

impl Site {
    /// The text of the file with the change.
    fn changed(&self, text: &str) -> String {
        let mut changed = text.to_owned();
        for (bytes, by) in self.edits.iter().rev() {
            changed.replace_range(bytes.clone(), by);
        }
        changed
    }

    /// Changes the file below `root`.
    pub(crate) fn plant(&self, root: &Path) -> Result<(), String> {
        let file = root.join(&self.file);
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", self.file))?;
        fs::write(&file, self.changed(&text)).map_err(|error| format!("{}: {error}", self.file))
    }

    /// Texts that the names of the cases contain that look at this file: its own name, and its concept.
    pub(crate) fn concerns(&self) -> Vec<String> {
        let path = Path::new(&self.file);
        let name = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let stem = name(path);
        let concept = path.parent().and_then(name).map(|concept| format!("{concept}::"));
        stem.into_iter().chain(concept).collect()
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
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut sites = match file.rsplit('.').next() {
        Some("sql") => lines(store, file, text, true),
        Some("lua") => lines(store, file, text, false),
        _ => Vec::new(),
    };
    sites.extend(swaps(store, file, text));
    sites.sort_by_key(|site| site.line);
    sites
}

/// Comparisons negated or moved by one, and lines that write left out.
fn lines(store: &'static str, file: &str, text: &str, is_sql: bool) -> Vec<Site> {
    let mut sites = Vec::new();
    let assigns = if is_sql { assignments(text) } else { BTreeSet::new() };
    let mut begin = 0;
    for (at, line) in text.lines().enumerate() {
        let code = line.split("--").next().unwrap_or_default();
        let trimmed = code.trim();
        let mut site = |bytes: Range<usize>, by: &str, change: String| {
            let edits = vec![(begin + bytes.start..begin + bytes.end, by.to_owned())];
            sites.push(Site { store, file: file.to_owned(), line: at + 1, change, edits });
        };
        for &(operator, other) in if is_sql { &SQL } else { &LUA } {
            for (place, _) in code.match_indices(operator).filter(|(place, _)| !assigns.contains(&(begin + place + 1)))
            {
                let change = format!("`{}` → `{}` in: {trimmed}", operator.trim(), other.trim());
                site(place..place + operator.len(), other, change);
            }
        }
        let writes = if is_sql {
            let first = code.find(" = ").is_some_and(|place| assigns.contains(&(begin + place + 1)));
            first && trimmed.ends_with(',') && !["SET ", "WHEN"].iter().any(|word| trimmed.contains(word))
        } else {
            trimmed.ends_with(')') && LUA_WRITES.iter().any(|begin| trimmed.starts_with(begin))
        };
        if writes && trimmed.matches('(').count() == trimmed.matches(')').count() {
            site(0..line.len(), "", format!("without: {trimmed}"));
        }
        begin += line.len() + 1;
    }
    sites
}

/// The `=` that assign: the first of each part of a `SET`, outside of brackets and of a `CASE`.
fn assignments(text: &str) -> BTreeSet<usize> {
    let (mut places, mut depth, mut cases) = (BTreeSet::new(), 0, 0);
    // How many brackets are open where the part stands, if it is one that has assigned nothing, and of its `SET`.
    let (mut part, mut set) = (None, None);
    for (at, word) in words(text) {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            "SET" => (part, set, cases) = (Some(depth), Some(depth), 0),
            "CASE" => cases += 1,
            "END" => cases -= 1,
            "FROM" | "WHERE" | "RETURNING" if set == Some(depth) && cases == 0 => (part, set) = (None, None),
            "," if set == Some(depth) && cases == 0 => part = set,
            "=" if part == Some(depth) && cases == 0 => {
                places.insert(at);
                part = None;
            }
            _ => {}
        }
        if set > Some(depth) {
            (part, set) = (None, None);
        }
    }
    places
}

/// The words and signs of a statement and where they stand, without comments and texts.
fn words(text: &str) -> Vec<(usize, &str)> {
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '\'' {
            rest[1..].find('\'').map_or(rest.len(), |end| end + 2)
        } else if is_name(first) {
            rest.find(|c| !is_name(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        if !rest.starts_with("--") && first != '\'' {
            words.push((at, &rest[..length]));
        }
        at += length;
    }
    words
}

/// Neighbouring codes that change places: branches of a `CASE`, refusals of a function, arms over the words of a store.
fn swaps(store: &'static str, file: &str, text: &str) -> Vec<Site> {
    let codes = codes(file, text);
    let pairs = codes.iter().zip(codes.iter().skip(1));
    let swap = |(one, other): (&Range<usize>, &Range<usize>)| {
        let (first, second) = (&text[one.clone()], &text[other.clone()]);
        let between = &text[one.end..other.start];
        // Of one `CASE`, or the next arm.
        let near = match file.rsplit('.').next() {
            Some("sql") => !between.contains("END"),
            Some("rs") => between.matches('\n').count() == 1,
            _ => true,
        };
        let line = text[..one.start].matches('\n').count() + 1;
        let change = format!("`{first}` ↔ `{second}`");
        let edits = vec![(one.clone(), second.to_owned()), (other.clone(), first.to_owned())];
        (near && first != second).then(|| Site { store, file: file.to_owned(), line, change, edits })
    };
    pairs.filter_map(swap).collect()
}

/// Where the codes stand, without their quotes.
fn codes(file: &str, text: &str) -> Vec<Range<usize>> {
    let (heads, quote): (&[&str], _) = match file.rsplit('.').next() {
        Some("sql") => (&["THEN '", "ELSE '"], '\''),
        Some("lua") => (&["ff.fail(\""], '"'),
        _ => (&["\n        \"", "\n            \""], '"'),
    };
    let mut codes = Vec::new();
    for begin in heads.iter().flat_map(|head| text.match_indices(*head).map(|(at, found)| at + found.len())) {
        let Some(length) = text[begin..].find(quote) else { continue };
        let (code, rest) = (&text[begin..begin + length], &text[begin + length + 1..]);
        let arm = rest.starts_with(" => ") && code.starts_with(|first: char| first.is_ascii_alphabetic());
        if arm || !file.ends_with(".rs") {
            codes.push(begin..begin + length);
        }
    }
    codes.sort_by_key(|code| code.start);
    codes
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

#[cfg(test)]
mod tests {
    use super::{Site, choose, of_text};

    fn changed(file: &str, text: &str) -> Vec<String> {
        of_text("postgres", file, text).iter().map(|site| site.changed(text)).collect()
    }

    #[test]
    fn a_comparison_is_negated_or_moved_and_a_comment_is_left_alone() {
        let text = "-- a = b\nSELECT 1 FROM t -- a < b\nWHERE a = b AND c <= d\n";
        assert_eq!(
            changed("x/t.sql", text),
            [text.replace("WHERE a = b", "WHERE a <> b"), text.replace("c <= d", "c < d")]
                .into_iter()
                .rev()
                .collect::<Vec<_>>()
        );
        assert_eq!(changed("x/t.lua", "return a == b\n"), ["return a ~= b\n"]);
    }

    #[test]
    fn an_assignment_is_left_out_and_not_negated() {
        let text = "UPDATE t SET a = 1, b = 'x', c = a = 2, d = CASE WHEN a = 3 THEN 1 END FROM u WHERE e = 4";
        assert_eq!(
            changed("x/t.sql", text),
            ["a = 2", "a = 3", "e = 4"].map(|part| text.replace(part, &part.replace('=', "<>")))
        );
        let text = "UPDATE t SET\n    a = 1,\n    b = 2\nWHERE c > 1\n";
        assert_eq!(
            changed("x/t.sql", text),
            ["UPDATE t SET\n\n    b = 2\nWHERE c > 1\n", &text.replace("c > 1", "c >= 1")]
        );
        let text = "redis.call(\"HSET\", key, \"a\", 1)\nredis.call(\"HGET\", key)\n";
        assert_eq!(changed("x/t.lua", text), ["\nredis.call(\"HGET\", key)\n"]);
    }

    #[test]
    fn neighbouring_codes_change_places() {
        let text = "CASE WHEN a THEN 'x' WHEN b THEN 'y' ELSE 'y' END, CASE WHEN c THEN 'z' END\n";
        assert_eq!(changed("x/t.sql", text), [text.replace("'x' WHEN b THEN 'y'", "'y' WHEN b THEN 'x'")]);
        let text = "if a then return ff.fail(\"A\", \"\") end\nreturn ff.fail(\"B\", \"\")\n";
        assert_eq!(
            changed("x/t.lua", text),
            ["if a then return ff.fail(\"B\", \"\") end\nreturn ff.fail(\"A\", \"\")\n"]
        );
        let text = "match a {\n        \"A\" => 1,\n        \"B\" => 2,\n        \"08\" => 3,\n}\n#[cfg(test)]\n        \"C\" => 4,\n        \"D\" => 5,\n";
        assert_eq!(
            changed("x/t.rs", text),
            [text.replacen("\"B\"", "\"?\"", 1).replacen("\"A\"", "\"B\"", 1).replacen("\"?\"", "\"A\"", 1)]
        );
    }

    #[test]
    fn a_file_concerns_the_cases_of_its_operation_and_its_concept() {
        let of = |file: &str| {
            let site = Site { store: "x", file: file.to_owned(), line: 1, change: String::new(), edits: Vec::new() };
            site.concerns()
        };
        assert_eq!(of("lua/leases/renew.lua"), ["renew", "leases::"]);
        assert_eq!(of("ff-backend-postgres/src/row.rs"), ["row", "src::"]);
    }

    #[test]
    fn a_choice_follows_from_its_seed() {
        let sites = of_text("valkey", "x/t.lua", &"if a == b then return end\n".repeat(50));
        assert_eq!(choose(sites.clone(), 20, 7), choose(sites.clone(), 20, 7));
        assert_ne!(choose(sites.clone(), 20, 7), choose(sites, 20, 8));
    }
}
