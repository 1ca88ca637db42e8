//! What every file of the repository keeps: its size, its first line, its name, and no place of one machine.

use crate::files::{Problems, Tree};

/// Lines that a Rust file may have.
const MOST_LINES: usize = 600;

/// Written by this test, as long as the suite is large.
const GENERATED: &str = "ff-conformance/src/registry.rs";

/// Names that say nothing about what a file holds.
const REFUSED_NAMES: [&str; 6] = ["util", "utils", "common", "helpers", "types", "misc"];

/// Places of one machine, in parts: this file must not name them either.
const MACHINE_PLACES: [&[&str]; 5] =
    [&["/ro", "ot/"], &["/ho", "me/"], &["/Us", "ers/"], &["/wo", "rk/"], &["/tmp/", "bash"]];

/// What is wrong with the files.
pub(crate) fn check(tree: &Tree) -> Problems {
    let mut problems = Problems::new();
    for (path, text) in tree.all() {
        let stem = path.rsplit('/').next().unwrap_or(path).split('.').next().unwrap_or_default();
        if REFUSED_NAMES.contains(&stem) || path.split('/').any(|part| REFUSED_NAMES.contains(&part)) {
            problems.push(format!("{path}: name the file after what it does"));
        }
        for place in MACHINE_PLACES.map(<[_]>::concat) {
            let found = text.lines().enumerate().filter(|(_, line)| line.contains(&place));
            problems.extend(found.map(|(at, _)| format!("{path}:{}: names {place}, a place of one machine", at + 1)));
        }
    }
    for (path, text) in tree.ending(".rs") {
        let lines = text.lines().count();
        if lines > MOST_LINES && path != GENERATED {
            problems.push(format!("{path}: {lines} lines, at most {MOST_LINES}: split it by noun"));
        }
        if !text.starts_with("//! ") {
            problems.push(format!("{path}: begins with a `//!` sentence on what the file is for"));
        }
    }
    problems.extend(requests_without_new(tree));
    problems
}

/// `#[non_exhaustive]` structs of the contract that nobody outside could make.
fn requests_without_new(tree: &Tree) -> Problems {
    let mut problems = Problems::new();
    for (path, text) in tree.ending(".rs").filter(|(path, _)| path.starts_with("ff-core/src/")) {
        let Ok(file) = syn::parse_file(text) else { continue };
        let made = |name: &syn::Ident| file.items.iter().any(|item| makes(item, name));
        for item in &file.items {
            if let syn::Item::Struct(item) = item
                && item.attrs.iter().any(|attribute| attribute.path().is_ident("non_exhaustive"))
                && !made(&item.ident)
            {
                problems.push(format!("{path}: {} is #[non_exhaustive] and has no `pub fn new`", item.ident));
            }
        }
    }
    problems
}

/// True if `item` holds `pub fn new` of the type `name`.
fn makes(item: &syn::Item, name: &syn::Ident) -> bool {
    let syn::Item::Impl(item) = item else { return false };
    let syn::Type::Path(of) = &*item.self_ty else { return false };
    let is_new = |part: &syn::ImplItem| match part {
        syn::ImplItem::Fn(method) => method.sig.ident == "new" && matches!(method.vis, syn::Visibility::Public(_)),
        _ => false,
    };
    item.trait_.is_none() && of.path.is_ident(name) && item.items.iter().any(is_new)
}
