//! A worktree of the last commit that a fault is planted in, and the command built from it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::program::overwrite;

/// A worktree that stays with what was built in it, so that the next run builds little.
pub(crate) struct Worktree {
    root: PathBuf,
    folder: PathBuf,
}

impl Worktree {
    /// The worktree below the target folder of `root`, at its `HEAD`, and the command of that.
    pub(crate) fn new(root: &Path) -> Result<Self, String> {
        let tree = Self { root: root.to_path_buf(), folder: root.join("target/mutants") };
        fs::create_dir_all(&tree.folder).map_err(|error| error.to_string())?;
        let head = output(tree.git(root).args(["rev-parse", "HEAD"]))?;
        if !tree.path().join(".git").exists() || tree.move_to(head.trim()).is_err() {
            tree.remove();
            let mut git = tree.git(root);
            output(git.args(["worktree", "add", "--quiet", "--detach"]).arg(tree.path()).arg(head.trim()))?;
        }
        copy(&tree.build()?, &tree.sound())?;
        Ok(tree)
    }

    /// Where its files are.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// The command without a fault.
    pub(crate) fn sound(&self) -> PathBuf {
        self.folder.join("sound")
    }

    /// The command with what was changed in `files`: written over their text in the sound one, or else built.
    pub(crate) fn changed(&self, files: &[String]) -> Result<PathBuf, String> {
        let program = self.folder.join("faulty");
        let mut bytes = fs::read(self.sound()).map_err(|error| error.to_string())?;
        for file in files {
            let ending = Path::new(file).extension();
            let is_data = ending.is_some_and(|ending| ending == "sql" || ending == "lua");
            let before = output(self.git(&self.path()).args(["show", &format!("HEAD:{file}")]))?;
            let after = fs::read_to_string(self.path().join(file)).map_err(|error| format!("{file}: {error}"))?;
            if !is_data || !overwrite(&mut bytes, &before, &after) {
                return self.build();
            }
        }
        copy(&self.sound(), &program)?;
        fs::write(&program, bytes).map_err(|error| error.to_string())?;
        Ok(program)
    }

    /// An empty folder for the reports of a run.
    pub(crate) fn out(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.folder.join("reports").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        Ok(folder)
    }

    /// Applies a patch of the repository.
    pub(crate) fn apply(&self, patch: &str) -> Result<(), String> {
        output(self.git(&self.path()).arg("apply").arg(self.root.join(patch))).map(drop)
    }

    /// Files that are as they were keep their time, and are not built again.
    fn move_to(&self, commit: &str) -> Result<(), String> {
        output(self.git(&self.path()).args(["checkout", "--quiet", "--force", "--detach", commit])).map(drop)
    }

    /// Undoes every change.
    pub(crate) fn reset(&self) -> Result<(), String> {
        output(self.git(&self.path()).args(["checkout", "--quiet", "--force", "."])).map(drop)
    }

    /// Builds the command as the tests are built, but for what a change leaves as it was.
    fn build(&self) -> Result<PathBuf, String> {
        let target = self.folder.join("target");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(self.path()).env("CARGO_TARGET_DIR", &target).env("CARGO_INCREMENTAL", "1");
        cargo.args(["build", "--quiet", "--package", "ff-conformance", "--features", "command"]);
        output(cargo.args(["--bin", "ff-conformance"]))?;
        Ok(target.join("debug/ff-conformance"))
    }

    fn git(&self, folder: &Path) -> Command {
        let mut git = Command::new("git");
        // A hook exports these, and they would lead to another repository.
        git.current_dir(folder).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
        git
    }

    fn remove(&self) {
        let _ = output(self.git(&self.root).args(["worktree", "remove", "--force", "--force"]).arg(self.path()));
        let _ = fs::remove_dir_all(self.path());
        let _ = output(self.git(&self.root).args(["worktree", "prune"]));
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", from.display()))
}

/// What the command prints, or the last lines of what it complains about.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<_> = said.lines().collect();
    let last = lines.len().saturating_sub(8);
    Err(format!("{shown}: {}\n{}", output.status, lines[last..].join("\n")))
}
