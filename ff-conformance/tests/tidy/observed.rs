//! No implementation of the contract on a server goes unseen.

use crate::files::{Problems, Tree};

const FOLDERS: [&str; 2] = ["ff-backend-postgres/src/", "ff-backend-valkey/src/"];

/// Implementations with `async` methods that do not stand under observation.
pub(crate) fn check(tree: &Tree) -> Problems {
    let mut problems = Problems::new();
    for (path, text) in tree.ending(".rs").filter(|(path, _)| FOLDERS.iter().any(|folder| path.starts_with(folder))) {
        let lines: Vec<_> = text.lines().collect();
        for (at, _) in lines.iter().enumerate().filter(|(_, line)| **line == "#[async_trait]") {
            if at == 0 || lines[at - 1] != "#[ff_observe::observed]" {
                problems.push(format!("{path}:{}: put #[ff_observe::observed] above it", at + 1));
            }
        }
    }
    problems
}
