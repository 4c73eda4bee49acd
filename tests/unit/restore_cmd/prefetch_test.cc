#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/temporary_directory.h"
#include "restore_cmd/prefetch_folder.h"
#include "restore_cmd/prefetcher.h"

namespace pitr {

using testing::TemporaryDirectory;

namespace {

constexpr SegmentSize k1MiB = 1ULL << 20;

PrefetchOwner owner_of(std::string_view repository, std::string_view server = "4711\n") {
  PrefetchOwner owner;
  owner.repository_url = repository;
  owner.cluster = {.name = "main", .system_identifier = 7301122034409873321};
  owner.segment_size = k1MiB;
  owner.server = server;
  return owner;
}

const PrefetchOwner kOurs = owner_of("file:///srv/pitr");
const SegmentName kSegment = SegmentName::parse("000000010000000000000005").value();

// A folder with its prefetcher, and a call that asks it.
struct Pair {
  explicit Pair(const PrefetchOwner& caller = kOurs) : call(destination, caller) {
    REQUIRE(prefetcher.take_over());
    REQUIRE(call.is_served());
  }

  void publish(char contents = 'x', std::uint64_t size = k1MiB) {
    File file = prefetcher.create_temporary(kSegment);
    file.write_at(0, as_byte_span(std::string(size, contents)));
    prefetcher.publish(kSegment, file);
  }
  std::string waiting() const {
    for (const std::string& name : testing::names_in(prefetcher.path())) {
      if (name.starts_with(kSegment.to_string())) return prefetcher.path() + "/" + name;
    }
    return {};
  }

  TemporaryDirectory directory;
  std::string destination = directory / "RECOVERYXLOG";
  PrefetchFolder prefetcher{destination, kOurs};
  PrefetchFolder call;
};

}  // namespace

TEST_CASE("what was published is taken once, by a rename", "[restore_cmd]") {
  Pair pair;
  CHECK_FALSE(pair.call.take(kSegment, pair.destination));
  pair.publish();
  CHECK(pair.call.take(kSegment, pair.destination));
  CHECK(as_text(testing::read_file(pair.destination)) == std::string(k1MiB, 'x'));
  CHECK_FALSE(pair.call.take(kSegment, pair.destination));
}

TEST_CASE("a file that is not the one that was published is not taken", "[restore_cmd]") {
  Pair pair;
  pair.publish();
  const std::string path = pair.waiting();
  SECTION("written to") {
    usleep(20'000);  // a tick of the kernel's clock
    File::open(path, O_WRONLY).write_at(5, as_byte_span("y"));
  }
  SECTION("cut") { REQUIRE(truncate(path.c_str(), 5) == 0); }
  SECTION("another one under its name") {
    testing::write_file(path + ".other", std::string(k1MiB, 'x'));
    REQUIRE(rename((path + ".other").c_str(), path.c_str()) == 0);
  }
  SECTION("its state is damaged") {
    testing::write_file(pair.prefetcher.path() + "/state", std::string(64ULL * 1024, 'z'));
  }
  CHECK_FALSE(pair.call.take(kSegment, pair.destination));
  CHECK_FALSE(testing::exists(pair.destination));
}

TEST_CASE("a file of another size than a segment is not taken", "[restore_cmd]") {
  Pair pair;
  pair.publish('x', k1MiB - 1);
  CHECK_FALSE(pair.call.take(kSegment, pair.destination));
}

TEST_CASE("two restores never mix", "[restore_cmd]") {
  // Another repository, and another run of the server in the same directory.
  Pair pair(GENERATE(owner_of("file:///srv/other"), owner_of("file:///srv/pitr", "4712\n")));
  pair.publish();
  CHECK_FALSE(pair.call.take(kSegment, pair.destination));
  pair.call.note(kSegment);
  CHECK(pair.prefetcher.request().count == 0);
}

TEST_CASE("a request arrives with all that was said before", "[restore_cmd]") {
  Pair pair;
  CHECK(pair.prefetcher.request().count == 0);
  pair.call.note_recovery_timeline(3);
  pair.call.note_recovery_timeline(2);  // as PostgreSQL asks for those before it
  pair.call.note(kSegment);
  const PrefetchRequest request = pair.prefetcher.request();
  CHECK(request.segment == kSegment);
  CHECK(request.recovery_timeline == 3);
  CHECK(request.count == 3);
}

TEST_CASE("a torn request is none", "[restore_cmd]") {
  Pair pair;
  pair.call.note(kSegment);
  std::string bytes(as_text(testing::read_file(pair.prefetcher.request_path())));
  SECTION("damaged") { bytes[4] = '\x7f'; }
  SECTION("cut") { bytes.resize(20); }
  SECTION("empty") { bytes.clear(); }
  testing::write_file(pair.prefetcher.request_path(), bytes);
  CHECK(pair.prefetcher.request().count == 0);
}

TEST_CASE("a folder has one prefetcher, and the next one begins with nothing", "[restore_cmd]") {
  Pair pair;
  pair.publish();
  PrefetchFolder second(pair.destination, kOurs);
  CHECK_FALSE(second.take_over());
  pair.prefetcher = PrefetchFolder(pair.destination, kOurs);  // it dies
  pair.call = PrefetchFolder(pair.destination, kOurs);
  CHECK_FALSE(pair.call.is_served());
  CHECK(second.take_over());
  CHECK(testing::names_in(second.path()) == std::vector<std::string>{"state"});
  second.remove();
  CHECK(testing::names_in(pair.directory.path()).empty());
}

TEST_CASE("what a dead prefetcher has left can be removed, what a living one has cannot",
          "[restore_cmd]") {
  Pair pair;
  pair.publish();
  PrefetchFolder(pair.destination, kOurs).remove_abandoned();
  CHECK_FALSE(pair.waiting().empty());
  pair.prefetcher = PrefetchFolder(pair.destination, kOurs);
  pair.call = PrefetchFolder(pair.destination, kOurs);
  PrefetchFolder(pair.destination, kOurs).remove_abandoned();
  CHECK(testing::names_in(pair.directory.path()).empty());
  PrefetchFolder(pair.destination, kOurs).remove_abandoned();  // nothing there
}

TEST_CASE("what is no folder of ours is left alone", "[restore_cmd]") {
  const TemporaryDirectory directory;
  const std::string destination = directory / "RECOVERYXLOG";
  const std::string path = directory / kPrefetchFolder;
  SECTION("a file") { testing::write_file(path, "kept"); }
  SECTION("a link") { REQUIRE(symlink("/tmp", path.c_str()) == 0); }
  CHECK_FALSE(PrefetchFolder(destination, kOurs).take_over());
  CHECK(testing::names_in(directory.path()) == std::vector<std::string>{kPrefetchFolder});
}

TEST_CASE("the faster replay is, the more waits for it", "[restore_cmd]") {
  using Seconds = std::chrono::duration<double>;
  CHECK(prefetch_window(std::nullopt, 16) == 4);
  CHECK(prefetch_window(std::nullopt, 1) == 1);
  CHECK(prefetch_window(Seconds(10), 16) == 2);
  CHECK(prefetch_window(Seconds(0.2), 16) == 5);
  CHECK(prefetch_window(Seconds(0.01), 16) == 16);
  CHECK(prefetch_window(Seconds(0), 1024) == 1024);
}

TEST_CASE("a quarter of the volume may be taken, of which what waits is a part", "[restore_cmd]") {
  CHECK(prefetch_room(0, 0, k1MiB) == 0);
  CHECK(prefetch_room(3 * k1MiB, 0, k1MiB) == 0);
  CHECK(prefetch_room(8 * k1MiB, 0, k1MiB) == 2);
  CHECK(prefetch_room(6 * k1MiB, 2, k1MiB) == 2);
  CHECK(prefetch_room(1 * k1MiB, 4, k1MiB) == 1);
}

TEST_CASE("recovery asks the newest timeline first that has begun", "[restore_cmd]") {
  const auto path = parse_timeline_history(3, "1\t0/580000\tx\n2\t0/900000\tx\n");
  CHECK(segment_on_path(path, 4, k1MiB).to_string() == "000000010000000000000004");
  CHECK(segment_on_path(path, 5, k1MiB).to_string() == "000000020000000000000005");
  CHECK(segment_on_path(path, 8, k1MiB).to_string() == "000000020000000000000008");
  CHECK(segment_on_path(path, 9, k1MiB).to_string() == "000000030000000000000009");
}

}  // namespace pitr
