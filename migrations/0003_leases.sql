-- What happened to each lease; see completion_events for xid and id.
CREATE TABLE lease_events (
    xid                xid8   NOT NULL DEFAULT pg_current_xact_id(),
    id                 bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT lease_events_pkey PRIMARY KEY,
    at                 bigint NOT NULL,
    lease_epoch        bigint NOT NULL,
    attempt_index      bigint NOT NULL,
    lease_id           uuid   NOT NULL,
    execution_id       bytea  NOT NULL,
    namespace          text COLLATE "C" NOT NULL,
    kind               text COLLATE "C" NOT NULL,
    worker_instance_id text COLLATE "C" NOT NULL,
    reason             text COLLATE "C"
);
