#include "pitr/json_output.h"

#include "common/error.h"
#include "pitr/session.h"

namespace pitr {

void print_json(const Json& document) {
  print_output(document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Json json_time(const std::optional<Instant>& instant) {
  return instant ? Json(to_utc_text(*instant)) : Json(nullptr);
}

Json json_lsn(Lsn lsn) { return lsn == 0 ? Json(nullptr) : Json(format_lsn(lsn)); }

Json json_text(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

std::optional<Instant> time_in(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  const auto& text = found->get_ref<const std::string&>();
  if (!text.ends_with('Z')) return std::nullopt;
  try {
    return parse_instant(text, Instant());
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<double> number_in(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

}  // namespace pitr
