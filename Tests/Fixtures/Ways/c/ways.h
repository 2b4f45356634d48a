/* What the files of the misbehaving C plugin share: each has a list of ways, and plugin.c finds a way by its name. */
#ifndef WAYS_H
#define WAYS_H

#include "bulkhead/bulkhead.h"

#include <stdlib.h>
#include <string.h>

/* The call in which a way happens. Null where there is none: `exchange` and `request` outside of requests. */
typedef struct way_call {
  const bh_host *host;
  bh_context *context;
  bh_exchange *exchange;
  const bh_request *request;
  const bh_start *start; /* in start only */
  void *region;          /* the plugin's shared region of 4096 bytes; null without one */
  const char *state_directory;
  bh_status result; /* what the call is to return */
} way_call;

typedef struct way {
  const char *name;
  void (*run)(way_call *call);
} way;

/* Each list ends with a way without a name. */
extern const way memory_ways[], signal_ways[], ending_ways[], process_ways[], descriptor_ways[], waiting_ways[],
    boundary_ways[], processor_ways[];

/* The way of this name; null if there is none. */
const way *find_way(const char *name);

static inline bh_bytes view(const char *text) {
  return (bh_bytes){.data = text, .count = strlen(text)};
}

/* An address that no optimiser knows to be null. */
static inline char *nowhere(void) {
  static char *volatile null;
  return null;
}

/* A use of memory that no optimiser removes. */
static inline void use(void *pointer) { __asm__ volatile("" : : "r"(pointer) : "memory"); }

/* Sleeps for so long, whatever signals come. */
void doze(unsigned milliseconds);

/* Runs `run` on a detached thread of the plugin's own. */
void on_thread(void *(*run)(void *), void *argument);

#endif
