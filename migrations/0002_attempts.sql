-- The attempts of each execution, from index 0. Whoever writes a row also writes the execution's row.
CREATE TABLE attempts (
    attempt_index      bigint NOT NULL,
    started_at         bigint NOT NULL,
    resumed_at         bigint,
    lease_epoch        bigint NOT NULL,
    attempt_id         uuid   NOT NULL,
    lease_id           uuid   NOT NULL,
    execution_id       bytea NOT NULL,
    attempt_type       text COLLATE "C" NOT NULL,
    worker_id          text COLLATE "C" NOT NULL,
    worker_instance_id text COLLATE "C" NOT NULL,
    phase              text COLLATE "C" NOT NULL,
    failure_reason     text COLLATE "C",
    failure_category   text COLLATE "C",
    ended_at           bigint,
    CONSTRAINT attempts_pkey PRIMARY KEY (execution_id, attempt_index)
) WITH (fillfactor = 85);
