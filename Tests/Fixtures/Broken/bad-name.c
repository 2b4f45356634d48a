/* A name that is not in kebab-case. */
#include "broken.h"

static const bh_plugin table = {TABLE, .name = "Not A Name\n", .start = start_never};

const bh_plugin *bulkhead_plugin(void) { return &table; }
