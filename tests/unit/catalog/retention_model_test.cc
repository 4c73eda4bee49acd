// Hundreds of histories by chance: days of archiving, backups, forks, pins and expiries. After each
// expiry every backup that stays must restore, and every promised moment must end where it did.
#include <random>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "catalog/retention.h"
#include "catalog/wal_path.h"
#include "unit/catalog/hand_made_wal.h"

namespace pitr {

using testing::at;
using testing::HandMadeWal;
using testing::lsn_in;

namespace {

constexpr int kDay = 24 * 3600;
constexpr std::uint64_t kCommitAt = 0x80000;

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  unsigned below(unsigned limit) { return static_cast<unsigned>(engine_() % limit); }
  bool once_in(unsigned count) { return below(count) == 0; }

 private:
  std::mt19937 engine_;
};

struct Commit {
  TimelineId timeline = 0;
  int second = 0;
  std::uint32_t xid = 0;
};

class History {
 public:
  explicit History(std::uint32_t seed) : random_(seed) {}

  void run() {
    for (int step = 0; step < 40; ++step) {
      second_ += kDay / 4 + static_cast<int>(random_.below(kDay));
      archive();
      if (random_.once_in(3)) take_backup();
      if (random_.once_in(12) && segment_ > 3) fork();
      if (random_.once_in(8) && !wal_.rows.backups.empty()) pin();
      if (random_.once_in(6)) use();
      if (random_.once_in(5)) expire();
    }
    expire();
  }

 private:
  void archive() {
    const unsigned count = 1 + random_.below(3);
    for (unsigned i = 0; i < count; ++i) {
      ++segment_;
      const int second = second_ - static_cast<int>(10 * (count - i));
      const std::uint32_t xid = ++xid_;
      const bool has_commit = !random_.once_in(4);
      SegmentRow& row = wal_.add(
          timeline_, segment_,
          has_commit
              ? std::vector<testing::Ended>{{.offset = kCommitAt, .second = second, .xid = xid}}
              : std::vector<testing::Ended>{});
      row.archived_at = at(second + 5);
      if (has_commit) commits_.push_back({timeline_, second, xid});
    }
  }

  // In the next segment, which is archived at once.
  void take_backup() {
    const std::uint64_t segment = segment_ + 1;
    archive();
    BackupSummary& backup =
        wal_.add_backup(fmt::format("b{:03}", ++backups_), timeline_, lsn_in(segment, 0x100),
                        lsn_in(segment, 0x200), second_ - 1000);
    if (random_.once_in(9)) backup.page_errors.push_back({.path = "x", .block = 1});
  }

  // Back to a moment of the present timeline.
  void fork() {
    const auto back = std::max<std::uint64_t>(begin_ + 1, segment_ - random_.below(4));
    if (back > segment_) return;
    history_ += fmt::format("{}\t{}\tx\n", timeline_, format_lsn(lsn_in(back, 0x40000)));
    timeline_ += 1 + random_.below(3);
    wal_.add_history(timeline_, history_);
    begin_ = back;
    segment_ = back - 1;
    archive();
  }

  void pin() {
    const auto& backups = wal_.rows.backups;
    request_.pins.push_back(
        {.backup = backups[random_.below(static_cast<unsigned>(backups.size()))].id,
         .with_wal = random_.once_in(2)});
    if (request_.pins.size() > 2) request_.pins.erase(request_.pins.begin());
  }

  // A restore reads a backup until the next one begins.
  void use() {
    const auto& backups = wal_.rows.backups;
    request_.uses.clear();
    if (backups.empty() || random_.once_in(3)) return;
    request_.uses.push_back(
        {.backup = backups[random_.below(static_cast<unsigned>(backups.size()))].id, .by = "x"});
  }

  RetentionPolicy any_policy() {
    RetentionPolicy policy;
    if (random_.once_in(2)) policy.days = 1 + random_.below(9);
    if (random_.once_in(2)) policy.backups = 1 + random_.below(4);
    if (random_.once_in(3)) policy.daily = 1 + random_.below(5);
    if (random_.once_in(3)) policy.weekly = 1 + random_.below(3);
    if (policy.is_empty()) policy.days = 3;
    return policy;
  }

  std::string plan_for(const Commit& commit) {
    PlanRequest asked{.target = {.kind = RecoveryTarget::Kind::kTime, .time = at(commit.second)},
                      .timeline = commit.timeline,
                      .now = at(second_ + 1000)};
    const RecoveryPlan plan = wal_.plan(asked);
    if (!plan.reachable()) return "";
    // A moment before the backup's end, without a commit between: only older WAL knows that.
    if (plan.backup->finished_at > at(commit.second)) return "";
    // The commit before it may be known only by WAL that the backup makes superfluous.
    return plan.commit_after ? std::to_string(plan.commit_after->xid) : "the end";
  }

  void expire() {
    request_.policy = any_policy();
    request_.now = at(second_ + 60);
    const RetentionDecision decision = decide_retention(wal_.all(), request_);
    std::vector<std::pair<Commit, std::string>> promised;
    for (const Commit& commit : commits_) {
      if (!decision.days_begin || at(commit.second) < *decision.days_begin) continue;
      std::string answer = plan_for(commit);
      if (!answer.empty()) promised.emplace_back(commit, std::move(answer));
    }
    std::vector<std::string> kept;
    std::vector<std::string> usable;
    for (const BackupVerdict& verdict : decision.backups) {
      if (!verdict.is_kept()) continue;
      kept.push_back(verdict.backup->id);
      if (verdict.is_usable) usable.push_back(verdict.backup->id);
    }
    const bool any_usable = std::any_of(decision.backups.begin(), decision.backups.end(),
                                        [](const BackupVerdict& v) { return v.is_usable; });
    CHECK(usable.empty() != any_usable);
    apply(decision, kept);
    for (const std::string& id : usable)
      expect_restores(id);
    for (const auto& [commit, answer] : promised) {
      CAPTURE(commit.timeline, commit.second);
      CHECK(plan_for(commit) == answer);
    }
    expect_no_gap();
    // What was decided is done: a second time nothing goes.
    const RetentionDecision again = decide_retention(wal_.all(), request_);
    CHECK(again.wal.empty());
    for (const BackupVerdict& verdict : again.backups)
      CHECK(verdict.is_kept());
  }

  void apply(const RetentionDecision& decision, const std::vector<std::string>& kept) {
    wal_.rows.expiry = expiry_after(wal_.all(), decision);
    for (const ExpiredWal& expired : decision.wal) {
      std::erase_if(wal_.segments, [&](const SegmentRow& row) {
        const std::uint64_t number = row.name.number(testing::k1MiB);
        return row.name.timeline == expired.range.timeline && number >= expired.range.first &&
               number <= expired.range.last;
      });
    }
    std::erase_if(wal_.rows.backups, [&](const BackupSummary& backup) {
      return std::find(kept.begin(), kept.end(), backup.id) == kept.end();
    });
  }

  void expect_restores(const std::string& id) {
    PlanRequest asked{.target = {.kind = RecoveryTarget::Kind::kImmediate},
                      .backup_id = id,
                      .now = at(second_ + 1000)};
    for (const BackupSummary& backup : wal_.rows.backups) {
      if (backup.id == id) asked.timeline = backup.timeline;
    }
    CAPTURE(id);
    CHECK(wal_.plan(asked).reachable());
  }

  void expect_no_gap() {
    const ClusterRows& rows = wal_.all();
    for (const TimelineId timeline : known_timelines(rows))
      CHECK(find_gaps(rows, timeline).empty());
  }

  Random random_;
  HandMadeWal wal_;
  RetentionRequest request_;
  TimelineId timeline_ = 1;
  std::uint64_t segment_ = 0;
  std::uint64_t begin_ = 0;  // where the present timeline begins
  std::string history_;
  std::uint32_t xid_ = 700;
  int backups_ = 0;
  int second_ = 0;
  std::vector<Commit> commits_;
};

}  // namespace

TEST_CASE("after any expiry every kept backup restores and every promised moment is reached",
          "[catalog]") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::uint32_t kLayouts = 40;  // a sanitizer wants every path once, and takes its time
#else
  constexpr std::uint32_t kLayouts = 300;
#endif
  for (std::uint32_t seed = 1; seed <= kLayouts; ++seed) {
    CAPTURE(seed);
    History(seed).run();
  }
}

}  // namespace pitr
