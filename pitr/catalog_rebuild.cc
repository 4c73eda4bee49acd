#include "pitr/catalog_rebuild.h"

#include <fmt/format.h>

#include "common/exit_status.h"
#include "pitr/json_output.h"

namespace pitr {

int run_catalog_rebuild(Session& session) {
  session.load();
  session.become_owner_of_data_directory();
  const auto storage = open_storage(session.config);
  const std::size_t rows = refresh_catalog(session, "pitr catalog rebuild", *storage, true);
  if (session.json) {
    print_json({{"format", 1}, {"rows", rows}});
  } else {
    print_output(fmt::format("The catalog was written anew: {} WAL files and backups.\n", rows));
  }
  return kSuccess;
}

}  // namespace pitr
