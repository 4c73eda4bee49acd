#include "pitr/recovery_target.h"

#include <fmt/format.h>

#include "common/error.h"

namespace pitr {

namespace {

[[noreturn]] void refuse(std::string message, std::string detail = {}, std::string hint = {}) {
  throw Error({.kind = ErrorKind::kUsage,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

std::uint64_t parse_xid(const std::string& text) {
  constexpr std::uint64_t kFirstNormal = 3;  // FirstNormalTransactionId
  const auto xid = parse_number(text, 10);
  if (!xid || *xid < kFirstNormal) {
    refuse(fmt::format("invalid transaction id \"{}\"", text), "Expected a decimal number from 3.");
  }
  return *xid;
}

void require_one_target(const RestoreOptions& options) {
  const int count = (options.target_time.empty() ? 0 : 1) + (options.target_lsn.empty() ? 0 : 1) +
                    (options.target_xid.empty() ? 0 : 1) + (options.target_name.empty() ? 0 : 1) +
                    (options.before_xid.empty() ? 0 : 1) + (options.before_drop.empty() ? 0 : 1) +
                    (options.target_immediate ? 1 : 0);
  if (count > 1) {
    refuse("more than one recovery target is given", "",
           "Give one of --target-time, --target-lsn, --target-xid, --target-name, "
           "--target-immediate, --before-xid, --before-drop.");
  }
  if (count == 1 && options.standby) {
    refuse("--standby takes no recovery target", "A standby follows the archive without an end.");
  }
  if (options.standby &&
      (options.until_gap || (!options.timeline.empty() && options.timeline != "latest"))) {
    refuse("--standby takes neither --until-gap nor a timeline",
           "A standby follows the newest timeline, and waits where WAL is missing.");
  }
  if (count == 0 && options.exclusive) refuse("--exclusive needs a recovery target");
  if (options.exclusive && !options.before_drop.empty()) {
    refuse("--exclusive has no meaning with --before-drop");
  }
}

RecoveryTarget parse_target(const RestoreOptions& options, Instant now) {
  using Kind = RecoveryTarget::Kind;
  RecoveryTarget target{.inclusive = !options.exclusive};
  if (!options.target_time.empty()) {
    target.kind = Kind::kTime;
    target.time = parse_instant(options.target_time, now);
  } else if (!options.target_lsn.empty()) {
    const auto lsn = parse_lsn(options.target_lsn);
    if (!lsn)
      refuse(fmt::format("invalid LSN \"{}\"", options.target_lsn), "Expected \"2/4000000\".");
    target.kind = Kind::kLsn;
    target.lsn = *lsn;
  } else if (!options.target_xid.empty()) {
    target.kind = Kind::kXid;
    target.xid = parse_xid(options.target_xid);
  } else if (!options.before_xid.empty()) {
    target.kind = Kind::kXid;
    target.xid = parse_xid(options.before_xid);
    target.inclusive = false;
  } else if (!options.target_name.empty()) {
    constexpr std::size_t kLongestName = 63;  // MAXFNAMELEN - 1
    if (options.target_name.size() > kLongestName) {
      refuse(fmt::format("invalid restore point \"{}\"", options.target_name),
             "A restore point's name has at most 63 bytes.");
    }
    if (options.exclusive) refuse("--exclusive has no meaning for a restore point");
    target.kind = Kind::kName;
    target.name = options.target_name;
  } else if (options.target_immediate) {
    if (options.exclusive) refuse("--exclusive has no meaning with --target-immediate");
    target.kind = Kind::kImmediate;
  }
  return target;
}

}  // namespace

PlanRequest parse_plan_request(const RestoreOptions& options, Instant now) {
  require_one_target(options);
  PlanRequest request{.target = parse_target(options, now),
                      .backup_id = options.backup,
                      .until_gap = options.until_gap,
                      .strict = options.strict,
                      .now = now};
  if (!options.timeline.empty() && options.timeline != "latest") {
    const auto timeline = parse_number(options.timeline, 10);
    if (!timeline || *timeline == 0 || *timeline > UINT32_MAX) {
      refuse(fmt::format("invalid timeline \"{}\"", options.timeline),
             "Expected a number or \"latest\".");
    }
    request.timeline = static_cast<TimelineId>(*timeline);
  }
  request.newest_timeline = options.timeline == "latest";
  return request;
}

}  // namespace pitr
