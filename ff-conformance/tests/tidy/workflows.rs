//! The workflows of a public host: each task that they call is one of `./dev`.

use crate::files::{Problems, Tree};

/// Calls of tasks that do not exist.
pub(crate) fn check(tree: &Tree) -> Problems {
    let tasks = tree.text("dev").map(tasks).unwrap_or_default();
    let mut problems = Problems::new();
    for (path, text) in tree.ending(".yml").filter(|(path, _)| path.starts_with(".github/workflows/")) {
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
            let called = line.split("./dev ").skip(1).filter_map(|rest| rest.split_whitespace().next());
            let unknown = called.filter(|task| !tasks.contains(task));
            problems.extend(unknown.map(|task| format!("{path}:{}: there is no `./dev {task}`", at + 1)));
        }
    }
    problems
}

/// The tasks that the help lists: `./dev run [arguments]   what it does`.
fn tasks(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("./dev ")?.split_whitespace().next()).collect()
}

#[cfg(test)]
mod tests {
    use super::tasks;

    #[test]
    fn the_help_lists_the_tasks() {
        assert_eq!(tasks("usage\n./dev run [x]   runs\n./dev lint      looks\n  ./dev other\n"), ["run", "lint"]);
    }
}
