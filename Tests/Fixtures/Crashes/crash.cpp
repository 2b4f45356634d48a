// Middleware in C++ that dies of an exception which nobody catches.
#include "bulkhead/plugin.h"

#include <stdexcept>
#include <string>

namespace cellar {
struct Pump {
  [[gnu::noinline]] void fail(const std::string &what) {
    throw std::runtime_error("the pump has failed: " + what);  // line: throw
  }
};
}  // namespace cellar

static bh_status start(const bh_plugin *, const bh_start *, void **instance) {
  *instance = new cellar::Pump;
  return BH_OK;
}

static bh_status request(void *instance, bh_exchange *, const bh_request *) noexcept {
  static_cast<cellar::Pump *>(instance)->fail("no power");
  return BH_OK;
}

static bh_plugin table() {
  bh_plugin table = {};
  table.size = sizeof table;
  table.abi_major = BH_ABI_MAJOR;
  table.abi_minor = BH_ABI_MINOR;
  table.capabilities = BH_HANDLES_REQUEST;
  table.name = "crash";
  table.version = "1.0.0";
  table.summary = "Dies of an exception";
  table.start = start;
  table.request = request;
  return table;
}

extern "C" __attribute__((visibility("default"))) const bh_plugin *bulkhead_plugin(void) {
  static const bh_plugin made = table();
  return &made;
}
