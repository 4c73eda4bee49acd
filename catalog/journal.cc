#include "catalog/journal.h"

#include <cerrno>
#include <chrono>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "io/checksum.h"
#include "io/file.h"

namespace pitr {

namespace {

constexpr std::uint32_t kRecordMagic = 0x314A5250;  // "PRJ1"
constexpr std::size_t kRecordHeaderBytes = 16;      // magic, length, checksum
constexpr std::uint32_t kLongestRecord = 1U << 20;
constexpr std::uint64_t kLargestJournal = 1ULL << 30;

bool is_same_file(int descriptor, const std::string& path) {
  struct stat opened {};
  struct stat named {};
  return fstat(descriptor, &opened) == 0 && stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// The bytes of the record at the front; nothing when no whole, undamaged record begins there.
std::optional<ByteSpan> record_at(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto magic = reader.get<std::uint32_t>();
  const auto length = reader.get<std::uint32_t>();
  const auto checksum = reader.get<std::uint64_t>();
  const ByteSpan payload = reader.get_bytes(length);
  if (!reader.ok() || magic != kRecordMagic || xxh3_64(payload, length) != checksum) {
    return std::nullopt;
  }
  return payload;
}

// Nothing for a record that this version does not understand.
std::optional<WalFileEntry> understood(ByteSpan payload) {
  try {
    return decode_entry(payload);
  } catch (const Error& error) {
    if (error.report().kind != ErrorKind::kCorrupt) throw;
    return std::nullopt;
  }
}

// Every whole record of a journal file; a torn or damaged one is passed over.
void visit_records(const std::string& path,
                   const std::function<void(const WalFileEntry&)>& consumer) {
  const std::string contents = read_whole_file(path, kLargestJournal + kLongestRecord);
  ByteSpan rest = as_byte_span(contents);
  while (rest.size() >= kRecordHeaderBytes) {
    const auto payload = record_at(rest);
    const auto entry = payload ? understood(*payload) : std::nullopt;
    if (entry) consumer(*entry);
    rest = rest.subspan(payload ? kRecordHeaderBytes + payload->size() : 1);
  }
}

}  // namespace

std::vector<std::byte> encode_entry(const WalFileEntry& entry) {
  ByteWriter writer;
  writer.put_text(entry.cluster.to_string());
  writer.put_text(entry.key);
  writer.put(entry.raw_bytes);
  writer.put(entry.stored_bytes);
  writer.put(std::int64_t{entry.archived_at.time_since_epoch().count()});
  writer.put_text(as_text(entry.index));
  return writer.take();
}

WalFileEntry decode_entry(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto cluster = ClusterKey::parse(reader.get_text());
  WalFileEntry entry;
  entry.key = reader.get_text();
  entry.raw_bytes = reader.get<std::uint64_t>();
  entry.stored_bytes = reader.get<std::uint64_t>();
  entry.archived_at = Instant(std::chrono::microseconds(reader.get<std::int64_t>()));
  const ByteSpan index = reader.get_bytes(reader.get<std::uint32_t>());
  if (!reader.ok() || reader.remaining() != 0 || !cluster) {
    throw Error({.kind = ErrorKind::kCorrupt, .message = "a record of the catalog is damaged"});
  }
  entry.cluster = *cluster;
  entry.index.assign(index.begin(), index.end());
  return entry;
}

Journal::Journal(std::string state_directory)
    : directory_(std::move(state_directory)), path_(directory_ + "/journal") {}

void Journal::append(const WalFileEntry& entry) const {
  const std::vector<std::byte> payload = encode_entry(entry);
  ByteWriter record;
  record.put(kRecordMagic);
  record.put(static_cast<std::uint32_t>(payload.size()));
  record.put(xxh3_64(payload, payload.size()));
  record.put_bytes(payload);

  create_directories(directory_);
  // The shared lock keeps whoever takes the journal from dropping it while we write. Not to be had
  // at once, it has been renamed away already: then there is a new one to be opened. Whoever holds
  // it otherwise keeps no segment waiting.
  constexpr int kMostTries = 100;
  for (int tries = 1;; ++tries) {
    const File file = File::open(path_, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0600);
    struct stat status {};
    if (fstat(file.descriptor(), &status) != 0) throw_file_error("read", path_, errno);
    if (!S_ISREG(status.st_mode)) throw_file_error("append to file", path_, ESPIPE);
    if (flock(file.descriptor(), LOCK_SH | LOCK_NB) != 0) {
      if ((errno != EWOULDBLOCK && errno != EINTR) || tries == kMostTries) {
        throw_file_error("lock file", path_, errno);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    if (!is_same_file(file.descriptor(), path_)) continue;
    if (file.size() > kLargestJournal) throw_file_error("append to file", path_, EFBIG);
    // One write for the whole record: records of several processes do not mix.
    const ByteSpan bytes = record.bytes();
    const ssize_t written = ::write(file.descriptor(), bytes.data(), bytes.size());
    if (written < 0) throw_file_error("append to file", path_, errno);
    if (static_cast<std::size_t>(written) != bytes.size()) {
      throw_file_error("append to file", path_, ENOSPC);
    }
    return;
  }
}

void Journal::visit(const std::function<void(const WalFileEntry&)>& consumer) const {
  for (const std::string& path : {path_ + ".taken", path_}) {
    if (access(path.c_str(), F_OK) == 0) visit_records(path, consumer);
  }
}

void Journal::take(const std::function<void(const WalFileEntry&)>& consumer,
                   const std::function<void()>& finish) const {
  const std::string taken = path_ + ".taken";
  // A taken journal that is still there was left by a crash; then a round for the present one.
  for (int round = 0; round < 2; ++round) {
    if (access(taken.c_str(), F_OK) != 0 && rename(path_.c_str(), taken.c_str()) != 0) {
      if (errno == ENOENT) return;
      throw_file_error("rename file", path_, errno);
    }
    const File file = File::open_for_read(taken);
    if (flock(file.descriptor(), LOCK_EX) != 0) throw_file_error("lock file", taken, errno);
    visit_records(taken, consumer);
    finish();
    if (unlink(taken.c_str()) != 0) throw_file_error("remove file", taken, errno);
  }
}

}  // namespace pitr
