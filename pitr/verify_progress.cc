#include "pitr/verify_progress.h"

#include <cerrno>

#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "io/file.h"
#include "pitr/json_output.h"

namespace pitr {

VerifyProgressFile::VerifyProgressFile(const std::string& state_directory,
                                       const std::string& question)
    : path_(fmt::format("{}/verify/{}", state_directory, question)) {}

std::optional<VerifyProgress> VerifyProgressFile::load() const {
  try {
    std::string contents;
    if (!try_read_whole_file(path_, contents)) return std::nullopt;
    const Json document = Json::parse(contents);
    VerifyProgress progress{
        .started_at = Instant(std::chrono::microseconds(document.at("started_at"))),
        .wal_key = document.at("wal_key"),
        .backup = document.at("backup"),
        .backup_files_done = document.at("backup_files_done"),
        .segments = document.at("segments"),
        .backup_files = document.at("backup_files"),
        .bytes = document.at("bytes"),
        .findings = {},
        .findings_not_kept = document.at("findings_not_kept")};
    for (const Json& noted : document.at("findings")) {
      progress.findings.push_back({.finding = {.kind = finding_kind(noted.at("kind")),
                                               .object = noted.at("object"),
                                               .detail = noted.at("detail"),
                                               .consequence = noted.at("consequence")},
                                   .backup = noted.at("backup"),
                                   .is_lost_wal = noted.at("is_lost_wal"),
                                   .timeline = noted.at("timeline"),
                                   .begin = noted.at("begin"),
                                   .end = noted.at("end")});
    }
    return progress;
  } catch (const Error& error) {
    log_debug(error.what());
  } catch (const Json::exception& error) {
    log_debug(error.what());  // damaged: verification begins anew
  }
  return std::nullopt;
}

void VerifyProgressFile::save(const VerifyProgress& progress) {
  constexpr std::chrono::seconds kInterval{1};
  const auto now = std::chrono::steady_clock::now();
  if (!usable_ || now - saved_ < kInterval) return;
  saved_ = now;
  Json findings = Json::array();
  for (const NotedFinding& noted : progress.findings) {
    findings.push_back({{"kind", word_for(noted.finding.kind)},
                        {"object", noted.finding.object},
                        {"detail", noted.finding.detail},
                        {"consequence", noted.finding.consequence},
                        {"backup", noted.backup},
                        {"is_lost_wal", noted.is_lost_wal},
                        {"timeline", noted.timeline},
                        {"begin", noted.begin},
                        {"end", noted.end}});
  }
  const Json document = {{"started_at", progress.started_at.time_since_epoch().count()},
                         {"wal_key", progress.wal_key},
                         {"backup", progress.backup},
                         {"backup_files_done", progress.backup_files_done},
                         {"segments", progress.segments},
                         {"backup_files", progress.backup_files},
                         {"bytes", progress.bytes},
                         {"findings", findings},
                         {"findings_not_kept", progress.findings_not_kept}};
  try {
    create_directories(parent_directory(path_));
    replace_file(path_, document.dump(-1, ' ', false, Json::error_handler_t::replace));
  } catch (const Error& error) {
    usable_ = false;
    log_warning(fmt::format("a verification that is stopped will begin anew: {}", error.what()));
  }
}

void VerifyProgressFile::remove() {
  if (unlink(path_.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return;
  log_warning(fmt::format("could not remove \"{}\"", path_));
}

}  // namespace pitr
