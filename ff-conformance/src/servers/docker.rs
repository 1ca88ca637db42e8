//! Servers in containers of a Docker Engine, started through testcontainers and published on 127.0.0.1 only.

use std::collections::HashMap;
use std::time::Duration;

use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{ContainerSummary, HostConfig, Mount, MountType, PortBinding};
use testcontainers::bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use testcontainers::core::IntoContainerPort;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};

use super::images::{self, Image};
use super::owner::{self, Owner};
use super::probe::{self, Probe};
use super::program::{postgres_settings, valkey_loop};
use super::start::{Found, Handle};
use super::{Kind, Options, Owned, Source};

const OWNER: &str = "ff-conformance.owner";
const HOST: &str = "ff-conformance.host";
const KEEP: &str = "ff-conformance.keep";

/// How long a container may take until its servers answer.
const READY: Duration = Duration::from_secs(60);

pub(super) const FIRST_VALKEY_PORT: u16 = 7000;

/// Where a server's files lie.
pub(super) const FILES: &str = "/ff";

/// Where PostgreSQL keeps its own, in a folder that it may make.
pub(super) const POSTGRES_FILES: &str = "/ff/data";

/// A Docker Engine that answers.
pub(crate) async fn engine() -> Result<Docker, String> {
    let reach = async {
        let docker = docker_client_instance().await.map_err(|error| error.to_string())?;
        docker.ping().await.map_err(|error| error.to_string())?;
        Ok(docker)
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), reach).await;
    answer
        .unwrap_or_else(|_| Err("no answer within 5 s".to_owned()))
        .map_err(|error: String| format!("no Docker Engine: {error}"))
}

/// Says which image would be used.
pub(crate) async fn look(kind: Kind) -> Result<String, String> {
    images::look(&engine().await?, kind).await
}

/// Starts one container with everything of a kind.
pub(crate) async fn start(kind: Kind, options: &Options, owner: &Owner) -> Result<Found, String> {
    let image = images::get(&engine().await?, kind).await?;
    match kind {
        Kind::Postgres => postgres(image, options, owner).await,
        Kind::Valkey => valkey(image, options, owner).await,
    }
}

async fn postgres(image: Image, options: &Options, owner: &Owner) -> Result<Found, String> {
    let password = owner::random_hex(16).map_err(|error| error.to_string())?;
    let mut command = vec!["postgres".to_owned()];
    for (name, value) in postgres_settings(options.durable) {
        command.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    let request = request(&image, None, &[(5432, ANY_PORT)], options, owner)
        .with_cmd(command)
        .with_env_var("POSTGRES_PASSWORD", &password)
        .with_env_var("PGDATA", POSTGRES_FILES)
        .with_env_var("POSTGRES_INITDB_ARGS", "--encoding=UTF8")
        // initdb takes the encoding from the locale where an image knows no arguments for it.
        .with_env_var("LANG", "C.UTF-8")
        .with_shm_size(256 << 20);
    let container = request.start().await.map_err(|error| error.to_string())?;
    let port = container.get_host_port_ipv4(5432).await.map_err(|error| error.to_string())?;
    let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
    let probe = ready(&container, async || probe::postgres(&url).await).await?;
    Ok(found(image, probe, vec![url], container))
}

async fn valkey(image: Image, options: &Options, owner: &Owner) -> Result<Found, String> {
    let ports: Vec<u16> = (FIRST_VALKEY_PORT..).take(options.valkey_pool).collect();
    let script = valkey_loop("$(command -v valkey-server || command -v redis-server)", "0.0.0.0", FILES, &ports);
    let published: Vec<_> = ports.iter().map(|port| (*port, ANY_PORT)).collect();
    let request = request(&image, Some("sh"), &published, options, owner).with_cmd(["-c".to_owned(), script]);
    let container = request.start().await.map_err(|error| error.to_string())?;
    let mut urls = Vec::with_capacity(ports.len());
    for port in &ports {
        let published = container.get_host_port_ipv4(*port).await.map_err(|error| error.to_string())?;
        urls.push(format!("redis://127.0.0.1:{published}"));
    }
    let mut told = None;
    for url in &urls {
        told = Some(ready(&container, async || probe::valkey(url).await).await?);
    }
    let mut probe = told.ok_or("a pool of no servers was asked for")?;
    probe.concurrency = urls.len();
    Ok(found(image, probe, urls, container))
}

/// The engine chooses a port that is free.
const ANY_PORT: u16 = 0;

/// A container that carries our labels and publishes its ports on 127.0.0.1, each on the second of its pair.
///
/// [`FILES`] are a volume that goes with the container if they have to last: in the container's own layers each write
/// would take the way of the storage driver, which can be a program. Else they are in memory.
pub(super) fn request(
    image: &Image,
    entrypoint: Option<&str>,
    ports: &[(u16, u16)],
    options: &Options,
    owner: &Owner,
) -> ContainerRequest<GenericImage> {
    let (name, tag) = image.name_and_tag();
    let mut generic = GenericImage::new(name, tag);
    if let Some(entrypoint) = entrypoint {
        generic = generic.with_entrypoint(entrypoint);
    }
    for (port, _) in ports {
        generic = generic.with_exposed_port(port.tcp());
    }
    let bindings: HashMap<_, _> = ports
        .iter()
        .map(|(port, outside)| {
            let outside = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(outside.to_string()) };
            (format!("{port}/tcp"), Some(vec![outside]))
        })
        .collect();
    let keep = if options.keep { "1" } else { "" };
    let kind = if options.durable { MountType::VOLUME } else { MountType::TMPFS };
    let files = Mount { target: Some(FILES.to_owned()), typ: Some(kind), ..Mount::default() };
    generic
        .with_labels([(OWNER, owner.to_string()), (HOST, owner::host()), (KEEP, keep.to_owned())])
        .with_startup_timeout(READY)
        .with_host_config_modifier(move |config: &mut HostConfig| {
            config.publish_all_ports = Some(false);
            config.port_bindings = Some(bindings.clone());
            config.mounts = Some(vec![files.clone()]);
        })
}

/// Waits until a server answers; a container that ends, or a server we cannot use, is an error with its last words.
pub(super) async fn ready(
    container: &ContainerAsync<GenericImage>,
    ask: impl AsyncFn() -> Result<Probe, String>,
) -> Result<Probe, String> {
    let mut last = String::new();
    let answer = owner::until(READY, async || match ask().await {
        Ok(probe) => Some(Ok(probe)),
        Err(error) => {
            last = error;
            let ended = matches!(container.is_running().await, Ok(false));
            ended.then(|| Err("the container ended".to_owned()))
        }
    })
    .await;
    let reason = match answer {
        Some(Ok(probe)) => return Ok(probe),
        Some(Err(reason)) => reason,
        None => format!("no usable answer within {} s: {last}", READY.as_secs()),
    };
    let words = container.stderr_to_vec().await.unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let lines: Vec<_> = words.lines().collect();
    Err(format!("{reason}\n{}", lines[lines.len().saturating_sub(8)..].join("\n")))
}

fn found(image: Image, probe: Probe, urls: Vec<String>, container: ContainerAsync<GenericImage>) -> Found {
    let mut facts = probe.facts(Source::Docker, Owned::Ours);
    facts.from = Some(image.name);
    facts.image_id = image.id;
    Found { urls, facts, handles: vec![Handle::Container(Box::new(container))] }
}

/// Removes containers that carry our label and whose owner on this host is gone.
pub(crate) async fn sweep() {
    let Ok(docker) = engine().await else { return };
    let filters = HashMap::from([("label", vec![OWNER])]);
    let all = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    for container in docker.list_containers(Some(all)).await.unwrap_or_default() {
        if let Some(id) = container.id.as_deref().filter(|_| abandoned(&container)) {
            let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            // One that another sweep removes at this moment is gone as well.
            let _ = docker.remove_container(id, Some(force)).await;
        }
    }
}

fn abandoned(container: &ContainerSummary) -> bool {
    let Some(labels) = &container.labels else { return false };
    let owner = labels.get(OWNER).and_then(|text| Owner::parse(text));
    labels.get(HOST) == Some(&owner::host())
        && labels.get(KEEP).is_none_or(String::is_empty)
        && owner.is_some_and(|owner| !owner.alive())
}
