#!/bin/bash
# A mistyped command is answered with the right one; with --json in one JSON document.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
config=$WORK/main/pitr.toml

story "an unknown option: status 2, 1 or 200, and the nearest known one"
expect_status 2 pitr main init --upgrded
expect_error "upgrded"
expect_error "HINT: .*--upgraded"
expect_status 2 pitr main --clustr main init
expect_error "HINT: .*--cluster"
expect_status 1 "$PITR_BIN/pitr-archive" --confg "$config" x
expect_error 'unknown option "--confg"'
expect_error "HINT: .*--config"
expect_status 200 "$PITR_BIN/pitr-restore" --confg "$config" x y
expect_error 'unknown option "--confg"'
expect_error "HINT: .*--config"
expect_status 1 "$PITR_BIN/pitr-archive" --config
expect_error "^ERROR: .*--config"

story "an unknown subcommand"
expect_status 2 pitr main inti
expect_error "^ERROR: .*inti"
expect_error "HINT: .*init"
expect_status 2 pitr main
expect_status 2 "$PITR_BIN/pitr" --config "$config" --log-level loud init
expect_error loud

story "pitr-restore asked to restore a cluster points to pitr restore"
for option in --to --target-time --target-lsn --target-name; do
  expect_status 200 "$PITR_BIN/pitr-restore" "$option" x
  expect_error "HINT: .*pitr restore"
done

story "help fits a screen, shows an example and is no error"
for program in pitr pitr-archive pitr-restore "pitr init"; do
  # shellcheck disable=SC2086 # program and subcommand
  expect_status 0 "$PITR_BIN/"$program --help
  (($(wc -l <"$OUT") <= 40)) || fail "the help of $program is longer than a screen"
  # shellcheck disable=SC2086
  [[ $program == "pitr init" ]] || expect_status 0 "$PITR_BIN/"$program --version
done

story "an error with --json is exactly one JSON document on standard output"
expect_json_error() {
  expect_status "$@"
  expect_json "$OUT"
  expect_equal 1 "$(json "$OUT" 'd["format"]')" "format"
  expect_equal True "$(json "$OUT" 'all(type(d["error"][k]) is str for k in ("code", "message", "detail", "hint"))')" \
    "code, message, detail and hint"
  expect_equal True "$(json "$OUT" 'd["error"]["code"] != "" and d["error"]["message"] != ""')" "code and message"
}
cp "$config" "$WORK/wrong.toml"
echo '[archve]' >>"$WORK/wrong.toml"
expect_json_error 2 "$PITR_BIN/pitr" --json --config "$WORK/wrong.toml" init
expect_json_error 2 "$PITR_BIN/pitr" --config "$WORK/wrong.toml" init --json
expect_json_error 2 pitr main --json inti
expect_json_error 2 pitr main --json init --upgrded
expect_json_error 2 pitr main --json
mv "$WORK/main/data/global/pg_control" "$WORK/"
expect_json_error 1 pitr main --json init
[[ $(json "$OUT" 'd["error"]["message"]') == *pg_control* ]] || fail "the message does not name pg_control"
mv "$WORK/pg_control" "$WORK/main/data/global/"

story "and so is success"
expect_status 0 pitr main --json init
expect_json "$OUT"
expect_status 0 pitr main --json init
expect_json "$OUT"
