#!/bin/bash
# On another host than the one that is backed up a restored server does not archive, unless it is told
# to; modes of a data directory that a group may read come back; passwords come from elsewhere than the
# configuration, and no output tells one.
# shellcheck disable=SC2034 # lib.sh reads it
RUN_AS_ROOT=1
source "$(dirname "$0")/lib.sh"
[[ $(id -u) == 0 ]] || skip "only root can give a process another host name"
unshare --uts true 2>/dev/null || skip "unshare --uts is not permitted here"
elsewhere() { unshare --uts bash -c 'echo elsewhere >/proc/sys/kernel/hostname && exec "$@"' - "$@"; }

new_cluster main --wal-segsize=1 --allow-group-access
secret=hunter2secret
story "a password in the configuration is refused and not repeated"
expect_status 0 pitr main init
start main
as_postgres cp "$WORK/main/pitr.toml" "$WORK/kept.toml"
for connection in "host=$WORK/main port=5432 user=postgres password=$secret" "host=$WORK/main password=$secret nonsense"; do
  as_postgres sed -i "s|^connection = .*|connection = \"$connection\"|" "$WORK/main/pitr.toml"
  for command in check:2 backup:2 info:2; do
    expect_status "${command#*:}" pitr main "${command%:*}" --log-level debug
    ! grep -q "$secret" "$OUT" "$ERR" || fail "the password was printed: $(cat "$OUT" "$ERR")"
  done
done
as_postgres cp "$WORK/kept.toml" "$WORK/main/pitr.toml"

story "one from .pgpass is used and not repeated"
sql main "ALTER ROLE postgres PASSWORD '$secret'"
as_postgres sed -i 's/^local *all *all *trust/local all all scram-sha-256/; s/^local *replication *all *trust/local replication all scram-sha-256/' "$WORK/main/data/pg_hba.conf"
as_postgres tee "$WORK/pgpass" >/dev/null <<<"*:*:*:postgres:$secret"
as_postgres chmod 600 "$WORK/pgpass"
as_postgres "$PG_BIN/pg_ctl" reload -D "$WORK/main/data" >/dev/null
export PGPASSFILE=$WORK/pgpass
for command in "check" "backup" "backup --method stream" "info" "map"; do
  # shellcheck disable=SC2086 # a command line
  expect_status 0 pitr main $command --log-level debug
  ! grep -q "$secret" "$OUT" "$ERR" || fail "the password was printed: $(cat "$OUT" "$ERR")"
done
! grep -rq "$secret" "$WORK/main/repository" "$WORK/main/state" || fail "the password is in a stored file"

story "here archiving stays as it was, elsewhere it is off, and --archive-mode says otherwise"
archive_mode() { as_postgres "$PG_BIN/postgres" -D "$WORK/$1/data" -C archive_mode; }
as_postgres mkdir "$WORK"/{here,there,preserved,off}
expect_status 0 pitr main restore --to "$WORK/here/data"
expect_equal on "$(archive_mode here)" "archive_mode on the same host"
expect_status 0 elsewhere "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" restore --to "$WORK/there/data"
expect_equal off "$(archive_mode there)" "archive_mode on another host"
expect_status 0 elsewhere "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" restore --to "$WORK/preserved/data" --archive-mode preserve
expect_equal on "$(archive_mode preserved)" "archive_mode, preserved"
expect_status 0 pitr main restore --to "$WORK/off/data" --archive-mode off
expect_equal off "$(archive_mode off)" "archive_mode, turned off"

story "what the group may read, it may read again"
expect_equal 750 "$(stat -c %a "$WORK/there/data")" "the data directory's mode"
expect_equal 640 "$(stat -c %a "$WORK/there/data/PG_VERSION")" "a file's mode"
expect_verified there
