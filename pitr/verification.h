// Reads back what the repository holds of one cluster and names what is wrong, with its
// consequence.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catalog/cluster_rows.h"
#include "io/rate_limit.h"
#include "pitr/session.h"
#include "pitr/verify_progress.h"

namespace pitr {

struct VerificationScope {
  std::string backup;  // empty: every base backup
  bool wal = true;     // the WAL, its continuity, history files, maps, the catalog
  bool backups = true;
  double share = 1;  // of the contents; trailers, manifests and continuity always in full
};

// Goes on from `progress` and notes in it how far it has come. One thread; it starts others.
class Verification {
 public:
  Verification(const Session& session, Storage& storage, const ClusterRecord& cluster,
               const VerificationScope& scope, unsigned jobs, RateLimit& rate_limit);

  // `on_progress` is called from this thread after each piece of work. Throws kSystem where the
  // repository as a whole cannot be reached. Every finding has its consequence afterwards.
  void run(VerifyProgress& progress, const std::function<void()>& on_progress);

  // Raw bytes of everything, as far as trailers say.
  std::uint64_t total_bytes() const;

 private:
  struct WalTask;

  void verify_wal();
  void take_wal(WalTask task);
  void verify_history_files();
  void verify_small_files();
  void verify_small_file(const std::string& key, const std::string& consequence);
  void verify_backups();
  bool has_expired_meanwhile(const std::string& id);
  void verify_one_backup(const std::string& id);
  void know_backup(const std::string& id);
  void find_lost_manifests(const std::set<std::string>& published);
  void verify_continuity();
  void find_all_gaps();
  void add_gap(const SegmentName& first, const SegmentName& behind);
  void find_damaged_records();
  void find_missing_histories();
  void find_backups_without_wal();
  void compare_with_catalog();
  void compare_folder(const RowCache& cache, const std::string& folder);
  void compare_backups(const std::vector<std::string>& ids);

  void add(Finding finding) { add(NotedFinding{.finding = std::move(finding)}); }
  void add(NotedFinding noted);
  void tell_consequences();
  bool is_chosen(const std::string& name) const;

  const Session& session_;
  Storage& storage_;
  ClusterRecord cluster_;
  VerificationScope scope_;
  unsigned jobs_;
  RateLimit& rate_limit_;
  ClusterRows rows_;
  VerifyProgress* progress_ = nullptr;
  std::function<void()> on_progress_;
  std::vector<std::string> unknown_to_catalog_;  // keys, to be looked for again
  Instant refreshed_at_{};                       // when the catalog was last brought up to date
};

}  // namespace pitr
