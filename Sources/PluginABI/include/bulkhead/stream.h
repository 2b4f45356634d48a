/* Extension of the host: bulkhead.stream/1
 *
 * A response body made bit by bit: server-sent events, large downloads. The host pulls; so a slow client holds a
 * stream back, and an idle stream holds no thread. */
#ifndef BULKHEAD_STREAM_H
#define BULKHEAD_STREAM_H

#include "plugin.h"

#define BH_STREAM "bulkhead.stream/1"

/* The body in the making: the host's. [call] */
typedef struct bh_stream bh_stream;

typedef uint32_t bh_pull_result;
enum {
  BH_PULL_MORE = 0,  /* call again once what was written has gone out */
  BH_PULL_LATER = 1, /* call again after `*delay_ns` */
  BH_PULL_END = 2,   /* the body is whole */
  BH_PULL_FAULT = 3, /* the connection is cut, and the plugin quarantined */
};

/* Where a body comes from. The host copies the struct, and hands `state` back. */
typedef struct bh_stream_source {
  uint32_t size;
  void *state;

  /* [pool] One call at a time. Writes a piece with bh_stream_host.write: at most 1 MiB a call. */
  bh_pull_result (*pull)(void *state, bh_stream *stream, uint64_t *delay_ns);

  /* [pool] Once, when the stream is over in whatever way: also when the plugin is taken out meanwhile, which ends the body
   * in order unless the plugin has crashed or hung. Releases `state`. May be null. */
  void (*release)(void *state);
} bh_stream_source;

typedef struct bh_stream_host {
  uint32_t size;

  /* In a handler: the response's body will come from `source`, chunked (HTTP/1.1) or ended by close (HTTP/1.0).
   * Status and header fields are as set when the handler returns. BH_INVALID outside a handler. */
  bh_status (*open)(bh_exchange *exchange, const bh_stream_source *source);

  /* In `pull`: appends to the body. BH_INVALID past 1 MiB in one call of `pull`. */
  bh_status (*write)(bh_stream *stream, bh_bytes bytes);
} bh_stream_host;

#endif
