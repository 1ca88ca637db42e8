-- What operators did; see completion_events for xid and id.
CREATE TABLE operator_events (
    xid          xid8   NOT NULL DEFAULT pg_current_xact_id(),
    id           bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    at           bigint NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    namespace    text COLLATE "C" NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    detail       text COLLATE "C" NOT NULL,
    CONSTRAINT operator_events_pkey PRIMARY KEY (xid, id)
);
