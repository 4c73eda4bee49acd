#include "pitr/json_output.h"

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

}  // namespace pitr
