// Paths over many logs against a plain model that looks at every segment, one after the other.
// Segments of 1 GiB: a log has four.
#include <random>

#include <catch2/catch.hpp>

#include "catalog/wal_path.h"

namespace pitr {

namespace {

constexpr SegmentSize kSize = SegmentSize{1} << 30;
constexpr std::uint64_t kMostSegments = 24;  // of a timeline: six logs

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(engine_() % limit); }
  bool once_in(std::uint32_t count) { return below(count) == 0; }

 private:
  std::mt19937 engine_;
};

struct Layout {
  std::vector<SegmentRow> segments;
  std::vector<SegmentRow> beginnings;
  std::vector<HistoryFile> histories;
  TimelineId newest = 1;
};

SegmentName name_at(TimelineId timeline, Lsn lsn) {
  return SegmentName::containing(timeline, lsn, kSize);
}

void fill_index(Random& random, SegmentRow& row, Lsn start) {
  SegmentIndex& index = row.index;
  index.valid_end = index.end_of_records = start + kSize;
  index.first_record = start + 40;
  index.last_record = start + kSize - 100;
  if (random.once_in(9)) index.first_record = index.last_record = index.end_of_records = 0;
  if (random.once_in(2))
    index.add({.time = random.below(1000),
               .xid = 1 + random.below(100),
               .is_commit = !random.once_in(4)});
  if (random.once_in(3)) index.checkpoints.push_back({.start = start, .next_xid = start + 1});
  if (random.once_in(10)) index.restore_points.push_back({.start = start});
}

SegmentRow row_at(Random& random, TimelineId timeline, std::uint64_t number) {
  SegmentRow row{.name = name_at(timeline, number * kSize)};
  row.key = row.name.to_string();
  row.stored_bytes = 1 + random.below(1000);
  fill_index(random, row, number * kSize);
  return row;
}

void add_timeline(Random& random, Layout& layout, TimelineId timeline, std::uint64_t first,
                  std::uint32_t trouble) {
  const std::uint64_t count = 1 + random.below(kMostSegments - static_cast<std::uint32_t>(first));
  for (std::uint64_t number = first; number < first + count; ++number) {
    if (random.once_in(trouble)) {
      for (std::uint32_t i = random.below(3); i > 0; --i) {
        SegmentRow tail = row_at(random, timeline, number);
        const Lsn end = number * kSize + 8192 * (1 + random.below(1000));
        tail.kind = StoredWalName::Kind::kTail;
        tail.key += "." + std::to_string(end);
        tail.index.complete = false;
        tail.index.valid_end = end;
        tail.index.end_of_records = tail.index.end_of_records == 0 ? 0 : end;
        tail.index.last_record = tail.index.last_record == 0 ? 0 : end - 100;
        layout.beginnings.push_back(std::move(tail));
      }
      if (!random.once_in(4)) continue;
    }
    SegmentRow row = row_at(random, timeline, number);
    if (random.once_in(2 * trouble)) row.index.damaged = true;
    if (row.index.damaged || random.once_in(2 * trouble)) row.index.complete = false;
    if (!row.index.damaged && random.once_in(3 * trouble)) row.open_record_is_damaged = true;
    layout.segments.push_back(std::move(row));
  }
}

Layout random_layout(std::uint32_t seed) {
  Random random(seed);
  Layout layout;
  const std::uint32_t trouble = seed % 3 == 0 ? 1000 : 4 + random.below(20);
  add_timeline(random, layout, 1, random.below(6), trouble);
  std::string history;
  Lsn fork = kSize;
  for (TimelineId timeline = 2; timeline <= 3 && !random.once_in(4); ++timeline) {
    fork += random.once_in(5) ? 0 : Lsn{random.below(8)} * kSize;
    fork += random.once_in(4) ? 0 : 8 * (1 + random.below(1000));
    if (fork / kSize >= kMostSegments - 1) break;
    history += std::to_string(timeline - 1) + "\t" + format_lsn(fork) + "\tx\n";
    layout.histories.push_back({.timeline = timeline, .contents = history});
    layout.newest = timeline;
    const bool first_is_stored = !random.once_in(3);
    add_timeline(random, layout, timeline, fork / kSize + (first_is_stored ? 0 : 1), trouble);
  }
  const auto by_name = [](const SegmentRow& a, const SegmentRow& b) {
    return std::tie(a.name, a.key) < std::tie(b.name, b.key);
  };
  std::sort(layout.segments.begin(), layout.segments.end(), by_name);
  std::sort(layout.beginnings.begin(), layout.beginnings.end(), by_name);
  return layout;
}

ClusterRows rows_of(const Layout& layout) {
  ClusterRows rows;
  rows.cluster.identity = {.system_identifier = 1, .segment_size = kSize, .postgres_version = 15};
  rows.histories = layout.histories;
  std::map<std::pair<TimelineId, std::uint32_t>, LogRows> logs;
  for (const SegmentRow& row : layout.segments)
    logs[{row.name.timeline, row.name.log}].segments.push_back(row);
  for (const SegmentRow& row : layout.beginnings)
    logs[{row.name.timeline, row.name.log}].beginnings.push_back(row);
  std::vector<LogSummary> summaries;
  for (const auto& [key, log] : logs)
    summaries.push_back(summarize(key.first, key.second, log));
  rows.wal = {std::move(summaries), [logs](TimelineId timeline, std::uint32_t log) {
                return logs.at({timeline, log});
              }};
  return rows;
}

// One segment after the other, as PostgreSQL asks for them.
struct Model {
  struct Part {
    const SegmentRow* row = nullptr;
    Lsn start = 0;  // of the segment
    Lsn end = 0;    // of what is replayed of it
  };

  const Layout& layout;
  std::vector<TimelineStretch> stretches;
  std::vector<Part> parts = {};
  SegmentName missing = {};
  std::optional<SegmentName> behind_gap = {};
  bool damaged = false;

  const SegmentRow* find(const SegmentName& name) const {
    for (const SegmentRow& row : layout.segments) {
      if (row.name == name) return &row;
    }
    const SegmentRow* longest = nullptr;
    for (const SegmentRow& row : layout.beginnings) {
      const bool longer = longest == nullptr || row.index.valid_end > longest->index.valid_end;
      if (row.name == name && longer) longest = &row;
    }
    return longest;
  }

  std::optional<SegmentName> next_stored(const SegmentName& name) const {
    std::optional<SegmentName> next;
    for (const auto* list : {&layout.segments, &layout.beginnings}) {
      for (const SegmentRow& row : *list) {
        if (row.name.timeline != name.timeline || row.name < name) continue;
        if (!next || row.name < *next) next = row.name;
      }
    }
    return next;
  }

  void follow(Lsn start) {
    for (Lsn position = start / kSize * kSize; take(position); position += kSize) {
    }
  }

  bool take(Lsn position) {
    std::size_t here = 0;
    for (std::size_t i = 0; i < stretches.size(); ++i) {
      if (stretches[i].begin / kSize * kSize <= position) here = i;
    }
    const SegmentName wanted = name_at(stretches[here].timeline, position);
    // The wanted timeline's, else the ancestor's that holds the fork which lies in this segment.
    const SegmentRow* row = find(wanted);
    Lsn end = stretches[here].end;
    for (std::size_t i = here; row == nullptr && i > 0 && stretches[i].begin >= position; --i) {
      row = find(name_at(stretches[i - 1].timeline, position));
      end = stretches[i - 1].end;
    }
    if (row == nullptr) return end_at_gap(wanted, position);
    if (row->index.damaged) return end_at_damage(row->name);
    parts.push_back({.row = row, .start = position, .end = std::min(end, position + kSize)});
    if (row->open_record_is_damaged) return end_at_damage(wanted.next(kSize));
    const bool is_wanted =
        row->name == wanted && row->index.complete && row->kind == StoredWalName::Kind::kSegment;
    if (is_wanted) return true;
    end_at_gap(wanted.next(kSize), position);
    missing = wanted;
    return false;
  }

  bool end_at_gap(const SegmentName& name, Lsn position) {
    missing = name;
    behind_gap = next_stored(name);
    for (const TimelineStretch& stretch : stretches) {
      if (!behind_gap && stretch.begin > position)
        behind_gap = next_stored(name_at(stretch.timeline, stretch.begin));
    }
    return false;
  }

  // What pitr-restore would find behind the missing segment, though it is not of the path: then it
  // calls that a gap, too.
  bool is_later_elsewhere() const {
    const auto all = {&layout.segments, &layout.beginnings};
    const auto has = [&](TimelineId timeline, std::uint64_t from) {
      for (const auto* rows : all) {
        for (const SegmentRow& row : *rows) {
          if (row.name.timeline == timeline && row.name.number(kSize) >= from) return true;
        }
      }
      return false;
    };
    const std::uint64_t number = missing.number(kSize);
    bool later = has(missing.timeline, number + 1);
    for (TimelineId child = missing.timeline + 1; child <= layout.newest; ++child) {
      const auto path = parse_timeline_history(child, layout.histories[child - 2].contents);
      const TimelineStretch& own = path[missing.timeline - 1];
      const bool is_behind = own.end >= (number + 1) * kSize && own.begin < (number + 1) * kSize;
      later = later || (is_behind && has(child, 0));
    }
    return later;
  }

  bool end_at_damage(const SegmentName& name) {
    damaged = true;
    missing = name;
    behind_gap = name;
    return false;
  }

  // Where a part ends before `start`, nothing of the path is there.
  bool is_empty(Lsn start) const { return parts.empty() || start >= parts.back().end; }
};

using Names = std::vector<std::string>;

Names visited(const WalPath& path, Lsn from, const WalPath::Wanted& wanted) {
  Names names;
  path.visit(from, wanted, [&](const PathSegment& segment) {
    names.push_back(segment.row->key);
    return true;
  });
  return names;
}

Names visited_backward(const WalPath& path, Lsn before, const WalPath::Wanted& wanted) {
  Names names;
  path.visit_backward(before, wanted, [&](const PathSegment& segment) {
    names.insert(names.begin(), segment.row->key);
    return true;
  });
  return names;
}

// Those of the model that `is_in` says yes to.
template <typename IsIn>
Names modelled(const Model& model, const WalPath::Wanted& wanted, IsIn is_in) {
  Names names;
  for (const Model::Part& part : model.parts) {
    if (!is_in(part) || (wanted && !wanted(totals_of(part.row->index)))) continue;
    names.push_back(part.row->key);
  }
  return names;
}

std::vector<WalPath::Wanted> questions(Random& random) {
  const auto time = static_cast<std::int64_t>(random.below(1000));
  const std::uint32_t xid = random.below(100);
  return {{},
          [](const WalTotals& totals) { return totals.has_transactions(); },
          [](const WalTotals& totals) { return totals.restore_points; },
          [time](const WalTotals& totals) {
            return totals.has_transactions() && totals.max_time >= time;
          },
          [xid](const WalTotals& totals) {
            return totals.min_xid != 0 && totals.min_xid <= xid && xid <= totals.max_xid;
          },
          [](const WalTotals&) { return false; }};
}

void check_extent(const WalPath& path, const Model& model, Lsn start, Lsn until) {
  const WalPath::Extent extent = path.extent(until);
  WalPath::Extent expected;
  for (const Model::Part& part : model.parts) {
    if (part.end <= start || part.start > until) continue;
    if (expected.segments == 0) expected.first = part.row->name;
    expected.last = part.row->name;
    ++expected.segments;
    expected.stored_bytes += part.row->stored_bytes;
    if (part.row->index.next_xid() != 0) expected.next_xid = part.row->index.next_xid();
  }
  CHECK(extent.segments == expected.segments);
  CHECK(extent.stored_bytes == expected.stored_bytes);
  CHECK(extent.next_xid == expected.next_xid);
  CHECK(extent.first == expected.first);
  CHECK(extent.last == expected.last);
}

void check_ends(const WalPath& path, const Model& model, Lsn start) {
  Lsn last_record = 0;
  Lsn end_of_records = 0;
  for (const Model::Part& part : model.parts) {
    if (part.end <= start) continue;
    const SegmentIndex& index = part.row->index;
    if (index.last_record != 0) last_record = std::min(index.last_record, part.end - 1);
    if (index.end_of_records != 0) end_of_records = std::min(index.end_of_records, part.end);
  }
  CHECK(path.last_record() == last_record);
  CHECK(path.end_of_records() == end_of_records);
  CHECK(path.missing() == model.missing);
  if (model.behind_gap) {
    CHECK(path.behind_gap() == model.behind_gap);
  } else {
    CHECK(path.behind_gap().has_value() == model.is_later_elsewhere());
  }
  CHECK(path.is_damaged() == model.damaged);
  REQUIRE(path.empty() == model.is_empty(start));
  if (path.empty()) return;
  const Model::Part& last = model.parts.back();
  CHECK(path.has_wal_up_to(start) == (start < last.start || start <= last.row->index.valid_end));
  CHECK(path.has_wal_up_to(last.row->index.valid_end));
  CHECK_FALSE(path.has_wal_up_to(last.row->index.valid_end + 1));
  for (const Model::Part& part : model.parts) {
    // A parent's segment stands in for one that begins with the fork, and nothing of it counts.
    if (part.end <= start || part.end == part.start) continue;
    const PathSegment segment = path.segment_at(part.end - 1);
    CHECK(segment.row->key == part.row->key);
    CHECK(segment.begin == std::max(start, part.start));
    CHECK(segment.end == part.end);
  }
}

void check_visits(Random& random, const WalPath& path, const Model& model, Lsn start) {
  for (const WalPath::Wanted& wanted : questions(random)) {
    const Lsn lsn = Lsn{random.below(kMostSegments + 2)} * kSize +
                    (random.once_in(2) ? 0 : random.below(kSize));
    CHECK(visited(path, lsn, wanted) == modelled(model, wanted, [&](const Model::Part& part) {
            return part.end > std::max(start, lsn);
          }));
    const Lsn before = std::max(lsn, start / kSize * kSize + kSize);
    CHECK(visited_backward(path, before, wanted) ==
          modelled(model, wanted, [&](const Model::Part& part) {
            return part.end > start && part.start < before;
          }));
    check_extent(path, model, start, std::max(lsn, start));
  }
}

Lsn random_start(Random& random) {
  return Lsn{random.below(kMostSegments)} * kSize + (random.once_in(2) ? 40 : random.below(kSize));
}

}  // namespace

TEST_CASE("paths over random layouts are what a plain model says", "[catalog]") {
  for (std::uint32_t seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    const Layout layout = random_layout(seed);
    const ClusterRows rows = rows_of(layout);
    Random random(seed + 1'000'000);
    for (TimelineId timeline = 1; timeline <= layout.newest; ++timeline) {
      const auto stretches = timeline_path(rows, timeline);
      REQUIRE(stretches);
      for (int i = 0; i < 3; ++i) {
        const Lsn start = random_start(random);
        CAPTURE(timeline, format_lsn(start));
        TimelineWal wal(rows, *stretches);
        const WalPath path = wal.from(start);
        CHECK(path.start() == start);
        CHECK(path.stretches() == *stretches);
        Model model{.layout = layout, .stretches = *stretches};
        model.follow(start);
        check_ends(path, model, start);
        check_visits(random, path, model, start);
        check_extent(path, model, start, kEndOfTime);
      }
    }
  }
}

TEST_CASE("paths that share their WAL say what paths of their own say", "[catalog]") {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    const Layout layout = random_layout(seed);
    const ClusterRows rows = rows_of(layout);
    Random random(seed + 2'000'000);
    const auto stretches = timeline_path(rows, layout.newest);
    REQUIRE(stretches);
    TimelineWal shared(rows, *stretches);
    std::vector<std::pair<Lsn, WalPath>> paths;
    for (int i = 0; i < 8; ++i) {
      const Lsn start = random_start(random);
      paths.emplace_back(start, shared.from(start));
    }
    for (const auto& [start, path] : paths) {
      CAPTURE(format_lsn(start));
      Model model{.layout = layout, .stretches = *stretches};
      model.follow(start);
      check_ends(path, model, start);
      check_visits(random, path, model, start);
    }
  }
}

TEST_CASE("a visit ends where its visitor says so", "[catalog]") {
  Layout layout;
  Random random(1);
  for (std::uint64_t number = 0; number < 20; ++number)
    layout.segments.push_back(row_at(random, 1, number));
  const ClusterRows rows = rows_of(layout);
  TimelineWal wal(rows, *timeline_path(rows, 1));
  const WalPath path = wal.from(40);
  Names forward;
  path.visit(0, {}, [&](const PathSegment& segment) {
    forward.push_back(segment.row->key);
    return forward.size() < 6;
  });
  CHECK(forward.size() == 6);
  CHECK(forward.back() == layout.segments[5].key);
  Names backward;
  path.visit_backward(kEndOfTime, {}, [&](const PathSegment& segment) {
    backward.push_back(segment.row->key);
    return backward.size() < 6;
  });
  CHECK(backward.size() == 6);
  CHECK(backward.back() == layout.segments[14].key);
}

TEST_CASE("logs that hold nothing wanted are not loaded", "[catalog]") {
  Layout layout;
  Random random(1);
  for (std::uint64_t number = 0; number < 400; ++number) {
    layout.segments.push_back(row_at(random, 1, number));
    layout.segments.back().index.restore_points.clear();
  }
  layout.segments[201].index.restore_points.push_back({.name = "here"});
  ClusterRows rows = rows_of(layout);
  int loads = 0;
  const WalRows inner = rows.wal;
  rows.wal = {inner.logs(), [&loads, inner](TimelineId timeline, std::uint32_t log) {
                ++loads;
                return *inner.load(timeline, log);
              }};
  TimelineWal wal(rows, *timeline_path(rows, 1));
  const WalPath path = wal.from(40);
  CHECK(path.extent(kEndOfTime).segments == 400);
  CHECK(path.missing() == name_at(1, 400 * kSize));
  const int before = loads;
  const auto has_point = [](const WalTotals& totals) { return totals.restore_points; };
  CHECK(visited(path, 0, has_point) == Names{layout.segments[201].key});
  CHECK(visited_backward(path, kEndOfTime, has_point) == Names{layout.segments[201].key});
  CHECK(loads - before <= 2);
  CHECK(before <= 2);  // the log that the path begins in is cut
}

TEST_CASE("a record over the end of a parent's last segment ends in the child's first one",
          "[catalog]") {
  Layout layout;
  Random random(1);
  for (std::uint64_t number = 0; number < 7; ++number) {
    layout.segments.push_back(row_at(random, 1, number));
    layout.segments.back().index.first_record = number * kSize + 40;
  }
  for (std::uint64_t number = 5; number < 9; ++number) {
    layout.segments.push_back(row_at(random, 2, number));
    layout.segments.back().index.first_record = number * kSize + 40;
  }
  layout.histories.push_back({.timeline = 2, .contents = "1\t1/40000100\tx\n"});
  layout.newest = 2;
  const ClusterRows rows = rows_of(layout);
  TimelineWal wal(rows, *timeline_path(rows, 2));
  const WalPath path = wal.from(40);
  CHECK(path.end_of_record_from(4 * kSize).row->name == name_at(2, 5 * kSize));
  CHECK(path.end_of_record_from(1 * kSize).row->name == name_at(1, 2 * kSize));
}

}  // namespace pitr
