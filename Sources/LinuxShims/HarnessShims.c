#include "HarnessShims.h"

#include <malloc.h>
#include <string.h>

/* An extension of clang's in C before C23. */
#pragma clang diagnostic ignored "-Wc23-extensions"

static const char plugin_header[] = {
#embed "../PluginABI/include/bulkhead/plugin.h"
};
static const char stream_header[] = {
#embed "../PluginABI/include/bulkhead/stream.h"
};
static const char request_body_header[] = {
#embed "../PluginABI/include/bulkhead/request-body.h"
};
static const char self_test_header[] = {
#embed "../PluginABI/include/bulkhead/self-test.h"
};
static const char settings_check_header[] = {
#embed "../PluginABI/include/bulkhead/settings-check.h"
};
static const char metrics_header[] = {
#embed "../PluginABI/include/bulkhead/metrics.h"
};
static const char shared_memory_header[] = {
#embed "../PluginABI/include/bulkhead/shared-memory.h"
};
static const char timers_header[] = {
#embed "../PluginABI/include/bulkhead/timers.h"
};
static const char all_header[] = {
#embed "../PluginABI/include/bulkhead/bulkhead.h"
};

static const struct {
  const char *name;
  const char *text;
  size_t count;
} headers[] = {
    {"plugin.h", plugin_header, sizeof plugin_header},
    {"stream.h", stream_header, sizeof stream_header},
    {"request-body.h", request_body_header, sizeof request_body_header},
    {"self-test.h", self_test_header, sizeof self_test_header},
    {"settings-check.h", settings_check_header, sizeof settings_check_header},
    {"metrics.h", metrics_header, sizeof metrics_header},
    {"shared-memory.h", shared_memory_header, sizeof shared_memory_header},
    {"timers.h", timers_header, sizeof timers_header},
    {"bulkhead.h", all_header, sizeof all_header},
};

const char *shim_header(const char *name, size_t *count) {
  for (size_t index = 0; index < sizeof headers / sizeof headers[0]; index++) {
    if (strcmp(headers[index].name, name) != 0) continue;
    *count = headers[index].count;
    return headers[index].text;
  }
  return NULL;
}

size_t shim_heap_in_use(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}
