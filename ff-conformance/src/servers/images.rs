//! Chooses an image: the user's, the official one, or one that the project builds from Debian packages.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testcontainers::bollard::Docker;
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

use super::Kind;
use super::owner::own_uid;

/// How long a registry may take to deliver an image.
const PULL: Duration = Duration::from_secs(60);

/// An image that the engine has.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) name: String,
    /// Does not change when the tag moves.
    pub(crate) id: Option<String>,
}

impl Image {
    /// The two parts that testcontainers joins with a colon; a digest is such a part too.
    pub(crate) fn name_and_tag(&self) -> (&str, &str) {
        name_and_tag(&self.name)
    }
}

impl Kind {
    fn image_variable(self) -> &'static str {
        match self {
            Self::Postgres => "FF_POSTGRES_IMAGE",
            Self::Valkey => "FF_VALKEY_IMAGE",
        }
    }

    fn official_image(self) -> &'static str {
        match self {
            Self::Postgres => "postgres:17-alpine",
            Self::Valkey => "valkey/valkey:8-alpine",
        }
    }

    fn own_image(self) -> &'static str {
        match self {
            Self::Postgres => "ff-conformance/postgres:17-debian",
            Self::Valkey => "ff-conformance/valkey:8-debian",
        }
    }

    /// The image that the user asks for.
    fn chosen_image(self) -> Option<String> {
        std::env::var(self.image_variable()).ok().filter(|name| !name.is_empty())
    }
}

/// Says which image is there, or where one would come from.
pub(crate) async fn look(docker: &Docker, kind: Kind) -> Result<String, String> {
    let candidates = match kind.chosen_image() {
        Some(name) => vec![name],
        None => vec![kind.official_image().to_owned(), kind.own_image().to_owned()],
    };
    for name in &candidates {
        if present(docker, name).await.is_some() {
            return Ok(format!("{name} is present"));
        }
    }
    match (candidates.as_slice(), script()) {
        ([name], _) => Ok(format!("{name} would be pulled")),
        (_, Some(_)) => Ok(format!("{} would be pulled, or an image built", kind.official_image())),
        (_, None) => Ok(format!("{} would be pulled", kind.official_image())),
    }
}

/// Gets an image onto the engine.
pub(crate) async fn get(docker: &Docker, kind: Kind) -> Result<Image, String> {
    if let Some(name) = kind.chosen_image() {
        return match present(docker, &name).await {
            Some(image) => Ok(image),
            None => pull(docker, &name).await.map_err(|error| format!("{}: {error}", kind.image_variable())),
        };
    }
    if let Some(image) = present(docker, kind.official_image()).await {
        return Ok(image);
    }
    let refusal = match pull(docker, kind.official_image()).await {
        Ok(image) => return Ok(image),
        Err(refusal) => refusal,
    };
    if let Some(image) = present(docker, kind.own_image()).await {
        return Ok(image);
    }
    let built = tokio::task::spawn_blocking(move || build(kind)).await.map_err(|error| error.to_string())?;
    built.map_err(|error| format!("{refusal}\n{error}"))?;
    present(docker, kind.own_image()).await.ok_or_else(|| format!("{} was built and is not there", kind.own_image()))
}

async fn present(docker: &Docker, name: &str) -> Option<Image> {
    let told = docker.inspect_image(name).await.ok()?;
    Some(Image { name: name.to_owned(), id: told.id })
}

/// Without a registry this fails within a moment; with a slow one after a minute.
async fn pull(docker: &Docker, name: &str) -> Result<Image, String> {
    let (repository, tag) = name_and_tag(name);
    let request = GenericImage::new(repository, tag).with_startup_timeout(PULL);
    match tokio::time::timeout(PULL, request.pull_image()).await {
        Ok(Ok(_)) => present(docker, name).await.ok_or_else(|| format!("{name} was pulled and is not there")),
        Ok(Err(error)) => Err(format!("cannot pull {name}: {error}")),
        Err(_) => Err(format!("cannot pull {name} within {} s", PULL.as_secs())),
    }
}

/// Runs the script that builds an image from Debian packages; a second run waits for the first.
fn build(kind: Kind) -> Result<(), String> {
    let script = script().ok_or("images/build.sh is not here: run the command inside the project's folder")?;
    let lock = std::env::temp_dir().join(format!("ff-conformance-images-{}.lock", own_uid().unwrap_or_default()));
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock);
    let held = lock.and_then(|file| file.lock().map(|()| file)).map_err(|error| error.to_string())?;
    eprintln!(
        "servers: no registry delivers {}; building {} (a minute or two)",
        kind.official_image(),
        kind.own_image()
    );
    let output = Command::new(script).arg(kind.to_string()).output().map_err(|error| error.to_string())?;
    drop(held);
    if output.status.success() {
        return Ok(());
    }
    Err(format!("cannot build {}: {}", kind.own_image(), String::from_utf8_lossy(&output.stderr).trim()))
}

/// The script stands in the project's folder, above this package or around the working directory.
fn script() -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().chain(package.parent()).map(|folder| folder.join("images/build.sh")).find(|path| path.is_file())
}

fn name_and_tag(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::name_and_tag;

    #[test]
    fn names_split_into_what_testcontainers_joins() {
        assert_eq!(name_and_tag("postgres:17"), ("postgres", "17"));
        assert_eq!(name_and_tag("registry:5000/postgres"), ("registry:5000/postgres", "latest"));
        assert_eq!(name_and_tag("postgres@sha256:ab"), ("postgres@sha256", "ab"));
    }
}
