#include "common/config.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#define TOML_EXCEPTIONS 1
#define TOML_ASSERT(condition) static_cast<void>(0)  // a bad file is refused, never an abort
#include <toml++/toml.h>

#include "common/error.h"
#include "common/nearest.h"
#include "common/units.h"

namespace pitr {

namespace {

constexpr const char* kDefaultPath = "/etc/pitr/pitr.toml";

// A key, and how its text becomes a value. `assign` returns what was expected when it refuses.
struct Option {
  std::string_view section;
  std::string_view key;
  bool is_number;
  std::function<std::optional<std::string>(Config&, const std::string&)> assign;
};

using Refusal = std::optional<std::string>;

Refusal assign_absolute_path(std::string& value, const std::string& text) {
  if (!text.starts_with('/') || text.find('\0') != std::string::npos) return "an absolute path";
  value = text;
  while (value.size() > 1 && value.ends_with('/'))
    value.pop_back();
  return std::nullopt;
}

Refusal assign_jobs(unsigned& value, const std::string& text) {
  constexpr unsigned kMostJobs = 64;
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1 ||
      number > kMostJobs) {
    return fmt::format("a number from 1 to {}", kMostJobs);
  }
  value = number;
  return std::nullopt;
}

Refusal assign_duration(std::chrono::milliseconds& value, const std::string& text) {
  const auto duration = parse_duration(text);
  if (!duration) return "a duration such as \"30s\" or \"5min\"";
  value = *duration;
  return std::nullopt;
}

Refusal assign_cluster_name(std::string& value, const std::string& text) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  if (text.empty() || text.size() > 64 || text.front() == '.' || text.front() == '-' ||
      text.find_first_not_of(kAllowed) != std::string::npos) {
    return "1 to 64 letters, digits, \"_\", \"-\" or \".\", not starting with \".\" or \"-\"";
  }
  value = text;
  return std::nullopt;
}

// Thrown by an option's `assign`, which does not know where the value stands.
struct NotAvailable {
  std::string what;
};

[[noreturn]] void throw_not_available(const std::string& where, std::string_view what) {
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("{}: {}: not available in this version", where, what),
               .code = "not_available"});
}

Refusal assign_url(std::string& value, const std::string& text) {
  for (const std::string_view scheme : {"s3://", "azure://", "gs://", "sftp://"}) {
    if (text.starts_with(scheme)) throw NotAvailable{std::string(scheme)};
  }
  constexpr std::string_view kFile = "file://";
  if (!text.starts_with(kFile)) return "a URL such as \"file:///srv/pitr\"";
  std::string path;
  if (const Refusal refusal = assign_absolute_path(path, text.substr(kFile.size()))) {
    return "\"file://\" followed by an absolute path";
  }
  value = std::string(kFile) + path;
  return std::nullopt;
}

Refusal assign_compression(std::string& value, const std::string& text) {
  Refusal expected = "\"none\", \"lz4\", \"zstd\" or \"zstd:LEVEL\" with a level from 1 to 19";
  if (text.starts_with("zstd:")) {
    int level = 0;
    const char* begin = text.data() + 5;
    const char* text_end = text.data() + text.size();
    const auto [end, error] = std::from_chars(begin, text_end, level);
    if (error != std::errc() || end != text_end || level < 1 || level > 19) return expected;
  } else if (text != "none" && text != "lz4" && text != "zstd") {
    return expected;
  }
  value = text;
  return std::nullopt;
}

const std::vector<Option>& options() {
  static const std::vector<Option> all = {
      {"cluster", "name", false,
       [](Config& c, const std::string& t) { return assign_cluster_name(c.cluster.name, t); }},
      {"cluster", "data_directory", false,
       [](Config& c, const std::string& t) {
         return assign_absolute_path(c.cluster.data_directory, t);
       }},
      {"cluster", "connection", false,
       [](Config& c, const std::string& t) {
         c.cluster.connection = t;
         return Refusal();
       }},
      {"repository", "url", false,
       [](Config& c, const std::string& t) { return assign_url(c.repository.url, t); }},
      {"repository", "compression", false,
       [](Config& c, const std::string& t) {
         return assign_compression(c.repository.compression, t);
       }},
      {"state", "directory", false,
       [](Config& c, const std::string& t) { return assign_absolute_path(c.state.directory, t); }},
      {"archive", "jobs", true,
       [](Config& c, const std::string& t) { return assign_jobs(c.archive.jobs, t); }},
      {"restore", "jobs", true,
       [](Config& c, const std::string& t) { return assign_jobs(c.restore.jobs, t); }},
      {"restore", "retry_time", false,
       [](Config& c, const std::string& t) { return assign_duration(c.restore.retry_time, t); }},
      {"restore", "standby_unreachable", false,
       [](Config& c, const std::string& t) -> Refusal {
         if (t != "wait" && t != "stop") return "\"wait\" or \"stop\"";
         c.restore.standby_unreachable =
             t == "wait" ? StandbyUnreachable::kWait : StandbyUnreachable::kStop;
         return std::nullopt;
       }},
      {"backup", "jobs", true,
       [](Config& c, const std::string& t) { return assign_jobs(c.backup.jobs, t); }},
      {"backup", "rate_limit", false,
       [](Config& c, const std::string& t) -> Refusal {
         const auto bytes = parse_bytes(t);
         if (!bytes) return "bytes per second such as \"100MiB\"";
         c.backup.rate_limit_bytes_per_second = *bytes;
         return std::nullopt;
       }},
      {"backup", "wal_timeout", false,
       [](Config& c, const std::string& t) { return assign_duration(c.backup.wal_timeout, t); }},
      {"io", "ring", false,
       [](Config& c, const std::string& t) -> Refusal {
         if (t != "auto" && t != "off") return "\"auto\" or \"off\"";
         c.io.ring = t == "auto" ? RingMode::kAuto : RingMode::kOff;
         return std::nullopt;
       }},
  };
  return all;
}

// Sections that are designed but not there yet: refused, so that nobody believes them to be on.
constexpr std::array<std::string_view, 3> kLaterSections = {"encryption", "alert", "metrics"};
constexpr std::string_view kEmptyForNow = "retention";

[[noreturn]] void throw_unknown(const std::string& where, std::string_view what,
                                std::string_view name, std::span<const std::string_view> known) {
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("{}: unknown {} \"{}\"", where, what, name),
               .hint = suggest_nearest(name, known)});
}

void assign(Config& config, const Option& option, const std::string& text,
            const std::string& where) {
  Refusal expected;
  try {
    expected = option.assign(config, text);
  } catch (const NotAvailable& refused) {
    throw_not_available(where, refused.what);
  }
  if (expected) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("{}: invalid value \"{}\" for {}.{}", where, text,
                                        option.section, option.key),
                 .detail = fmt::format("Expected {}.", *expected)});
  }
}

std::string place_of(const std::string& path, const toml::node& node) {
  return fmt::format("{}:{}", path, node.source().begin.line);
}

void read_key(Config& config, const std::string& path, std::string_view section,
              std::string_view key, const toml::node& node) {
  std::vector<std::string_view> known;
  for (const Option& option : options()) {
    if (option.section != section) continue;
    known.push_back(option.key);
    if (option.key != key) continue;
    const std::string where = place_of(path, node);
    if (option.is_number && node.is_integer()) {
      assign(config, option, std::to_string(node.as_integer()->get()), where);
    } else if (!option.is_number && node.is_string()) {
      assign(config, option, node.as_string()->get(), where);
    } else {
      throw Error({.kind = ErrorKind::kUsage,
                   .message = fmt::format("{}: {}.{} has the wrong type", where, section, key),
                   .detail = fmt::format(
                       "Expected {}.", option.is_number ? "a whole number" : "a text in quotes")});
    }
    return;
  }
  throw_unknown(place_of(path, node), fmt::format("key of [{}]", section), key, known);
}

void read_section(Config& config, const std::string& path, std::string_view section,
                  const toml::node& node) {
  std::vector<std::string_view> known = {kEmptyForNow};
  for (const Option& option : options())
    known.push_back(option.section);
  const std::string where = place_of(path, node);
  for (const std::string_view later : kLaterSections) {
    if (section == later) throw_not_available(where, fmt::format("[{}]", section));
  }
  if (section == "repository" && node.is_array()) {
    throw_not_available(where, "several repositories");
  }
  if (std::find(known.begin(), known.end(), section) == known.end()) {
    throw_unknown(where, "section", section, known);
  }
  if (!node.is_table()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("{}: \"{}\" must be a section, written [{}]", where,
                                        section, section)});
  }
  for (const auto& [key, value] : *node.as_table()) {
    if (section == kEmptyForNow) {
      throw_not_available(place_of(path, value), fmt::format("{}.{}", section, key.str()));
    }
    read_key(config, path, section, key.str(), value);
  }
}

[[noreturn]] void throw_unreadable(const std::string& path, int error) {
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("could not read configuration file \"{}\": {}", path,
                                      std::generic_category().message(error))});
}

// Whoever may write the configuration decides where the WAL goes.
void refuse_writable_by_others(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) throw_unreadable(path, errno);
  if ((status.st_mode & S_IWOTH) != 0) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("configuration file \"{}\" can be written by others", path),
                 .hint = fmt::format("Run: chmod o-w {}", path)});
  }
}

// All of it: given a stream, the parser would take a read that fails for the end of the file.
std::string read_text(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_unreadable(path, errno);
  std::string text;
  std::array<char, 4096> bytes{};
  while (true) {
    const ssize_t count = read(descriptor, bytes.data(), bytes.size());
    const int error = errno;
    if (count > 0) {
      text.append(bytes.data(), static_cast<std::size_t>(count));
    } else if (count == 0 || error != EINTR) {
      close(descriptor);
      if (count < 0) throw_unreadable(path, error);
      return text;
    }
  }
}

void read_file(Config& config, const std::string& path) {
  refuse_writable_by_others(path);
  const std::string text = read_text(path);
  toml::table document;
  try {
    document = toml::parse(std::string_view(text), path);
  } catch (const toml::parse_error& error) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("{}:{}: {}", path, error.source().begin.line,
                                        error.description())});
  }
  for (const auto& [section, node] : document)
    read_section(config, path, section.str(), node);
}

std::string environment_name(const Option& option) {
  std::string name = fmt::format("PITR_{}_{}", option.section, option.key);
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return name;
}

std::string absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::array<char, 4096> directory{};
  if (getcwd(directory.data(), directory.size()) == nullptr) {
    throw_file_error("resolve", path, errno);
  }
  return fmt::format("{}/{}", directory.data(), path);
}

}  // namespace

Config load_config(const std::string& given_path) {
  Config config;
  const char* from_environment = std::getenv("PITR_CONFIG");
  const bool is_named = !given_path.empty() || from_environment != nullptr;
  std::string path = !given_path.empty() ? given_path
                     : from_environment  ? from_environment
                                         : kDefaultPath;
  // A file that was named must be there; the default one may be missing.
  if (is_named || access(path.c_str(), F_OK) == 0) {
    config.path = absolute(path);
    read_file(config, config.path);
  }
  for (const Option& option : options()) {
    const std::string name = environment_name(option);
    if (const char* text = std::getenv(name.c_str())) assign(config, option, text, name);
  }
  if (config.repository.url.empty()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = "no repository is configured",
                 .detail = config.path.empty()
                               ? fmt::format("There is no configuration file \"{}\".", kDefaultPath)
                               : fmt::format("\"{}\" does not set repository.url.", config.path),
                 .hint = "Set url in [repository], or PITR_REPOSITORY_URL, for instance to "
                         "\"file:///srv/pitr\"."});
  }
  return config;
}

std::string repository_path(const Config& config) {
  return config.repository.url.substr(std::string_view("file://").size());
}

}  // namespace pitr
