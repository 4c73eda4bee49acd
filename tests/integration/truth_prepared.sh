#!/bin/bash
# Prepared transactions, commit times that do not follow the WAL's order, records larger than a
# segment and two backups: the right backup and the right moment, each time.
source "$(dirname "$0")/truth_lib.sh"

# The server's clock can be put back, as a bad time server does.
cat >"$WORK/skew.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>

int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
  static const char *skew;
  static int (*original)(struct timeval *restrict, void *restrict);
  if (!original) {
    skew = mmap(NULL, 32, PROT_READ, MAP_SHARED, open(getenv("SKEW_FILE"), O_RDONLY), 0);
    *(void **)&original = dlsym(RTLD_NEXT, "gettimeofday");
  }
  int result = original(tv, tz);
  if (tv && skew != MAP_FAILED) {
    long long now = tv->tv_sec * 1000000LL + tv->tv_usec + atoi(skew) * 1000LL;
    tv->tv_sec = now / 1000000;
    tv->tv_usec = now % 1000000;
  }
  return result;
}
END
export SKEW_FILE=$WORK/skew
# skew MILLISECONDS
skew() { printf '%-31s\n' "$1" | dd of="$SKEW_FILE" conv=notrunc status=none; }
skew 0
cc -shared -fPIC -o "$WORK/skew.so" "$WORK/skew.c" -ldl || skip "no compiler for a clock that is put back"

truth_cluster main
settings main "archive_command = 'env -u LD_PRELOAD $PITR_BIN/pitr-archive --config $WORK/main/pitr.toml %p'"
"$PG_BIN/pg_checksums" --disable -D "$WORK/main/data" >/dev/null 2>&1 # a history without them
pitr main init >/dev/null
LD_PRELOAD=$WORK/skew.so start main
truth_table main
sql main 'CREATE TABLE big (contents text); ALTER TABLE big ALTER contents SET STORAGE EXTERNAL;
          CREATE UNLOGGED TABLE unlogged (row int)'
work main 1 100 --prepared
backup main
first=$BACKUP
began=${EPOCHREALTIME/./}
begin=$(insert_lsn main)
work main 1 200 --prepared --leave-prepared --points a
middle=$(insert_lsn main)
sleep 2
work main 1 60
back=$(insert_lsn main)
skew $((700 - (${EPOCHREALTIME/./} - began) / 1000)) # to a moment after the backup
work main 1 60 --prepared --leave-prepared
sql main 'SELECT pg_switch_wal()' >/dev/null
work main 1 40
skew -60000 # before all that there is
far_back=$(insert_lsn main)
work main 1 30
skew 0
forth=$(insert_lsn main)
work main 1 30
one main 1 "INSERT INTO big SELECT string_agg(md5(i::text), '') FROM generate_series(1, 160000) i"
large_row=$XID
# Its commit record has the id of each subtransaction: more than two segments.
one main 1 "DO \$\$ BEGIN FOR i IN 1..600000 LOOP
       BEGIN INSERT INTO unlogged VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END;
     END LOOP; END \$\$"
large_commit=$XID
work main 1 40 --prepared
backup main
second=$BACKUP
archived main 1
quiet=$(insert_lsn main)
work main 1 150 --prepared --points b
archived main 1

story "times before, between and after the backups \"$first\" and \"$second\""
pick commit 1 "$begin" "$middle" --gid yes
recovery promote time "$(at "$TIME")"
amcheck
gone
pick commit 1 "$begin" "$middle"
recovery pause time "$(at "$TIME")" --exclusive
gone
pick commit 1 "$quiet" --gid yes
recovery shutdown time "$(at "$TIME")"
gone
pick commit 1 "$quiet"
recovery pause time "$(at $((TIME - 1)))" --backup "$first"
gone

story "both ends of prepared transactions"
pick commit 1 "$begin" "$middle" --gid yes
recovery pause xid "$XID"
gone
recovery promote xid "$XID" --exclusive
gone
pick abort 1 "$begin" "$middle" --gid yes
recovery shutdown xid "$XID"
gone

story "the clock was put back: commit times do not follow the order of the WAL"
pick inversion 1 "$back" "$far_back"
recovery pause time "$(at "$TIME")"
gone
recovery pause xid "$XID"
gone
pick commit 1 "$middle" "$back"
recovery promote time "$(at "$TIME")"
gone
pick commit 1 "$middle" "$back"
recovery shutdown time "$(at "$TIME")" --exclusive
gone
pick commit 1 "$far_back" "$forth"
expect_status 3 pitr main restore --to "$WORK/nothing" --target-time "$(at "$TIME")"
expect_absent "$WORK/nothing"

story "records longer than segments"
recovery promote xid "$large_row"
expect_equal 5120000 "$(sql "$RECOVERED" 'SELECT length(contents) FROM big')" "the large row"
gone
recovery pause xid "$large_commit"
gone
recovery shutdown xid "$large_commit" --exclusive
gone
lsn_of "$large_commit" 1
recovery pause time "$(at "$TIME")"
gone
recovery promote time "$(at "$TIME")" --exclusive
gone

pick point 1 "$quiet"
recovery pause name "$XID"
gone
recovery promote immediate '' --backup "$first"
gone
