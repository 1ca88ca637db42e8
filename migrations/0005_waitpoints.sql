-- What an execution waits for while nobody works on it.

-- The latest suspension of an execution: what only a signal or its reader asks for. What time changes stands in the
-- execution's row, and ends the suspension with all its waitpoints in one write. Whoever writes a row of these tables
-- but the secrets also writes the execution's row.
CREATE TABLE suspensions (
    waitpoint_id         uuid NOT NULL,     -- the primary one
    attempt_id           uuid NOT NULL,
    execution_id         text COLLATE "C" NOT NULL CONSTRAINT suspensions_pkey PRIMARY KEY,
    requested_by         text COLLATE "C" NOT NULL,
    continuation_pointer text COLLATE "C",
    leaves               jsonb NOT NULL     -- all have to hold
);

-- What suspend answered, for as long as its key counts.
CREATE TABLE suspend_keys (
    expires_at    bigint  NOT NULL,
    suspension_id uuid    NOT NULL,
    satisfied     boolean NOT NULL,         -- the condition held already, and nothing was suspended
    execution_id  text COLLATE "C" NOT NULL,
    key           text COLLATE "C" NOT NULL,
    CONSTRAINT suspend_keys_pkey PRIMARY KEY (execution_id, key)
);

-- The addresses of signals. A waitpoint is active while its suspension is open, pending before it has one, and closed
-- otherwise; nothing else says so. Of its token only what tells it from others is kept.
CREATE TABLE waitpoints (
    created_at        bigint NOT NULL,
    activated_at      bigint,
    expires_at        bigint,               -- of one that was made pending
    place             bigint,               -- among the waitpoints of its suspension, from 1
    waitpoint_id      uuid   NOT NULL,
    attempt_id        uuid   NOT NULL,
    suspension_id     uuid,
    execution_id      text COLLATE "C" NOT NULL,
    waitpoint_key     text COLLATE "C" NOT NULL,
    token_kid         text COLLATE "C" NOT NULL,
    token_fingerprint text COLLATE "C" NOT NULL,
    CONSTRAINT waitpoints_pkey PRIMARY KEY (execution_id, waitpoint_id)
);

-- What was accepted, by waitpoint; place counts all signals of the execution, from 1.
CREATE TABLE signals (
    place             bigint NOT NULL,
    accepted_at       bigint NOT NULL,
    dedup_expires_at  bigint,
    waitpoint_id      uuid   NOT NULL,
    signal_id         uuid   NOT NULL,
    execution_id      text COLLATE "C" NOT NULL,
    signal_name       text COLLATE "C" NOT NULL,
    signal_category   text COLLATE "C" NOT NULL,
    source_type       text COLLATE "C" NOT NULL,
    source_identity   text COLLATE "C" NOT NULL,
    correlation_id    text COLLATE "C",
    payload_encoding  text COLLATE "C",
    idempotency_key   text COLLATE "C",
    payload           bytea,
    CONSTRAINT signals_pkey PRIMARY KEY (execution_id, waitpoint_id, signal_id)
);

-- The signals that a key stands for.
CREATE INDEX signals_idempotency_key ON signals (execution_id, waitpoint_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- What is suspended, in the order of its listing.
CREATE INDEX executions_suspended ON executions (suspended_at, id) WHERE lifecycle_phase = 'suspended';

-- The secrets that tokens are made with. The current one has no end; the others count until theirs.
CREATE TABLE waitpoint_secrets (
    expires_at bigint,
    kid        text COLLATE "C" NOT NULL CONSTRAINT waitpoint_secrets_pkey PRIMARY KEY,
    secret     bytea NOT NULL
);
CREATE UNIQUE INDEX waitpoint_secrets_current ON waitpoint_secrets ((expires_at IS NULL)) WHERE expires_at IS NULL;

-- One row: the version of all secrets together, which every change of them raises. Who signs or checks with secrets that
-- it remembers says which version they were of.
CREATE TABLE waitpoint_ring (
    singleton boolean NOT NULL DEFAULT true
        CONSTRAINT waitpoint_ring_pkey PRIMARY KEY
        CONSTRAINT waitpoint_ring_singleton CHECK (singleton),
    version   bigint NOT NULL
);
INSERT INTO waitpoint_ring (version) VALUES (0);

-- What became of each signal that was delivered; see completion_events for xid and id.
CREATE TABLE signal_events (
    xid             xid8   NOT NULL DEFAULT pg_current_xact_id(),
    id              bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    at              bigint NOT NULL,
    signal_id       uuid   NOT NULL,
    waitpoint_id    uuid   NOT NULL,
    execution_id    text COLLATE "C" NOT NULL,
    namespace       text COLLATE "C" NOT NULL,
    source_identity text COLLATE "C" NOT NULL,
    effect          text COLLATE "C" NOT NULL,
    CONSTRAINT signal_events_pkey PRIMARY KEY (xid, id)
);
