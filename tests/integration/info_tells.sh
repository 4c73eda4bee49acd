#!/bin/bash
# info: the fields that scripts rely on, for any reader, from an empty repository to a damaged one.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
story "no repository yet"
expect_status 1 pitr main info
expect_error "^ERROR: "
expect_status 1 pitr main info --json
expect_json "$OUT"
expect_equal True "$(json "$OUT" 'd["error"]["message"] != ""')" "error"

story "an empty one"
pitr main init >/dev/null
expect_status 0 pitr main info --json
expect_json "$OUT"
expect_equal "ok [] [] []" "$(json "$OUT" 'd["repository"][0]["status"] + " %s %s %s" % tuple(d["clusters"][0][k] for k in ("backups", "timelines", "recoverable"))')" "an empty repository"
[[ $(json "$OUT" 'd["clusters"][0]["status"]') != ok ]] || fail "ok, although nothing can be restored"

start main
fill main 10
backup main --label "the first"
fill main 10
switch_and_wait main
backup main
sleep 0.1
fill main 10
switch_and_wait main
last=$SEGMENT
stop main

story "every field of the interface, and they are true"
expect_status 0 pitr main info --json
expect_json "$OUT"
expect_equal "[]" "$(json "$OUT" '[k for c in d["clusters"] for o, ks in
  [(d, "format generated_at repository clusters"), (d["repository"][0], "url status"),
   (c, "name system_identifier postgres_version wal_segment_size_bytes status problems backups timelines recoverable archiving"),
   (c["archiving"], "last_segment last_archived_at")] +
  [(b, "id type parent label timeline start_lsn stop_lsn started_at finished_at size_bytes stored_bytes first_segment last_segment status") for b in c["backups"]] +
  [(t, "id parent forked_at_lsn first_segment last_segment segment_count stored_bytes first_commit_at last_commit_at gaps") for t in c["timelines"]] +
  [(r, "timeline backup from_lsn to_lsn from_time to_time") for r in c["recoverable"]]
  for k in ks.split() if k not in o]')" "missing fields"
expect_equal "main $("$PG_BIN/pg_controldata" "$WORK/main/data" | sed -n 's/^Database system identifier: *//p') $(cut -d. -f1 "$WORK/main/data/PG_VERSION") 1048576 ok []" \
  "$(json "$OUT" '"{name} {system_identifier} {postgres_version} {wal_segment_size_bytes} {status} {problems}".format(**d["clusters"][0])')" "the cluster"
expect_equal "the first full None 1 ok" "$(json "$OUT" '"{label} {type} {parent} {timeline} {status}".format(**d["clusters"][0]["backups"][0])')" "the first backup"
expect_equal "$BACKUP" "$(json "$OUT" 'd["clusters"][0]["backups"][1]["id"]')" "the second backup"
expect_equal "$last $last" "$(json "$OUT" 'd["clusters"][0]["archiving"]["last_segment"] + " " + d["clusters"][0]["timelines"][0]["last_segment"]')" "the last segment"
expect_equal "$(find "$WORK/main/repository/wal" -type f | grep -cE '/[0-9A-F]{24}$')" \
  "$(json "$OUT" 'd["clusters"][0]["timelines"][0]["segment_count"]')" "segments"
expect_equal True "$(json "$OUT" 'all(r["from_time"] <= r["to_time"] for r in d["clusters"][0]["recoverable"]) and len(d["clusters"][0]["recoverable"]) > 0')" "windows"
expect_status 0 pitr main info
expect_output "the first"
expect_output "$last"
expect_output "$BACKUP"

# without_times: when a segment was archived is known to the journal more exactly than to the repository.
without_times() { sed '/newest archived segment/s/, at .*//' "$OUT" >"$1"; }

story "a reader who may not write anything, here and with no catalog"
without_times "$WORK/before"
chmod -R a-w "$WORK/main/repository" "$WORK/main/state"
expect_status 0 pitr main info
without_times "$WORK/now"
expect_same_file "$WORK/before" "$WORK/now"
chmod -R u+w "$WORK/main/state"
rm -r "$WORK/main/state"
expect_status 0 pitr main info
without_times "$WORK/now"
expect_same_file "$WORK/before" "$WORK/now"
expect_absent "$WORK/main/state"
chmod -R u+w "$WORK/main/repository"

story "a damaged end of a stored segment is a problem with a name"
object=$(stored main "$(segment_after "$last" -1)")
chmod u+w "$object"
flip_byte "$object" $(($(size_of "$object") - 12))
expect_status 0 pitr main info --json
expect_json "$OUT"
[[ $(json "$OUT" 'd["clusters"][0]["status"]') != ok ]] || fail "ok, with a damaged segment"
[[ $(json "$OUT" '" ".join(p["message"] for p in d["clusters"][0]["problems"])') == *$(segment_after "$last" -1)* ]] ||
  fail "the damaged segment is not named: $(cat "$OUT")"
expect_status 0 pitr main info
expect_output "$(segment_after "$last" -1)"

story "a repository that cannot be read is no empty one"
chmod 000 "$WORK/main/repository"
expect_status 1 pitr main info
expect_error "^ERROR: .*Permission denied"
chmod 700 "$WORK/main/repository"
