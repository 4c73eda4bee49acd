#include "basebackup/backup_stream.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "common/error.h"

namespace pitr {

namespace {

constexpr std::size_t kTarBlock = 512;

// Offsets in a ustar header: tarCreateHeader() in PostgreSQL's tar.c.
constexpr std::size_t kNameOffset = 0;
constexpr std::size_t kModeOffset = 100;
constexpr std::size_t kUserOffset = 108;
constexpr std::size_t kGroupOffset = 116;
constexpr std::size_t kSizeOffset = 124;
constexpr std::size_t kTimeOffset = 136;
constexpr std::size_t kChecksumOffset = 148;
constexpr std::size_t kTypeOffset = 156;

[[noreturn]] void throw_bad_stream(const char* detail) {
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = "the server's backup stream cannot be understood",
               .detail = detail});
}

// A number of a tar header: octal digits, or binary with the first bit set where they do not reach.
std::uint64_t tar_number(ByteSpan header, std::size_t offset, std::size_t length) {
  const ByteSpan field = header.subspan(offset, length);
  std::uint64_t number = 0;
  if ((std::to_integer<unsigned>(field[0]) & 0x80U) != 0) {
    for (const std::byte byte : field.subspan(length - std::min<std::size_t>(length, 8))) {
      number = number << 8U | std::to_integer<std::uint64_t>(byte);
    }
    return length > 8 ? number : number & ~(0x80ULL << (8 * (length - 1)));
  }
  for (const std::byte byte : field) {
    const auto c = std::to_integer<char>(byte);
    if (c < '0' || c > '7') break;
    number = number * 8 + static_cast<std::uint64_t>(c - '0');
  }
  return number;
}

bool checksum_holds(ByteSpan header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i) {
    const bool in_field = i >= kChecksumOffset && i < kChecksumOffset + 8;
    sum += in_field ? std::uint64_t{' '} : std::to_integer<std::uint64_t>(header[i]);
  }
  return sum == tar_number(header, kChecksumOffset, 8);
}

std::string quote_literal(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text)
    quoted.append(c == '\'' ? 2 : 1, c);
  return quoted.append(1, '\'');
}

std::string field(const PGresult* result, int row, int column) {
  if (PQgetisnull(result, row, column) == 1) return {};
  return {PQgetvalue(result, row, column),
          static_cast<std::size_t>(PQgetlength(result, row, column))};
}

// The text up to a NUL; the bytes are shortened by it.
std::string take_text(ByteSpan& bytes) {
  const std::string_view rest = as_text(bytes);
  const std::size_t end = rest.find('\0');
  if (end == std::string_view::npos) throw_bad_stream("A text has no end.");
  std::string text(rest.substr(0, end));
  bytes = bytes.subspan(end + 1);
  return text;
}

// "16385.tar" -> 16385, "base.tar" -> 0.
std::uint32_t oid_of_archive(const std::string& name) {
  const auto oid = parse_number(std::string_view(name).substr(0, name.find('.')), 10);
  return static_cast<std::uint32_t>(oid.value_or(0));
}

}  // namespace

BackupStream::BackupStream(const std::string& connection)
    : link_(connect_to_server(connection, "true")),
      version_(static_cast<unsigned>(PQserverVersion(link_.get())) / 10000) {}

std::string BackupStream::timeline_history(TimelineId timeline) {
  const ResultHandle result(
      PQexec(link_.get(), fmt::format("TIMELINE_HISTORY {}", timeline).c_str()));
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK || PQntuples(result.get()) != 1) {
    throw_server_error(link_.get(), result.get());
  }
  return field(result.get(), 0, 1);
}

StreamStart BackupStream::begin(const std::string& label, bool fast) {
  const std::string command =
      version_ >= 15 ? fmt::format(
                           "BASE_BACKUP (LABEL {}, CHECKPOINT '{}', WAIT false, TABLESPACE_MAP, "
                           "MANIFEST 'no')",
                           quote_literal(label), fast ? "fast" : "spread")
                     : fmt::format("BASE_BACKUP LABEL {}{} NOWAIT TABLESPACE_MAP",
                                   quote_literal(label), fast ? " FAST" : "");
  if (PQsendQuery(link_.get(), command.c_str()) == 0) throw_server_error(link_.get(), nullptr);
  const ResultHandle start(PQgetResult(link_.get()));
  if (PQresultStatus(start.get()) != PGRES_TUPLES_OK || PQntuples(start.get()) != 1) {
    throw_server_error(link_.get(), start.get());
  }
  StreamStart answer{.lsn = to_lsn(field(start.get(), 0, 0)),
                     .timeline = static_cast<TimelineId>(to_integer(field(start.get(), 0, 1)))};
  const ResultHandle archives(PQgetResult(link_.get()));
  if (PQresultStatus(archives.get()) != PGRES_TUPLES_OK) {
    throw_server_error(link_.get(), archives.get());
  }
  for (int row = 0; row < PQntuples(archives.get()); ++row) {
    const std::string oid = field(archives.get(), row, 0);
    archive_oids_.push_back(oid.empty() ? 0 : static_cast<std::uint32_t>(to_integer(oid)));
    if (oid.empty()) continue;
    answer.tablespaces.push_back(
        {.oid = archive_oids_.back(), .path = field(archives.get(), row, 1)});
  }
  return answer;
}

void BackupStream::read_copy(const std::function<void(ByteSpan message)>& on_message) {
  const ResultHandle result(PQgetResult(link_.get()));
  if (PQresultStatus(result.get()) != PGRES_COPY_OUT) throw_server_error(link_.get(), result.get());
  while (true) {
    char* bytes = nullptr;
    const int length = PQgetCopyData(link_.get(), &bytes, 0);
    const std::unique_ptr<char, decltype(&PQfreemem)> owner(bytes, &PQfreemem);
    if (length == -1) return;  // the end, or an error that the next result tells
    if (length < 0) throw_server_error(link_.get(), nullptr);
    on_message(as_byte_span(std::string_view(bytes, static_cast<std::size_t>(length))));
  }
}

// From 15 on one stream carries all archives, each message with its kind in front.
void BackupStream::read_archives(const std::function<void(std::uint32_t oid)>& on_archive,
                                 const std::function<void(ByteSpan bytes)>& on_data) {
  read_copy([&](ByteSpan message) {
    if (message.empty()) throw_bad_stream("A message is empty.");
    const auto kind = std::to_integer<char>(message[0]);
    message = message.subspan(1);
    if (kind == 'n') {
      on_archive(oid_of_archive(take_text(message)));
    } else if (kind == 'd') {
      on_data(message);
    } else if (kind != 'p' && kind != 'm') {
      throw_bad_stream("A message is of an unknown kind.");
    }
  });
}

void BackupStream::read(const std::function<void(std::uint32_t oid)>& on_archive,
                        const std::function<void(ByteSpan bytes)>& on_data) {
  if (version_ >= 15) {
    read_archives(on_archive, on_data);
    return;
  }
  for (const std::uint32_t oid : archive_oids_) {
    on_archive(oid);
    read_copy(on_data);
  }
}

Lsn BackupStream::finish() {
  const ResultHandle stop(PQgetResult(link_.get()));
  if (PQresultStatus(stop.get()) != PGRES_TUPLES_OK || PQntuples(stop.get()) != 1) {
    throw_server_error(link_.get(), stop.get());
  }
  const Lsn lsn = to_lsn(field(stop.get(), 0, 0));
  // The command's own end: an error that came late (a page that fails its checksum) shows here.
  while (true) {
    const ResultHandle result(PQgetResult(link_.get()));
    if (!result) return lsn;
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
      throw_server_error(link_.get(), result.get());
    }
  }
}

void TarReader::feed(ByteSpan bytes) {
  while (!bytes.empty()) {
    if (data_left_ > 0) {
      const ByteSpan part = bytes.first(std::min<std::uint64_t>(data_left_, bytes.size()));
      if (in_file_) visitor_.on_data(part);
      data_left_ -= part.size();
      bytes = bytes.subspan(part.size());
      if (data_left_ == 0 && in_file_) visitor_.on_end();
    } else if (padding_left_ > 0) {
      const std::size_t part = std::min<std::uint64_t>(padding_left_, bytes.size());
      padding_left_ -= part;
      bytes = bytes.subspan(part);
    } else {
      const ByteSpan part = bytes.first(std::min(kTarBlock - header_.size(), bytes.size()));
      header_.insert(header_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (header_.size() == kTarBlock) begin_member();
    }
  }
}

void TarReader::begin_member() {
  const ByteSpan header(header_);
  const bool is_end = std::all_of(header.begin(), header.end(),
                                  [](std::byte byte) { return byte == std::byte{0}; });
  if (is_end) {
    header_.clear();
    return;
  }
  if (!checksum_holds(header)) throw_bad_stream("A tar header fails its checksum.");
  const std::string_view name = as_text(header.subspan(kNameOffset, 100));
  const auto type = std::to_integer<char>(header[kTypeOffset]);
  Member member{.is_folder = type == '5',
                .path = std::string(name.substr(0, name.find('\0'))),
                .size = tar_number(header, kSizeOffset, 12),
                .mode = static_cast<std::uint32_t>(tar_number(header, kModeOffset, 8) & 07777U),
                .user = static_cast<std::uint32_t>(tar_number(header, kUserOffset, 8)),
                .group = static_cast<std::uint32_t>(tar_number(header, kGroupOffset, 8)),
                .modified_at =
                    from_unix_time(static_cast<std::int64_t>(tar_number(header, kTimeOffset, 12)))};
  header_.clear();
  while (member.path.ends_with('/'))
    member.path.pop_back();
  if (member.path.starts_with("./")) member.path.erase(0, 2);
  if (member.size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    throw_bad_stream("A file is of an impossible size.");
  }
  const bool is_file = type == '0' || type == '\0';
  data_left_ = is_file ? member.size : 0;
  padding_left_ = is_file ? (kTarBlock - member.size % kTarBlock) % kTarBlock : 0;
  in_file_ = is_file;
  if (!is_file && !member.is_folder) return;
  if (member.path.empty() || member.path == ".") {
    in_file_ = false;
    return;
  }
  visitor_.on_member(member);
  if (is_file && member.size == 0) visitor_.on_end();
}

void TarReader::finish() const {
  if (data_left_ > 0 || padding_left_ > 0 || !header_.empty()) {
    throw_bad_stream("An archive ended inside a file.");
  }
}

}  // namespace pitr
