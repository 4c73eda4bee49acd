// pitr metrics: what is known of a cluster's backups in Prometheus' text format, version 0.0.4.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pitr/observation.h"

namespace pitr {

struct MetricsOptions {
  std::string textfile;  // empty: standard output
};

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

struct MetricSample {
  MetricLabels labels;
  std::optional<double> value;  // nothing, and NaN: the sample is left out
};

struct MetricFamily {
  const char* name;
  const char* type;  // gauge | counter
  const char* help;
  std::vector<MetricSample> samples;
};

// HELP, TYPE and a line per sample, `common` before the labels of each; empty without a sample.
std::string family_as_text(const MetricFamily& family, const MetricLabels& common);

// Everything. Docs: docs/monitoring.md.
std::string metrics_as_text(const Observation& observation);

// 0 whatever the metrics say. Throws kSystem where they cannot be printed or written.
int run_metrics(Session& session, const MetricsOptions& options);

}  // namespace pitr
