// What the files of the misbehaving C++ plugin share.
#pragma once

#include "bulkhead/bulkhead.h"

#include <string>

struct Way {
  const char *name;
  bh_status (*run)();
};

extern const Way ways[];
extern const int way_count;

// 0, though no optimiser knows it.
int zero();
