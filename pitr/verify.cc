#include "pitr/verify.h"

#include <charconv>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "common/units.h"
#include "pitr/audit_log.h"
#include "pitr/known_damage.h"
#include "pitr/progress.h"
#include "pitr/verification.h"

namespace pitr {

namespace {

[[noreturn]] void throw_invalid(std::string_view what, const std::string& text, std::string hint) {
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("invalid {} \"{}\"", what, text),
               .hint = std::move(hint)});
}

double parse_share(const std::string& text) {
  if (text.empty()) return 1;
  double percent = 0;
  const std::size_t sign = text.find('%');
  const char* end = text.data() + std::min(sign, text.size());
  const auto result = std::from_chars(text.data(), end, percent);
  const bool is_number = result.ec == std::errc() && result.ptr == end;
  if (!is_number || sign + 1 != text.size() || !(percent > 0) || percent > 100) {
    throw_invalid("sample", text, "Write it like \"5%\".");
  }
  return percent / 100;
}

std::uint64_t parse_rate(const std::string& text) {
  if (text.empty()) return 0;
  const auto rate = parse_bytes(text);
  if (!rate || *rate == 0) throw_invalid("rate limit", text, "Write it like \"50MB\".");
  return *rate;
}

VerificationScope scope_of(const VerifyOptions& options) {
  const bool only_some = options.wal || !options.backup.empty();
  return {.backup = options.backup,
          .wal = options.wal || !only_some,
          .backups = !options.backup.empty() || !only_some,
          .share = parse_share(options.sample)};
}

// A name may have several system identifiers after pg_upgrade: everything of it is verified.
// Records of other names are nobody's business here; of this one a damaged record is found.
std::vector<ClusterRecord> clusters_of(const Session& session, Storage& storage,
                                       std::vector<NotedFinding>& findings) {
  const std::string& name = session.config.cluster.name;
  std::vector<ClusterRecord> clusters;
  std::vector<ClusterKey> keys;
  storage.list(kClusterFolder, "", [&](const std::string& key) {
    const auto cluster = ClusterKey::parse(last_part(key));
    if (cluster && cluster->name == name) keys.push_back(*cluster);
    return true;
  });
  for (const ClusterKey& key : keys) {
    try {
      clusters.push_back(find_cluster(storage, name, key.system_identifier));
    } catch (const Error& error) {
      if (error.report().kind != ErrorKind::kCorrupt) throw;
      Finding finding = finding_of(error, cluster_record_key(key));
      finding.consequence =
          "nothing of this cluster is archived or restored until the record is put back; pitr init "
          "writes it anew once the damaged one is removed";
      findings.push_back({.finding = std::move(finding)});
    }
  }
  if (keys.empty()) find_cluster(storage, name, std::nullopt);  // throws
  return clusters;
}

// Folders of the name without a cluster record: it was lost.
void find_lost_records(const Session& session, Storage& storage,
                       std::vector<NotedFinding>& findings) {
  std::set<std::string> lost;
  for (const char* place : {"wal", "backup", "history"}) {
    for (const std::string& folder : storage.list_folders(place)) {
      const auto cluster = ClusterKey::parse(folder);
      if (!cluster || cluster->name != session.config.cluster.name) continue;
      if (!storage.open(cluster_record_key(*cluster))) lost.insert(cluster_record_key(*cluster));
    }
  }
  for (const std::string& key : lost) {
    findings.push_back(
        {.finding = {.kind = FindingKind::kMissing,
                     .object = key,
                     .detail = "its WAL or backups are stored, the cluster's record is not",
                     .consequence = "nothing of this cluster is archived or restored until pitr "
                                    "init has written it anew"}});
  }
}

void require_backup(const std::string& id, Storage& storage,
                    const std::vector<ClusterRecord>& clusters) {
  if (id.empty()) return;
  for (const ClusterRecord& cluster : clusters) {
    if (storage.open(backup_manifest_key(cluster.key, id))) return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("there is no backup \"{}\"", id),
               .hint = "pitr info lists the backups."});
}

// For the audit log; empty: everything was verified.
std::string part_of(const VerifyOptions& options) {
  std::string part = options.wal ? "wal" : "";
  for (const std::string& one : {options.backup, options.sample}) {
    if (!one.empty()) part += (part.empty() ? "" : ", ") + one;
  }
  return part;
}

std::string question_of(const VerifyOptions& options, const ClusterKey& cluster) {
  std::string question = cluster.to_string();
  if (options.wal) question += ".wal";
  if (!options.backup.empty()) question += "." + options.backup;
  if (!options.sample.empty()) question += "." + options.sample;
  return question;
}

VerifyProgress begin(const VerifyProgressFile& file, bool anew) {
  auto before = anew ? std::nullopt : file.load();
  if (!before) return {.started_at = now()};
  log_info(fmt::format("going on with the verification that was begun at {}; --restart begins anew",
                       to_local_text(before->started_at)));
  return std::move(*before);
}

VerifyProgress verify_cluster(const Session& session, const VerifyOptions& options,
                              Storage& storage, const ClusterRecord& cluster) {
  RateLimit rate_limit(parse_rate(options.rate_limit));
  const unsigned jobs = options.jobs > 0 ? options.jobs : session.config.restore.jobs;
  VerifyProgressFile file(session.config.state.directory, question_of(options, cluster.key));
  VerifyProgress progress = begin(file, options.restart);
  Verification verification(session, storage, cluster, scope_of(options), jobs, rate_limit);
  Progress shown("verify", options.sample.empty() ? verification.total_bytes() : 0);
  verification.run(progress, [&] {
    file.save(progress);
    shown.show(progress.bytes);
  });
  note_damage(session.config.state.directory, cluster.key, scope_of(options), progress.findings);
  file.remove();
  return progress;
}

void print_as_json(const VerifyProgress& sum) {
  Json problems = Json::array();
  for (const NotedFinding& noted : sum.findings) {
    const Finding& finding = noted.finding;
    problems.push_back({{"kind", word_for(finding.kind)},
                        {"object", finding.object},
                        {"detail", finding.detail},
                        {"consequence", finding.consequence}});
  }
  print_json(
      {{"format", 1},
       {"status", sum.findings.empty() ? "ok" : "damaged"},
       {"checked",
        {{"segments", sum.segments}, {"backup_files", sum.backup_files}, {"bytes", sum.bytes}}},
       {"problems", problems}});
}

void print_as_text(const VerifyProgress& sum) {
  std::string text;
  for (const NotedFinding& noted : sum.findings) {
    const Finding& finding = noted.finding;
    text += fmt::format("{}: {}\n  {}\n  {}\n", word_for(finding.kind), finding.object,
                        finding.detail, finding.consequence);
  }
  text +=
      fmt::format("verified {} segments and {} files of base backups, {}: {}\n", sum.segments,
                  sum.backup_files, format_bytes(sum.bytes),
                  sum.findings.empty()
                      ? "all is well"
                      : fmt::format("{} problems", sum.findings.size() + sum.findings_not_kept));
  print_output(text);
}

int verify(const Session& session, const VerifyOptions& options, AuditRecord& record) {
  const auto storage = open_storage(session.config);
  VerifyProgress sum;
  const auto clusters = clusters_of(session, *storage, sum.findings);
  if (clusters.size() == 1) record.cluster = clusters.front().key;
  find_lost_records(session, *storage, sum.findings);
  require_backup(options.backup, *storage, clusters);
  for (const ClusterRecord& cluster : clusters) {
    VerifyProgress verified = verify_cluster(session, options, *storage, cluster);
    sum.segments += verified.segments;
    sum.backup_files += verified.backup_files;
    sum.bytes += verified.bytes;
    sum.findings_not_kept += verified.findings_not_kept;
    std::move(verified.findings.begin(), verified.findings.end(), std::back_inserter(sum.findings));
  }
  record.did = {{"part", json_text(part_of(options))},
                {"segments", sum.segments},
                {"backup_files", sum.backup_files},
                {"bytes", sum.bytes},
                {"problems", sum.findings.size() + sum.findings_not_kept}};
  if (session.json) {
    print_as_json(sum);
  } else {
    print_as_text(sum);
  }
  return sum.findings.empty() ? kSuccess : kBadFinding;
}

}  // namespace

int run_verify(Session& session, const VerifyOptions& options) {
  parse_share(options.sample);
  parse_rate(options.rate_limit);
  if (options.backup.find('/') != std::string::npos) {
    throw_invalid("backup", options.backup, "pitr info lists the backups.");
  }
  session.load();
  session.become_owner_of_data_directory();
  return run_audited(session, "verify",
                     [&](AuditRecord& record) { return verify(session, options, record); });
}

}  // namespace pitr
