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

-- The order of a lane, for each of its capability sets.
CREATE INDEX executions_ready ON executions (set_id, priority DESC, created_at, id) WHERE ready;

-- What time alone will change, oldest due instant first.
CREATE INDEX executions_due ON executions (lane_id, due_at, id) WHERE due_at IS NOT NULL;

-- In which lanes which process has claims that wait, until when. Only a hint: a lost row costs a wait of 10 s.
CREATE UNLOGGED TABLE claim_waiters (
    expires_at bigint NOT NULL,
    process_id uuid   NOT NULL,
    lane_id    text COLLATE "C" NOT NULL,
    CONSTRAINT claim_waiters_pkey PRIMARY KEY (lane_id, process_id)
);
