/* Of the right version by its own account, and shorter than that version is: what lies behind is not a table. */
#include "broken.h"

static const struct {
  uint32_t size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t capabilities;
} table = {.size = sizeof table, .abi_major = BH_ABI_MAJOR, .abi_minor = BH_ABI_MINOR, .capabilities = BH_ROUTES};

const bh_plugin *bulkhead_plugin(void) { return (const bh_plugin *)(const void *)&table; }
