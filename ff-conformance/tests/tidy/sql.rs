//! The SQL files: their size and heads, one clock, and where it may be asked.

use crate::files::{Problems, Tree};

/// Lines that a statement may have.
const MOST_LINES: usize = 120;

/// The function that knows the time.
const CLOCK: &str = "ff_now_ms";

/// Other ways to ask for the time.
const FOREIGN_CLOCKS: [&str; 9] = [
    "now",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
    "current_timestamp",
    "localtimestamp",
    "current_time",
    "current_date",
];

/// What is wrong with the SQL files of the Postgres backend.
pub(crate) fn check(tree: &Tree) -> Problems {
    let mut problems = Problems::new();
    let ours = |path: &str| path.starts_with("migrations/") || path.starts_with("ff-backend-postgres/src/");
    for (path, text) in tree.ending(".sql").filter(|(path, _)| ours(path)) {
        let lines = text.lines().count();
        if lines > MOST_LINES && !path.starts_with("migrations/") {
            problems.push(format!("{path}: {lines} lines, at most {MOST_LINES}"));
        }
        if !text.starts_with("--") {
            problems.push(format!("{path}: begins with a comment: parameters and columns, or what the tables hold"));
        }
        problems.extend(clock(text).into_iter().map(|text| format!("{path}: {text}")));
    }
    problems
}

/// One token of a statement: a word in lower case, or a sign.
type Token = String;

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '-' if chars.peek() == Some(&'-') => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
            }
            '\'' => {
                // A doubled quote ends one text and begins the next.
                while chars.next().is_some_and(|c| c != '\'') {}
                tokens.push("''".to_owned());
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut word = c.to_lowercase().to_string();
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.extend(c.to_lowercase());
                }
                tokens.push(word);
            }
            c if c.is_whitespace() => {}
            c => tokens.push(c.to_string()),
        }
    }
    tokens
}

/// The part of a statement that a token stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clause {
    None,
    Select,
    Condition,
    Other,
}

/// What stands between two parentheses.
#[derive(Clone, Copy, Debug)]
struct Level {
    clause: Clause,
    /// The clock stands in the select list.
    asks: bool,
    /// Rows are locked.
    locks: bool,
}

impl Level {
    const NEW: Self = Self { clause: Clause::None, asks: false, locks: false };

    fn problem(self) -> Option<String> {
        (self.asks && self.locks)
            .then(|| format!("{CLOCK}() in the select list of a locking SELECT: lock first, decide after"))
    }
}

/// Where the time is asked wrongly.
fn clock(text: &str) -> Problems {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).map_or("", String::as_str);
    let (mut problems, mut levels) = (Problems::new(), vec![Level::NEW]);
    let mut defines = false;
    for (at, token) in tokens.iter().enumerate() {
        let Some(level) = levels.last_mut() else { break };
        match token.as_str() {
            "(" => levels.push(Level::NEW),
            ")" => {
                problems.extend(levels.pop().and_then(Level::problem));
                if levels.is_empty() {
                    levels.push(Level::NEW);
                }
            }
            ";" => {
                problems.extend(level.problem());
                levels = vec![Level::NEW];
                defines = false;
            }
            "function" if word(at + 1) == CLOCK => defines = true,
            "select" => {
                problems.extend(level.problem());
                *level = Level { clause: Clause::Select, ..Level::NEW };
            }
            "where" | "having" | "on" => level.clause = Clause::Condition,
            "for" if ["update", "no", "share", "key"].contains(&word(at + 1)) => level.locks = true,
            "from" | "set" | "returning" | "order" | "group" | "values" | "union" | "limit" => {
                level.clause = Clause::Other;
            }
            token if FOREIGN_CLOCKS.contains(&token) && !defines && is_time(&tokens, at) => {
                problems.push(format!("{token}: only {CLOCK}() knows the time"));
            }
            CLOCK if word(at + 1) == "(" && !defines => problems.extend(asked(&mut levels)),
            _ => {}
        }
    }
    problems.extend(levels.into_iter().filter_map(Level::problem));
    problems
}

/// True if the word at `at` asks for the time: `now` is also the name of a column.
fn is_time(tokens: &[Token], at: usize) -> bool {
    let sign = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", String::as_str);
    let called = sign(Some(at + 1)) == "(";
    let column = sign(at.checked_sub(1)) == ".";
    if tokens.get(at).is_some_and(|word| word.starts_with("current_") || word.starts_with("local")) {
        return !column;
    }
    called && !column
}

/// The clock is asked at the innermost level: the nearest clause around decides.
fn asked(levels: &mut [Level]) -> Option<String> {
    let level = levels.iter_mut().rev().find(|level| level.clause != Clause::None)?;
    match level.clause {
        Clause::Select => {
            level.asks = true;
            None
        }
        Clause::Condition => {
            Some(format!("{CLOCK}() in a condition: compare with (SELECT {CLOCK}()), or with `now` of a locked row"))
        }
        Clause::None | Clause::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn the_clock_is_asked_once_and_after_the_lock() {
        for good in [
            "WITH held AS (SELECT * FROM e WHERE id = $1 FOR NO KEY UPDATE), ok AS (SELECT held.*, ff_now_ms() AS now FROM held) SELECT now FROM ok",
            "SELECT id FROM e WHERE due_at <= (SELECT ff_now_ms()) ORDER BY due_at",
            "CREATE FUNCTION ff_now_ms() RETURNS bigint RETURN floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;",
            "SELECT ok.now, 'now()' FROM ok -- now()",
        ] {
            assert_eq!(clock(good), Vec::<String>::new(), "{good}");
        }
        for bad in [
            "UPDATE lease SET a = 1 WHERE expires_at > ff_now_ms()",
            "UPDATE lease SET a = 1 WHERE expires_at > greatest(ff_now_ms(), 0)",
            "SELECT e.*, ff_now_ms() AS now FROM e WHERE id = $1 FOR NO KEY UPDATE",
            "WITH held AS (SELECT e.*, coalesce(ff_now_ms(), 0) FROM e FOR UPDATE) SELECT 1 FROM held",
            "SELECT now()",
            "INSERT INTO e VALUES (CURRENT_TIMESTAMP)",
        ] {
            assert_eq!(clock(bad).len(), 1, "{bad}");
        }
    }
}
