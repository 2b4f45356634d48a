/* Of a major version that no host has. */
#include "broken.h"

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = 99,
    .name = "wrong-abi",
    .version = "1.0.0",
    .capabilities = BH_HANDLES_REQUEST,
    .start = start_never,
    .request = request_well,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
