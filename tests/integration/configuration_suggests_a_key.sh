#!/bin/bash
# An unknown key is answered with the nearest known one, as an unknown section is.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
config=$WORK/main/pitr.toml

story "a mistyped key: the nearest known one is suggested"
sed -i 's/^compression/compresion/' "$config"
expect_status 2 pitr main init
expect_error "pitr.toml:$(grep -n compresion "$config" | cut -d: -f1).*compresion"
expect_error 'HINT: .*"(repository\.)?compression"'

story "so in another section"
pitr_config main
printf '[archive]\njob = 2\n' >>"$config"
expect_status 2 pitr main init
expect_error 'HINT: .*"(archive\.)?jobs"'
