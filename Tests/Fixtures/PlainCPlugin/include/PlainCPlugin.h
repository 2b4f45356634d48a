/* The one function that a plugin exports; declared for those who link it, and not look it up. */
#ifndef PLAIN_C_PLUGIN_H
#define PLAIN_C_PLUGIN_H

#include "bulkhead/plugin.h"

const bh_plugin *bulkhead_plugin(void);

#endif
