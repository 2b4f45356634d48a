/* An entry point that returns nothing. */
#include "broken.h"

const bh_plugin *bulkhead_plugin(void) { return NULL; }
