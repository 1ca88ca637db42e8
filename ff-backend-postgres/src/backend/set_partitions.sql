-- connect: fixes the number of partitions of a store that has none yet.
-- $1 partitions int4
-- returns: nothing
UPDATE store SET partitions = $1 WHERE partitions IS NULL;
