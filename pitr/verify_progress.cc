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
        .findings = {}};
    for (const Json& finding : document.at("findings")) {
      progress.findings.push_back({.kind = finding_kind(finding.at("kind")),
                                   .object = finding.at("object"),
                                   .detail = finding.at("detail"),
                                   .consequence = finding.at("consequence")});
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
  for (const Finding& finding : progress.findings) {
    findings.push_back({{"kind", word_for(finding.kind)},
                        {"object", finding.object},
                        {"detail", finding.detail},
                        {"consequence", finding.consequence}});
  }
  const Json document = {{"started_at", progress.started_at.time_since_epoch().count()},
                         {"wal_key", progress.wal_key},
                         {"backup", progress.backup},
                         {"backup_files_done", progress.backup_files_done},
                         {"segments", progress.segments},
                         {"backup_files", progress.backup_files},
                         {"bytes", progress.bytes},
                         {"findings", findings}};
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
