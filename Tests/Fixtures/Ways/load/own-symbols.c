/* A library that exports functions by the names of the C library's: whoever is bound to them is lost. */
#include "bulkhead/plugin.h"

#define LOST __attribute__((visibility("default")))

LOST void *malloc(size_t count) { return (void)count, __builtin_trap(), (void *)0; }
LOST void free(void *memory) { (void)memory, __builtin_trap(); }
LOST void *calloc(size_t one, size_t other) { return (void)one, (void)other, __builtin_trap(), (void *)0; }
LOST void *realloc(void *memory, size_t count) { return (void)memory, (void)count, __builtin_trap(), (void *)0; }
LOST long read(int file, void *bytes, size_t count) { return (void)file, (void)bytes, (void)count, __builtin_trap(), -1; }
LOST long write(int file, const void *bytes, size_t count) {
  return (void)file, (void)bytes, (void)count, __builtin_trap(), -1;
}
LOST int close(int file) { return (void)file, __builtin_trap(), -1; }
LOST long recv(int file, void *bytes, size_t count, int flags) {
  return (void)file, (void)bytes, (void)count, (void)flags, __builtin_trap(), -1;
}
LOST void abort(void) { __builtin_trap(); }

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin, (void)start;
  *instance = (void *)&instance;
  return BH_OK;
}
static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance, (void)exchange, (void)request;
  return BH_OK;
}

static const bh_plugin table = {.size = sizeof(bh_plugin), .abi_major = BH_ABI_MAJOR, .capabilities = BH_HANDLES_REQUEST,
                                .name = "way", .version = "1.0.0", .summary = "Has names that are taken",
                                .start = start, .request = request};
const bh_plugin *bulkhead_plugin(void) { return &table; }
