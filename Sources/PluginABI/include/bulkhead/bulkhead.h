/* Everything, for C plugins that want it all. */
#include "metrics.h"
#include "plugin.h"
#include "request-body.h"
#include "self-test.h"
#include "settings-check.h"
#include "shared-memory.h"
#include "stream.h"
#include "timers.h"
