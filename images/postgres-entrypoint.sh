#!/bin/sh
# Starts PostgreSQL in a container; the first start makes a cluster in $PGDATA with the password $POSTGRES_PASSWORD.
# It takes the part of the official image's interface that the suite uses: `postgres -c name=value ...`.
set -eu

PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
PGDATA=${PGDATA:-/var/lib/postgresql/data}
export PATH PGDATA

as_postgres() {
  setpriv --reuid=postgres --regid=postgres --init-groups "$@"
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  install -d -o postgres -g postgres -m 700 "$PGDATA"
  secret=$(mktemp)
  printf '%s' "${POSTGRES_PASSWORD:?says the password of the first start}" >"$secret"
  chown postgres "$secret"
  as_postgres initdb --pgdata="$PGDATA" --username=postgres --pwfile="$secret" --encoding=UTF8 --locale=C.UTF-8 \
    --auth-host=scram-sha-256 --auth-local=trust --no-sync >/dev/null
  rm "$secret"
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi

install -d -o postgres -g postgres /run/postgresql
[ "${1:-}" != postgres ] || shift
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -c listen_addresses='*' "$@"
