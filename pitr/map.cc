#include "pitr/map.h"

#include <fmt/format.h>

#include "basebackup/relation_map.h"
#include "common/exit_status.h"
#include "pitr/json_output.h"

namespace pitr {

int run_map(Session& session) {
  session.load();
  session.become_owner_of_data_directory();
  const Config& config = session.config;
  const auto storage = open_storage(config);
  const ClusterRecord cluster = session_cluster(session, *storage);
  const RelationMapCounts counts =
      store_relation_map(*storage, cluster, config.cluster.connection,
                         parse_compression(config.repository.compression));
  if (session.json) {
    print_json({{"format", 1},
                {"map", counts.name},
                {"databases", counts.databases},
                {"relations", counts.relations}});
  } else {
    print_output(fmt::format("map {}: {} relations of {} databases\n", counts.name,
                             counts.relations, counts.databases));
  }
  return kSuccess;
}

}  // namespace pitr
