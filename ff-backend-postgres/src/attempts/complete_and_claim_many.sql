-- complete_and_claim_many: what complete_and_claim does, for several calls of one worker in one lane: the first half is
-- complete_together.sql, the second claim.sql if all that comes first is new work.
-- $1 ids bytea[], $2 lease_ids uuid[], $3 lease_epochs int8[], $4 attempt_ids uuid[], $5 attempt_indexes int8[],
-- $6 payloads bytea[], $7 lane_id text, $8 capabilities text[], $9 new_lease_ids uuid[], $10 new_attempt_ids uuid[],
-- $11 worker_id text, $12 worker_instance_id text, $13 ttl_ms int8, $14 read_at int8, $15 shelves int8[],
-- $16 starts int8[], $17 stops int8[], $18 due_start int8, $19 passes int8
-- returns: verdict text, took text, terminal_outcome text, lifecycle_phase text, id bytea, kind text, lease_id uuid,
--   attempt_index int8, attempt_id uuid, lease_epoch int8, timed_out text, listened bool,
--   now int8, oldest int8, own int8, clear_to int8, passes int8, shelves int8[], places int8[]
-- shelves and places stand in the first row only.
-- verdict, a row for each item in its place: ok, replay, or a refusal: missing, deadline, not_active, lease_revoked,
-- lease_expired, stale_lease; again if it has to go by itself: its row is held or has moved, or came up before
-- took, if verdict is ok or replay: taken, none, or claim if it takes the statements of claim
WITH asked AS MATERIALIZED (
    SELECT a.*, e.spot, e.version, row_number() OVER (PARTITION BY a.id ORDER BY place) AS turn
    FROM unnest($1::bytea[], $2::uuid[], $3::int8[], $4::uuid[], $5::int8[])
        WITH ORDINALITY AS a (id, lease_id, lease_epoch, attempt_id, attempt_index, place)
        LEFT JOIN LATERAL (SELECT ctid AS spot, xmin AS version FROM executions WHERE id = a.id OFFSET 0) e ON true
),
held AS MATERIALIZED (
    SELECT place, version, spot, a.attempt_index = h.attempt_index AS is_index,
        (a.lease_id, a.lease_epoch, a.attempt_id) = (h.lease_id, h.lease_epoch, h.attempt_id) AS is_latest, h.*
    FROM asked a LEFT JOIN LATERAL (
        SELECT id, namespace, lifecycle_phase, ownership_state, terminal_outcome, ended_by, lease_id, lease_epoch,
            attempt_id, attempt_index, worker_instance_id, lease_expires_at, execution_deadline_at, suspension_timeout_at,
            timeout_behavior
        FROM executions e WHERE turn = 1 AND e.ctid = a.spot AND e.xmin = a.version FOR NO KEY UPDATE SKIP LOCKED) h ON true
),
clock AS MATERIALIZED (SELECT ff_now_ms() AS now FROM (SELECT count(*) FROM held) all_held),
judged AS MATERIALIZED (
    SELECT held.*, now, CASE
        WHEN version IS NULL THEN 'missing' WHEN id IS NULL THEN 'again'
        WHEN lifecycle_phase <> 'terminal' AND execution_deadline_at <= now THEN 'deadline'
        WHEN ended_by = 'complete' AND is_latest AND is_index THEN 'replay'
        WHEN lifecycle_phase <> 'active' THEN 'not_active'
        WHEN ownership_state = 'lease_revoked' THEN 'lease_revoked'
        WHEN ownership_state = 'lease_expired_reclaimable' OR lease_expires_at <= now THEN 'lease_expired'
        WHEN is_latest THEN 'ok'
        ELSE 'stale_lease' END AS verdict
    FROM held, clock
),
ended AS (
    UPDATE executions e SET
        lifecycle_phase = 'terminal', ownership_state = 'unowned', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'success', attempt_state = 'attempt_terminal', ready = false,
        due_at = NULL, ended_by = 'complete', completed_at = j.now, last_transition_at = j.now, last_mutation_at = j.now
    FROM judged j WHERE e.ctid = j.spot AND j.verdict = 'ok'
),
closed AS (
    UPDATE attempts a SET phase = 'ended_success', ended_at = j.now
    FROM judged j WHERE a.execution_id = ANY (ARRAY[j.id]) AND a.attempt_index = j.attempt_index AND verdict = 'ok'
),
result AS (
    INSERT INTO execution_results (execution_id, payload)
    SELECT j.id, ($6::bytea[])[place] FROM judged j WHERE verdict = 'ok' AND ($6::bytea[])[place] IS NOT NULL
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, 'success' FROM judged WHERE verdict = 'ok' ORDER BY place
),
able AS MATERIALIZED (SELECT place, row_number() OVER (ORDER BY place) AS nth FROM judged WHERE verdict IN ('ok', 'replay')),
due AS MATERIALIZED (SELECT d.due_at FROM clock, ff_due($7, now, $14, $18) d LIMIT 1),
looks AS MATERIALIZED (
    SELECT w.* FROM clock, ff_windows($7, $8, now, $14, $15, $16, $17, $19) w WHERE NOT EXISTS (SELECT FROM due)
),
heads AS MATERIALIZED (
    SELECT h.* FROM looks l, LATERAL (SELECT * FROM ff_ready(l.shelf, start, stop) LIMIT (SELECT count(*) FROM able)) h
    ORDER BY place, id LIMIT (SELECT count(*) FROM able)
),
begins AS MATERIALIZED (
    SELECT l.shelf, min(place) AS place FROM looks l LEFT JOIN heads h ON h.shelf = l.shelf WHERE ff_part(l.shelf) < 2
    GROUP BY l.shelf HAVING count(place) > 0 OR (SELECT count(*) FROM heads) < (SELECT count(*) FROM able)
),
next AS MATERIALIZED (
    SELECT spot, row_number() OVER (ORDER BY place, id) AS nth FROM heads, LATERAL (
        SELECT FROM executions e WHERE NOT EXISTS (SELECT FROM heads WHERE ff_part(shelf) > 0)
          AND e.ctid = spot AND e.xmin = version FOR NO KEY UPDATE OF e SKIP LOCKED) locked
),
taken AS (
    UPDATE executions e SET
        lifecycle_phase = 'active', ownership_state = 'leased', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'none', attempt_state = 'running_attempt',
        ready = false, due_at = least(now + $13, now + e.attempt_timeout_ms, e.execution_deadline_at),
        delay_until = NULL, ended_by = NULL, grant_key = NULL, lease_id = ($9::uuid[])[nth],
        attempt_id = ($10::uuid[])[nth], attempt_index = e.total_attempt_count,
        total_attempt_count = e.total_attempt_count + 1, worker_instance_id = $12, lease_acquired_at = now,
        lease_last_renewed_at = NULL, lease_expires_at = least(now + $13, now + e.attempt_timeout_ms),
        attempt_timeout_at = now + e.attempt_timeout_ms, lease_epoch = e.lease_epoch + 1,
        started_at = coalesce(e.started_at, now), last_transition_at = now, last_mutation_at = now
    FROM next n, clock WHERE e.ctid = n.spot
    RETURNING e.id, e.namespace, e.lease_id, e.attempt_id, e.attempt_index, e.lease_epoch, nth, now
),
opened AS (
    INSERT INTO attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT id, attempt_index, attempt_id, 'initial', 'started', now, lease_id, lease_epoch, $11, $12 FROM taken
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'released', worker_instance_id, 'completed'
    FROM judged WHERE verdict = 'ok'
    UNION ALL SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, 'acquired', $12, NULL FROM taken
)
SELECT verdict,
    CASE WHEN t.id IS NOT NULL THEN 'taken' WHEN EXISTS (SELECT FROM due) OR EXISTS (SELECT FROM heads) THEN 'claim' ELSE 'none' END AS took,
    j.terminal_outcome::text, j.lifecycle_phase::text, t.id, 'fresh' AS kind, t.lease_id, t.attempt_index,
    coalesce(t.attempt_id, j.attempt_id) AS attempt_id, coalesce(t.lease_epoch, j.lease_epoch) AS lease_epoch,
    CASE WHEN j.lifecycle_phase = 'suspended' AND j.suspension_timeout_at <= least(j.now, j.execution_deadline_at - 1)
        THEN j.timeout_behavior END AS timed_out,
    EXISTS (SELECT FROM completion_waiters WHERE expires_at > (SELECT now FROM clock)) AS listened,
    (SELECT now FROM clock) AS now, (SELECT ff_oldest()) AS oldest, (SELECT ff_own()) AS own,
    (SELECT now FROM clock WHERE NOT EXISTS (SELECT FROM due)) AS clear_to,
    (SELECT passes FROM lanes WHERE lane_id = $7 AND ($19 IS NOT NULL OR EXISTS (SELECT FROM heads WHERE ff_part(shelf) = 1))) AS passes,
    CASE WHEN place = 1 THEN ARRAY(SELECT shelf FROM begins ORDER BY shelf) END AS shelves,
    CASE WHEN place = 1 THEN ARRAY(SELECT place FROM begins ORDER BY shelf) END AS places
FROM judged j LEFT JOIN able USING (place) LEFT JOIN taken t USING (nth) ORDER BY place;
