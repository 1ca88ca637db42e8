-- What an execution waits for while nobody works on it.

-- The suspensions of each execution, from number 1: what only a signal, a repeat or a reader asks for. What time changes of
-- the latest one stands in the execution's row, and one write there ends it with all its waitpoints. Whoever writes a row
-- of these tables, but for the keys of tokens, also writes the execution's row.
CREATE TABLE suspensions (
    suspension_number    bigint  NOT NULL,
    key_expires_at       bigint,
    lease_epoch          bigint  NOT NULL,  -- of the lease that suspended, whose receipt a repeat returns
    lease_ms             bigint  NOT NULL,
    attempt_index        bigint  NOT NULL,
    suspension_id        uuid    NOT NULL,
    lease_id             uuid    NOT NULL,
    attempt_id           uuid    NOT NULL,
    satisfied            boolean NOT NULL,  -- its condition held already, and nothing was suspended
    execution_id         bytea   NOT NULL,
    worker_instance_id   text COLLATE "C" NOT NULL,
    idempotency_key      text COLLATE "C",
    requested_by         text COLLATE "C" NOT NULL,
    continuation_pointer text COLLATE "C",
    waitpoint_ids        uuid[]  NOT NULL,  -- the primary one first
    leaves               jsonb   NOT NULL,  -- the parts of its condition, which all have to hold
    CONSTRAINT suspensions_pkey PRIMARY KEY (execution_id, suspension_number)
);

-- The suspensions that a key stands for.
CREATE INDEX suspensions_idempotency_key ON suspensions (execution_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- The addresses of signals. A waitpoint is active while its suspension is open, pending before it has one, and closed
-- otherwise; nothing else says so. Of its token only what tells it from others is kept.
CREATE TABLE waitpoints (
    created_at        bigint NOT NULL,
    activated_at      bigint,
    expires_at        bigint,               -- of one that was made pending
    suspension_number bigint,               -- of the suspension that took it up
    waitpoint_id      uuid   NOT NULL,
    attempt_id        uuid   NOT NULL,
    execution_id      bytea  NOT NULL,
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
    execution_id      bytea  NOT NULL,
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
    id              bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT signal_events_pkey PRIMARY KEY,
    at              bigint NOT NULL,
    signal_id       uuid   NOT NULL,
    waitpoint_id    uuid   NOT NULL,
    execution_id    bytea  NOT NULL,
    namespace       text COLLATE "C" NOT NULL,
    source_identity text COLLATE "C" NOT NULL,
    effect          text COLLATE "C" NOT NULL
);
