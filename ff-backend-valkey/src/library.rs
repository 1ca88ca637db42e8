//! The function library: its files, its text, and how it gets onto a server.

use ff_core::{EngineError, PartitionConfig, PrepareOutcome};
use redis::{FromRedisValue, RedisError, Value, aio::MultiplexedConnection, cmd, pipe};

use crate::{
    error::{NOT_PREPARED, ValkeyError},
    keys::Keys,
};

/// The version of the contract between this client and [`library`].
pub const LIBRARY_VERSION: u32 = 1;

macro_rules! files {
    ($($path:literal)*) => { &[$(($path, include_str!(concat!("../lua/", $path)))),*] };
}

/// Every file, in the order in which the server reads them: what is shared first.
const FILES: &[(&str, &str)] = files! {
    "lib/register.lua"
    "lib/version.lua"
    "lib/time.lua"
    "lib/number.lua"
    "lib/fail.lua"
    "lib/keys.lua"
    "lib/core.lua"
    "lib/state.lua"
    "lib/index.lua"
    "lib/outbox.lua"
    "lib/attempts.lua"
    "lib/fence.lua"
    "lib/finish.lua"
    "lib/retry.lua"
    "lib/conditions.lua"
    "lib/suspensions.lua"
    "lib/waitpoints.lua"
    "lib/ring.lua"
    "lib/settle.lua"
    "lib/pick.lua"
    "lib/take.lua"
    "lib/batch.lua"
    "lib/create.lua"
    "lib/holder.lua"
    "lib/filter.lua"
    "executions/create_execution.lua"
    "executions/create_executions.lua"
    "executions/describe_execution.lua"
    "executions/read_execution_state.lua"
    "executions/read_execution_info.lua"
    "executions/get_execution_result.lua"
    "executions/list_executions.lua"
    "executions/list_lanes.lua"
    "executions/list_attempts.lua"
    "executions/cancel_execution.lua"
    "executions/change_priority.lua"
    "executions/replay_execution.lua"
    "executions/set_execution_tag.lua"
    "attempts/progress.lua"
    "attempts/complete.lua"
    "attempts/fail.lua"
    "attempts/cancel.lua"
    "attempts/delay.lua"
    "attempts/wait_children.lua"
    "attempts/complete_many.lua"
    "attempts/complete_and_claim.lua"
    "leases/renew.lua"
    "leases/renew_many.lua"
    "leases/revoke_lease.lua"
    "claims/claim.lua"
    "claims/claim_many.lua"
    "claims/claim_for_worker.lua"
    "claims/claim_execution.lua"
    "claims/explain_unclaimed.lua"
    "waitpoints/suspend.lua"
    "waitpoints/create_waitpoint.lua"
    "waitpoints/observe_signals.lua"
    "waitpoints/deliver_signal.lua"
    "waitpoints/resume_execution.lua"
    "waitpoints/list_suspended.lua"
    "waitpoints/list_pending_waitpoints.lua"
    "waitpoints/seed_waitpoint_hmac_secret.lua"
    "waitpoints/rotate_waitpoint_hmac_secret_all.lua"
    "scanners/scan.lua"
    "scanners/remove_ended.lua"
    "scanners/remove_keys.lua"
    "scanners/trim_events.lua"
    "subscriptions/subscribe_lease_history.lua"
    "subscriptions/subscribe_completion.lua"
    "subscriptions/subscribe_operator_events.lua"
    "subscriptions/subscribe_signal_delivery.lua"
    "subscriptions/subscribe_completions.lua"
    "subscriptions/subscribe_completions_filtered.lua"
};

/// The text of the function library that `prepare` loads.
///
/// For operators who load it out of band: `valkey-cli -x FUNCTION LOAD REPLACE`. Its parts are the files of `lua/`;
/// each stands between a line `-- file: <path>` and the next such line, wrapped in `do … end`.
#[must_use]
pub fn library() -> String {
    let mut text = "#!lua name=ff\nlocal ff = {}\n".to_owned();
    for (path, body) in FILES {
        text.push_str(&format!("-- file: {path}\ndo\n{body}end\n"));
    }
    text
}

/// What stands on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Installed {
    version: u32,
    oldest_client: u32,
}

/// What a client does about what stands on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// It works.
    Works,
    /// `prepare` must load a newer one.
    Missing,
    /// The client must be replaced.
    TooNew(Installed),
}

fn fit(installed: Option<Installed>) -> Fit {
    match installed {
        Some(found) if found.oldest_client > LIBRARY_VERSION => Fit::TooNew(found),
        Some(found) if found.version >= LIBRARY_VERSION => Fit::Works,
        _ => Fit::Missing,
    }
}

fn too_new(found: Installed) -> EngineError {
    EngineError::invalid_input(format!(
        "the function library on the server is version {} and serves clients from version {} on, this client is {}: \
         upgrade the client",
        found.version, found.oldest_client, LIBRARY_VERSION
    ))
}

/// How often `prepare` looks again when another one was faster.
const LOOKS: u32 = 10;

/// Refuses a store that this client cannot work with as it stands.
pub(crate) async fn check(connection: &mut MultiplexedConnection, partitions: u16) -> Result<(), ValkeyError> {
    check_count(partitions)?;
    check_partitions(connection, partitions).await?;
    match fit(look(connection).await?) {
        Fit::Works => Ok(()),
        Fit::Missing => Err(ValkeyError::NotPrepared(NOT_PREPARED.to_owned())),
        Fit::TooNew(found) => Err(too_new(found).into()),
    }
}

/// Loads the library and stores the partition count, unless both are there. The connection must be the caller's own:
/// a look and what follows from it are one step only as long as nothing else happens on it.
pub(crate) async fn prepare(
    connection: &mut MultiplexedConnection,
    partitions: PartitionConfig,
) -> Result<PrepareOutcome, ValkeyError> {
    let (meta, count) = (Keys::of(0).meta(), partitions.count().get());
    check_count(count)?;
    for _ in 0..LOOKS {
        cmd("WATCH").arg(&meta).query_async::<()>(connection).await.map_err(ValkeyError::Unsent)?;
        let fit = fit(look(connection).await?);
        let stored = check_partitions(connection, count).await?;
        let mut change = pipe();
        change.atomic().cmd("HSET").arg(&meta).arg("partitions").arg(count);
        let description = match fit {
            Fit::TooNew(found) => return Err(too_new(found).into()),
            Fit::Works if stored => return Ok(PrepareOutcome::NoOp),
            Fit::Works => "stored the partition count".to_owned(),
            Fit::Missing => {
                change.arg("library").arg(LIBRARY_VERSION).cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(library());
                format!("loaded the function library, version {LIBRARY_VERSION}")
            }
        };
        // An empty reply: another client changed what was looked at, and nothing was done.
        if change.query_async::<Value>(connection).await.map_err(ValkeyError::Sent)? != Value::Nil {
            return Ok(PrepareOutcome::Applied { description });
        }
    }
    Err(EngineError::contention().into())
}

async fn look(connection: &mut MultiplexedConnection) -> Result<Option<Installed>, ValkeyError> {
    let reply: Result<Vec<u32>, RedisError> = cmd("FCALL_RO").arg("ff_version").arg(0).query_async(connection).await;
    match reply.map_err(ValkeyError::Sent) {
        Ok(numbers) => match numbers[..] {
            [version, oldest_client] => Ok(Some(Installed { version, oldest_client })),
            _ => Err(ValkeyError::Reply(format!("ff_version: {numbers:?}"))),
        },
        Err(error) if error.is_missing_function() => Ok(None),
        Err(error) => Err(error.of_a_look()),
    }
}

/// Refuses a count that this backend cannot keep.
pub(crate) fn check_count(partitions: u16) -> Result<(), EngineError> {
    if partitions == 1 {
        return Ok(());
    }
    Err(EngineError::invalid_input(format!("partitions: {partitions}; this backend keeps a store in one: configure 1")))
}

/// True if the store has a partition count; it must be `partitions`.
async fn check_partitions(connection: &mut MultiplexedConnection, partitions: u16) -> Result<bool, ValkeyError> {
    let mut ask = cmd("HGET");
    ask.arg(Keys::of(0).meta()).arg("partitions");
    let reply: Value = ask.query_async(connection).await.map_err(ValkeyError::Unsent)?;
    match Option::<u16>::from_redis_value(reply) {
        Ok(None) => Ok(false),
        Ok(Some(stored)) if stored == partitions => Ok(true),
        Ok(Some(stored)) => Err(EngineError::invalid_input(format!(
            "partitions: {partitions} configured, {stored} in the store since it was first prepared; configure {stored}"
        ))
        .into()),
        Err(error) => Err(EngineError::corrupt(format!("partitions: {error}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use ff_core::Operation;

    use super::*;

    fn files_below(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                files_below(&entry.path(), &format!("{path}/"), found);
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn the_list_is_the_folder() {
        let mut there = BTreeSet::new();
        files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("lua"), "", &mut there);
        let listed: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed, there);
        assert_eq!(listed.len(), FILES.len(), "a file is listed twice");
    }

    #[test]
    fn the_version_of_the_library_is_the_client_s() {
        assert!(library().contains(&format!("return {{ {LIBRARY_VERSION}, 1 }}")));
    }

    #[test]
    fn every_operation_has_its_function_in_the_folder_of_its_stem() {
        for op in Operation::ALL {
            let stem = format!("{:?}", op.stem()).to_lowercase();
            // Three operations redeem a grant by one function, two suspend.
            let shares = matches!(
                op,
                Operation::ClaimFromReclaim | Operation::ClaimResumedExecution | Operation::SuspendByTriple
            );
            if stem == "backend" || shares {
                continue;
            }
            let path = format!("{stem}/{op}.lua");
            let body = FILES.iter().find(|(listed, _)| *listed == path).map(|(_, body)| *body);
            let body = body.unwrap_or_else(|| panic!("{path} is missing"));
            assert!(body.starts_with(&format!("-- {op}: ")), "{path}: the head names another operation");
            assert!(body.contains(&format!("(\"{op}\", function(")), "{path}: registers another name");
        }
    }

    #[test]
    fn clients_fit_by_the_oldest_one_that_a_library_serves() {
        let installed = |version, oldest_client| Some(Installed { version, oldest_client });
        assert_eq!(fit(None), Fit::Missing);
        assert_eq!(fit(installed(LIBRARY_VERSION - 1, 0)), Fit::Missing);
        assert_eq!(fit(installed(LIBRARY_VERSION, 1)), Fit::Works);
        assert_eq!(fit(installed(LIBRARY_VERSION + 1, LIBRARY_VERSION)), Fit::Works);
        let ahead = Installed { version: LIBRARY_VERSION + 1, oldest_client: LIBRARY_VERSION + 1 };
        assert_eq!(fit(Some(ahead)), Fit::TooNew(ahead));
    }
}
