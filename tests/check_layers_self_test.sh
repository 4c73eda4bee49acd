#!/bin/sh
# Shows that check_layers.sh fails where it must: each line below, put alone into a tree of its own,
# has to be found or passed as it says. ctest runs it as "layers.self_test".
check=$(dirname "$0")/check_layers.sh
tree=$(mktemp -d) || exit 2
trap 'rm -rf "$tree"' EXIT
failed=0

expect() {  # <passes|fails> <file> <line>
  rm -rf "$tree"/*
  mkdir -p "$tree/$(dirname "$2")"
  echo "$3" > "$tree/$2"
  if found=$(sh "$check" "$tree"); then result=passes; else result=fails; fi
  [ "$result" = fails ] && case $found in
    "$2:1: "*) ;;
    *) echo "$2: $3: the place is not named: $found"; failed=1 ;;
  esac
  [ "$result" = "$1" ] || { echo "$2: $3: $result, but should be: $1"; failed=1; }
}

# What every folder may include.
expect passes common/x.cc '#include <string>'
expect passes wal/x.h     '#include <string_view>'
expect passes wal/x.cc    '#include <cstdint>'
expect passes io/x.cc     '#include <unistd.h>'
expect passes io/x.cc     '#include <sys/stat.h>'
expect passes io/x.cc     '#include <linux/openat2.h>'
expect passes pitr/x.cc   '#include <fmt/format.h>'

# A folder of ours: itself and what is below it.
expect passes wal/x.cc         '#include "wal/lsn.h"'
expect passes storage/x.cc     '#include "io/file.h"'
expect passes archive_cmd/x.cc '#include "catalog/journal.h"'
expect fails  archive_cmd/x.cc '#include "catalog/catalog.h"'
expect fails  wal/x.cc         '#include "io/file.h"'
expect fails  common/x.h       '#include "wal/lsn.h"'
expect fails  restore_cmd/x.cc '#include "archive_cmd/archive_file.h"'
expect fails  pitr/x.cc        '#include "tests/harness/errors.h"'
expect fails  io/x.cc          '#include "file.h"'
expect fails  io/x.cc          '#include "../wal/lsn.h"'
expect fails  io/x.cc          '#include "io/../wal/lsn.h"'
expect fails  io/x.cc          '#include <sys/../pq/libpq-fe.h>'
expect fails  wal/x.cc         '#include <io/file.h>'

# A library: only the folder that names it.
expect passes io/x.cc         '#include <liburing.h>'
expect fails  storage/x.cc    '#include <liburing.h>'
expect passes basebackup/x.cc '#include <libpq-fe.h>'
expect fails  pitr/x.cc       '#include <libpq-fe.h>'
expect passes catalog/x.cc    '#include <rocksdb/db.h>'
expect fails  archive_cmd/x.cc '#include <rocksdb/db.h>'
expect fails  wal/x.cc        '#include <toml++/toml.h>'
expect fails  common/x.cc     '#include "toml.hpp"'

# A library that no rule names.
expect fails  io/x.cc     '#include <boost/asio.hpp>'
expect fails  io/x.cc     '#include <absl/strings/str_cat.h>'
expect fails  common/x.cc '#include <zlib.h>'
expect fails  common/x.cc '#include <gtest.h>'
expect fails  common/x.cc '#include <nonsense>'
expect fails  common/x.cc '#include <string.hpp>'

# However it is spelled.
expect fails  wal/x.cc '#  include <zlib.h>'
expect fails  wal/x.cc '  #include<zlib.h>'
expect fails  wal/x.cc '#include	<zlib.h>'
expect fails  wal/x.cc '#include ZLIB_HEADER'

exit $failed
