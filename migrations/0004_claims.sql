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

-- Where an execution stands until it is taken: in one of three parts of its capability set. In part 0, what is new: it was
-- ready when it was created, and never comes back there once it was taken, so a claim need not look again where all was
-- taken before. In part 1, what time made ready, to any place; but the passes of the lane count how often that was. In part
-- 2, what came back otherwise, or was moved.
CREATE FUNCTION ff_shelf(set_id bigint, part smallint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (set_id << 2) + part;
CREATE FUNCTION ff_part(shelf bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN shelf & 3;

-- The order of a lane, shelf by shelf.
CREATE INDEX executions_ready ON executions (ff_shelf(set_id, part), ff_place(priority, created_at), id) WHERE ready;

-- Where a claim looks for work: on the shelves of each capability set of a lane that the capabilities cover, between their
-- starts and stops. Those of set 0 are for sets that have none of their own, and for all if the clock was set back behind
-- read_at. The starts for what time made ready hold until the next pass over the lane.
CREATE FUNCTION ff_windows(
    lane text, capabilities text[], now bigint, read_at bigint, shelves bigint[], starts bigint[], stops bigint[], passes bigint
) RETURNS TABLE (shelf bigint, start bigint, stop bigint)
LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC
    SELECT ff_shelf(s.set_id, ff_part(w.shelf)::smallint), CASE
        WHEN w.start = 0 OR ff_part(w.shelf) <> 1 OR passes = (SELECT l.passes FROM lanes l WHERE l.lane_id = lane)
        THEN w.start ELSE 0 END, w.stop
    FROM lane_sets s, unnest(shelves, starts, stops) AS w (shelf, start, stop)
    WHERE s.lane_id = lane AND s.tokens <@ capabilities AND (
        (w.shelf >> 2 = s.set_id AND read_at <= now)
        OR (w.shelf < 4 AND NOT coalesce(ff_shelf(s.set_id, 0::smallint) = ANY (shelves) AND read_at <= now, false)));
END;

-- What is ready on a shelf between start and stop, in the order of the lane. This function is a part of the statements that
-- call it, and planned with those.
CREATE FUNCTION ff_ready(on_shelf bigint, start bigint, stop bigint)
RETURNS TABLE (shelf bigint, id bytea, place bigint, deadline_at bigint, spot tid, version xid)
LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC
    SELECT on_shelf, e.id, ff_place(priority, created_at), execution_deadline_at, ctid, xmin FROM executions e
    WHERE ff_shelf(set_id, part) = on_shelf AND ready
      AND ff_place(priority, created_at) >= start AND ff_place(priority, created_at) < stop
    ORDER BY ff_place(priority, created_at), e.id;
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
