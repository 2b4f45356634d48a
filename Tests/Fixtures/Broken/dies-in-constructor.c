/* Ends the process before dlopen returns. */
#include "broken.h"

__attribute__((constructor)) static void die(void) { abort(); }

static const bh_plugin table = {TABLE, .name = "dies-in-constructor", .start = start_never};

const bh_plugin *bulkhead_plugin(void) { return &table; }
