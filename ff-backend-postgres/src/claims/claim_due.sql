-- claim: makes ready the rows of a lane whose time has come, then takes the first that the worker's capabilities cover.
-- $1 lane_id text, $2 capabilities text[], $3 lease_id uuid, $4 attempt_id uuid, $5 worker_id text,
-- $6 worker_instance_id text, $7 ttl_ms int8, $8 window int8
-- returns: verdict text, id text, attempt_index int8, lease_epoch int8, reclaimed bool
-- verdict: taken, none, or again if all that could be taken was locked or has moved; it settles the due rows as well
-- Nothing waits: rows are chosen unlocked and taken if nobody holds them and nobody wrote them since the snapshot, so
-- one reading of the clock holds, and what the snapshot shows of attempts. ANY keeps generic plans on primary keys.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
sets AS MATERIALIZED (SELECT set_id FROM lane_sets WHERE lane_id = $1 AND tokens <@ $2::text[]),
due_seen AS MATERIALIZED (
    SELECT id, set_id, xmin AS version FROM executions WHERE lane_id = $1 AND due_at <= (SELECT now FROM clock)
    ORDER BY due_at, id LIMIT 256
),
due AS MATERIALIZED (
    SELECT e.id, e.namespace, e.ownership_state, e.attempt_index, e.lease_id, e.lease_epoch, e.worker_instance_id,
        e.set_id, e.priority, e.created_at, execution_deadline_at, lease_expires_at, lease_reclaim_count, reclaims_max
    FROM due_seen d JOIN executions e ON e.id = d.id AND e.xmin = d.version
    WHERE e.id = ANY (ARRAY(SELECT id FROM due_seen)) FOR NO KEY UPDATE OF e SKIP LOCKED
),
judged AS MATERIALIZED (
    SELECT *, CASE WHEN fate = 'failed' THEN 'max_reclaims_exceeded' END AS cap FROM (
        SELECT due.*, now, set_id IN (SELECT set_id FROM sets) AS covered,
            lease_expires_at > execution_deadline_at AS late, CASE WHEN execution_deadline_at <= now THEN 'expired'
            WHEN ownership_state = 'leased' AND lease_expires_at <= now AND lease_reclaim_count >= reclaims_max
                THEN 'failed' ELSE 'ready' END AS fate
        FROM due, clock) f
),
best AS MATERIALIZED (
    SELECT id, priority, created_at FROM judged WHERE fate = 'ready' AND covered
    ORDER BY priority DESC, created_at, id LIMIT 1
),
-- The heads of the covered sets that go before the best due row.
heads AS MATERIALIZED (
    SELECT h.* FROM sets, LATERAL (
        SELECT id, priority, created_at, xmin AS version FROM executions
        WHERE set_id = sets.set_id AND ready
          AND (execution_deadline_at IS NULL OR execution_deadline_at > (SELECT now FROM clock))
        ORDER BY priority DESC, created_at, id LIMIT $8) h
    WHERE NOT EXISTS (SELECT FROM best b WHERE (-b.priority, b.created_at, b.id) < (-h.priority, h.created_at, h.id))
),
head AS MATERIALIZED (
    SELECT e.id, e.namespace, ownership_state, attempt_index, lease_id, lease_epoch, worker_instance_id
    FROM (SELECT * FROM heads ORDER BY priority DESC, created_at, id) h JOIN executions e ON e.id = h.id
    WHERE e.id = ANY (ARRAY(SELECT id FROM heads)) AND e.xmin = h.version
    ORDER BY h.priority DESC, h.created_at, h.id LIMIT 1 FOR NO KEY UPDATE OF e SKIP LOCKED
),
-- If a window full of heads is locked, the rows behind it may still go before the best due row.
picked AS MATERIALIZED (
    TABLE head UNION ALL
    SELECT id, namespace, ownership_state, attempt_index, lease_id, lease_epoch, worker_instance_id FROM judged
    WHERE id = (SELECT id FROM best) AND NOT EXISTS (SELECT FROM head) AND (SELECT count(*) FROM heads) < $8
),
taken AS (
    UPDATE executions e SET
        lifecycle_phase = 'active', ownership_state = 'leased', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = 'none', attempt_state = 'running_attempt',
        ready = false, due_at = least(now + $7, e.execution_deadline_at), delay_until = NULL, ended_by = NULL,
        lease_id = $3, attempt_id = $4, attempt_index = e.total_attempt_count, worker_instance_id = $6,
        lease_acquired_at = now, lease_expires_at = now + $7, lease_last_renewed_at = NULL,
        lease_epoch = e.lease_epoch + 1, total_attempt_count = e.total_attempt_count + 1,
        lease_reclaim_count = e.lease_reclaim_count + (p.ownership_state = 'leased')::int,
        started_at = coalesce(e.started_at, now), last_transition_at = now, last_mutation_at = now
    FROM picked p, clock WHERE e.id = (SELECT id FROM picked)
    RETURNING e.id, e.namespace, e.attempt_index, e.lease_epoch, p.ownership_state = 'leased' AS reclaimed
),
promoted AS (
    UPDATE executions e SET ready = true, due_at = e.execution_deadline_at FROM judged j
    WHERE e.id = ANY (ARRAY(SELECT id FROM judged EXCEPT SELECT id FROM picked)) AND e.id = j.id AND j.fate = 'ready'
),
ended AS (
    UPDATE executions e SET
        lifecycle_phase = 'terminal', ownership_state = 'unowned', eligibility_state = 'not_applicable',
        blocking_reason = 'none', terminal_outcome = fate, ready = false, due_at = NULL, ended_by = NULL,
        attempt_state = CASE WHEN e.total_attempt_count = 0 THEN 'none' ELSE 'attempt_terminal' END,
        failure_reason = coalesce(j.cap, e.failure_reason), failure_category = coalesce(j.cap, e.failure_category),
        completed_at = CASE WHEN fate = 'failed' THEN now ELSE greatest(e.execution_deadline_at, e.created_at) END,
        last_transition_at = now, last_mutation_at = now
    FROM judged j WHERE e.id = ANY (ARRAY(SELECT id FROM judged)) AND e.id = j.id AND j.fate <> 'ready'
),
-- The leases that end here, with what becomes of their attempts.
closing AS MATERIALIZED (
    SELECT 'expired' AS kind, NULL AS reason, 'interrupted_reclaimed' AS phase, NULL AS failure, NULL AS category, *
    FROM picked WHERE ownership_state = 'leased'
    UNION ALL
    SELECT CASE WHEN fate = 'failed' THEN 'revoked' WHEN late THEN 'released' ELSE 'expired' END,
        coalesce(cap, CASE WHEN late THEN 'execution_deadline' END), 'ended_failure',
        coalesce(cap, 'execution_deadline'), coalesce(cap, 'timeout'),
        id, namespace, ownership_state, attempt_index, lease_id, lease_epoch, worker_instance_id
    FROM judged WHERE fate <> 'ready' AND ownership_state = 'leased'
),
closed AS (
    UPDATE attempts a SET phase = c.phase, ended_at = now, failure_reason = c.failure, failure_category = c.category
    FROM closing c, clock WHERE a.execution_id = ANY (ARRAY(SELECT id FROM closing))
      AND a.execution_id = c.id AND a.attempt_index = c.attempt_index
),
opened AS (
    INSERT INTO attempts (execution_id, attempt_index, attempt_id, attempt_type, phase, started_at,
        lease_id, lease_epoch, worker_id, worker_instance_id)
    SELECT id, attempt_index, $4, CASE WHEN reclaimed THEN 'reclaim' WHEN attempt_index = 0 THEN 'initial' ELSE 'retry'
        END, 'started', now, $3, lease_epoch, $5, $6 FROM taken, clock
),
told AS (
    INSERT INTO lease_events
        (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, kind, worker_instance_id, reason FROM clock, (
        SELECT 1 AS step, lease_epoch, attempt_index, lease_id, id, namespace, kind, worker_instance_id, reason
        FROM closing UNION ALL SELECT 2, lease_epoch, attempt_index, $3, id, namespace,
            CASE WHEN reclaimed THEN 'reclaimed' ELSE 'acquired' END, $6, NULL FROM taken) events ORDER BY step, id
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, fate FROM judged WHERE fate <> 'ready' ORDER BY id
)
SELECT
    CASE WHEN t.id IS NOT NULL THEN 'taken'
         WHEN EXISTS (SELECT FROM heads) OR EXISTS (SELECT FROM best) THEN 'again'
         WHEN EXISTS (SELECT FROM due_seen JOIN sets USING (set_id) WHERE id NOT IN (SELECT id FROM due)) THEN 'again'
         ELSE 'none' END AS verdict,
    t.id, t.attempt_index, t.lease_epoch, t.reclaimed
FROM (VALUES (1)) one LEFT JOIN taken t ON true;
