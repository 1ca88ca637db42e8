-- Whether the role can work here, and how many connections are free; twenty stay for others.
-- returns: role, may_create, room
SELECT current_user::text,
       r.rolcreatedb OR r.rolsuper,
       current_setting('max_connections')::int8
         - current_setting('superuser_reserved_connections')::int8
         - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
         - 20
FROM pg_roles r
WHERE r.rolname = current_user
