// What every storage promises (storage/storage.h), run against each of them. A new storage is
// added in make_place() and nowhere else.
#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"
#include "storage/memory_storage.h"
#include "storage/posix_storage.h"

namespace pitr {

using testing::Bytes;
using testing::error_kind_of;

namespace {

// A storage, and what must live as long as it.
struct Place {
  std::unique_ptr<Catch::ScopedMessage> which;  // in the report of a failure
  std::unique_ptr<testing::TemporaryDirectory> directory;
  std::unique_ptr<Storage> storage;

  Storage* operator->() const { return storage.get(); }
};

enum class Kind { kPosixRing, kPosixPlain, kMemory };

Place make_place(Kind kind) {
  Place place;
  if (kind == Kind::kMemory) {
    place.storage = make_memory_storage();
  } else {
    place.directory = std::make_unique<testing::TemporaryDirectory>();
    const std::string root = *place.directory / "repository";
    create_posix_repository(root);
    place.storage =
        open_posix_storage(root, kind == Kind::kPosixRing ? RingMode::kAuto : RingMode::kOff);
  }
  return place;
}

Place any_place() {
  const auto [kind, name] = GENERATE(table<Kind, std::string>({
      {Kind::kPosixRing, "posix with io_uring"},
      {Kind::kPosixPlain, "posix without io_uring"},
      {Kind::kMemory, "memory"},
  }));
  Place place = make_place(kind);
  place.which = std::make_unique<Catch::ScopedMessage>(
      Catch::MessageBuilder("CAPTURE", CATCH_INTERNAL_LINEINFO, Catch::ResultWas::Info)
      << "storage: " << name);
  return place;
}

// What commit() says. The pool outlives the destination, which may hold its buffers.
bool write(Storage& storage, const std::string& key, ByteSpan bytes) {
  BufferPool pool(kMostBuffersHeld + 2, 4096);
  const auto destination = storage.create(key);
  while (!bytes.empty()) {
    Buffer buffer = pool.acquire();
    const std::size_t count = std::min(buffer.capacity(), bytes.size());
    std::copy_n(bytes.begin(), count, buffer.space().begin());
    buffer.set_size(count);
    bytes = bytes.subspan(count);
    destination->append(std::move(buffer));
  }
  return destination->commit();
}

bool write(const Place& place, const std::string& key, std::string_view text = "x") {
  return write(*place.storage, key, as_byte_span(text));
}

std::string read(const Place& place, const std::string& key) {
  const auto source = place->open(key);
  REQUIRE(source);
  Bytes bytes(source->size());
  source->read(0, bytes);
  return std::string(as_text(bytes));
}

std::vector<std::string> keys_below(const Place& place, const std::string& folder,
                                    const std::string& after = "") {
  std::vector<std::string> keys;
  place->list(folder, after, [&](const std::string& key) {
    keys.push_back(key);
    return true;
  });
  return keys;
}

using Keys = std::vector<std::string>;

std::string any_bad_key() {
  return GENERATE(as<std::string>(), "", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", "./a",
                  "a/./b", "a//b", "a/", ".hidden", "a/.tmp.x", "a b", "a\nb", "a\x7f", "\xC3\xA4");
}

}  // namespace

TEST_CASE("what is durable has no name before it is committed", "[storage]") {
  const Place place = any_place();
  BufferPool pool(1, 4096);
  const auto destination = place->create("a/held");
  destination->hold_back();
  Buffer buffer = pool.acquire();
  buffer.set_size(4096);
  std::fill_n(buffer.space().begin(), 4096, std::byte{'x'});
  destination->append(std::move(buffer));
  destination->wait_until_durable();
  destination->wait_until_durable();
  CHECK_FALSE(place->open("a/held"));
  REQUIRE(destination->commit());
  CHECK(read(place, "a/held") == std::string(4096, 'x'));
}

TEST_CASE("a committed file is read back", "[storage]") {
  const Place place = any_place();
  const std::size_t size = GENERATE(0U, 1U, 4096U, 100'000U);
  const Bytes contents = testing::random_bytes(size);
  CHECK(write(*place.storage, "wal/a/file", contents));
  CHECK(read(place, "wal/a/file") == as_text(contents));
}

TEST_CASE("a part of a file is read, by several threads at once", "[storage]") {
  const Place place = any_place();
  const Bytes contents = testing::random_bytes(50'000);
  REQUIRE(write(*place.storage, "file", contents));
  const auto source = place->open("file");
  REQUIRE(source);
  CHECK(source->size() == contents.size());
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < 4; ++first) {
    threads.emplace_back([&, first] {
      Bytes part(100);
      for (std::size_t offset = first; offset + 100 <= contents.size(); offset += 997) {
        source->read(offset, part);
        if (!std::equal(part.begin(), part.end(),
                        contents.begin() + static_cast<std::ptrdiff_t>(offset))) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("a file that is shorter than what is asked of it is damaged", "[storage]") {
  const Place place = any_place();
  REQUIRE(write(place, "file", "0123456789"));
  const auto source = place->open("file");
  Bytes bytes(5);
  CHECK_NOTHROW(source->read(5, bytes));
  CHECK(error_kind_of([&] { source->read(6, bytes); }) == ErrorKind::kCorrupt);
  CHECK(error_kind_of([&] { source->read(1000, bytes); }) == ErrorKind::kCorrupt);
}

TEST_CASE("a source's name tells an operator which file it is", "[storage]") {
  const Place place = any_place();
  REQUIRE(write(place, "wal/a/file"));
  CHECK_THAT(place->open("wal/a/file")->name(), Catch::EndsWith("wal/a/file"));
}

TEST_CASE("a file that was never stored is absent", "[storage]") {
  const Place place = any_place();
  CHECK_FALSE(place->open("missing"));
  CHECK_FALSE(place->open("no/such/folder/file"));
  CHECK_FALSE(place->remove("missing"));
  CHECK(keys_below(place, "no/such/folder").empty());
}

TEST_CASE("a folder is not a file", "[storage]") {
  const Place place = any_place();
  REQUIRE(write(place, "wal/a/file"));
  std::unique_ptr<ByteSource> source;
  try {
    source = place->open("wal/a");
  } catch (
      const Error&) {  // where there are folders, one under a file's name is no certain absence
  }
  CHECK_FALSE(source);
}

TEST_CASE("what exists is never overwritten", "[storage]") {
  const Place place = any_place();
  CHECK(write(place, "wal/file", "first"));
  CHECK_FALSE(write(place, "wal/file", "second"));
  CHECK(read(place, "wal/file") == "first");
  CHECK(keys_below(place, "wal") == Keys{"wal/file"});
}

TEST_CASE("a file appears only when it is committed", "[storage]") {
  const Place place = any_place();
  BufferPool pool(2, 100);
  const auto destination = place->create("wal/file");
  Buffer buffer = pool.acquire();
  buffer.set_size(10);
  destination->append(std::move(buffer));
  CHECK_FALSE(place->open("wal/file"));
  CHECK(keys_below(place, "wal").empty());
  CHECK(destination->commit());
  CHECK(place->open("wal/file"));
}

TEST_CASE("a destination that is dropped leaves nothing", "[storage]") {
  const Place place = any_place();
  BufferPool pool(3, 1000);
  for (int round = 0; round < 3; ++round) {
    const auto destination = place->create("wal/file");
    Buffer buffer = pool.acquire();
    buffer.set_size(1000);
    destination->append(std::move(buffer));
  }
  CHECK_FALSE(place->open("wal/file"));
  CHECK(keys_below(place, "wal").empty());
  CHECK(write(place, "wal/file"));
}

TEST_CASE("several files become durable together and appear one by one", "[storage]") {
  const Place place = any_place();
  BufferPool pool(3, 100);
  std::vector<std::unique_ptr<Destination>> destinations;
  for (const char* key : {"wal/a/1", "wal/a/2", "wal/b/3"}) {
    destinations.push_back(place->create(key));
    Buffer buffer = pool.acquire();
    std::fill_n(buffer.data(), 100, std::byte{'x'});
    buffer.set_size(100);
    destinations.back()->append(std::move(buffer));
    destinations.back()->begin_commit();
  }
  CHECK(keys_below(place, "wal").empty());
  REQUIRE(write(place, "wal/a/2", "of somebody who was faster"));
  CHECK(destinations[0]->publish());
  CHECK(keys_below(place, "wal") == Keys{"wal/a/1", "wal/a/2"});
  CHECK_FALSE(destinations[1]->publish());
  destinations[1]->settle();
  CHECK(destinations[2]->commit());
  destinations.clear();
  CHECK(read(place, "wal/a/1") == std::string(100, 'x'));
  CHECK(read(place, "wal/a/2") == "of somebody who was faster");
  CHECK(read(place, "wal/b/3") == std::string(100, 'x'));
}

TEST_CASE("of many who commit one key at once exactly one succeeds", "[storage]") {
  const Place place = any_place();
  for (int round = 0; round < 10; ++round) {
    const std::string key = "wal/folder" + std::to_string(round) + "/file";
    std::atomic<int> winner{-1};
    std::atomic<int> winners{0};
    std::vector<std::thread> threads;
    for (int writer = 0; writer < 6; ++writer) {
      threads.emplace_back([&, writer] {
        if (!write(place, key, std::string(5000, static_cast<char>('a' + writer)))) return;
        ++winners;
        winner = writer;
      });
    }
    for (std::thread& thread : threads)
      thread.join();
    CHECK(winners == 1);
    CHECK(read(place, key) == std::string(5000, static_cast<char>('a' + winner)));
  }
}

TEST_CASE("many threads store many files at once", "[storage]") {
  const Place place = any_place();
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 4; ++writer) {
    threads.emplace_back([&, writer] {
      for (int i = 0; i < 10; ++i) {
        const std::string name = std::to_string(writer) + "-" + std::to_string(i);
        if (!write(place, "wal/" + std::to_string(i) + "/" + name, name)) ++failed;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  CHECK(failed == 0);
  CHECK(keys_below(place, "wal").size() == 40);
}

TEST_CASE("a listing visits a folder's files in the order of their parts", "[storage]") {
  const Place place = any_place();
  for (const char* key : {"wal/b/2", "wal/b-c/1", "wal/b/10", "wal/a", "wal/b.x", "other/a",
                          "wal/b/1/z", "walnut/a", "wal/B"}) {
    REQUIRE(write(place, key));
  }
  CHECK(keys_below(place, "wal") ==
        Keys{"wal/B", "wal/a", "wal/b/1/z", "wal/b/10", "wal/b/2", "wal/b-c/1", "wal/b.x"});
  CHECK(keys_below(place, "wal/b") == Keys{"wal/b/1/z", "wal/b/10", "wal/b/2"});
}

TEST_CASE("a listing below a file visits nothing", "[storage]") {
  const Place place = any_place();
  REQUIRE(write(place, "wal/a"));
  Keys keys = {"untouched"};
  CHECK_NOTHROW(keys = keys_below(place, "wal/a"));
  CHECK(keys.empty());
}

TEST_CASE("a listing can begin after any key, stored or not", "[storage]") {
  const Place place = any_place();
  const Keys all = {"wal/1/a", "wal/1/c", "wal/2/a", "wal/2/b/x", "wal/2-x", "wal/3"};
  for (const std::string& key : all)
    REQUIRE(write(place, key));
  REQUIRE(keys_below(place, "wal") == all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CAPTURE(all[i]);
    CHECK(keys_below(place, "wal", all[i]) ==
          Keys(all.begin() + static_cast<std::ptrdiff_t>(i) + 1, all.end()));
  }
  CHECK(keys_below(place, "wal", "wal/1/b") == Keys(all.begin() + 1, all.end()));
  CHECK(keys_below(place, "wal", "wal/2/b/y") == Keys(all.begin() + 4, all.end()));
  CHECK(keys_below(place, "wal", "wal/0") == all);
  CHECK(keys_below(place, "wal", "a") == all);
  CHECK(keys_below(place, "wal", "wal/4").empty());
  CHECK(keys_below(place, "wal/1", "wal/1/a") == Keys{"wal/1/c"});
  CHECK(keys_below(place, "wal/1", "wal/2").empty());
}

// "wal/2/b" comes before "wal/2/b/x", which has to be visited.
TEST_CASE("a listing can begin after the name of a folder", "[storage]") {
  const Place place = any_place();
  for (const char* key : {"wal/2/a", "wal/2/b/x", "wal/3"})
    REQUIRE(write(place, key));
  CHECK(keys_below(place, "wal", "wal/2/b") == Keys{"wal/2/b/x", "wal/3"});
  CHECK(keys_below(place, "wal", "wal/2") == Keys{"wal/2/a", "wal/2/b/x", "wal/3"});
  CHECK(keys_below(place, "wal", "wal") == Keys{"wal/2/a", "wal/2/b/x", "wal/3"});
}

TEST_CASE("a listing ends where its visitor wants no more", "[storage]") {
  const Place place = any_place();
  for (const char* key : {"wal/1/a", "wal/1/b", "wal/2/a", "wal/3"})
    REQUIRE(write(place, key));
  Keys seen;
  place->list("wal", "", [&](const std::string& key) {
    seen.push_back(key);
    return seen.size() < 2;
  });
  CHECK(seen == Keys{"wal/1/a", "wal/1/b"});
}

TEST_CASE("a visitor may use the storage", "[storage]") {
  const Place place = any_place();
  for (const char* key : {"wal/a", "wal/b"})
    REQUIRE(write(place, key, key));
  std::string contents;
  place->list("wal", "", [&](const std::string& key) {
    contents += read(place, key);
    return true;
  });
  CHECK(contents == "wal/awal/b");
}

TEST_CASE("a removed file is gone, its neighbours stay", "[storage]") {
  const Place place = any_place();
  REQUIRE(write(place, "wal/a/1"));
  REQUIRE(write(place, "wal/a/2"));
  CHECK(place->remove("wal/a/1"));
  CHECK_FALSE(place->remove("wal/a/1"));
  CHECK_FALSE(place->open("wal/a/1"));
  CHECK(keys_below(place, "wal") == Keys{"wal/a/2"});
  CHECK(place->remove("wal/a/2"));
  CHECK(keys_below(place, "wal").empty());
  CHECK(write(place, "wal/a/1", "again"));
  CHECK(read(place, "wal/a/1") == "again");
}

TEST_CASE("a file that is being read may be removed", "[storage]") {
  const Place place = any_place();
  REQUIRE(write(place, "wal/a", "contents"));
  const auto source = place->open("wal/a");
  REQUIRE(place->remove("wal/a"));
  Bytes bytes(8);
  source->read(0, bytes);
  CHECK(as_text(bytes) == "contents");
}

TEST_CASE("a stored file can be made durable again", "[storage]") {
  const Place place = any_place();
  REQUIRE(write(place, "wal/a/file"));
  CHECK_NOTHROW(place->make_durable("wal/a/file"));
  CHECK(read(place, "wal/a/file") == "x");
}

TEST_CASE("what a living process writes is not abandoned", "[storage]") {
  const Place place = any_place();
  const auto destination = place->create("wal/a/file");
  CHECK(place->remove_abandoned("wal") == 0);
  CHECK(destination->commit());
}

TEST_CASE("every function refuses what is not a key", "[storage]") {
  const Place place = any_place();
  const std::string key = any_bad_key();
  CAPTURE(key);
  CHECK(error_kind_of([&] { place->open(key); }) == ErrorKind::kUsage);
  CHECK(error_kind_of([&] { place->create(key); }) == ErrorKind::kUsage);
  CHECK(error_kind_of([&] { place->make_durable(key); }) == ErrorKind::kUsage);
  CHECK(error_kind_of([&] { keys_below(place, key); }) == ErrorKind::kUsage);
  CHECK(error_kind_of([&] { place->remove_abandoned(key); }) == ErrorKind::kUsage);
}

TEST_CASE("what is not a key is not removed either", "[storage]") {
  const Place place = any_place();
  const std::string key = any_bad_key();
  CAPTURE(key);
  CHECK(error_kind_of([&] { place->remove(key); }) == ErrorKind::kUsage);
}

TEST_CASE("a storage says where it is", "[storage]") {
  const Place place = any_place();
  CHECK_FALSE(place->properties().url.empty());
}

}  // namespace pitr
