//! Links of Markdown files lead to files and headings that exist.

use std::path::{Component, Path, PathBuf};

use crate::files::{Problems, Tree};

/// Links that lead nowhere.
pub(crate) fn check(tree: &Tree) -> Problems {
    let mut problems = Problems::new();
    for (path, text) in tree.ending(".md") {
        for (line, target) in targets(text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { Some(path.to_owned()) } else { beside(path, file) };
            let there = file.as_ref().is_some_and(|file| tree.exists(file));
            let heading =
                || file.as_ref().and_then(|file| tree.text(file)).is_some_and(|text| has_heading(text, anchor));
            if !there {
                problems.push(format!("{path}:{line}: {target} does not exist"));
            } else if !anchor.is_empty() && !heading() {
                problems.push(format!("{path}:{line}: {target}: there is no such heading"));
            }
        }
    }
    problems
}

/// The targets of `[text](target)` outside of code, with their lines.
fn targets(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut fenced) = (Vec::new(), false);
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            // Every second piece between back-ticks is code.
            let prose: String = line.split('`').step_by(2).collect();
            let links = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            found.extend(links.map(|(target, _)| (at + 1, target.split(' ').next().unwrap_or_default().to_owned())));
        }
    }
    found
}

/// The path of `target` as seen from the file at `path`, from the top of the repository.
fn beside(path: &str, target: &str) -> Option<String> {
    let mut whole = PathBuf::new();
    for part in Path::new(path).parent()?.join(target).components() {
        match part {
            Component::ParentDir => {
                if !whole.pop() {
                    return None;
                }
            }
            Component::Normal(part) => whole.push(part),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    whole.to_str().map(str::to_owned)
}

/// True if a heading of `text` has this anchor, as GitHub makes it.
fn has_heading(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let slug = |heading: &str| -> String {
        let kept =
            heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    };
    headings.map(slug).any(|slug| slug == anchor) || text.contains(&format!("id=\"{anchor}\""))
}
