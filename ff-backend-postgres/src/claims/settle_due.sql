-- settle_due: writes down what time has done to the rows of a lane, oldest due instant first, then id.
-- $1 lane_id text, $2 after_due int8, $3 after_id bytea, $4 most int8, $5 jitter_millionths int8, $6 fates text[],
-- $7 marks bool, $8 namespace text, $9 tag_key text, $10 tag_value text, $11 overdue bool
-- returns: seen int8, held int8, settled int8, suspended int8, first_due int8, last_due int8, last_id bytea, lasts text
-- Only rows of these fates, namespace and label, where not null; $7 tells of a lapsed lease, $11 adds what was overdue.
-- Nothing waits: rows are chosen unlocked and settled if nobody holds or wrote them since the snapshot, so what that
-- shows of attempts holds. Then the clock is read again: see marks.rs. One at a time settles a lane and writes its row
-- in lanes; who looked before holds nothing. What is only made ready need not last: who takes it writes behind that.
-- expired: the deadline has come; timed_out: the attempt ran out of time; lapsed: so did the lease, and another worker
-- may take over, or else the execution fails; ready: a delay or a grant is over; suspended: see settle_suspensions.sql.
WITH clock AS MATERIALIZED (SELECT ff_now_ms() AS now),
seen AS MATERIALIZED (
    (SELECT id, due_at, ctid AS spot, xmin AS version FROM executions
    WHERE lane_id = $1 AND due_at <= (SELECT now FROM clock) AND (due_at, id) > ($2, $3) ORDER BY due_at, id LIMIT $4)
    UNION ALL
    (SELECT id, due_at, ctid, xmin FROM executions WHERE lane_id = $1 AND $11 AND due_at <= (SELECT now FROM clock)
      AND due_at <= last_mutation_at AND (due_at, id) <= ($2, $3) ORDER BY due_at, id LIMIT $4)
    ORDER BY due_at, id LIMIT $4
),
turn AS MATERIALIZED (
    SELECT lane_id FROM lanes WHERE lane_id = $1 AND xmin = (SELECT xmin FROM lanes WHERE lane_id = $1) FOR NO KEY UPDATE SKIP LOCKED
),
-- waited: the end of a delay or a grant, and nothing else, is what its time can have been; most rows are so.
held AS MATERIALIZED (
    SELECT spot, 'ready' = ANY ($6::text[]) AND lifecycle_phase = 'runnable' AND ownership_state = 'unowned'
        AND execution_deadline_at IS NULL AS waited
    FROM seen s JOIN executions e ON e.ctid = s.spot AND e.xmin = s.version
    WHERE EXISTS (SELECT FROM turn) AND ($8::text IS NULL OR e.namespace = $8)
      AND ($9::text IS NULL OR EXISTS (SELECT FROM execution_inputs i WHERE i.execution_id = e.id AND i.tags ->> $9 = $10::text))
    FOR NO KEY UPDATE OF e SKIP LOCKED
),
read AS MATERIALIZED (SELECT ff_now_ms() AS now FROM (SELECT count(*) FROM held) all_held),
-- ends: how it ends, if it does; after_ms: until the retry of an attempt that ran out of time, as fail.sql decides.
judged AS MATERIALIZED (
    SELECT f.*, CASE
        WHEN fate = 'expired' THEN 'execution_deadline'
        WHEN fate = 'timed_out' AND after_ms IS NULL THEN 'attempt_timeout'
        WHEN fate = 'lapsed' AND lease_reclaim_count >= reclaims_max THEN 'max_reclaims_exceeded' END AS ends,
        CASE WHEN fate = 'expired' THEN greatest(execution_deadline_at, created_at) ELSE now END AS ended_at
    FROM (SELECT spot, id, due_at, created_at, namespace, ownership_state, execution_deadline_at, lease_id, lease_epoch,
            lease_expires_at, worker_instance_id, attempt_index, lease_reclaim_count, reclaims_max, now, fate, CASE
            WHEN fate <> 'timed_out' OR retries_max IS NULL OR retry_count >= retries_max THEN NULL
            WHEN cardinality(retry_categories) > 0 AND NOT 'timeout' = ANY (retry_categories) THEN NULL
            ELSE CASE WHEN retry_count >= backoff_saturates_at THEN backoff_max_ms
                ELSE floor(backoff_initial_ms::float8 * power(backoff_multiplier, retry_count::float8))::bigint
                END * CASE WHEN backoff_jitter THEN $5::int8 ELSE 1000000 END / 1000000 END AS after_ms
        FROM held JOIN executions e ON e.ctid = spot, read, LATERAL (SELECT CASE
            WHEN lifecycle_phase = 'suspended' AND suspension_timeout_at <= least(now, execution_deadline_at - 1)
                AND (timeout_behavior IN ('fail', 'cancel', 'expire') OR coalesce(execution_deadline_at > now, true)) THEN 'suspended'
            WHEN execution_deadline_at <= now THEN 'expired'
            WHEN ownership_state = 'leased' AND lease_expires_at > now THEN 'later'
            WHEN ownership_state = 'leased' AND attempt_timeout_at <= lease_expires_at THEN 'timed_out'
            WHEN ownership_state = 'leased' OR (ownership_state <> 'unowned' AND lease_reclaim_count >= reclaims_max)
                THEN 'lapsed' ELSE 'ready' END AS fate) decided
        WHERE NOT waited AND (fate = ANY ($6) OR fate = 'suspended')) f
),
turned AS (
    UPDATE lanes SET passes = passes + 1 WHERE lane_id = (SELECT lane_id FROM turn
    WHERE EXISTS (SELECT FROM held WHERE waited) OR EXISTS (SELECT FROM judged WHERE fate NOT IN ('later', 'suspended')))
),
ended AS (
    UPDATE executions e SET lifecycle_phase = 'terminal', ownership_state = 'unowned',
        eligibility_state = 'not_applicable', blocking_reason = 'none', ready = false, due_at = NULL, ended_by = NULL,
        terminal_outcome = CASE WHEN ends = 'max_reclaims_exceeded' THEN 'failed' ELSE 'expired' END,
        attempt_state = CASE WHEN e.total_attempt_count = 0 THEN 'none' ELSE 'attempt_terminal' END,
        failure_reason = CASE WHEN ends = 'execution_deadline' THEN e.failure_reason ELSE ends END,
        failure_category = CASE ends WHEN 'execution_deadline' THEN e.failure_category WHEN 'attempt_timeout' THEN 'timeout' ELSE ends END,
        completed_at = ended_at, last_transition_at = now, last_mutation_at = now
    FROM judged j WHERE e.ctid = j.spot AND ends IS NOT NULL
),
retried AS (
    UPDATE executions e SET lifecycle_phase = 'runnable', ownership_state = 'unowned',
        attempt_state = 'pending_retry_attempt', last_transition_at = now, last_mutation_at = now,
        eligibility_state = CASE WHEN after_ms = 0 THEN 'eligible_now' ELSE 'not_eligible_until_time' END,
        blocking_reason = CASE WHEN after_ms = 0 THEN 'waiting_for_worker' ELSE 'waiting_for_retry_backoff' END,
        ready = after_ms = 0, part = 2, delay_until = now + after_ms, retry_count = e.retry_count + 1, ended_by = NULL,
        due_at = least(CASE WHEN after_ms > 0 THEN now + after_ms END, e.execution_deadline_at),
        failure_reason = 'attempt_timeout', failure_category = 'timeout'
    FROM judged j WHERE e.ctid = j.spot AND after_ms IS NOT NULL
),
woken AS (
    UPDATE executions e SET ready = true, part = 1, due_at = NULL FROM held h WHERE e.ctid = h.spot AND waited
),
promoted AS (
    UPDATE executions e SET ready = true, part = 1, due_at = e.execution_deadline_at,
        ownership_state = CASE WHEN told THEN 'lease_expired_reclaimable' ELSE e.ownership_state END,
        blocking_reason = CASE WHEN told THEN 'waiting_for_worker' ELSE e.blocking_reason END,
        attempt_state = CASE WHEN told THEN 'attempt_interrupted' ELSE e.attempt_state END,
        last_transition_at = CASE WHEN told THEN now ELSE e.last_transition_at END,
        last_mutation_at = CASE WHEN told THEN now ELSE e.last_mutation_at END
    FROM (SELECT *, $7 AND fate = 'lapsed' AND ownership_state = 'leased' AS told FROM judged) j
    WHERE e.ctid = j.spot AND ends IS NULL AND fate IN ('lapsed', 'ready')
),
closed AS (
    UPDATE attempts a SET phase = 'ended_failure', failure_reason = coalesce(ends, 'attempt_timeout'),
        ended_at = j.ended_at, failure_category = CASE WHEN ends = 'max_reclaims_exceeded' THEN ends ELSE 'timeout' END
    FROM judged j WHERE (ends IS NOT NULL OR after_ms IS NOT NULL)
      AND a.execution_id = ANY (ARRAY[j.id]) AND a.attempt_index = j.attempt_index AND a.phase IN ('started', 'suspended')
),
told AS (
    INSERT INTO lease_events (at, lease_epoch, attempt_index, lease_id, execution_id, namespace, kind, worker_instance_id, reason)
    SELECT now, lease_epoch, attempt_index, lease_id, id, namespace, CASE
            WHEN ends = 'max_reclaims_exceeded' THEN 'revoked' WHEN fate = 'timed_out' THEN 'released'
            WHEN lease_expires_at <= coalesce(execution_deadline_at, lease_expires_at) THEN 'expired' ELSE 'released' END,
        worker_instance_id, CASE WHEN after_ms IS NOT NULL THEN 'attempt_timeout_retry_scheduled'
            WHEN ends = 'execution_deadline' AND lease_expires_at <= execution_deadline_at THEN NULL ELSE ends END
    FROM judged WHERE ownership_state = 'leased'
      AND (ends IS NOT NULL OR after_ms IS NOT NULL OR ($7 AND fate = 'lapsed')) ORDER BY due_at, id
),
completed AS (
    INSERT INTO completion_events (at, execution_id, namespace, outcome)
    SELECT now, id, namespace, CASE WHEN ends = 'max_reclaims_exceeded' THEN 'failed' ELSE 'expired' END
    FROM judged WHERE ends IS NOT NULL ORDER BY due_at, id
)
SELECT (SELECT count(*) FROM seen) AS seen, (SELECT count(*) FROM held) AS held,
    (SELECT count(*) FROM judged WHERE fate NOT IN ('later', 'suspended')) + (SELECT count(*) FROM held WHERE waited) AS settled,
    (SELECT count(*) FROM judged WHERE fate = 'suspended') AS suspended, (SELECT min(due_at) FROM seen) AS first_due,
    (SELECT max(due_at) FROM seen) AS last_due, (SELECT id FROM seen ORDER BY due_at DESC, id DESC LIMIT 1) AS last_id,
    (SELECT set_config('synchronous_commit', 'off', true)
    WHERE NOT $7 AND NOT EXISTS (SELECT FROM judged WHERE ends IS NOT NULL OR after_ms IS NOT NULL)) AS lasts;
