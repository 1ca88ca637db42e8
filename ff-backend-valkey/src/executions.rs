//! Units of work: created once, read at any time.

use std::fmt::Write;

use async_trait::async_trait;
use ff_core::{
    AttemptIndex, CancelExecutionArgs, CancelExecutionResult, ChangePriorityArgs, ChangePriorityResult,
    CreateExecutionArgs, CreateExecutionResult, EngineError, ExecutionId, ExecutionInfo, ExecutionSnapshot, Executions,
    LaneId, Limits, ListAttemptsPage, ListExecutionsPage, ListLanesPage, PageLimit, PublicState, ReplayExecutionArgs,
    ReplayExecutionResult, RetryRule, SetExecutionTagArgs,
};
use redis::Value;

use crate::{
    attempts::with,
    backend::ValkeyBackend,
    error::ValkeyError,
    fcall::Call,
    reply::{self, Items, Row},
};

#[ff_observe::observed]
#[async_trait]
impl Executions for ValkeyBackend {
    async fn create_execution(&self, args: CreateExecutionArgs) -> Result<CreateExecutionResult, EngineError> {
        args.check(&self.limits)?;
        Ok(create(self, &args).await?)
    }

    async fn describe_execution(&self, id: &ExecutionId) -> Result<Option<ExecutionSnapshot>, EngineError> {
        self.checked(id)?;
        let keys = [self.keys.root(), self.keys.core(id), self.keys.text(id), self.keys.tags(id)];
        let mut reply = self.items(Call::read("ff_describe_execution", &keys)).await?;
        let (now, core, text, tags) = (reply.instant()?, reply.hash()?, reply.hash()?, reply.hash()?);
        if core.is_absent() {
            return Ok(None);
        }
        Ok(Some(core.record(*id, text)?.snapshot(tags.into_map(), now)))
    }

    async fn read_execution_state(&self, id: &ExecutionId) -> Result<Option<PublicState>, EngineError> {
        self.checked(id)?;
        let keys = [self.keys.root(), self.keys.core(id)];
        let mut reply = self.items(Call::read("ff_read_execution_state", &keys)).await?;
        let (now, core) = (reply.instant()?, reply.hash()?);
        if core.is_absent() {
            return Ok(None);
        }
        Ok(Some(core.record(*id, Row::default())?.public_state(now)))
    }

    async fn read_execution_info(&self, id: &ExecutionId) -> Result<Option<ExecutionInfo>, EngineError> {
        self.checked(id)?;
        let keys = [self.keys.root(), self.keys.core(id), self.keys.text(id), self.keys.input(id)];
        let mut reply = self.items(Call::read("ff_read_execution_info", &keys)).await?;
        let (now, core, text, input) = (reply.instant()?, reply.hash()?, reply.hash()?, reply.bytes()?);
        if core.is_absent() {
            return Ok(None);
        }
        Ok(Some(core.record(*id, text)?.info(input.unwrap_or_default(), core.encoding()?, now)))
    }

    async fn get_execution_result(&self, id: &ExecutionId) -> Result<Option<Vec<u8>>, EngineError> {
        self.checked(id)?;
        let keys = [self.keys.root(), self.keys.result(id)];
        let reply: Value = self.server.call(Call::read("ff_get_execution_result", &keys)).await?;
        Ok(reply::bytes(reply)?)
    }

    async fn list_executions(
        &self,
        cursor: Option<ExecutionId>,
        limit: PageLimit,
    ) -> Result<ListExecutionsPage, EngineError> {
        // The text of an id of a later partition stands behind all ids of this store.
        let from = cursor.map(|id| if id.partition() == 0 { format!("({}", id.as_uuid()) } else { "+".to_owned() });
        let call = Call::read("ff_list_executions", &[self.keys.root(), self.keys.ids()]);
        let (ids, more) = self.page(call, from, limit).await?;
        let executions: Vec<ExecutionId> = ids.iter().map(|id| execution_id(id)).collect::<Result<_, _>>()?;
        let next_cursor = executions.last().copied().filter(|_| more);
        Ok(ListExecutionsPage { executions, next_cursor })
    }

    async fn list_lanes(&self, cursor: Option<LaneId>, limit: PageLimit) -> Result<ListLanesPage, EngineError> {
        let call = Call::read("ff_list_lanes", &[self.keys.root(), self.keys.lanes()]);
        let (names, more) = self.page(call, cursor.map(|lane| format!("({lane}")), limit).await?;
        let lanes: Vec<LaneId> = names
            .into_iter()
            .map(|name| LaneId::try_new(name).map_err(|error| EngineError::corrupt(format!("lane: {error}"))))
            .collect::<Result<_, _>>()?;
        let next_cursor = lanes.last().cloned().filter(|_| more);
        Ok(ListLanesPage { lanes, next_cursor })
    }

    async fn create_executions(
        &self,
        batch: Vec<CreateExecutionArgs>,
    ) -> Result<Vec<Result<CreateExecutionResult, EngineError>>, EngineError> {
        Limits::check_batch(batch.len(), batch.iter().map(|args| args.input_payload.len()).sum())?;
        let items = batch.into_iter().map(|args| args.check(&self.limits).map(|()| args)).collect();
        let keys = &self.keys;
        let names = [keys.root(), keys.ids(), keys.lanes(), keys.idempotency(), keys.idempotency_expiry()];
        let tell =
            |call: Call, args: &CreateExecutionArgs| creating(call.arg(CREATE_ARGUMENTS + 2 * args.tags.len()), args);
        Ok(self.each(Call::write("ff_create_executions", &names), items, tell, created).await?)
    }

    async fn cancel_execution(&self, args: CancelExecutionArgs) -> Result<CancelExecutionResult, EngineError> {
        args.check(&self.limits)?;
        let id = args.execution_id;
        let call = Call::write("ff_cancel_execution", &self.steering(&id, [self.keys.text(&id)]))
            .arg(id.as_uuid().to_string())
            .arg(args.source.as_str())
            .arg(&args.reason);
        let call = match args.fence.filter(|_| args.source.is_fenced()) {
            Some(fence) => {
                call.arg(fence.lease_id.to_string()).arg(fence.lease_epoch.0).arg(fence.attempt_id.to_string())
            }
            None => call,
        };
        self.done(call).await?;
        Ok(CancelExecutionResult::Cancelled { execution_id: id, public_state: PublicState::Cancelled })
    }

    async fn change_priority(&self, args: ChangePriorityArgs) -> Result<ChangePriorityResult, EngineError> {
        let id = args.execution_id;
        self.checked(&id)?;
        let keys = [self.keys.root(), self.keys.operator_events(), self.keys.core(&id)];
        let priority = args.effective_priority();
        self.done(Call::write("ff_change_priority", &keys).arg(id.as_uuid().to_string()).arg(priority)).await?;
        Ok(ChangePriorityResult::Changed { execution_id: id, priority })
    }

    async fn replay_execution(&self, args: ReplayExecutionArgs) -> Result<ReplayExecutionResult, EngineError> {
        let id = args.execution_id;
        self.checked(&id)?;
        let keys = self.steering(&id, [self.keys.text(&id), self.keys.result(&id)]);
        self.done(Call::write("ff_replay_execution", &keys).arg(id.as_uuid().to_string())).await?;
        Ok(ReplayExecutionResult::Replayed { public_state: PublicState::Waiting })
    }

    async fn list_attempts(
        &self,
        id: &ExecutionId,
        cursor: Option<AttemptIndex>,
        limit: PageLimit,
    ) -> Result<ListAttemptsPage, EngineError> {
        self.checked(id)?;
        Ok(list_attempts(self, id, cursor, limit).await?)
    }

    async fn set_execution_tag(&self, args: SetExecutionTagArgs) -> Result<(), EngineError> {
        args.check(&self.limits)?;
        let id = &args.execution_id;
        let keys = [self.keys.root(), self.keys.core(id), self.keys.tags(id)];
        let call = Call::write("ff_set_execution_tag", &keys).arg(Limits::TAGS).arg(&args.key);
        Ok(self.done(with(call, args.value)).await?)
    }
}

impl ValkeyBackend {
    /// The keys of an operation that ends an execution or undoes its end from outside its lease.
    fn steering<const N: usize>(&self, id: &ExecutionId, more: [String; N]) -> Vec<String> {
        let keys = &self.keys;
        let mut all =
            vec![keys.root(), keys.lease_history(), keys.completions(), keys.operator_events(), keys.core(id)];
        all.extend(more);
        all
    }

    /// One page of a listing, and whether there is more behind it.
    async fn page(
        &self,
        call: Call,
        from: Option<String>,
        limit: PageLimit,
    ) -> Result<(Vec<String>, bool), ValkeyError> {
        let most = usize::from(limit.get());
        let call = call.arg(from.unwrap_or_else(|| "-".to_owned())).arg(most + 1);
        let mut items = self.items(call).await?.texts()?;
        let more = items.len() > most && most > 0;
        items.truncate(most);
        Ok((items, more))
    }
}

async fn list_attempts(
    backend: &ValkeyBackend,
    id: &ExecutionId,
    cursor: Option<AttemptIndex>,
    limit: PageLimit,
) -> Result<ListAttemptsPage, ValkeyError> {
    let keys = [backend.keys.root(), backend.keys.core(id), backend.keys.attempts(id)];
    let from = cursor.map_or(0, |last| u64::from(last.0) + 1);
    let mut reply = backend.items(Call::read("ff_list_attempts", &keys).arg(from).arg(limit.get())).await?;
    let (now, core) = (reply.instant()?, reply.hash()?);
    if core.is_absent() {
        return Ok(ListAttemptsPage::default());
    }
    let record = core.record(*id, Row::default())?;
    let mut attempts = Vec::new();
    while let Some(mut stored) = reply.next_items()? {
        attempts.push(record.attempt_at(stored.attempt()?, now));
    }
    let last = attempts.last().map(|attempt| attempt.attempt_index);
    let next_cursor = last.filter(|last| last.0 < record.total_attempt_count.saturating_sub(1));
    Ok(ListAttemptsPage { attempts, next_cursor })
}

async fn create(backend: &ValkeyBackend, args: &CreateExecutionArgs) -> Result<CreateExecutionResult, ValkeyError> {
    created(&mut backend.items(create_call(backend, args)).await?, args)
}

/// What a create answers.
fn created(reply: &mut Items, args: &CreateExecutionArgs) -> Result<CreateExecutionResult, ValkeyError> {
    match reply.text()?.as_str() {
        "created" => Ok(CreateExecutionResult::Created {
            execution_id: args.execution_id,
            public_state: reply::state(&reply.text()?)?.public_state(),
        }),
        "duplicate" => Ok(CreateExecutionResult::Duplicate { execution_id: execution_id(&reply.text()?)? }),
        other => Err(ValkeyError::Reply(format!("{other:?} was not expected"))),
    }
}

fn create_call(backend: &ValkeyBackend, args: &CreateExecutionArgs) -> Call {
    let (keys, id) = (&backend.keys, &args.execution_id);
    let names = [
        keys.root(),
        keys.core(id),
        keys.input(id),
        keys.text(id),
        keys.tags(id),
        keys.ids(),
        keys.lanes(),
        keys.idempotency(),
        keys.idempotency_expiry(),
    ];
    creating(Call::write("ff_create_execution", &names), args)
}

/// Arguments of a create without those of its tags.
const CREATE_ARGUMENTS: usize = 22;

/// The same call with what a create says.
fn creating(call: Call, args: &CreateExecutionArgs) -> Call {
    let rule = RetryRule::of(args.policy.retry_policy.as_ref());
    let call = call
        .arg(args.execution_id.as_uuid().to_string())
        .arg(args.namespace.as_str())
        .arg(args.lane_id.as_str())
        .arg(&args.execution_kind)
        .arg(args.effective_priority())
        .arg(optional(args.effective_delay_until()))
        .arg(optional(args.execution_deadline_at))
        .arg(args.required_capabilities().joined())
        .arg(rule.as_ref().map(rule_text).unwrap_or_default())
        .arg(rule.map(|rule| rule.categories.join("\0")).unwrap_or_default())
        .arg(optional(Some(args.policy.reclaims_max()).filter(|max| *max != Limits::RECLAIMS)))
        .arg(args.creator_identity.as_deref().unwrap_or_default())
        .arg(args.payload_encoding.as_deref().unwrap_or_default())
        .arg(args.idempotency_key.as_deref().unwrap_or_default())
        .arg(args.policy.dedup_window_ms.unwrap_or(Limits::DEDUP_WINDOW_MS))
        .arg(&args.input_payload)
        .arg(optional(Some(args.policy.replays_max()).filter(|max| *max != Limits::REPLAYS)))
        .arg(optional(args.policy.attempt_timeout_ms()))
        .arg(optional(args.policy.execution_deadline_ms().filter(|_| args.execution_deadline_at.is_none())))
        .arg(optional(args.policy.suspension_policy.and_then(|suspensions| suspensions.default_timeout_ms)))
        .arg(args.policy.suspension_policy.map_or("", |suspensions| suspensions.timeout_behavior.as_str()))
        .arg(optional(args.policy.max_signals_per_execution));
    args.tags.iter().fold(call, |call, (key, value)| call.arg(key).arg(value))
}

/// A number as text; none is the empty text.
fn optional(number: Option<impl ToString>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// The numbers of a retry rule as `lua/lib/retry.lua` reads them.
fn rule_text(rule: &RetryRule) -> String {
    let mut text = format!("{} {} {} ", rule.retries_max, rule.initial_ms, rule.max_ms);
    // Writing to a String does not fail. The shortest text of a double reads back as the same double.
    let _ = write!(text, "{} {} {}", rule.multiplier, rule.saturates_at, u8::from(rule.jitter));
    text
}

/// The id of an execution of this store, whose one partition is 0.
pub(crate) fn execution_id(uuid: &str) -> Result<ExecutionId, EngineError> {
    format!("{{fp:0}}:{uuid}").parse().map_err(|error| EngineError::corrupt(format!("stored id: {error}")))
}
