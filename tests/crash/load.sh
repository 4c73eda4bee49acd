#!/bin/bash
# A burst of WAL goes through archiving while backups and verifications run beside it: nothing is lost,
# archiving keeps up, and the programs need no more memory at the end than at the beginning.
#
#     LONG=1     20 GiB: half an hour. Without it 128 MiB, in less than a minute.
#     GIB=N      so many GiB
#     CLIENTS=N  of pgbench (4)
#
# It ends with a table as in docs/reliability.md. The disk needs room for as much as the WAL, and 8 GiB.
[[ -z ${GIB-}${LONG-} ]] || export WORK_BELOW=${WORK_BELOW:-/tmp} # memory would not hold it
source "$(dirname "$0")/crash_lib.sh"
export PITR_RESTORE_RETRY_TIME=2s # for the restore_command of the servers started here
export PGCONNECT_TIMEOUT=120   # pgbench leaves little for others

if [[ -n ${GIB-}${LONG-} ]]; then
  wanted=$((${GIB:-20} << 30)) scale=50 max_wal_size=1GB pause=30
else
  wanted=$((128 << 20)) scale=5 max_wal_size=64MB pause=1
fi
clients=${CLIENTS:-4}
[[ -x /usr/bin/time ]] || skip "the package \"time\" is not installed"
free() { df --output=avail -B1 "$WORK" | tail -n 1; }
(($(free) > wanted + (8 << 30))) || skip "the disk has no room for it"

# Each call adds a line: its peak of resident memory in KiB, its seconds, its status.
measured=(/usr/bin/time -q -a -f '%M %e %x' -o)

new_cluster main
settings main "wal_keep_size = 0" "max_wal_size = '$max_wal_size'" "min_wal_size = '64MB'" \
  "shared_buffers = '128MB'" "autovacuum = on" "synchronous_commit = off" \
  "archive_command = '${measured[*]:0:3} -f \"%M %e %x\" -o $WORK/archive $PITR_BIN/pitr-archive --config $WORK/main/pitr.toml %p'"
expect_status 0 pitr main init
start main
bench=("$PG_BIN/pgbench" -h "$WORK/main" -p 5432 -U postgres)
PGOPTIONS="" "${bench[@]}" -i -q -s "$scale" postgres >"$WORK/bench" 2>&1 || fail "pgbench: $(cat "$WORK/bench")"
backup main
first_backup=$BACKUP
wait_until 60 "the archiving of what pgbench -i wrote" nothing_to_archive main

# again WHAT [options]: over and over until the burst is over, and once at least.
again() {
  local what=$1
  while :; do
    "${measured[@]}" "$WORK/$what" "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" "$@" \
      >"$WORK/$what.out" 2>"$WORK/$what.err" || exit
    [[ ! -e $WORK/over ]] || exit 0
    sleep "$pause"
  done
}

# ended_well WHAT PROCESS
ended_well() {
  local status=0
  wait "$2" || status=$?
  [[ $status == 0 ]] || fail "$1: status $status: $(cat "$WORK/$1.err")"
}

story "a burst of $((wanted >> 20)) MiB of WAL, with backups and verifications beside it"
begin=$(sql main 'SELECT pg_current_wal_insert_lsn()') begin_seconds=$SECONDS
rm "$WORK/archive"
set -m # a process group each: they end with this script, whatever happens
again backup --json &
backups=$!
again verify --json --rate-limit 100MB &
verifications=$!
"${bench[@]}" -n -c "$clients" -j 2 -T 86400 postgres >"$WORK/bench" 2>"$WORK/bench.err" &
burst=$!
set +m
AT_EXIT+=("kill -- -$backups -$verifications -$burst 2>/dev/null")

written=0
while ((written < wanted)); do
  sleep 1
  kill -0 "$burst" 2>/dev/null || fail "pgbench: $(cat "$WORK/bench.err")"
  (($(free) > 4 << 30)) || fail "the disk is nearly full"
  written=$(sql main "SELECT pg_current_wal_insert_lsn() - '$begin'")
  echo "$(status_files main ready | wc -l) $(du -sm "$WORK/main/data/pg_wal" | cut -f 1)" >>"$WORK/samples"
done
seconds=$((SECONDS - begin_seconds))
kill -ALRM "$burst" # as the time of -T does: pgbench says how much it did
ended_well bench "$burst"
touch "$WORK/over"
drain=$EPOCHREALTIME
switch main
wait_until 120 "the end of archiving" nothing_to_archive main
drain=$(awk "BEGIN { print $EPOCHREALTIME - $drain }")
ended_well backup "$backups"
ended_well verify "$verifications"
AT_EXIT=()

story "every segment is in the repository, and archiving never failed"
switch main # of what the last backup wrote
wait_until 60 "the end of archiving" nothing_to_archive main
expect_equal 0 "$(archiver main failed_count)" "failed_count"
last=$((16#${SEGMENT:8:8} * 256 + 16#${SEGMENT:16:8}))
for ((number = 1; number <= last; number++)); do
  printf '00000001%08X%08X\n' $((number / 256)) $((number % 256))
done >"$WORK/expected"
find "$WORK/main/repository/wal" -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}' -printf '%f\n' |
  sort >"$WORK/stored"
missing=$(comm -23 "$WORK/expected" "$WORK/stored")
[[ -z $missing ]] || fail "not in the repository: $missing"

story "all that is stored reads back"
expect_status 0 "${measured[@]}" "$WORK/last_verify" "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" verify --json
expect_equal "$last" "$(json "$OUT" 'd["checked"]["segments"]')" "segments that were checked"

story "the first backup and all WAL since give the same rows"
sums() {
  local table
  for table in accounts branches tellers history; do
    PGOPTIONS='-c statement_timeout=10min' sql "$1" "SELECT '$table', count(*), sum(hashtextextended(t::text, 0))
                                                       FROM pgbench_$table t"
  done
}
sums main >"$WORK/sums.main"
stop main
restored=$EPOCHREALTIME
restore_into main copy --backup "$first_backup" --archive-mode off
replayed=$EPOCHREALTIME
start_copy copy
wait_until 3600 "the end of recovery" out_of_recovery copy
ended=$EPOCHREALTIME
sums copy >"$WORK/sums.copy"
expect_same_file "$WORK/sums.main" "$WORK/sums.copy"
stop copy

# ---------------------------------------------------------------------------------------------
# The figures

# of SHARE COLUMN: the value of standard input that so many per cent do not exceed.
of() {
  awk -v column="$2" '{ print $column }' | sort -g |
    awk -v share="$1" '{ value[NR] = $1 } END { i = int(share * NR / 100 + 0.999999); print value[i < 1 ? 1 : i] }'
}
mib() { awk "BEGIN { printf \"%.1f\", $1 / 1024 }"; }
calls=$(wc -l <"$WORK/archive")
some=$((calls / 10 + 1))
early=$(head -n "$some" "$WORK/archive" | of 100 1)
late=$(tail -n "$some" "$WORK/archive" | of 100 1)
waiting=$(of 100 1 <"$WORK/samples")

# peaks WHAT: FIRST, LAST and MOST are in KiB, of as many calls as PEAKS says.
peaks() {
  FIRST=$(head -n 1 "$WORK/$1" | of 100 1)
  LAST=$(tail -n 1 "$WORK/$1" | of 100 1)
  MOST=$(of 100 1 <"$WORK/$1")
  PEAKS="$(wc -l <"$WORK/$1") calls: first $(mib "$FIRST") MiB, last $(mib "$LAST") MiB, most $(mib "$MOST") MiB"
}
peaks backup
backup_peaks=$PEAKS
peaks verify
verify_peaks=$PEAKS
cat <<END

| | |
| --- | --- |
| the burst | $(awk "BEGIN { printf \"%.2f GiB in $seconds s, %.1f MiB/s\", $written / 2 ^ 30, $written / 2 ^ 20 / $seconds }") |
| pgbench | scale $scale, $clients clients, $(sed -n 's/^number of transactions actually processed: //p' "$WORK/bench") transactions, $(sed -n 's/^tps = \([0-9]*\).*/\1/p' "$WORK/bench") a second |
| segments | $last, none is missing |
| \`.ready\` files, each second | at most $waiting, median $(of 50 1 <"$WORK/samples"), of $(wc -l <"$WORK/samples") samples; none $(printf %.1f "$drain") s after the burst |
| \`pg_wal\` | at most $(of 100 2 <"$WORK/samples") MiB, \`max_wal_size\` is $max_wal_size |
| \`pitr-archive\`, $calls calls | median $(of 50 2 <"$WORK/archive") s, slowest $(of 100 2 <"$WORK/archive") s |
| its peak RSS | first $some calls $(mib "$early") MiB, last $some calls $(mib "$late") MiB, all $(mib "$(of 100 1 <"$WORK/archive")") MiB |
| peak RSS of \`pitr backup\` | $backup_peaks |
| peak RSS of \`pitr verify --rate-limit 100MB\` | $verify_peaks |
| \`pitr verify\` of all at the end | $(of 100 2 <"$WORK/last_verify") s, peak RSS $(mib "$(of 100 1 <"$WORK/last_verify")") MiB |
| repository | $(du -sm "$WORK/main/repository/wal" | cut -f 1) MiB of WAL, $(du -sm "$WORK/main/repository/data" | cut -f 1) MiB of backups |
| restore of the first backup, then replay of all WAL | $(awk "BEGIN { printf \"%.0f s, %.0f s\", $replayed - $restored, $ended - $replayed }"), same rows |
END

story "archiving kept up, and memory stayed flat"
((waiting <= 64)) || fail "$waiting files waited to be archived"
((late <= early + 1024)) || fail "pitr-archive grew from $early to $late KiB"
for program in backup verify; do
  peaks "$program"
  ((MOST <= FIRST + 8192)) || fail "pitr $program grew from $FIRST to $MOST KiB"
done
