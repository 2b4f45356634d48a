/* Everything, for `import PluginABI` and for C plugins that want it all. */
#include "bulkhead/metrics.h"
#include "bulkhead/plugin.h"
#include "bulkhead/self-test.h"
#include "bulkhead/shared-memory.h"
#include "bulkhead/stream.h"
