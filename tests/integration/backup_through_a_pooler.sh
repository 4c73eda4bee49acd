#!/bin/bash
# A pooler that gives a backup another session in the middle: the backup is refused or given up in words,
# nothing of it is seen, and the server leaves backup mode. Through one that keeps the session it works.
source "$(dirname "$0")/lib.sh"
pooler=/usr/sbin/pgbouncer
[[ -x $pooler ]] || skip "the package \"pgbouncer\" is not installed"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 1000

# pool MODE: a pooler of that mode between pitr and the server. It gives up what is idle for a second.
pool() {
  as_postgres mkdir -p "$WORK/pool"
  as_postgres tee "$WORK/pool/pgbouncer.ini" >/dev/null <<ini
[databases]
* = host=$WORK/main port=5432 user=postgres
[pgbouncer]
listen_port = 6432
unix_socket_dir = $WORK/pool
auth_type = any
pool_mode = $1
server_idle_timeout = 1
ignore_startup_parameters = options,search_path,extra_float_digits
logfile = $WORK/pool/log
pidfile = $WORK/pool/pid
ini
  rm -f "$WORK/pool/pid"
  as_postgres "$pooler" -q -d "$WORK/pool/pgbouncer.ini"
  wait_until 10 "the pooler" test -s "$WORK/pool/pid"
  POOL=$(cat "$WORK/pool/pid")
  AT_EXIT+=("kill $POOL 2>/dev/null")
  as_postgres sed -i "s|^connection.*|connection = \"host=$WORK/pool port=6432 user=postgres dbname=postgres\"|" "$WORK/main/pitr.toml"
}
pool_ended() { ! kill -0 "$POOL" 2>/dev/null; }
end_pool() {
  kill "$POOL"
  wait_until 10 "the pooler's end" pool_ended
}

story "a session of its own for each transaction: the backup is given up"
pool transaction
slow_backup main 2MB
expect_backup_status 1
expect_error "^ERROR: .*"
expect_error "pooler"
expect_backups main 0
end_pool
wait_until 10 "the server out of backup mode" no_other_session main

story "one session from beginning to end: it works"
pool session
backup main
expect_backups main 1
end_pool
