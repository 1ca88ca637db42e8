-- How a claim finds work.

-- The capability sets that executions of a lane require, each once. A claim compares the heads of those that its worker
-- covers. The digest stands in for tokens, which can be longer than an index entry.
CREATE TABLE lane_sets (
    set_id        bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT lane_sets_pkey PRIMARY KEY,
    lane_id       text COLLATE "C" NOT NULL,
    tokens_digest bytea NOT NULL,
    tokens        text[] COLLATE "C" NOT NULL,
    CONSTRAINT lane_sets_lane_id_tokens_digest_key UNIQUE (lane_id, tokens_digest)
);

-- Where an execution stands in its lane, before its id: by priority, which ends at 9000, then by age.
CREATE FUNCTION ff_place(priority integer, created_at bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((9000 - priority)::bigint << 48) + created_at;

-- The order of a lane, for each of its capability sets, in two parts. What is fresh was ready when it was created, and
-- never comes back once it was taken: a claim need not look again where all was taken before. What returned did so to
-- any place.
CREATE INDEX executions_ready ON executions (set_id, returned, ff_place(priority, created_at), id) WHERE ready;

-- Where a claim looks for new work: in each capability set of a lane that the capabilities cover, between the starts and
-- stops of the set. Those of set 0 are for sets that have none of their own, and for all if the clock was set back behind
-- read_at. The first of a set starts at 0.
CREATE FUNCTION ff_windows(
    lane text, capabilities text[], now bigint, read_at bigint, set_ids bigint[], starts bigint[], stops bigint[]
) RETURNS TABLE (set_id bigint, start bigint, stop bigint)
LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC
    SELECT s.set_id, w.start, w.stop FROM lane_sets s, unnest(set_ids, starts, stops) AS w (set_id, start, stop)
    WHERE s.lane_id = lane AND s.tokens <@ capabilities AND (
        (w.set_id = s.set_id AND read_at <= now)
        OR (w.set_id = 0 AND NOT coalesce(s.set_id = ANY (set_ids) AND read_at <= now, false)));
END;

-- What is ready in a capability set, in the order of the lane: new work between start and stop, and what returned. These
-- functions are parts of the statements that call them, and planned with those.
CREATE FUNCTION ff_fresh(in_set bigint, start bigint, stop bigint)
RETURNS TABLE (set_id bigint, id bytea, place bigint, returned boolean, deadline_at bigint, spot tid, version xid)
LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC
    SELECT e.set_id, e.id, ff_place(priority, created_at), e.returned, execution_deadline_at, ctid, xmin FROM executions e
    WHERE e.set_id = in_set AND ready AND NOT e.returned
      AND ff_place(priority, created_at) >= start AND ff_place(priority, created_at) < stop
    ORDER BY ff_place(priority, created_at), e.id;
END;
CREATE FUNCTION ff_returned(in_set bigint)
RETURNS TABLE (set_id bigint, id bytea, place bigint, returned boolean, deadline_at bigint, spot tid, version xid)
LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC
    SELECT e.set_id, e.id, ff_place(priority, created_at), e.returned, execution_deadline_at, ctid, xmin FROM executions e
    WHERE e.set_id = in_set AND ready AND e.returned ORDER BY ff_place(priority, created_at), e.id;
END;

-- The oldest transaction that had not ended when the statement began, and the statement's own, if it has written.
CREATE FUNCTION ff_oldest() RETURNS bigint LANGUAGE sql STABLE PARALLEL RESTRICTED
    RETURN pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
CREATE FUNCTION ff_own() RETURNS bigint LANGUAGE sql STABLE PARALLEL RESTRICTED
    RETURN pg_current_xact_id_if_assigned()::text::bigint;

-- What time alone will change, oldest due instant first.
CREATE INDEX executions_due ON executions (lane_id, due_at, id) WHERE due_at IS NOT NULL;

-- What was due already when it was written. All else falls due after the instant of its writing: a claim need not look
-- again where all was settled before.
CREATE INDEX executions_overdue ON executions (lane_id, due_at, id) WHERE due_at <= last_mutation_at;

-- The first of a lane that time has changed: what fell due from start on, or at any time if the clock was set back behind
-- read_at, and what was overdue. A part of the statements that call it, and planned with those.
CREATE FUNCTION ff_due(lane text, now bigint, read_at bigint, start bigint) RETURNS TABLE (due_at bigint)
LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC
    (SELECT e.due_at FROM executions e WHERE e.lane_id = lane AND e.due_at <= now
        AND e.due_at >= CASE WHEN read_at <= now THEN coalesce(start, -9223372036854775808) ELSE -9223372036854775808 END
    ORDER BY e.due_at, e.id LIMIT 1)
    UNION ALL
    (SELECT e.due_at FROM executions e WHERE e.lane_id = lane AND e.due_at <= now AND e.due_at <= e.last_mutation_at
    ORDER BY e.due_at, e.id LIMIT 1);
END;

-- In which lanes which process has claims that wait, until when. Only a hint: a lost row costs a wait of 10 s.
CREATE UNLOGGED TABLE claim_waiters (
    expires_at bigint NOT NULL,
    process_id uuid   NOT NULL,
    lane_id    text COLLATE "C" NOT NULL,
    CONSTRAINT claim_waiters_pkey PRIMARY KEY (lane_id, process_id)
);
