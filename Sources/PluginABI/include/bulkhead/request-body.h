/* Extension of the host: bulkhead.request-body/1
 *
 * A request body that is read as it arrives: uploads that need not fit into memory. The handler asks for the next bytes.
 * The host receives only a little ahead of it (64 KiB), so a slow handler holds the client back.
 *
 * The middleware and the host's check of access come first: a request that they answer never reaches the handler, and its
 * body is not taken. A client that waits for 100 Continue (RFC 9110 section 10.1.1) gets it with the first `read`. */
#ifndef BULKHEAD_REQUEST_BODY_H
#define BULKHEAD_REQUEST_BODY_H

#include "plugin.h"

#define BH_REQUEST_BODY "bulkhead.request-body/1"

/* Why the rest of a body will not come. The host answers with the status; what the handler makes is not sent. */
typedef uint32_t bh_body_error;
enum {
  BH_BODY_NO_ERROR = 0,
  BH_BODY_GONE = 1,      /* the client went away in the middle, or sends no more; 400 if it still listens */
  BH_BODY_MALFORMED = 2, /* its chunks are not as RFC 9112 section 7.1 has them: 400; trailers too long: 431 */
  BH_BODY_TOO_LARGE = 3, /* past the route's limit: 413. Of a Content-Length past it no handler hears. */
  BH_BODY_LATE = 4,      /* nothing came for `body-timeout`, or not all by the request's deadline: 408 */
};

typedef struct bh_request_body_host {
  uint32_t size;

  /* [main, during start] As bh_host.add_route, for a route whose handler reads the body itself; bh_request.body is
   * empty for it. `limit`: most bytes of the body, in place of the host's `max-body`; 0: `max-body`. BH_INVALID also if
   * the route is not BH_BLOCKING: reading waits, and a thread of the pool is taken until the handler returns. */
  bh_status (*add_route)(bh_context *context, const bh_route *route, uint64_t limit);

  /* [pool] In the handler of such a route, on its thread: copies the next bytes, transfer coding removed, to `buffer`,
   * as many as are there up to `capacity`, and waits if none are. BH_OK with `*count` 0: the body is at its end.
   * BH_UNAVAILABLE: the rest will not come (see `error`); give up what was begun, and return BH_OK, for it is no fault of
   * the plugin. BH_INVALID: outside of such a handler, or no room in `buffer`. The plugin's `timeout` does not run
   * while it waits, and begins anew with each piece; the wait ends with `body-timeout`, and at bh_request.deadline_ns.
   * A handler need not read to the end: what little is left of the body is skipped, or the connection closed. */
  bh_status (*read)(bh_exchange *exchange, void *buffer, size_t capacity, size_t *count);

  /* [pool] Why `read` returned BH_UNAVAILABLE. */
  bh_body_error (*error)(const bh_exchange *exchange);
} bh_request_body_host;

#endif
