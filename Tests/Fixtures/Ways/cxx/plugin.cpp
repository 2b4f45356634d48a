// A middleware and a router in C++ that misbehaves in the way that a request names, in `X-Way: NAME`, and when it says, in
// `X-Way-Phase: request|response|route|blocking|pull`; or as its settings `way` and `phase` say: `start|selftest|stop`; or
// while it is loaded (WAYS_DIRECTORY, as the C plugin). Below its mount: GET do, GET blocking, GET stream.
#include "ways.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <strings.h>

namespace {

const bh_host *host;
const bh_stream_host *streams;
std::string way, phase;

enum { DO, STREAM };

bh_bytes view(const char *text) { return {text, std::strlen(text)}; }

bh_status go(const std::string &name) {
  for (int index = 0; index < way_count; index++)
    if (name == ways[index].name) return ways[index].run();
  return BH_OK;
}

std::string field(const bh_request *request, const char *name) {
  for (size_t index = 0; index < request->field_count; index++) {
    const bh_field &each = request->fields[index];
    if (each.name.count == std::strlen(name) && strncasecmp(each.name.data, name, each.name.count) == 0)
      return {each.value.data, each.value.count};
  }
  return {};
}

bh_status at(const char *moment, const bh_request *request) {
  if (field(request, "X-Way-Phase") != moment) return BH_OK;
  return go(field(request, "X-Way"));
}

bh_pull_result pull(void *state, bh_stream *stream, uint64_t *) {
  streams->write(stream, view("a piece\n"));
  return go(*static_cast<std::string *>(state)) == BH_OK ? BH_PULL_END : BH_PULL_FAULT;
}

void release(void *state) { delete static_cast<std::string *>(state); }

bh_status open_stream(bh_exchange *exchange, const bh_request *request) {
  bh_stream_source source{sizeof source, new std::string(field(request, "X-Way")), pull, release};
  return streams->open(exchange, &source);
}

bh_status request_phase(void *, bh_exchange *, const bh_request *request) { return at("request", request); }
bh_status response_phase(void *, bh_exchange *, const bh_request *request) { return at("response", request); }
bh_status handle(void *, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  if (handler == STREAM) return open_stream(exchange, request);
  host->set_body(exchange, view("done"));
  bh_status result = at("route", request);
  return result == BH_OK ? at("blocking", request) : result;
}

// Runs while the library is loaded.
struct Constructor {
  Constructor() {
    const char *directory = std::getenv("WAYS_DIRECTORY");
    std::string name;
    if (directory && std::ifstream(std::string(directory) + "/constructor-cxx") >> name) go(name);
  }
} constructor;

bh_status start(const bh_plugin *, const bh_start *start, void **instance) {
  host = start->host;
  streams = static_cast<const bh_stream_host *>(host->extension(start->context, BH_STREAM));
  *instance = &way;
  char context[32];
  std::snprintf(context, sizeof context, "%p", static_cast<void *>(start->context));
  setenv("WAYS_FOREIGN_CONTEXT", context, 1);
  for (size_t index = 0; index < start->setting_count; index++) {
    const bh_setting *setting = start->settings[index];
    (std::strcmp(setting->name, "way") == 0 ? way : phase).assign(setting->text.data, setting->text.count);
  }
  const struct {
    const char *pattern;
    bh_execution execution;
    uint32_t handler;
  } routes[] = {{"do", BH_ON_LOOP, DO}, {"blocking", BH_BLOCKING, DO}, {"stream", BH_ON_LOOP, STREAM}};
  for (const auto &each : routes) {
    bh_route route{sizeof route, "GET", each.pattern, BH_ACCESS_PUBLIC, nullptr, each.execution, each.handler};
    if (host->add_route(start->context, &route) != BH_OK) return BH_FAULT;
  }
  return phase == "start" ? go(way) : BH_OK;
}

void stop(void *) {
  if (phase == "stop") go(way);
}

bh_status self_test(void *) { return phase == "selftest" ? go(way) : BH_OK; }

const void *extension(const bh_plugin *, const char *id) {
  static const bh_self_test test{sizeof test, self_test};
  return std::strcmp(id, BH_SELF_TEST) == 0 ? &test : nullptr;
}

const bh_setting_schema way_setting{
    sizeof(bh_setting_schema), BH_SETTING_STRING, 0, "way", nullptr, "how it misbehaves", nullptr};
const bh_setting_schema phase_setting{
    sizeof(bh_setting_schema), BH_SETTING_STRING, 0, "phase", nullptr, "when it does", nullptr};
const bh_setting_schema *const settings[] = {&way_setting, &phase_setting};

const bh_plugin table{
    sizeof(bh_plugin),
    BH_ABI_MAJOR,
    BH_ABI_MINOR,
    BH_HANDLES_REQUEST | BH_HANDLES_RESPONSE | BH_ROUTES,
    "way-cxx",
    "1.0.0",
    "Misbehaves as it is told",
    settings,
    2,
    nullptr,
    start,
    stop,
    request_phase,
    response_phase,
    handle,
    extension,
};

} // namespace

extern "C" __attribute__((visibility("default"))) const bh_plugin *bulkhead_plugin() { return &table; }
