//! The files of the repository, and what is wrong with them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is wrong, one text each; empty if nothing is.
pub(crate) type Problems = Vec<String>;

/// What holds no source of ours; in a worktree `.git` is a file.
const OUTSIDE: [&str; 3] = ["target", ".git", "node_modules"];

/// The text files of the repository, by their path from its top.
pub(crate) struct Tree {
    root: PathBuf,
    files: Vec<(String, String)>,
}

impl Tree {
    /// Reads every text file.
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        collect(&root, "", &mut files);
        files.sort();
        Self { root, files }
    }

    /// Path and text of all files.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Path and text of the files whose path ends with `ending`.
    pub(crate) fn ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.all().filter(move |(path, _)| path.ends_with(ending))
    }

    /// Path and text of the Rust files of the suite.
    pub(crate) fn suite(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ending(".rs").filter(|(path, _)| path.starts_with("ff-conformance/src/"))
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.all().find(|(known, _)| *known == path).map(|(_, text)| text)
    }

    /// True if there is such a file or folder.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
        let path = format!("{prefix}{name}");
        if OUTSIDE.contains(&name.as_str()) {
            continue;
        }
        // A link shows a folder that stands elsewhere in the tree.
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push((path, text));
        }
    }
}

/// Makes the file at `path` hold `text`; it is a problem if it did not, because then somebody forgot to commit it.
pub(crate) fn ensure(tree: &Tree, path: &str, text: &str) -> Problems {
    if tree.text(path) == Some(text) {
        return Problems::new();
    }
    match fs::write(tree.root.join(path), text) {
        Ok(()) => vec![format!("{path} was not up to date and has been written: run again, and commit it")],
        Err(error) => vec![format!("{path} is not up to date and cannot be written: {error}")],
    }
}

/// True if generated documents are to be written instead of compared.
pub(crate) fn updating() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1")
}

/// Compares the file at `path` with `text`; only `UPDATE_DOCS=1` writes it.
pub(crate) fn compare(tree: &Tree, path: &str, text: &str) -> Problems {
    if tree.text(path) == Some(text) {
        return Problems::new();
    }
    if updating() {
        let file = tree.root.join(path);
        let folder = file.parent().unwrap_or(&tree.root);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&file, text));
        return written.err().map(|error| format!("{path} cannot be written: {error}")).into_iter().collect();
    }
    let old = tree.text(path).unwrap_or_default();
    let at = old.lines().zip(text.lines()).take_while(|(old, new)| old == new).count();
    let line = |text: &str| text.lines().nth(at).unwrap_or("(end)").to_owned();
    vec![format!(
        "{path}:{}: differs from what it is made of; `./dev docs` writes it, commit it if the change is meant\n  file    {}\n  source  {}",
        at + 1,
        line(old),
        line(text)
    )]
}

/// Fails the test with all problems.
#[track_caller]
pub(crate) fn report(problems: &Problems) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
