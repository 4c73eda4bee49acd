#include "archive_cmd/look_ahead.h"

#include <unistd.h>

#include <fmt/format.h>

#include "common/log.h"

namespace pitr {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kWalDirectory = "pg_wal";

// PostgreSQL marks a segment when nothing more will be written to it. The names follow each other,
// so the directory, which may hold a long backlog, need not be read.
bool waits(const WalFileName& name) {
  const std::string path = fmt::format("{}/archive_status/{}.ready", kWalDirectory, name.text);
  return access(path.c_str(), F_OK) == 0;
}

void log_left(const char* doing, const std::exception& error) {
  log_debug(fmt::format("looking ahead ends {}: {}", doing, error.what()));
}

std::string_view folder_of(std::string_view key) { return key.substr(0, key.rfind('/')); }

}  // namespace

LookAhead::LookAhead(const ArchiveRequest& request, Storage& storage, Workspace& workspace)
    : request_(request), storage_(storage), workspace_(workspace), begun_(Clock::now()) {}

void LookAhead::write_after(SegmentName segment, Destination& own) {
  // As PostgreSQL passes it: what waits beside another path is none of ours.
  if (request_.path != fmt::format("{}/{}", kWalDirectory, segment.to_string())) return;
  const auto end = Clock::now() + request_.look_ahead_time;
  auto last_took = Clock::now() - begun_;
  Destination* before = &own;
  try {
    for (unsigned ahead = 0; ahead < request_.look_ahead; ++ahead) {
      const auto begun = Clock::now();
      if (begun + last_took > end) return;
      segment = segment.next(request_.cluster.identity.segment_size);
      const auto name = WalFileName::parse(segment.to_string());
      if (!name || !waits(*name)) return;
      const std::string key = wal_key(request_.cluster.key, *name);
      if (storage_.open(key)) continue;  // its own call compares it
      std::optional<Written> written = write(*name, key);
      if (!written) return;
      // This call lasts until then anyway.
      const auto waited_from = Clock::now();
      before->wait_until_durable();
      const auto durable_at = Clock::now();
      if (durable_at + (durable_at - waited_from) > end) return;
      before = written->destination.get();
      before->begin_commit();
      written_.push_back(std::move(*written));
      last_took = Clock::now() - begun;
    }
  } catch (const std::exception& error) {
    log_left("while writing", error);
  }
}

std::optional<LookAhead::Written> LookAhead::write(const WalFileName& name,
                                                   const std::string& key) {
  const std::string path = fmt::format("{}/{}", kWalDirectory, name.text);
  const File source = open_source(path, name, request_.cluster.identity);
  Passage passage(request_, storage_, name, source);
  auto destination = storage_.create(key);
  destination->hold_back();
  destination = passage.write(workspace_, std::move(destination), key, FileKind::kSegment,
                              source.size(), true);
  if (!destination || passage.is_damaged()) return std::nullopt;
  return Written{.destination = std::move(destination), .entry = passage.entry()};
}

std::vector<WalFileEntry> LookAhead::commit() {
  std::vector<WalFileEntry> durable;
  try {
    commit_in_order(durable);
  } catch (const std::exception& error) {
    log_left("while committing", error);
  }
  return durable;
}

void LookAhead::commit_in_order(std::vector<WalFileEntry>& durable) {
  std::vector<WalFileEntry> published;
  for (std::size_t i = 0; i < written_.size(); ++i) {
    // Somebody else was faster: there is no gap, and whose contents are right its own call finds
    // out.
    if (written_[i].destination->publish()) published.push_back(written_[i].entry);
    const bool ends_folder = i + 1 == written_.size() || folder_of(written_[i + 1].entry.key) !=
                                                             folder_of(written_[i].entry.key);
    if (!ends_folder) continue;
    written_[i].destination->settle();
    std::move(published.begin(), published.end(), std::back_inserter(durable));
    published.clear();
  }
}

}  // namespace pitr
