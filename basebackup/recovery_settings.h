// What makes PostgreSQL recover to the planned stop: the end of postgresql.auto.conf. Pure.
// Rules: "Recovery Target" in PostgreSQL's documentation, guc-file.l for the file's grammar.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/recovery_plan.h"

namespace pitr {

struct RecoverySettings {
  RecoveryTarget target;    // kEnd: none is written
  TimelineId timeline = 0;  // 0: the latest, for a standby
  std::string action;       // pause, promote or shutdown; unused without a target
  std::string restore_command;
  bool turn_archiving_off = false;
  std::vector<std::pair<std::string, std::string>> extra;  // written last
};

// A value as the file's grammar takes it.
std::string quote_for_file(std::string_view value);

// As one word of a shell's command line; what is one already stays as it is.
std::string quote_for_shell(std::string_view word);

// A restore_command that runs `program` with the words of `arguments`, then %f and %p. Quoted for
// the shell; a "%" of a path is doubled.
std::string make_restore_command(const std::string& program,
                                 const std::vector<std::string>& arguments);

// `existing` without what an earlier recovery or an earlier configuration said about recovery, then
// the settings. At most one recovery target is set, and it stands last: an empty value after a set
// one is "multiple recovery targets specified" to PostgreSQL.
std::string merge_recovery_settings(std::string_view existing, const RecoverySettings& settings);

}  // namespace pitr
