/* Extension of the host: bulkhead.metrics/1
 *
 * Counters, gauges and histograms, shown at /metrics as plugin_PLUGIN_NAME in the Prometheus text format. */
#ifndef BULKHEAD_METRICS_H
#define BULKHEAD_METRICS_H

#include "plugin.h"

#define BH_METRICS "bulkhead.metrics/1"

typedef uint32_t bh_metric_kind;
enum { BH_COUNTER = 0, BH_GAUGE = 1, BH_HISTOGRAM = 2 };

/* One time series. [plugin] */
typedef struct bh_metric bh_metric;

typedef struct bh_metrics {
  uint32_t size;

  /* [main, during start] `name` is [a-z][a-z0-9_]*. Null if it is not, if it is taken by another kind, or past 64
   * metrics of one plugin. A histogram is of seconds. */
  bh_metric *(*metric)(bh_context *context, bh_metric_kind kind, const char *name, const char *help);

  /* [any] Adds to a counter (never below 0) or a gauge; observes, for a histogram. Takes no lock. */
  void (*add)(bh_metric *metric, double value);

  /* [any] Sets a gauge. */
  void (*set)(bh_metric *metric, double value);
} bh_metrics;

#endif
