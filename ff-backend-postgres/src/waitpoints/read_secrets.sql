-- read_secrets: the keys that sign tokens, with their version.
-- returns: version int8, kid text, secret bytea, expires_at int8
-- One row at least, without a kid if there is no key. The one that signs has no end.
SELECT r.version, s.kid, s.secret, s.expires_at FROM waitpoint_ring r LEFT JOIN waitpoint_secrets s ON true;
