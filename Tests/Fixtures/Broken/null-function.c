/* Says that it has a request phase, and has none. */
#include "broken.h"

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .name = "null-function",
    .version = "1.0.0",
    .capabilities = BH_HANDLES_REQUEST,
    .start = start_never,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
