#include "restore_cmd/prefetch.h"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "restore_cmd/prefetcher.h"
#include "storage/repository_layout.h"

namespace pitr {

namespace {

// As xlogarchive.c calls them.
constexpr std::string_view kSegmentDestination = "RECOVERYXLOG";
constexpr std::string_view kHistoryDestination = "RECOVERYHISTORY";

bool is_asked_by_recovery(const WalFileName& name, const std::string& destination) {
  const std::string_view file = last_part(destination);
  return (name.kind == WalFileKind::kSegment && file == kSegmentDestination) ||
         (name.kind == WalFileKind::kHistory && file == kHistoryDestination);
}

// An orphan of a container is its first process's child, and PostgreSQL takes a child that was
// killed for a crashed server process (reaper() in postmaster.c).
bool inherits_orphans(const std::string& server) { return server.starts_with("1\n"); }

// Nothing of the call may stay open: PostgreSQL's log collector waits for the end of a pipe.
void detach(int kept_descriptor) {
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGPIPE})
    static_cast<void>(std::signal(signal, SIG_DFL));
  const int null = open("/dev/null", O_RDWR);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    null < 0 ? close(standard) : dup2(null, standard);
  const auto kept = static_cast<unsigned>(kept_descriptor);
  close_range(STDERR_FILENO + 1, kept - 1, 0);
  close_range(kept + 1, ~0U, 0);
  prctl(PR_SET_NAME, "pitr-prefetch");  // for ps
}

}  // namespace

Prefetch::Prefetch(const Config& config, const WalFileName& name, const std::string& destination,
                   const std::string& control_file)
    : config_(config), name_(name), destination_(destination) {
  if (!is_asked_by_recovery(name, destination)) return;
  try {
    const ClusterIdentity cluster = ControlFile::parse(as_byte_span(control_file)).cluster;
    PrefetchOwner owner;
    owner.repository_url = config.repository.url;
    owner.cluster = {.name = config.cluster.name, .system_identifier = cluster.system_identifier};
    owner.segment_size = cluster.segment_size;
    owner.server = server_of_data_directory();
    if (!inherits_orphans(owner.server)) owner_ = std::move(owner);
  } catch (const Error& error) {
    log_debug(error.what());
  }
}

bool Prefetch::take() const {
  if (!owner_ || name_.kind != WalFileKind::kSegment) return false;
  try {
    PrefetchFolder folder(destination_, *owner_);
    if (config_.restore.prefetch == 0) {
      folder.remove_abandoned();
      return false;
    }
    const bool served = folder.is_served();
    const bool taken = served && folder.take(name_.segment, destination_);
    if (served || folder.take_over()) folder.note(name_.segment);
    if (!served) start(folder);
    return taken;
  } catch (const Error& error) {
    log_debug(error.what());
    return false;
  }
}

void Prefetch::follow_history() const {
  if (!owner_ || name_.kind != WalFileKind::kHistory || config_.restore.prefetch == 0) return;
  try {
    PrefetchFolder folder(destination_, *owner_);
    const bool served = folder.is_served();
    if (served || folder.take_over()) folder.note_recovery_timeline(name_.segment.timeline);
    if (!served) start(folder);
  } catch (const Error& error) {
    log_debug(error.what());
  }
}

// Does nothing where the folder was not taken over.
void Prefetch::start(PrefetchFolder& folder) const {
  if (folder.lock_descriptor() < 0) return;
  // A lock among the standard descriptors, which were closed then, would not survive detach().
  const pid_t child = folder.lock_descriptor() > STDERR_FILENO ? fork() : -1;
  if (child < 0) {
    log_debug(fmt::format("no prefetcher could be started (error {})", errno));
    folder.remove();
  }
  if (child != 0) return;  // the lock is the child's now
  detach(folder.lock_descriptor());
  run_prefetcher(config_, *owner_, folder);
  _exit(0);
}

}  // namespace pitr
