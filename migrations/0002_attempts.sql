-- What attempts are, in the words of the contract.
CREATE TYPE ff_attempt_type AS ENUM ('initial', 'retry', 'reclaim', 'replay');
CREATE TYPE ff_attempt_phase AS ENUM (
    'started', 'suspended', 'ended_success', 'ended_failure', 'ended_cancelled', 'interrupted_reclaimed'
);
CREATE CAST (text AS ff_attempt_type) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS ff_attempt_phase) WITH INOUT AS ASSIGNMENT;

-- The attempts of each execution, from index 0. Whoever writes a row also writes the execution's row.
CREATE TABLE attempts (
    attempt_index      bigint NOT NULL,
    started_at         bigint NOT NULL,
    resumed_at         bigint,
    lease_epoch        bigint NOT NULL,
    attempt_id         uuid   NOT NULL,
    lease_id           uuid   NOT NULL,
    attempt_type       ff_attempt_type NOT NULL,
    execution_id       bytea  NOT NULL,
    worker_id          text COLLATE "C" NOT NULL,
    worker_instance_id text COLLATE "C" NOT NULL,
    phase              ff_attempt_phase NOT NULL,
    failure_reason     text COLLATE "C",
    failure_category   text COLLATE "C",
    ended_at           bigint,
    CONSTRAINT attempts_pkey PRIMARY KEY (execution_id, attempt_index)
) WITH (fillfactor = 85);
