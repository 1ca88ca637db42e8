-- migrate: makes the events of a store that came from another cluster this cluster's own.
-- $1 system_identifier int8
-- returns: taken int8
-- taken: 1 if they came from another. Their transactions ended long ago, and in that order of ids they stand in one step.
-- Cursors that were given before work no more. Once the cluster is written down a repeat changes nothing.
WITH held AS MATERIALIZED (
    SELECT system_identifier AS former FROM store WHERE system_identifier IS DISTINCT FROM $1 FOR NO KEY UPDATE
),
moved AS MATERIALIZED (SELECT former FROM held WHERE former IS NOT NULL),
known AS (UPDATE store SET system_identifier = $1 WHERE EXISTS (SELECT FROM held)),
leases AS (UPDATE lease_events SET xid = '3' WHERE EXISTS (SELECT FROM moved)),
ends AS (UPDATE completion_events SET xid = '3' WHERE EXISTS (SELECT FROM moved)),
signals AS (UPDATE signal_events SET xid = '3' WHERE EXISTS (SELECT FROM moved)),
operators AS (UPDATE operator_events SET xid = '3' WHERE EXISTS (SELECT FROM moved)),
begun AS (UPDATE event_horizons SET epoch = gen_random_uuid(), before_xid = '1' WHERE EXISTS (SELECT FROM moved))
SELECT count(*) AS taken FROM moved;
