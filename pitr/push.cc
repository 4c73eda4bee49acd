#include "pitr/push.h"

#include <cerrno>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <spawn.h>

#include "basebackup/rescued_wal.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "pitr/json_output.h"

namespace pitr {

namespace {

// Its messages go to our stderr. True when it acknowledged the file.
bool run_program(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error =
      posix_spawn(&child, words.front().c_str(), nullptr, nullptr, arguments.data(), environ);
  if (error != 0) throw_file_error("start", words.front(), error);
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw_file_error("wait for", words.front(), errno);
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

int run_push(Session& session, const std::string& folder) {
  session.load();
  session.become_owner_of_data_directory();
  const auto storage = open_storage(session.config);
  const ClusterRecord cluster = session_cluster(session, *storage);
  std::vector<std::string> words = {path_of_program("pitr-archive"), "--rescued"};
  if (!session.config.path.empty()) {
    words.insert(words.end(), {"--config", session.config.path});
  }
  if (!session.cluster.empty()) words.insert(words.end(), {"--cluster", session.cluster});

  std::vector<std::string> stored;
  std::vector<std::string> refused = history_files_of_nobody(folder, cluster.identity);
  for (const std::string& name : refused) {
    log_error({.kind = ErrorKind::kMismatch,
               .message = fmt::format("\"{}\" does not say whose it is, and no segment of this "
                                      "cluster lies beside it",
                                      name),
               .hint = fmt::format("If it is this cluster's: pitr-archive --rescued {}/{}", folder,
                                   name)});
  }
  for (const std::string& name : segments_that_are_no_files(folder)) {
    log_error({.kind = ErrorKind::kMismatch,
               .message = fmt::format("\"{}\" is not a regular file", folder + "/" + name)});
    refused.push_back(name);
  }
  for (const WalFileName& name : list_rescued_files(folder, cluster.identity)) {
    std::vector<std::string> call = words;
    call.push_back(folder + "/" + name.text);
    (run_program(call) ? stored : refused).push_back(name.text);
  }
  if (session.json) {
    print_json({{"format", 1}, {"stored", stored}, {"refused", refused}});
  } else {
    print_output(fmt::format("{} WAL files of \"{}\" are stored, {} were refused\n", stored.size(),
                             folder, refused.size()));
  }
  return refused.empty() ? kSuccess : kFailure;
}

}  // namespace pitr
