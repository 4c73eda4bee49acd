#include "restore_cmd/prefetcher.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/error.h"
#include "restore_cmd/restore_file.h"
#include "storage/repository.h"

namespace pitr {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kAheadSeconds = 1;  // of replay
constexpr unsigned kFirstWindow = 4;
constexpr unsigned kSmallestWindow = 2;
constexpr std::chrono::seconds kLongestIdle{60};
constexpr std::chrono::seconds kPause{1};  // between two looks at what was not there
constexpr std::chrono::milliseconds kPauseWithoutInotify{50};
constexpr std::uint64_t kWriteBack = 1ULL << 20;

// Thrown out of a fetch: recovery has come here itself, or is over.
struct Overtaken {};

// Wakes the prefetcher when a call writes its request, or the server ends.
class Alarm {
 public:
  Alarm(const std::string& request_path, const std::string& server) {
    const int requests = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (requests >= 0 && inotify_add_watch(requests, request_path.c_str(), IN_MODIFY) >= 0) {
      requests_ = File(requests, "inotify");
    }
    // A single-user server's number is negative; what is empty is none.
    const auto process = static_cast<pid_t>(std::strtol(server.c_str(), nullptr, 10));
    if (process > 0)
      server_ = File(static_cast<int>(syscall(SYS_pidfd_open, process, 0)), "server");
  }

  // Until something happens, or for a moment.
  void wait() const {
    // A user may have only so many instances of inotify.
    const std::chrono::milliseconds moment = requests_.is_open() ? kPause : kPauseWithoutInotify;
    std::array<pollfd, 2> waiting = watched();
    poll(waiting.data(), waiting.size(), static_cast<int>(moment.count()));
    std::array<char, 4096> events{};
    while (requests_.is_open() && read(requests_.descriptor(), events.data(), events.size()) > 0) {
    }
  }

  // PostgreSQL may die without removing postmaster.pid.
  bool server_has_died() const {
    std::array<pollfd, 2> waiting = watched();
    return server_.is_open() && poll(&waiting[1], 1, 0) > 0;
  }

 private:
  // poll() passes over a negative descriptor.
  std::array<pollfd, 2> watched() const {
    return {{{.fd = requests_.descriptor(), .events = POLLIN, .revents = 0},
             {.fd = server_.descriptor(), .events = POLLIN, .revents = 0}}};
  }

  File requests_;
  File server_;
};

bool exists(const char* path) { return access(path, F_OK) == 0; }

// PostgreSQL removes both when recovery ends.
bool has_recovery_signal() { return exists("recovery.signal") || exists("standby.signal"); }

class Prefetcher {
 public:
  Prefetcher(const Config& config, const PrefetchOwner& owner, PrefetchFolder& folder)
      : config_(config),
        owner_(owner),
        folder_(folder),
        alarm_(folder.request_path(), owner.server),
        begun_in_recovery_(has_recovery_signal()) {}

  void run() {
    while (!has_ended()) {
      take_request();
      if (!fetch_next()) alarm_.wait();
    }
  }

 private:
  bool has_ended() const {
    if (!folder_.is_in_place() || Clock::now() - requested_at_ > kLongestIdle) return true;
    if (begun_in_recovery_ && !has_recovery_signal()) return true;
    return server_has_gone();
  }

  bool server_has_gone() const {
    if (owner_.server.empty()) return false;  // called by hand
    return alarm_.server_has_died() || server_of_data_directory() != owner_.server;
  }

  void take_request() {
    const PrefetchRequest request = folder_.request();
    if (request.count == 0 || request.count == request_.count) return;
    const auto now = Clock::now();
    const std::uint64_t number = request.segment.number(owner_.segment_size);
    if (request_.segment.timeline != 0 && number > position_) {
      const std::chrono::duration<double> each = (now - moved_at_) / double(number - position_);
      per_segment_ = per_segment_ ? (*per_segment_ * 3 + each) / 4 : each;
    }
    if (number != position_) moved_at_ = now;
    if (request.recovery_timeline != request_.recovery_timeline) path_.clear();
    request_ = request;
    requested_at_ = now;
    position_ = number;
    drop_what_is_not_ahead();
  }

  void drop_what_is_not_ahead() {
    const unsigned window = prefetch_window(per_segment_, config_.restore.prefetch);
    std::erase_if(held_, [&](const auto& held) {
      const bool ahead = held.first > position_ && held.first <= position_ + window;
      if (!ahead) folder_.withdraw(held.second);
      return !ahead;
    });
  }

  // False: there is nothing to be done until something changes.
  bool fetch_next() {
    if (request_.segment.timeline == 0) return false;
    try {
      if (!make_room()) return false;
      const auto wanted = next_segment();
      if (!wanted || !is_stored(*wanted)) return false;
      fetch(*wanted);
      return true;
    } catch (const Overtaken&) {
      return true;
    } catch (const std::exception&) {
      forget_what_is_stored();  // the call that comes here finds the reason and says it
      storage_.reset();
      return false;
    }
  }

  // Whether one more may lie there. Gives back what has become too much.
  bool make_room() {
    struct statvfs volume {};
    if (statvfs(folder_.path().c_str(), &volume) != 0) return false;
    std::uint64_t left = std::uint64_t{volume.f_bavail} * volume.f_frsize;
    const std::uint64_t room = prefetch_room(left, held_.size(), owner_.segment_size);
    while (held_.size() > room) {
      folder_.withdraw(held_.rbegin()->second);
      held_.erase(std::prev(held_.end()));
    }
    return held_.size() < room;
  }

  std::optional<SegmentName> next_segment() {
    learn_path();
    const unsigned window = prefetch_window(per_segment_, config_.restore.prefetch);
    for (std::uint64_t number = position_ + 1; number <= position_ + window; ++number) {
      const SegmentName segment = segment_on_path(path_, number, owner_.segment_size);
      const auto held = held_.find(number);
      if (held == held_.end()) return segment;
      if (held->second == segment) continue;
      folder_.withdraw(held->second);  // of a path that recovery does not follow
      held_.erase(held);
      return segment;
    }
    return std::nullopt;
  }

  // PostgreSQL reads the history file of the timeline that it is to end on, and those of timelines
  // before that one. Where it is on none of them, it goes on as it does.
  void learn_path() {
    const TimelineId timeline = request_.segment.timeline;
    const auto is_on = [&] {
      return std::any_of(path_.begin(), path_.end(),
                         [&](const TimelineStretch& part) { return part.timeline == timeline; });
    };
    if (path_.empty() && request_.recovery_timeline > 1) {
      open_repository();
      const std::string name = history_file_name(request_.recovery_timeline);
      const auto contents = fetch_text(
          *storage_, wal_key(owner_.cluster, *WalFileName::parse(name)), owner_.cluster, name);
      if (contents) path_ = parse_timeline_history(request_.recovery_timeline, *contents);
    }
    if (!is_on()) path_ = parse_timeline_history(timeline, "");
  }

  void open_repository() {
    if (storage_) return;
    auto storage = open_storage(config_);
    cluster_ = find_cluster(*storage, owner_.cluster.name, owner_.cluster.system_identifier);
    storage_ = std::move(storage);
  }

  bool is_stored(const SegmentName& segment) {
    const std::uint64_t number = segment.number(owner_.segment_size);
    if (segment.timeline == listed_timeline_ && number >= listed_from_ && number < listed_end_) {
      return true;
    }
    // Recovery waits at the end of the archive, and asks again: only then there is a reason to
    // look.
    const auto now = Clock::now();
    const bool goes_on = listing_was_cut_ && segment.timeline == listed_timeline_;
    if (!goes_on && (request_.count == looked_at_count_ || now - looked_at_ < kPause) &&
        segment.timeline == listed_timeline_) {
      return false;
    }
    looked_at_count_ = request_.count;
    looked_at_ = now;
    list_from(segment);
    return number < listed_end_;
  }

  // What follows on the timeline without a hole, a few windows far.
  void list_from(const SegmentName& segment) {
    open_repository();
    const SegmentSize size = owner_.segment_size;
    const std::uint64_t number = segment.number(size);
    const std::uint64_t most = 4ULL * config_.restore.prefetch;
    forget_what_is_stored();
    listed_timeline_ = segment.timeline;
    listed_from_ = listed_end_ = number;
    const WalFileName before = *WalFileName::parse(
        SegmentName::containing(segment.timeline, number == 0 ? 0 : (number - 1) * size, size)
            .to_string());
    storage_->list(timeline_folder(owner_.cluster, segment.timeline),
                   number == 0 ? "" : wal_key(owner_.cluster, before), [&](const std::string& key) {
                     const auto name = parse_wal_key(key);
                     if (!name || name->kind != StoredWalName::Kind::kSegment) return true;
                     if (name->segment.number(size) < listed_end_) return true;
                     if (name->segment.number(size) != listed_end_) return false;
                     ++listed_end_;
                     listing_was_cut_ = listed_end_ - number >= most;
                     return !listing_was_cut_;
                   });
  }

  void forget_what_is_stored() {
    listed_end_ = listed_from_;
    listing_was_cut_ = false;
  }

  void fetch(const SegmentName& segment) {
    open_repository();
    RestoreRequest request;
    request.name = *WalFileName::parse(segment.to_string());
    request.destination = folder_.path() + "/" + request.name.text;
    request.cluster = cluster_;
    const auto stored = open_wal_file(request, *storage_, wal_key(owner_.cluster, request.name));
    if (!stored) {
      forget_what_is_stored();
      throw Overtaken();
    }
    File file = folder_.create_temporary(segment);
    try {
      read_wal_file(request, *stored, [&](ByteSpan raw, std::uint64_t offset) {
        if (is_overtaken(segment)) throw Overtaken();
        file.write_at(offset, raw);
        write_back(file, offset + raw.size());
      });
      if (ftruncate(file.descriptor(), static_cast<off_t>(owner_.segment_size)) != 0 ||
          fdatasync(file.descriptor()) != 0) {
        throw_file_error("make durable file", file.path(), errno);
      }
      // Beyond this point the file is whole, verified and durable, and may have its name.
      folder_.publish(segment, file);
    } catch (...) {
      unlink(file.path().c_str());
      throw;
    }
    held_[segment.number(owner_.segment_size)] = segment;
  }

  bool is_overtaken(const SegmentName& segment) const {
    const PrefetchRequest now = folder_.request();
    return now.count != request_.count &&
           now.segment.number(owner_.segment_size) >= segment.number(owner_.segment_size);
  }

  // The disk writes while the next block is decompressed. A hint, for blocks in any order.
  static void write_back(const File& file, std::uint64_t end) {
    if (end % kWriteBack != 0) return;
    sync_file_range(file.descriptor(), static_cast<off_t>(end - kWriteBack),
                    static_cast<off_t>(kWriteBack), SYNC_FILE_RANGE_WRITE);
  }

  const Config& config_;
  const PrefetchOwner& owner_;
  PrefetchFolder& folder_;
  Alarm alarm_;
  bool begun_in_recovery_;

  PrefetchRequest request_;     // taken in
  std::uint64_t position_ = 0;  // number of the segment asked for last
  Clock::time_point requested_at_ = Clock::now();
  Clock::time_point moved_at_ = Clock::now();
  std::optional<std::chrono::duration<double>> per_segment_;
  std::map<std::uint64_t, SegmentName> held_;  // by number: published and not yet passed
  std::vector<TimelineStretch> path_;

  std::unique_ptr<Storage> storage_;
  ClusterRecord cluster_;
  // What the last listing found: numbers from, up to and without the end, of one timeline.
  TimelineId listed_timeline_ = 0;
  std::uint64_t listed_from_ = 0;
  std::uint64_t listed_end_ = 0;
  bool listing_was_cut_ = false;
  std::uint64_t looked_at_count_ = 0;
  Clock::time_point looked_at_;
};

}  // namespace

unsigned prefetch_window(std::optional<std::chrono::duration<double>> per_segment, unsigned most) {
  if (!per_segment) return std::min(kFirstWindow, most);
  const double seconds = std::max(per_segment->count(), 1e-6);
  const double wanted = std::ceil(kAheadSeconds / seconds);
  return std::min(most, static_cast<unsigned>(std::max<double>(wanted, kSmallestWindow)));
}

std::uint64_t prefetch_room(std::uint64_t bytes_left, std::uint64_t held, SegmentSize size) {
  return (bytes_left / size + held) / 4;
}

SegmentName segment_on_path(const std::vector<TimelineStretch>& path, std::uint64_t number,
                            SegmentSize size) {
  TimelineId timeline = path.front().timeline;
  for (const TimelineStretch& part : path) {
    if (part.begin / size <= number) timeline = part.timeline;
  }
  return SegmentName::containing(timeline, number * size, size);
}

void run_prefetcher(const Config& config, const PrefetchOwner& owner, PrefetchFolder& folder) {
  try {
    Prefetcher(config, owner, folder).run();
  } catch (const std::exception&) {
    // It ends, and calls work without it.
  }
  try {
    folder.remove();
  } catch (const std::exception&) {
    // The next call removes what is left.
  }
}

}  // namespace pitr
