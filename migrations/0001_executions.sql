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

-- What changes while an execution lives. Fixed widths come first, so that no row pays for alignment.
-- No foreign key: a claim would lock and read what it points to.
CREATE TABLE executions (
    created_at            bigint NOT NULL,
    last_transition_at    bigint NOT NULL,
    last_mutation_at      bigint NOT NULL,
    set_id                bigint NOT NULL,  -- lane and required capabilities, of lane_sets
    due_at                bigint,           -- the next instant at which time alone changes the row
    delay_until           bigint,           -- kept until the next acquisition: the answer to a repeated fail
    execution_deadline_at bigint,
    started_at            bigint,
    completed_at          bigint,
    lease_acquired_at     bigint,
    lease_expires_at      bigint,
    lease_last_renewed_at bigint,
    lease_epoch           bigint NOT NULL DEFAULT 0,
    attempt_index         bigint,           -- of the latest attempt
    total_attempt_count   bigint NOT NULL DEFAULT 0,
    retry_count           bigint NOT NULL DEFAULT 0,
    lease_reclaim_count   bigint NOT NULL DEFAULT 0,
    reclaims_max          bigint NOT NULL,
    replay_count          bigint NOT NULL DEFAULT 0,
    replays_max           bigint NOT NULL,
    attempt_timeout_ms    bigint,           -- null: an attempt may take any time
    attempt_timeout_at    bigint,           -- of the latest lease, which never outlives it
    deadline_after_ms     bigint,           -- null: the deadline does not count from creation and replay
    grant_expires_at      bigint,           -- grant columns stay until the next grant or acquisition
    retries_max           bigint,           -- null: no retry; the other retry columns are null too
    backoff_initial_ms    bigint,
    backoff_max_ms        bigint,
    backoff_multiplier    double precision,
    backoff_saturates_at  bigint,           -- the first retry whose wait is backoff_max_ms
    signals_max           bigint,           -- null: as many as usual
    signal_count          bigint,           -- of all its waitpoints; null: none
    suspension_ms         bigint,           -- how long a suspension lasts that does not say so; null: for ever
    suspension_number     bigint,           -- of the latest suspension; its columns stay until the next one
    suspended_at          bigint,
    suspension_timeout_at bigint,
    suspension_closed_at  bigint,
    suspension_delay_ms   bigint,           -- between its resume and the next claim
    progress_updated_at   bigint,
    priority              integer NOT NULL,
    progress_percent      smallint,
    ready                 boolean NOT NULL, -- stands in the ready index: a claim may take it
    returned              boolean NOT NULL DEFAULT false, -- was changed into what is ready, or moved; never false again
    backoff_jitter        boolean,
    lease_id              uuid,             -- lease columns stay after the lease has ended: the fence compares them
    attempt_id            uuid,
    grant_key             uuid,
    grant_redeemed        boolean,          -- the latest lease came from the grant
    id                    text COLLATE "C" NOT NULL CONSTRAINT executions_pkey PRIMARY KEY,
    namespace             text COLLATE "C" NOT NULL,
    lane_id               text COLLATE "C" NOT NULL,
    lifecycle_phase       text COLLATE "C" NOT NULL,
    ownership_state       text COLLATE "C" NOT NULL,
    eligibility_state     text COLLATE "C" NOT NULL,
    blocking_reason       text COLLATE "C" NOT NULL,
    terminal_outcome      text COLLATE "C" NOT NULL,
    attempt_state         text COLLATE "C" NOT NULL,
    worker_instance_id    text COLLATE "C",
    grant_worker_id       text COLLATE "C",
    grant_worker_instance_id text COLLATE "C",
    ended_by              text COLLATE "C", -- the holder operation that ended the latest lease, for its repeat
    failure_reason        text COLLATE "C",
    failure_category      text COLLATE "C",
    cancellation_reason   text COLLATE "C",
    cancelled_by          text COLLATE "C",
    progress_message      text COLLATE "C",
    suspension_behavior   text COLLATE "C", -- what the time-out of a suspension does that does not say so
    suspension_reason     text COLLATE "C",
    timeout_behavior      text COLLATE "C",
    close_reason          text COLLATE "C", -- how the suspension ended, unless the execution ended with it
    retry_categories      text[] COLLATE "C"
) WITH (fillfactor = 85);

-- What never changes but for the tags: written once, read with read_execution_info and describe_execution.
CREATE TABLE execution_inputs (
    execution_id     text COLLATE "C" NOT NULL CONSTRAINT execution_inputs_pkey PRIMARY KEY,
    execution_kind   text COLLATE "C" NOT NULL,
    creator_identity text COLLATE "C",
    payload_encoding text COLLATE "C",
    payload          bytea NOT NULL,
    tags             jsonb NOT NULL,
    policy           text COLLATE "C" NOT NULL
);

-- A row only for an execution that completed with a result.
CREATE TABLE execution_results (
    execution_id text COLLATE "C" NOT NULL CONSTRAINT execution_results_pkey PRIMARY KEY,
    payload      bytea NOT NULL
);

-- A key counts until expires_at; a later create replaces it.
CREATE TABLE idempotency_keys (
    expires_at   bigint NOT NULL,
    namespace    text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (namespace, key)
);

-- Every lane that an execution was ever created in.
CREATE TABLE lanes (
    lane_id text COLLATE "C" NOT NULL CONSTRAINT lanes_pkey PRIMARY KEY
);

-- One event for each terminal transition. The transaction id lets a reader take what a snapshot shows and an older one
-- did not; the identity is drawn after the execution's row was locked, so it orders the events of one execution.
CREATE TABLE completion_events (
    xid          xid8   NOT NULL DEFAULT pg_current_xact_id(),
    id           bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    at           bigint NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    namespace    text COLLATE "C" NOT NULL,
    outcome      text COLLATE "C" NOT NULL,
    CONSTRAINT completion_events_pkey PRIMARY KEY (xid, id)
);
