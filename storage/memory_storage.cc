#include "storage/memory_storage.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/error.h"

namespace pitr {

namespace {

using Bytes = std::vector<std::byte>;

struct KeyLess {
  bool operator()(std::string_view a, std::string_view b) const { return key_less(a, b); }
};

struct Files {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<const Bytes>, KeyLess> by_key;
};

class MemorySource : public ByteSource {
 public:
  MemorySource(std::string key, std::shared_ptr<const Bytes> bytes)
      : key_(std::move(key)), bytes_(std::move(bytes)) {}

  std::uint64_t size() const override { return bytes_->size(); }

  void read(std::uint64_t offset, std::span<std::byte> bytes) const override {
    if (offset > bytes_->size() || bytes.size() > bytes_->size() - offset) {
      throw Error({.kind = ErrorKind::kCorrupt,
                   .message = fmt::format("stored file \"{}\" is damaged", key_),
                   .detail = "It ends before its time."});
    }
    if (!bytes.empty()) std::memcpy(bytes.data(), bytes_->data() + offset, bytes.size());
  }

  const std::string& name() const override { return key_; }

 private:
  std::string key_;
  std::shared_ptr<const Bytes> bytes_;
};

class MemoryDestination : public Destination {
 public:
  MemoryDestination(Files& files, std::string key) : files_(files), key_(std::move(key)) {}

  void append(Buffer buffer) override {
    const ByteSpan bytes = buffer.bytes();
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }

  bool commit() override {
    const std::lock_guard lock(files_.mutex);
    return files_.by_key.try_emplace(key_, std::make_shared<const Bytes>(std::move(bytes_))).second;
  }

  void wait_until_durable() override {}
  bool publish() override { return commit(); }
  void settle() override {}

 private:
  Files& files_;
  std::string key_;
  Bytes bytes_;
};

class MemoryStorage : public Storage {
 public:
  const StorageProperties& properties() const override { return properties_; }

  std::unique_ptr<ByteSource> open(const std::string& key) override {
    check_key(key);
    const std::lock_guard lock(files_.mutex);
    const auto found = files_.by_key.find(key);
    if (found == files_.by_key.end()) return nullptr;
    return std::make_unique<MemorySource>(key, found->second);
  }

  std::unique_ptr<Destination> create(const std::string& key) override {
    check_key(key);
    return std::make_unique<MemoryDestination>(files_, key);
  }

  void list(const std::string& folder, const std::string& after, const Visitor& visitor) override {
    check_key(folder);
    std::vector<std::string> keys;
    {
      const std::lock_guard lock(files_.mutex);
      const std::string prefix = folder + "/";
      for (auto it = files_.by_key.lower_bound(prefix);
           it != files_.by_key.end() && it->first.starts_with(prefix); ++it) {
        if (key_less(after, it->first)) keys.push_back(it->first);
      }
    }
    for (const std::string& key : keys) {
      if (!visitor(key)) return;
    }
  }

  std::vector<std::string> list_folders(const std::string& folder) override {
    std::vector<std::string> names;
    list(folder, "", [&](const std::string& key) {
      const std::string inside = key.substr(folder.size() + 1);
      const std::size_t slash = inside.find('/');
      if (slash == std::string::npos) return true;
      if (names.empty() || names.back() != inside.substr(0, slash)) {
        names.push_back(inside.substr(0, slash));
      }
      return true;
    });
    std::sort(names.begin(), names.end());
    return names;
  }

  std::optional<std::string> stamp(const std::string&) override { return std::nullopt; }

  void make_durable(const std::string& key) override { check_key(key); }

  void forget_cached(const std::string& /*key*/) override {}

  bool remove(const std::string& key) override {
    check_key(key);
    const std::lock_guard lock(files_.mutex);
    return files_.by_key.erase(key) > 0;
  }

  std::size_t remove_abandoned(const std::string& folder) override {
    check_key(folder);
    return 0;
  }

 private:
  Files files_;
  StorageProperties properties_{.url = "memory:"};
};

}  // namespace

std::unique_ptr<Storage> make_memory_storage() { return std::make_unique<MemoryStorage>(); }

}  // namespace pitr
