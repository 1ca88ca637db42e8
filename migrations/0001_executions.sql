-- Units of work, and what all of them presume: the clock and the facts of the store.
-- The clock and the store stand in this file because it is the first that needs them, and because a migration of their
-- own would have a stem that the contract does not know.

-- The one place that knows the time, in milliseconds since the Unix epoch.
-- clock_timestamp() and VOLATILE: the time after a lock wait, not that of the statement's start.
CREATE FUNCTION ff_now_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;

-- One row. A client works if oldest_client <= its version <= version.
-- partitions is null until the store is first prepared, and fixed from then on.
CREATE TABLE store (
    singleton     boolean NOT NULL DEFAULT true
        CONSTRAINT store_pkey PRIMARY KEY
        CONSTRAINT store_singleton CHECK (singleton),
    version       integer NOT NULL,
    oldest_client integer NOT NULL,
    partitions    integer
        CONSTRAINT store_partitions CHECK (partitions BETWEEN 1 AND 65535),
    -- The cluster whose transaction ids the events carry.
    system_identifier bigint
);

INSERT INTO store (version, oldest_client) VALUES (1, 1);

-- An execution's id: its partition in three bytes, five decimal digits and filling, then its UUID. Bytes compare as ids
-- do, which compare as text. For people who look into the tables; statements are given bytes.
CREATE FUNCTION ff_id(id text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN decode(rpad(split_part(substr(id, 5), '}', 1), 6, 'f') || replace(split_part(id, '}:', 2), '-', ''), 'hex');
CREATE FUNCTION ff_id_text(id bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN '{fp:' || rtrim(encode(substr(id, 1, 3), 'hex'), 'f') || '}:' || encode(substr(id, 4), 'hex')::uuid;

-- The words of the contract, of four bytes each. A statement that chooses between two has them as text.
CREATE TYPE ff_lifecycle_phase AS ENUM ('runnable', 'active', 'suspended', 'terminal');
CREATE TYPE ff_ownership_state AS ENUM ('unowned', 'leased', 'lease_expired_reclaimable', 'lease_revoked');
CREATE TYPE ff_eligibility_state AS ENUM (
    'eligible_now', 'not_eligible_until_time', 'blocked_by_dependencies', 'blocked_by_budget', 'blocked_by_quota',
    'blocked_by_route', 'blocked_by_lane_state', 'blocked_by_operator', 'not_applicable'
);
CREATE TYPE ff_blocking_reason AS ENUM (
    'none', 'waiting_for_worker', 'waiting_for_retry_backoff', 'waiting_for_resume_delay', 'waiting_for_delay',
    'waiting_for_signal', 'waiting_for_approval', 'waiting_for_callback', 'waiting_for_tool_result',
    'waiting_for_children', 'waiting_for_budget', 'waiting_for_quota', 'waiting_for_capable_worker',
    'waiting_for_locality_match', 'paused_by_operator', 'paused_by_policy', 'paused_by_flow_cancel'
);
CREATE TYPE ff_terminal_outcome AS ENUM ('none', 'success', 'failed', 'cancelled', 'expired', 'skipped');
CREATE TYPE ff_attempt_state AS ENUM (
    'none', 'pending_first_attempt', 'running_attempt', 'attempt_interrupted', 'pending_retry_attempt',
    'pending_replay_attempt', 'attempt_terminal'
);
CREATE CAST (text AS ff_lifecycle_phase) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS ff_ownership_state) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS ff_eligibility_state) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS ff_blocking_reason) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS ff_terminal_outcome) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS ff_attempt_state) WITH INOUT AS ASSIGNMENT;

-- What changes while an execution lives. An update whose row stays on its page logs what lies between the first and the
-- last byte that differ, so columns stand in the order of how seldom they change.
-- No foreign key: a claim would lock and read what it points to.
CREATE TABLE executions (
    -- What creation fixes, but for the priority, and what neither a first claim nor an end changes.
    created_at            bigint NOT NULL,
    set_id                bigint NOT NULL, -- lane and required capabilities, of lane_sets
    execution_deadline_at bigint,
    reclaims_max          bigint NOT NULL,
    replays_max           bigint NOT NULL,
    attempt_timeout_ms    bigint,        -- null: an attempt may take any time
    deadline_after_ms     bigint,        -- null: the deadline does not count from creation and replay
    retries_max           bigint,        -- null: no retry; the other retry columns are null too
    backoff_initial_ms    bigint,
    backoff_max_ms        bigint,
    backoff_multiplier    double precision,
    backoff_saturates_at  bigint,        -- the first retry whose wait is backoff_max_ms
    signals_max           bigint,        -- null: as many as usual
    suspension_ms         bigint,        -- how long a suspension lasts that does not say so; null: for ever
    retry_count           bigint NOT NULL DEFAULT 0,
    lease_reclaim_count   bigint NOT NULL DEFAULT 0,
    replay_count          bigint NOT NULL DEFAULT 0,
    priority              integer NOT NULL,
    backoff_jitter        boolean,
    id                    bytea NOT NULL CONSTRAINT executions_pkey PRIMARY KEY,
    namespace             text COLLATE "C" NOT NULL,
    lane_id               text COLLATE "C" NOT NULL,
    suspension_behavior   text COLLATE "C", -- what the time-out of a suspension does that does not say so
    retry_categories      text[] COLLATE "C",
    -- What a lease changes.
    started_at            bigint,
    delay_until           bigint,        -- kept until the next acquisition: the answer to a repeated fail
    lease_acquired_at     bigint,
    lease_expires_at      bigint,
    lease_last_renewed_at bigint,
    attempt_timeout_at    bigint,        -- of the latest lease, which never outlives it
    lease_epoch           bigint NOT NULL DEFAULT 0,
    attempt_index         bigint,        -- of the latest attempt
    total_attempt_count   bigint NOT NULL DEFAULT 0,
    grant_expires_at      bigint,        -- grant columns stay until the next grant or acquisition
    lease_id              uuid,          -- lease columns stay after the lease has ended: the fence compares them
    attempt_id            uuid,
    grant_key             uuid,
    grant_redeemed        boolean,       -- the latest lease came from the grant
    worker_instance_id    text COLLATE "C",
    grant_worker_id       text COLLATE "C",
    grant_worker_instance_id text COLLATE "C",
    -- What a suspension and its signals change, and the progress.
    signal_count          bigint,        -- of all its waitpoints; null: none
    suspension_number     bigint,        -- of the latest suspension; its columns stay until the next one
    suspended_at          bigint,
    suspension_timeout_at bigint,
    suspension_closed_at  bigint,
    suspension_delay_ms   bigint,        -- between its resume and the next claim
    suspension_reason     text COLLATE "C",
    timeout_behavior      text COLLATE "C",
    close_reason          text COLLATE "C", -- how the suspension ended, unless the execution ended with it
    progress_updated_at   bigint,
    progress_percent      smallint,
    progress_message      text COLLATE "C",
    -- What every transition changes.
    due_at                bigint,        -- the next instant at which time alone changes the row
    completed_at          bigint,
    last_transition_at    bigint NOT NULL,
    last_mutation_at      bigint NOT NULL,
    lifecycle_phase       ff_lifecycle_phase NOT NULL,
    ownership_state       ff_ownership_state NOT NULL,
    eligibility_state     ff_eligibility_state NOT NULL,
    blocking_reason       ff_blocking_reason NOT NULL,
    terminal_outcome      ff_terminal_outcome NOT NULL,
    attempt_state         ff_attempt_state NOT NULL,
    part                  smallint NOT NULL DEFAULT 0, -- of the order of its lane, see ff_shelf; never 0 again
    ready                 boolean NOT NULL, -- stands in the ready index: a claim may take it
    ended_by              text COLLATE "C", -- the holder operation that ended the latest lease, for its repeat
    failure_reason        text COLLATE "C",
    failure_category      text COLLATE "C",
    cancellation_reason   text COLLATE "C",
    cancelled_by          text COLLATE "C"
) WITH (fillfactor = 85);

-- What never changes but for the tags: written once, read with read_execution_info and describe_execution.
CREATE TABLE execution_inputs (
    execution_id     bytea NOT NULL CONSTRAINT execution_inputs_pkey PRIMARY KEY,
    execution_kind   text COLLATE "C" NOT NULL,
    creator_identity text COLLATE "C",
    payload_encoding text COLLATE "C",
    payload          bytea NOT NULL,
    tags             jsonb NOT NULL
);

-- A row only for an execution that completed with a result.
CREATE TABLE execution_results (
    execution_id bytea NOT NULL CONSTRAINT execution_results_pkey PRIMARY KEY,
    payload      bytea NOT NULL
);

-- A key counts until expires_at; a later create replaces it.
CREATE TABLE idempotency_keys (
    expires_at   bigint NOT NULL,
    namespace    text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    execution_id bytea  NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (namespace, key)
);

-- Every lane that an execution was ever created in.
CREATE TABLE lanes (
    passes  bigint NOT NULL DEFAULT 0, -- of settle_due.sql that changed any of its rows
    lane_id text COLLATE "C" NOT NULL CONSTRAINT lanes_pkey PRIMARY KEY
);

-- One event for each terminal transition. The transaction id lets a reader take what a snapshot shows and an older one
-- did not; the identity is drawn after the execution's row was locked, so it orders the events of one execution.
CREATE TABLE completion_events (
    xid          xid8   NOT NULL DEFAULT pg_current_xact_id(),
    id           bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT completion_events_pkey PRIMARY KEY,
    at           bigint NOT NULL,
    execution_id bytea  NOT NULL,
    namespace    text COLLATE "C" NOT NULL,
    outcome      text COLLATE "C" NOT NULL
);
