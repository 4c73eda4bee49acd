#include "pitr/expire.h"

#include <algorithm>

#include <fmt/format.h>

#include "basebackup/backup_objects.h"
#include "catalog/retention.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "pitr/audit_log.h"
#include "pitr/expire_hold.h"
#include "pitr/expire_output.h"
#include "pitr/keep.h"
#include "pitr/known_damage.h"
#include "storage/hold.h"

namespace pitr {

namespace {

// Everything that the decision about one cluster needs to know.
struct Question {
  ClusterRows rows;
  RetentionRequest request;
  std::vector<Hold> over;  // that nobody needs any more
};

Question ask(const Session& session, Storage& storage, const ClusterRecord& cluster) {
  Question question;
  question.rows = session_rows(session, storage, cluster);
  RetentionRequest& request = question.request;
  request.policy = session.config.retention;
  request.pins = read_pins(storage, cluster.key);
  request.now = now();
  const std::vector<Hold> holds = read_holds(storage, cluster.key);
  std::vector<Instant> recorded = recorded_moments(question.rows);
  for (const Hold& hold : holds)
    recorded.push_back(hold.since);
  // A clock that has jumped ahead must not end what others still need.
  const Instant trusted = trusted_now(recorded, request.now);
  for (const Hold& hold : holds) {
    if (is_over(hold, trusted)) {
      question.over.push_back(hold);
    } else if (!hold.backup.empty()) {
      request.uses.push_back({.backup = hold.backup, .by = describe(hold)});
    }
  }
  return question;
}

// What nobody can read may be a backup that holds contents of another one's files.
[[noreturn]] void refuse_without_manifest(const std::string& id, const std::string& detail) {
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = "nothing is removed while the manifest of a backup cannot be read",
               .detail = detail,
               .hint = fmt::format("Put the file back from a copy of the repository, or give the "
                                   "backup up: pitr expire --backup {}",
                                   id)});
}

void require_manifests(const Question& question) {
  const ClusterKey& cluster = question.rows.cluster.key;
  for (const UnreadableFile& unreadable : question.rows.unreadable) {
    if (!unreadable.key.starts_with(backup_folder(cluster) + "/")) continue;
    refuse_without_manifest(std::string(last_part(unreadable.key)), unreadable.text());
  }
}

void do_not_count(Question& question, const std::string& id, const std::string& problem) {
  if (!question.request.broken.insert(id).second) return;
  log_warning(fmt::format("backup {} cannot be restored and does not count: {}", id, problem));
}

// Read only when something is about to go: manifests may be long.
void look_into_backups(Storage& storage, Question& question, const std::string& but_for) {
  const ClusterKey& cluster = question.rows.cluster.key;
  for (const BackupSummary& backup : question.rows.backups) {
    if (backup.id == but_for) continue;
    try {
      BackupHoldings holdings = holdings_of(storage, cluster, backup);
      if (!holdings.problem.empty()) do_not_count(question, backup.id, holdings.problem);
      if (!holdings.backups.empty())
        question.request.references.emplace(backup.id, std::move(holdings.backups));
    } catch (const Error& error) {
      if (error.report().kind != ErrorKind::kCorrupt) throw;
      refuse_without_manifest(backup.id, error.what());
    }
  }
}

// What pitr verify found, and what is seen without reading everything again.
void find_broken_backups(const Session& session, Storage& storage, Question& question,
                         const std::string& but_for) {
  const KnownDamage known =
      read_known_damage(session.config.state.directory, question.rows.cluster.key);
  for (const BackupSummary& backup : question.rows.backups) {
    const auto damage = known.find(backup.id);
    if (damage != known.end() && backup.id != but_for)
      do_not_count(question, backup.id, "pitr verify found " + damage->second);
  }
  look_into_backups(storage, question, but_for);
}

RetentionDecision decide(const Session& session, Storage& storage, Question& question) {
  RetentionDecision decision = decide_retention(question.rows, question.request);
  const bool any_goes =
      !decision.wal.empty() ||
      std::any_of(decision.backups.begin(), decision.backups.end(),
                  [](const BackupVerdict& verdict) { return !verdict.is_kept(); });
  if (!any_goes) return decision;
  find_broken_backups(session, storage, question, "");
  return decide_retention(question.rows, question.request);
}

// Before anything goes: what is missing from then on is known to be no gap, also after a kill.
void record_expiry(Storage& storage, const ClusterRecord& cluster, Expiry expiry,
                   const Expiry& before) {
  expiry.expired_at = before.expired_at;
  if (expiry == before) return;
  expiry.expired_at = now();
  replace_expiry(storage, cluster, expiry);
}

// Oldest first: at every moment what is left is unbroken. Before the segments what belongs to one
// of them: a segment that is left brings the next expiry back to this range.
void remove_wal(Storage& storage, const ClusterRecord& cluster, const ExpiredWal& expired) {
  const SegmentSize size = cluster.identity.segment_size;
  const SegmentRange& range = expired.range;
  std::vector<std::string> backup_history;
  std::vector<std::string> others;
  for (std::uint64_t number = range.first; number <= range.last;) {
    const SegmentName name = SegmentName::containing(range.timeline, number * size, size);
    const std::string folder =
        fmt::format("{}/{:08X}", timeline_folder(cluster.key, range.timeline), name.log);
    storage.list(folder, "", [&](const std::string& key) {
      const auto stored = parse_wal_key(key);
      if (!stored) return true;
      const std::uint64_t position = stored->segment.number(size);
      if (position < range.first || position > range.last) return true;
      const bool belongs = stored->kind == StoredWalName::Kind::kBackupHistory;
      (belongs ? backup_history : others).push_back(key);
      return true;
    });
    number += segments_per_log(size) - name.segment;
  }
  for (const std::string& key : backup_history)
    storage.remove(key);
  for (const std::string& key : others)
    storage.remove(key);
}

void carry_out(Storage& storage, const Question& question, const ExpireReport& report) {
  const ClusterRecord& cluster = report.cluster;
  record_expiry(storage, cluster, expiry_after(question.rows, report.decision),
                question.rows.expiry);
  const auto& backups = report.decision.backups;
  for (auto verdict = backups.rbegin(); verdict != backups.rend(); ++verdict) {
    if (!verdict->is_kept()) remove_backup(storage, cluster, verdict->backup->id);
  }
  for (const ExpiredWal& wal : report.decision.wal)
    remove_wal(storage, cluster, wal);
  for (const Hold& hold : question.over)
    remove_hold(storage, cluster.key, hold.name);
}

void update_catalog(const Session& session, Storage& storage) {
  try {
    refresh_catalog(session, "pitr expire", storage, false);
  } catch (const Error& error) {
    // A row without its file never counts.
    log_warning(fmt::format("the catalog was not brought up to date: {}", error.what()));
  }
}

void print_reports(const Session& session, const Json& reports, const std::string& text,
                   bool dry_run) {
  if (session.json) {
    print_json({{"format", 1}, {"dry_run", dry_run}, {"clusters", reports}});
  } else {
    print_output(text);
  }
}

// All system identifiers of the name, the current one last.
std::vector<ClusterRecord> clusters_of_name(const Session& session, Storage& storage) {
  const std::string& name = session.config.cluster.name;
  std::vector<ClusterRecord> clusters = list_clusters(storage);
  std::erase_if(clusters, [&](const ClusterRecord& one) { return one.key.name != name; });
  if (clusters.empty()) find_cluster(storage, name, std::nullopt);  // throws
  return clusters;
}

int apply_policy(const Session& session, const ExpireOptions& options, AuditRecord& record) {
  const auto storage = open_storage(session.config);
  const std::vector<ClusterRecord> clusters = clusters_of_name(session, *storage);
  if (clusters.size() == 1) record.cluster = clusters.front().key;
  record.did["clusters"] = Json::array();
  Json reports = Json::array();
  std::string text;
  std::vector<Instant> recorded;  // of every one
  for (const ClusterRecord& cluster : clusters) {
    const std::vector<Instant> own = recorded_moments(session_rows(session, *storage, cluster));
    recorded.insert(recorded.end(), own.begin(), own.end());
  }
  for (const ClusterRecord& cluster : clusters) {
    std::optional<ExpireHold> hold;
    if (!options.dry_run) hold.emplace(session, *storage, cluster);
    Question question = ask(session, *storage, cluster);
    question.request.also_recorded = recorded;
    question.request.is_current = cluster.key == clusters.back().key;
    require_manifests(question);
    ExpireReport report{.cluster = cluster, .decision = decide(session, *storage, question)};
    if (!options.dry_run) {
      report.unfinished = remove_unfinished_backups(*storage, cluster.key,
                                                    trusted_now(recorded, question.request.now));
      Json did = removal_as_json(report);
      did["system_identifier"] = std::to_string(cluster.key.system_identifier);
      record.did["clusters"].push_back(std::move(did));
      // Of the rows a damaged record would only be left out: then it stops here.
      question.rows.expiry = read_expiry(*storage, cluster.key);
      carry_out(*storage, question, report);
    }
    reports.push_back(report_as_json(report));
    text += report_as_text(report, options.dry_run);
  }
  if (!options.dry_run) update_catalog(session, *storage);
  print_reports(session, reports, text, options.dry_run);
  return kSuccess;
}

int remove_one(const Session& session, const ExpireOptions& options, AuditRecord& record) {
  const auto storage = open_storage(session.config);
  const ClusterRecord cluster = cluster_with_backup(session, *storage, options.backup);
  record.cluster = cluster.key;
  record.did = {{"backup", options.backup}};
  std::optional<ExpireHold> hold;
  if (!options.dry_run) hold.emplace(session, *storage, cluster);
  {
    Question question = ask(session, *storage, cluster);
    question.request.is_current = cluster.key == clusters_of_name(session, *storage).back().key;
    find_broken_backups(session, *storage, question, options.backup);
    if (const auto reason = why_not_removable(question.rows, question.request, options.backup)) {
      throw Error({.kind = ErrorKind::kUsage,
                   .message = fmt::format("backup {} is not removed: {}", options.backup, *reason),
                   .hint = *reason == "it is pinned"
                               ? fmt::format("Unpin it: pitr keep {} --remove", options.backup)
                               : ""});
    }
  }
  if (!options.dry_run) {
    const Expiry before = read_expiry(*storage, cluster.key);
    record_expiry(*storage, cluster, join(before, {.backups = {options.backup}}), before);
    remove_backup(*storage, cluster, options.backup);
    update_catalog(session, *storage);
  }
  if (session.json) {
    print_json({{"format", 1}, {"dry_run", options.dry_run}, {"backup", options.backup}});
  } else {
    print_output(fmt::format("backup {} {}; WAL that nobody needs any more goes with the policy\n",
                             options.backup, options.dry_run ? "would go" : "is removed"));
  }
  return kSuccess;
}

}  // namespace

int run_expire(Session& session, const ExpireOptions& options) {
  session.load();
  if (options.backup.empty() && session.config.retention.is_empty()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = "there is no retention policy: nothing is removed",
                 .hint = "Set a rule in [retention], for instance days = 14, or remove one backup "
                         "with --backup ID."});
  }
  const auto work = [&](AuditRecord& record) {
    return options.backup.empty() ? apply_policy(session, options, record)
                                  : remove_one(session, options, record);
  };
  if (options.dry_run) {
    AuditRecord unused;  // a question changes nothing
    return work(unused);
  }
  session.become_owner_of_data_directory();
  return run_audited(session, "expire", work);
}

}  // namespace pitr
