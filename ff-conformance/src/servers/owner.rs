//! Who owns a run's servers: its process, its folder, and the sweep of runs whose owner is gone.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How the folders of all runs begin, below the system's folder for temporary files.
const FOLDER: &str = "ff-conformance-run-";

/// A process, told apart from a later one that got the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pid: u32,
    started: String,
}

impl Owner {
    /// This process.
    pub(crate) fn current() -> Self {
        let pid = std::process::id();
        Self::of(pid).unwrap_or_else(|| Self { pid, started: "unknown".to_owned() })
    }

    /// The living process of that number.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        started(pid).map(|started| Self { pid, started })
    }

    /// Reads what `Display` wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (pid, started) = text.trim().split_once(':')?;
        Some(Self { pid: pid.parse().ok()?, started: started.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn alive(&self) -> bool {
        started(self.pid).as_ref() == Some(&self.started)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pid, self.started)
    }
}

/// When a living process started, in the system's own words; a zombie has ended.
fn started(pid: u32) -> Option<String> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            // The program's name stands in parentheses and may itself hold spaces and parentheses.
            let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
            let running = !matches!(fields.next()?, "Z" | "X");
            fields.nth(18).filter(|_| running).map(str::to_owned)
        }
        Err(_) if Path::new("/proc/self/stat").exists() => None,
        Err(_) => {
            let told = Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
            let text = String::from_utf8(told.stdout).ok()?;
            Some(text.split_whitespace().collect::<Vec<_>>().join("-")).filter(|text| !text.is_empty())
        }
    }
}

/// Where process numbers mean something: two containers may share a Docker Engine or a folder, but not these.
pub(crate) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "local".to_owned());
    let space = fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    format!("{} {space}", name.trim())
}

/// Random hexadecimal digits from the system, for names and passwords.
pub(crate) fn random_hex(bytes: usize) -> io::Result<String> {
    let mut buffer = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The folder of one run: its locks, its logs, and what a sweep needs to know.
#[derive(Debug)]
pub(crate) struct RunFolder {
    pub(crate) run: String,
    pub(crate) path: PathBuf,
}

impl RunFolder {
    pub(crate) fn create(owner: &Owner, keep: bool) -> io::Result<Self> {
        let run = format!("{}-{}", owner.pid, random_hex(4)?);
        let path = std::env::temp_dir().join(format!("{FOLDER}{run}"));
        // Others may pass through, because a server may run as another user, but not list.
        fs::DirBuilder::new().mode(0o711).create(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711))?;
        fs::write(path.join("owner"), format!("{owner}\n{}\n", host()))?;
        if keep {
            fs::write(path.join("keep"), "")?;
        }
        Ok(Self { run, path })
    }

    /// Notes a process that the sweep has to end when the owner cannot.
    pub(crate) fn note_process(&self, process: &Owner) -> io::Result<()> {
        let mut notes = OpenOptions::new().create(true).append(true).open(self.path.join("processes"))?;
        writeln!(notes, "{process}")
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)
    }
}

/// Ends the local servers and removes the folders of runs whose owner is gone.
pub(crate) async fn sweep_folders() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(FOLDER) && abandoned(&path) {
            for line in fs::read_to_string(path.join("processes")).unwrap_or_default().lines() {
                if let Some(process) = Owner::parse(line) {
                    end(&process).await;
                }
            }
            // A folder that cannot be removed now is found again by the next sweep.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Whether the folder is of a run of this user on this host that nobody owns or wants to keep.
fn abandoned(path: &Path) -> bool {
    let Ok(note) = fs::read_to_string(path.join("owner")) else { return false };
    let mut lines = note.lines();
    let Some(owner) = lines.next().and_then(Owner::parse) else { return false };
    // Whoever may write below the temporary folder could otherwise have our processes ended.
    let ours = matches!((fs::symlink_metadata(path), own_uid()), (Ok(folder), Some(uid)) if folder.is_dir() && folder.uid() == uid);
    ours && lines.next() == Some(host().as_str()) && !path.join("keep").exists() && !owner.alive()
}

/// The user that this process runs as.
pub(crate) fn own_uid() -> Option<u32> {
    if let Ok(me) = fs::metadata("/proc/self") {
        return Some(me.uid());
    }
    let told = Command::new("id").arg("-u").output().ok()?;
    String::from_utf8(told.stdout).ok()?.trim().parse().ok()
}

/// Sends a signal to a process, or with a minus sign to a group.
pub(crate) fn signal(name: &str, target: &str) {
    // The shell's own `kill` exists where no package brings the program; a target that is gone is no error.
    let _ = Command::new("sh")
        .args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", name, target])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// Ends a server that leads its own process group: at once where it can, by force after five seconds.
pub(crate) async fn end(process: &Owner) {
    if !process.alive() {
        return;
    }
    let group = format!("-{}", process.pid());
    // QUIT is PostgreSQL's immediate shutdown; the shell's background jobs ignore it and want TERM.
    signal("QUIT", &group);
    signal("TERM", &group);
    let gone = until(Duration::from_secs(5), async || has_ended(process).then_some(())).await;
    if gone.is_none() {
        signal("KILL", &group);
    }
}

/// Whether a server that leads its own process group has ended, and all its children.
pub(crate) fn has_ended(process: &Owner) -> bool {
    !process.alive() && group_ended(process.pid())
}

/// Whether no process of a group runs any more; where the system does not tell, the leader speaks for it.
fn group_ended(group: u32) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let group = group.to_string();
    !processes.flatten().any(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        !matches!(fields.next(), None | Some("Z" | "X")) && fields.nth(1) == Some(group.as_str())
    })
}

/// Looks every 20 ms until there is something to return, no longer than the limit.
pub(crate) async fn until<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    tokio::time::timeout(limit, async {
        loop {
            tick.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    })
    .await
    .ok()
}

#[cfg(test)]
mod tests {
    use super::Owner;

    #[test]
    fn an_owner_is_known_by_number_and_start() {
        let me = Owner::current();
        assert!(me.alive());
        assert_eq!(Owner::parse(&me.to_string()), Some(me.clone()));
        let later = Owner { started: "1".to_owned(), ..me };
        assert!(!later.alive());
    }
}
