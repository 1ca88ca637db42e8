-- What operators did; see completion_events for xid and id.
CREATE TABLE operator_events (
    xid          xid8   NOT NULL DEFAULT pg_current_xact_id(),
    id           bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT operator_events_pkey PRIMARY KEY,
    at           bigint NOT NULL,
    execution_id bytea  NOT NULL,
    namespace    text COLLATE "C" NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    detail       text COLLATE "C" NOT NULL
);

-- A subscription reads a step in order of id, and by transaction what came late.
CREATE INDEX completion_events_xid ON completion_events (xid);
CREATE INDEX lease_events_xid ON lease_events (xid);
CREATE INDEX operator_events_xid ON operator_events (xid);
CREATE INDEX signal_events_xid ON signal_events (xid);

-- How far the events of each family have been removed: every event of a transaction before before_xid is gone, and no
-- such transaction can add one. removed_id is the greatest id that was removed. A cursor works in its own epoch only:
-- another begins when the events come to another cluster, where the transaction ids of cursors mean nothing.
CREATE TABLE event_horizons (
    epoch      uuid   NOT NULL DEFAULT gen_random_uuid(),
    before_xid xid8   NOT NULL,
    removed_id bigint NOT NULL,
    family     text COLLATE "C" NOT NULL CONSTRAINT event_horizons_pkey PRIMARY KEY
);

INSERT INTO event_horizons (before_xid, removed_id, family)
VALUES ('1', 0, 'lease_history'), ('1', 0, 'completions'), ('1', 0, 'operator_events'),
    ('1', 0, 'signal_deliveries');

-- Which processes have subscriptions to completions, until when. Only a hint: a lost row costs a second.
CREATE UNLOGGED TABLE completion_waiters (
    expires_at bigint NOT NULL,
    process_id uuid   NOT NULL CONSTRAINT completion_waiters_pkey PRIMARY KEY
);
