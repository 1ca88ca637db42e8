//! A store out of a value and a function, so that an author writes no `Store` by hand.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use ff_backend_memory::ManualClock;
use ff_core::{EngineBackend, TimestampMs};
use futures::future::BoxFuture;

use crate::{Client, ClockControl, Controls, Dump, DumpControl, HarnessError, Store};

/// A store that lives as long as `value`, each of whose clients `connect` makes; without controls.
///
/// `value` is what the store consists of, such as a folder or a container; it is dropped when the case has ended.
///
/// ```
/// use std::{convert::Infallible, future::ready};
///
/// use ff_backend_memory::MemoryBackend;
/// use ff_conformance::{Harness, HarnessError, Identity, Store, async_trait, store};
///
/// struct Mine;
///
/// #[async_trait]
/// impl Harness for Mine {
///     fn identity(&self) -> Identity {
///         Identity::new("mine", "0.1.0", "https://example.org/mine")
///     }
///
///     async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
///         Ok(store(MemoryBackend::new(), |root, _client| ready(Ok::<_, Infallible>(root.sibling()))))
///     }
/// }
///
/// mod conformance {
///     ff_conformance::suite!(super::Mine);
/// }
/// ```
pub fn store<T, B, E, F>(value: T, connect: impl Fn(&T, Client) -> F + Send + Sync + 'static) -> Box<dyn Store>
where
    T: Send + Sync + 'static,
    B: EngineBackend,
    E: fmt::Display,
    F: Future<Output = Result<B, E>> + Send + 'static,
{
    controlled_store(value, Controls::none(), connect)
}

/// The same under controls, without which many cases do not run.
pub fn controlled_store<T, B, E, F>(
    value: T,
    controls: Controls,
    connect: impl Fn(&T, Client) -> F + Send + Sync + 'static,
) -> Box<dyn Store>
where
    T: Send + Sync + 'static,
    B: EngineBackend,
    E: fmt::Display,
    F: Future<Output = Result<B, E>> + Send + 'static,
{
    shared_store(value, controls, move |value, client| {
        let connecting = connect(value, client);
        Box::pin(async move {
            let backend: Arc<dyn EngineBackend> =
                Arc::new(connecting.await.map_err(|error| HarnessError::new(format!("connect: {error}")))?);
            Ok(backend)
        })
    })
}

/// The same for clients that are shared from their beginning.
pub(crate) fn shared_store<T: Send + Sync + 'static>(
    value: T,
    controls: Controls,
    connect: impl Fn(&T, Client) -> BoxFuture<'static, Result<Arc<dyn EngineBackend>, HarnessError>> + Send + Sync + 'static,
) -> Box<dyn Store> {
    Box::new(Opened { value, controls, connect: Box::new(connect) })
}

type Connecting = BoxFuture<'static, Result<Arc<dyn EngineBackend>, HarnessError>>;

type Connect<T> = dyn Fn(&T, Client) -> Connecting + Send + Sync;

struct Opened<T> {
    value: T,
    controls: Controls,
    connect: Box<Connect<T>>,
}

#[async_trait]
impl<T: Send + Sync> Store for Opened<T> {
    async fn connect(&self, client: Client) -> Result<Arc<dyn EngineBackend>, HarnessError> {
        (self.connect)(&self.value, client).await
    }

    fn controls(&self) -> Controls {
        self.controls.clone()
    }
}

/// A clock that a store in this process reads is moved by the suite's hand.
#[async_trait]
impl ClockControl for ManualClock {
    async fn now(&self) -> Result<TimestampMs, HarnessError> {
        Ok(Self::now(self))
    }

    async fn set(&self, now: TimestampMs) -> Result<(), HarnessError> {
        Self::set(self, now);
        Ok(())
    }
}

/// A function that looks at a store in this process shows everything that it holds.
#[async_trait]
impl<F: Fn() -> Result<Dump, HarnessError> + Send + Sync> DumpControl for F {
    async fn dump(&self) -> Result<Dump, HarnessError> {
        self()
    }
}

/// An empty folder for one store, removed with it.
#[derive(Debug)]
pub struct TempFolder(PathBuf);

impl TempFolder {
    /// A new folder among the temporary files of the system.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> Result<Self, HarnessError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("ffc-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                // Left behind by an older process of that number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(HarnessError::new(format!("{}: {error}", path.display()))),
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::TempFolder;

    #[test]
    fn folders_are_apart_and_go() {
        let (a, b) = (TempFolder::new().unwrap(), TempFolder::new().unwrap());
        assert_ne!(a.path(), b.path());
        std::fs::write(a.path().join("x"), "x").unwrap();
        let path = a.path().to_path_buf();
        drop(a);
        assert!(!path.exists() && b.path().exists());
    }
}
