//! The watchdog: a process that outlives a killed owner just long enough to remove what it started.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::owner::{self, Owner};
use super::{ServerError, docker};

/// The owner's end: the pipe breaks when the owner ends, in whatever way.
#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
    _pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts `<program> servers watch`.
    pub(crate) fn start(program: &Path, owner: &Owner) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(["servers", "watch", &owner.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // A signal from the terminal reaches the owner's group, not the watchdog.
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { child, _pipe: pipe })
    }

    /// Ends it after everything has been removed.
    pub(crate) fn dismiss(mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the end of the owner, then removes what it left.
///
/// # Errors
/// If the owner is not named by process number and start.
pub async fn watch(owner: &str) -> Result<(), ServerError> {
    let owner = Owner::parse(owner).ok_or_else(|| ServerError::new("the owner is given as <pid>:<start>"))?;
    let pipe = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
    // Whether the pipe ends well or not, its end means that the owner has closed it.
    let _ = pipe.await;
    owner::until(Duration::from_secs(60), async || (!owner.alive()).then_some(())).await;
    // A container that the owner asked for in its last moment may appear after the first sweep.
    for _ in 0..2 {
        tokio::join!(owner::sweep_folders(), docker::sweep());
        owner::until(Duration::from_secs(2), async || None::<()>).await;
    }
    Ok(())
}

/// Sends a signal, by its name without `SIG`, to a process that this one started.
pub fn signal(name: &str, pid: u32) {
    owner::signal(name, &pid.to_string());
}
