//! Reads everything that the engine keeps on one Valkey server.

use std::{collections::BTreeMap, str::FromStr};

use async_trait::async_trait;
use ff_core::{
    AttemptIndex, CompletionEvent, ExecutionId, LeaseEpoch, LeaseEventKind, LeaseHistoryEvent, Namespace,
    OperatorEvent, OperatorEventKind, SignalDeliveryEffect, SignalDeliveryEvent, TerminalOutcome, TimestampMs,
    WorkerInstanceId,
};
use redis::{FromRedisValue, Value, aio::MultiplexedConnection, cmd, pipe, streams::StreamRangeReply};

use super::failed;
use crate::{AttemptFacts, Dump, DumpControl, HarnessError};

/// Every key of the engine begins with it.
const ROOT: &str = "ff:{fp:0}:";

pub(super) struct Everything(pub(super) MultiplexedConnection);

#[async_trait]
impl DumpControl for Everything {
    async fn dump(&self) -> Result<Dump, HarnessError> {
        let mut dump = Dump::default();
        for (key, kind, value) in read(&mut self.0.clone()).await? {
            let name = key.strip_prefix(ROOT).unwrap_or(&key);
            // Who waits is no state of the engine.
            if name == "waiting" {
                continue;
            }
            match (name, name.split_once(':')) {
                ("events:lease", _) => dump.lease_history = events(&value, lease_event)?,
                ("events:completion", _) => dump.completions = events(&value, completion)?,
                ("events:operator", _) => dump.operator_events = events(&value, operator_event)?,
                ("events:signal", _) => dump.signal_deliveries = events(&value, signal_delivery)?,
                (_, Some(("at", uuid))) => dump.attempts.extend(attempts(uuid, &value)?),
                _ => {}
            }
            dump.lines.extend(lines(name, &kind, value)?);
        }
        dump.attempts.sort_by_key(|facts| (facts.execution_id, facts.attempt_index));
        dump.lines.sort();
        Ok(dump)
    }
}

/// Every key with its kind and its content.
async fn read(connection: &mut MultiplexedConnection) -> Result<Vec<(String, String, Value)>, HarnessError> {
    let keys: Vec<String> =
        cmd("KEYS").arg("ff:{fp:*").query_async(connection).await.map_err(failed("list the keys"))?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut ask = pipe();
    for key in &keys {
        ask.cmd("TYPE").arg(key);
    }
    let kinds: Vec<String> = ask.query_async(connection).await.map_err(failed("ask for kinds"))?;
    // What a background loop has removed meanwhile is gone.
    let found = keys.into_iter().zip(kinds).filter(|(_, kind)| kind != "none");
    let (keys, kinds): (Vec<String>, Vec<String>) = found.unzip();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut ask = pipe();
    for (key, kind) in keys.iter().zip(&kinds) {
        match kind.as_str() {
            "string" => ask.cmd("GET").arg(key),
            "hash" => ask.cmd("HGETALL").arg(key),
            "set" => ask.cmd("SMEMBERS").arg(key),
            "zset" => ask.cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES"),
            "stream" => ask.cmd("XRANGE").arg(key).arg("-").arg("+"),
            other => return Err(HarnessError::new(format!("{key} is a {other}"))),
        };
    }
    let values: Vec<Value> = ask.query_async(connection).await.map_err(failed("read the keys"))?;
    Ok(keys.into_iter().zip(kinds).zip(values).map(|((key, kind), value)| (key, kind, value)).collect())
}

/// One line for each record or index entry.
fn lines(name: &str, kind: &str, value: Value) -> Result<Vec<String>, HarnessError> {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    Ok(match kind {
        "string" => vec![format!("{name} {}", text(&parsed::<Vec<u8>>(value)?))],
        "hash" => {
            let fields: BTreeMap<String, Vec<u8>> = parsed(value)?;
            // An empty field is an absent one.
            let fields = fields.iter().filter(|(_, value)| !value.is_empty() || !name.starts_with("x:"));
            let fields: Vec<String> = fields.map(|(field, value)| format!("{field}={}", text(value))).collect();
            vec![format!("{name} {}", fields.join(" "))]
        }
        "set" => parsed::<Vec<Vec<u8>>>(value)?.iter().map(|member| format!("{name} {}", text(member))).collect(),
        "zset" => parsed::<Vec<(Vec<u8>, f64)>>(value)?
            .iter()
            .map(|(member, score)| format!("{name} {score} {}", text(member)))
            .collect(),
        _ => parsed::<StreamRangeReply>(value)?
            .ids
            .iter()
            .map(|entry| format!("{name} {} {:?}", entry.id, entry.map.iter().collect::<BTreeMap<_, _>>()))
            .collect(),
    })
}

type Fields = BTreeMap<String, String>;

fn events<T>(value: &Value, read: impl Fn(&Fields) -> Result<T, HarnessError>) -> Result<Vec<T>, HarnessError> {
    let stream: StreamRangeReply = parsed(value.clone())?;
    let mut events = Vec::with_capacity(stream.ids.len());
    for entry in stream.ids {
        let fields: Result<Fields, HarnessError> =
            entry.map.into_iter().map(|(name, value)| Ok((name, parsed(value)?))).collect();
        events.push(read(&fields?)?);
    }
    Ok(events)
}

fn lease_event(fields: &Fields) -> Result<LeaseHistoryEvent, HarnessError> {
    let reason: String = field(fields, "r")?;
    Ok(LeaseHistoryEvent {
        execution_id: execution(&field::<String>(fields, "x")?)?,
        namespace: field::<Namespace>(fields, "ns")?,
        kind: field::<LeaseEventKind>(fields, "k")?,
        lease_id: field(fields, "li")?,
        lease_epoch: LeaseEpoch(field(fields, "e")?),
        attempt_index: AttemptIndex(field(fields, "i")?),
        worker_instance_id: field::<WorkerInstanceId>(fields, "wi")?,
        reason: if reason.is_empty() { None } else { Some(word(&reason)?) },
        at: TimestampMs::from_ms(field(fields, "at")?),
    })
}

fn completion(fields: &Fields) -> Result<CompletionEvent, HarnessError> {
    Ok(CompletionEvent {
        execution_id: execution(&field::<String>(fields, "x")?)?,
        namespace: field(fields, "ns")?,
        outcome: field::<TerminalOutcome>(fields, "o")?,
        at: TimestampMs::from_ms(field(fields, "at")?),
    })
}

fn operator_event(fields: &Fields) -> Result<OperatorEvent, HarnessError> {
    Ok(OperatorEvent {
        execution_id: execution(&field::<String>(fields, "x")?)?,
        namespace: field(fields, "ns")?,
        kind: field::<OperatorEventKind>(fields, "k")?,
        detail: field(fields, "d")?,
        at: TimestampMs::from_ms(field(fields, "at")?),
    })
}

fn signal_delivery(fields: &Fields) -> Result<SignalDeliveryEvent, HarnessError> {
    Ok(SignalDeliveryEvent {
        execution_id: execution(&field::<String>(fields, "x")?)?,
        namespace: field(fields, "ns")?,
        waitpoint_id: field(fields, "w")?,
        signal_id: field(fields, "si")?,
        source_identity: field(fields, "so")?,
        effect: field::<SignalDeliveryEffect>(fields, "ef")?,
        at: TimestampMs::from_ms(field(fields, "at")?),
    })
}

/// The records of one execution: `<index>` tells the beginning, `<index>e` the end, parts joined by NUL.
fn attempts(uuid: &str, value: &Value) -> Result<Vec<AttemptFacts>, HarnessError> {
    let fields: Fields = parsed(value.clone())?;
    let mut found = Vec::new();
    for (name, begin) in fields.iter().filter(|(name, _)| !name.ends_with('e')) {
        let begin: Vec<&str> = begin.split('\0').collect();
        let [attempt_type, attempt_id, _lease, epoch, _worker, _instance, started_at, resumed_at] = begin[..] else {
            return Err(HarnessError::new(format!("attempt {uuid} {name}: {begin:?}")));
        };
        let end: Vec<&str> = fields.get(&format!("{name}e")).map(|end| end.split('\0').collect()).unwrap_or_default();
        let part = |at: usize| end.get(at).map(|part| (*part).to_owned());
        found.push(AttemptFacts {
            execution_id: execution(uuid)?,
            attempt_index: AttemptIndex(word(name)?),
            attempt_id: word(attempt_id)?,
            attempt_type: word(attempt_type)?,
            phase: word(end.first().copied().unwrap_or("started"))?,
            lease_epoch: LeaseEpoch(word(epoch)?),
            started_at: TimestampMs::from_ms(word(started_at)?),
            resumed_at: Some(resumed_at).filter(|at| !at.is_empty()).map(word).transpose()?.map(TimestampMs::from_ms),
            ended_at: end.get(1).copied().map(word).transpose()?.map(TimestampMs::from_ms),
            failure_reason: part(3),
            failure_category: part(2),
        });
    }
    Ok(found)
}

fn execution(uuid: &str) -> Result<ExecutionId, HarnessError> {
    word(&format!("{{fp:0}}:{uuid}"))
}

fn field<T: FromStr>(fields: &Fields, name: &str) -> Result<T, HarnessError> {
    word(fields.get(name).ok_or_else(|| HarnessError::new(format!("an event without {name}: {fields:?}")))?)
}

fn word<T: FromStr>(text: &str) -> Result<T, HarnessError> {
    text.parse().map_err(|_| HarnessError::new(format!("{text:?} is not what the engine writes there")))
}

fn parsed<T: FromRedisValue>(value: Value) -> Result<T, HarnessError> {
    T::from_redis_value(value).map_err(failed("read a key"))
}
