// A place where archived files live: it knows keys and bytes, not meanings.
//
// A key is a relative path of one or more names of printable characters, joined by "/". Nothing
// that exists is ever overwritten, and a file appears under its key only when it is whole.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/byte_stream.h"

namespace pitr {

// A file that is being written. Destroying it without commit() abandons it: nothing appears.
class Destination : public ByteSink {
 public:
  // A hint, before the first byte: the disk is not to be busy with this file before begin_commit().
  virtual void hold_back() {}

  // Nothing more will be appended: the bytes begin to become durable. commit() sees to that by
  // itself; but files that all begin before the first is committed reach the disk together.
  virtual void begin_commit() {}

  // The first step of commit(): beyond its return the bytes are durable, still without a name.
  virtual void wait_until_durable() = 0;

  // Makes the bytes durable, then the name, exclusively. Beyond a return of true the file survives
  // a crash. False: the key exists already; what it holds is untouched and these bytes are dropped.
  // Throws kSystem when it cannot say that the file is durable; asking again is harmless.
  [[nodiscard]] virtual bool commit() = 0;

  // commit() in two steps, for several files of one folder. After publish() the file is there,
  // whole and with durable bytes, but a crash may still take its name away, and the later names
  // with it; after settle() of one of them no more.
  [[nodiscard]] virtual bool publish() = 0;
  virtual void settle() = 0;
};

// What a store is, as data, not as a type to be tested for.
struct StorageProperties {
  std::string url;  // for messages
};

// Thread-safe. Every function throws kSystem when the store cannot answer; "absent" is only ever
// the complete, successful answer of a store that is there.
class Storage {
 public:
  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  Storage(Storage&&) = delete;
  Storage& operator=(Storage&&) = delete;
  virtual ~Storage() = default;

  virtual const StorageProperties& properties() const = 0;

  // Null when there is certainly no such file.
  virtual std::unique_ptr<ByteSource> open(const std::string& key) = 0;

  virtual std::unique_ptr<Destination> create(const std::string& key) = 0;

  // Visits the keys below a folder in the order of their parts, those after `after` only (empty:
  // all), until the visitor returns false. Files that are being written are not visited.
  using Visitor = std::function<bool(const std::string& key)>;
  virtual void list(const std::string& folder, const std::string& after,
                    const Visitor& visitor) = 0;

  // The names of the folders right below one, sorted; folders without a file may be among them.
  virtual std::vector<std::string> list_folders(const std::string& folder) = 0;

  // A text that is another one whenever a file has come into the folder itself or left it since.
  // Nothing where the store cannot say so, or where the folder has changed a moment ago.
  virtual std::optional<std::string> stamp(const std::string& folder) = 0;

  // Makes sure that a file which is there survives a crash, whoever wrote it.
  virtual void make_durable(const std::string& key) = 0;

  // A hint: a file that is durable will not be read soon, so that none of it needs to stay in
  // memory.
  virtual void forget_cached(const std::string& key) = 0;

  // False when there was none.
  virtual bool remove(const std::string& key) = 0;

  // Removes what dead processes of this host left unfinished below a folder; returns how many.
  virtual std::size_t remove_abandoned(const std::string& folder) = 0;
};

// False for a text that is not a key (see above): absolute, with "." or "..", empty parts, a part
// that begins with a dot, or unprintable characters.
bool is_key(std::string_view key);
void check_key(std::string_view key);  // throws kUsage for what is none

// The order in which list() visits: part by part, so that a folder's contents stay together.
bool key_less(std::string_view a, std::string_view b);

}  // namespace pitr
