/* Holds the ABI to what version 1.0 promised on 64-bit Linux: a change that moves a field does not compile. */
#include "bulkhead/bulkhead.h"

_Static_assert(sizeof(void *) == 8, "64-bit only");
_Static_assert(sizeof(bh_bytes) == 16 && sizeof(bh_field) == 32, "frozen structs");
_Static_assert(offsetof(bh_request, deadline_ns) == 208, "bh_request");
_Static_assert(offsetof(bh_host, attribute) == 176, "bh_host");
_Static_assert(offsetof(bh_plugin, extension) == 104, "bh_plugin");
_Static_assert(offsetof(bh_start, loop_count) == 68, "bh_start");
_Static_assert(offsetof(bh_request_body_host, error) == 24, "bh_request_body_host");
_Static_assert(sizeof(bh_setting_schema) == 48 && sizeof(bh_setting) == 48, "settings");
