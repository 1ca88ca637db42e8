//! The list of the patches and what each of them must break.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One fault in the SQL or Lua of a real store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    /// Names the fault; a fault may be planted in both stores.
    pub(crate) id: String,
    /// The backend that has it.
    pub(crate) store: String,
    /// The files that its patch changes.
    pub(crate) files: Vec<String>,
    /// The requirement that must be violated.
    pub(crate) requirement: String,
    /// The cases whose `stem::name` contains one of these are run.
    pub(crate) cases: Vec<String>,
    /// The fault, in a sentence.
    pub(crate) what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    mutant: Vec<Mutant>,
}

impl Mutant {
    /// `M01-postgres`.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.id, self.store)
    }

    /// Where its patch is, from the top of the repository.
    pub(crate) fn patch(&self) -> String {
        format!("ff-conformance/mutants/{}.patch", self.name())
    }
}

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Every mutant.
pub(crate) fn read() -> Result<Vec<Mutant>, String> {
    let file = root().join("ff-conformance/mutants/mutants.toml");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(manifest.mutant)
}
