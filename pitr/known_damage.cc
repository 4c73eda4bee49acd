#include "pitr/known_damage.h"

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "io/file.h"
#include "pitr/json_output.h"

namespace pitr {

namespace {

std::string path_of(const std::string& state_directory, const ClusterKey& cluster) {
  return fmt::format("{}/damage/{}.json", state_directory, cluster.to_string());
}

}  // namespace

KnownDamage read_known_damage(const std::string& state_directory, const ClusterKey& cluster) {
  const std::string path = path_of(state_directory, cluster);
  try {
    std::string contents;
    if (!try_read_whole_file(path, contents)) return {};
    return Json::parse(contents).get<KnownDamage>();
  } catch (const Error& error) {
    log_warning(error.what());
  } catch (const Json::exception&) {
    log_warning(fmt::format("\"{}\" is damaged; pitr verify writes it anew", path));
  }
  return {};
}

void note_damage(const std::string& state_directory, const ClusterKey& cluster,
                 const VerificationScope& scope, const std::vector<NotedFinding>& findings) {
  const KnownDamage before = read_known_damage(state_directory, cluster);
  KnownDamage known = before;
  if (scope.backups && scope.share == 1) {
    if (scope.backup.empty()) {
      known.clear();
    } else {
      known.erase(scope.backup);
    }
  }
  for (const NotedFinding& noted : findings) {
    if (noted.backup.empty()) continue;
    known[noted.backup] = fmt::format("{}: {}", noted.finding.object, noted.finding.detail);
  }
  if (known == before) return;
  try {
    const std::string path = path_of(state_directory, cluster);
    create_directories(parent_directory(path));
    replace_file(path, Json(known).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  } catch (const Error& error) {
    log_warning(fmt::format("pitr expire does not learn what was found: {}", error.what()));
  }
}

}  // namespace pitr
