/* Bulkhead plugin ABI, version 1.
 *
 * The whole of what the host and a plugin share. A plugin is a shared library that exports one function,
 *
 *     const bh_plugin *bulkhead_plugin(void);
 *
 * which returns a constant table. The host reads `size`, `abi_major` and the rest of the table, checks the
 * library's owner, digest and settings, and only then calls any other function in it.
 *
 * Conventions
 *   Versions    The host loads any plugin whose `abi_major` is its own. Minor versions only add: functions at the
 *               end of a table, fields at the end of a struct, extensions by name.
 *   Size first  A struct that may grow begins with its size in bytes, set by whoever fills it in. A reader uses a
 *               field only if it lies within that size (BH_HAS). Structs without a size are frozen for good.
 *   Strings     `const char *` is NUL-terminated UTF-8. `bh_bytes` is a view, not terminated; an empty view may
 *               have a null pointer.
 *   Lifetimes   [request] until the request is over; [call] until the call returns; [plugin] from `start` until
 *               `stop` returns; [static] for the life of the process.
 *   Threads     [main] the worker's main thread, before it serves and after; [loop] an event loop's thread, of which
 *               there are several: calls for different requests run at the same time; [pool] a thread that may
 *               block; [any] any thread, also the plugin's own.
 *   Ownership   Nothing changes hands. The host copies what it is given before the call returns, and a plugin
 *               copies what it wants to keep past the lifetime that is stated.
 *   Faults      A plugin never unwinds through the host: no C++ exception and no longjmp crosses a call.
 *   Processes   A child that a plugin forks is the plugin's: it calls nothing of the host's, and ends, or executes a
 *               program, before it returns from the call that it was forked in; else it is ended there.
 */
#ifndef BULKHEAD_PLUGIN_H
#define BULKHEAD_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BH_ABI_MAJOR 1u
#define BH_ABI_MINOR 0u

/* The name of the one symbol that a plugin exports. */
#define BH_ENTRY_SYMBOL "bulkhead_plugin"

/* True if `field` lies within what the filler of `*pointer` knew of. */
#define BH_HAS(pointer, field) \
  ((pointer)->size >= offsetof(__typeof__(*(pointer)), field) + sizeof((pointer)->field))

/* A view of bytes. Frozen. */
typedef struct bh_bytes {
  const char *data;
  size_t count;
} bh_bytes;

/* A name and its value: a header field, or a path parameter. Frozen. */
typedef struct bh_field {
  bh_bytes name;
  bh_bytes value;
} bh_field;

/* What a call came to. */
typedef uint32_t bh_status;
enum {
  BH_OK = 0,          /* done; in the request phase: go on with the next plugin */
  BH_RESPOND = 1,     /* request phase: the response is made, no later plugin and no handler runs */
  BH_FAULT = 2,       /* the plugin failed; see bh_host.set_error. The host quarantines for it. */
  BH_INVALID = 3,     /* from the host: an argument is not acceptable, nothing was changed */
  BH_UNAVAILABLE = 4, /* from the host: there is no such thing now (no identity set, no room left) */
};

/* ---- Settings ------------------------------------------------------------------------------------------------ */

typedef uint32_t bh_setting_type;
enum {
  BH_SETTING_STRING = 0,
  BH_SETTING_INTEGER = 1,  /* `integer` */
  BH_SETTING_NUMBER = 2,   /* `number` */
  BH_SETTING_BOOLEAN = 3,  /* `integer` is 0 or 1; written true/false, yes/no, on/off */
  BH_SETTING_DURATION = 4, /* `integer` in nanoseconds; written 250ms, 5s, 2m, 1h, 7d */
  BH_SETTING_SIZE = 5,     /* `integer` in bytes; written 16k, 1m, 2g */
  BH_SETTING_LIST = 6,     /* comma-separated; the plugin gets one bh_setting an item, all of one name */
};

enum {
  BH_SETTING_REQUIRED = 1u << 0,
  BH_SETTING_SECRET = 1u << 1,     /* the value is shown nowhere */
  BH_SETTING_REPEATABLE = 1u << 2, /* the key may stand on several lines: one bh_setting each, in file order */
};

/* One setting that a plugin takes. [static] */
typedef struct bh_setting_schema {
  uint32_t size;
  bh_setting_type type;
  uint32_t flags;
  const char *name;          /* kebab-case; none of the host's own keys */
  const char *default_value; /* as it would stand in the file; null: no default */
  const char *help;          /* one line */
  const char *choices;       /* "hs256|hs384": the values accepted; null: any of the type */
} bh_setting_schema;

/* One value, checked against its schema: given in the file, or the schema's default. */
typedef struct bh_setting {
  uint32_t size;
  bh_setting_type type;
  const char *name;
  bh_bytes text; /* as written, substitutions made and quotes removed */
  int64_t integer;
  double number;
} bh_setting;

/* ---- Requests ------------------------------------------------------------------------------------------------ */

typedef uint32_t bh_method;
enum {
  BH_METHOD_OTHER = 0,
  BH_METHOD_GET = 1,
  BH_METHOD_HEAD = 2,
  BH_METHOD_POST = 3,
  BH_METHOD_PUT = 4,
  BH_METHOD_PATCH = 5,
  BH_METHOD_DELETE = 6,
  BH_METHOD_OPTIONS = 7,
};

/* Who may call a route. Enforced by the host, before the handler runs. */
typedef uint32_t bh_access;
enum {
  BH_ACCESS_PUBLIC = 0,
  BH_ACCESS_AUTHENTICATED = 1, /* needs an identity */
  BH_ACCESS_ROLE = 2,          /* needs an identity with the route's role */
  BH_ACCESS_NONE = 3,          /* no route matched this request */
};

/* One request, as the host understood it. All of it is [request]: views into the connection's buffer, where they
 * can be, and read-only. The host never changes it while a plugin may look at it. */
typedef struct bh_request {
  uint32_t size;
  bh_method method;
  bh_bytes method_name;     /* as sent; never empty */
  bh_bytes path;            /* normalised once (RFC 3986 section 6.2.2): begins with '/' */
  bh_bytes query;           /* after '?', undecoded; empty if none */
  bh_bytes authority;       /* the Host field, or an absolute target's authority; may be empty in HTTP/1.0 */
  /* Whole, transfer coding removed. Empty if there is none, if the handler reads it (request-body.h), and if the client
   * waits for 100 Continue and head and route decide the answer, which then reaches no handler. */
  bh_bytes body;
  const bh_field *fields;   /* in the order received; names as sent: compare them without case */
  size_t field_count;
  const bh_field *parameters; /* of the route's pattern, percent-decoded, in its order */
  size_t parameter_count;
  bh_bytes route;           /* the matched pattern, mount included; empty if none */
  bh_access access;         /* of the matched route */
  uint32_t trusted_peer;    /* 1 if the peer is one of `trusted-proxies` */
  bh_bytes client_address;  /* text: IPv4, IPv6 without brackets, or "unix" */
  bh_bytes client_ip;       /* the same in network order: 4 or 16 bytes; empty for "unix" */
  bh_bytes request_id;
  bh_bytes traceparent;     /* W3C trace context: of the request, or made by the host */
  uint64_t deadline_ns;     /* on the clock of bh_host.monotonic_ns */
} bh_request;

/* One request with its response in the making: the host's, opaque. [request] */
typedef struct bh_exchange bh_exchange;

/* Who a request comes from. Set once a request, by one middleware, and read by any plugin. */
typedef struct bh_identity {
  uint32_t size;
  bh_bytes subject; /* stable and unique; never empty */
  bh_bytes email;   /* may be empty */
  bh_bytes role;    /* may be empty */
  const bh_bytes *scopes;
  size_t scope_count;
  int64_t expires_at; /* Unix time in seconds; 0: does not expire */
} bh_identity;

/* A refusal or an error that is no fault: becomes application/problem+json (RFC 9457). */
typedef struct bh_problem {
  uint32_t size;
  uint32_t status;   /* 400...599 */
  bh_bytes code;     /* stable, kebab-case */
  bh_bytes title;    /* empty: the status's standard phrase */
  bh_bytes detail;   /* for the client's developer; no internals; may be empty */
  bh_bytes members;  /* further JSON members, e.g. "\"required\":5,\"available\":2"; may be empty */
} bh_problem;

/* ---- The host's services ------------------------------------------------------------------------------------- */

/* The host's handle on one loaded plugin. [plugin] */
typedef struct bh_context bh_context;

/* How a route's handler is run. */
typedef uint32_t bh_execution;
enum {
  BH_ON_LOOP = 0,  /* [loop] short, and never blocks */
  BH_BLOCKING = 1, /* [pool] may block on disks, databases and peers */
};

/* One route of a router. The pattern lies below the plugin's `mount`; "" is the mount itself. A segment in braces,
 * `{id}`, stands for one segment that is not empty. */
typedef struct bh_route {
  uint32_t size;
  const char *method;  /* "GET", ... GET answers HEAD too; OPTIONS is the host's */
  const char *pattern; /* "{id}/media" */
  bh_access access;    /* public, authenticated or role */
  const char *role;    /* for BH_ACCESS_ROLE; else null */
  bh_execution execution;
  uint32_t handler;    /* handed back to bh_plugin.handle */
} bh_route;

typedef uint32_t bh_log_level;
enum { BH_LOG_ERROR = 0, BH_LOG_WARNING = 1, BH_LOG_INFO = 2, BH_LOG_DEBUG = 3 };

/* What the host does for plugins. [static] Functions may be called on [any] thread where nothing else is said; those
 * that take an exchange, only on the thread that was handed it, and only until that call returns. */
typedef struct bh_host {
  uint32_t size;
  uint32_t abi_minor;
  const char *version; /* of the host */

  /* An extension's constant table by its id, as named in its own header; null if this host has none such. */
  const void *(*extension)(bh_context *context, const char *id);

  /* [main, during start] Registers a route. BH_INVALID if the pattern or method is malformed, or the plugin is no
   * router. Two plugins with one route is an error that the host reports when all have started. */
  bh_status (*add_route)(bh_context *context, const bh_route *route);

  /* States why the call in hand will return BH_FAULT. `exchange` is null outside of requests. */
  void (*set_error)(bh_context *context, bh_exchange *exchange, bh_bytes message);

  /* One line in the host's log, with plugin's name and, if `exchange` is not null, the request's id. Capped per
   * plugin; lines dropped are counted. */
  void (*log)(bh_context *context, bh_exchange *exchange, bh_log_level level, bh_bytes message);

  uint64_t (*monotonic_ns)(void); /* CLOCK_MONOTONIC */
  int64_t (*realtime_ns)(void);   /* CLOCK_REALTIME, since 1970 */

  /* Fills `buffer` from the kernel's generator (getrandom(2)): fit for keys. */
  void (*random)(void *buffer, size_t count);

  /* -- The response. Header fields set in any phase stay on whatever response is sent at last. -- */

  bh_status (*set_status)(bh_exchange *exchange, uint32_t status); /* 200...599, else BH_INVALID */
  uint32_t (*status)(const bh_exchange *exchange);                /* 0: none yet */

  /* `set_header` replaces, `add_header` appends. BH_INVALID if name or value is not a field's (RFC 9110 section 5),
   * or the field is the host's own: Content-Length, Transfer-Encoding, Connection, Date, X-Request-Id, traceparent.
   * BH_UNAVAILABLE past 64 fields. */
  bh_status (*set_header)(bh_exchange *exchange, bh_bytes name, bh_bytes value);
  bh_status (*add_header)(bh_exchange *exchange, bh_bytes name, bh_bytes value);
  void (*remove_header)(bh_exchange *exchange, bh_bytes name);
  /* The first value of a response field; false if there is none. [until the next call that changes the response] */
  bool (*header)(const bh_exchange *exchange, bh_bytes name, bh_bytes *value);

  /* Replaces the body. */
  void (*set_body)(bh_exchange *exchange, bh_bytes body);
  /* The body as it stands. [until the next call that changes the response] */
  bh_bytes (*body)(const bh_exchange *exchange);

  /* Makes the response this problem. Not a fault: return BH_RESPOND (request phase) or BH_OK after it. */
  bh_status (*set_problem)(bh_exchange *exchange, const bh_problem *problem);

  /* Declares that this plugin has decided CORS for this response, if by leaving every field away: the host's
   * built-in policy then keeps out. Only for a plugin with BH_DECIDES_CORS. */
  bh_status (*decide_cors)(bh_exchange *exchange);

  /* -- Values between plugins -- */

  /* Sets the identity; BH_INVALID if one is set already or the subject is empty. */
  bh_status (*set_identity)(bh_exchange *exchange, const bh_identity *identity);
  /* Null: nobody has set one. [request] */
  const bh_identity *(*identity)(const bh_exchange *exchange);

  /* A named value, by convention "PLUGIN.NAME"; replaces an earlier one. BH_UNAVAILABLE past 32 of them. */
  bh_status (*set_attribute)(bh_exchange *exchange, bh_bytes name, bh_bytes value);
  bool (*attribute)(const bh_exchange *exchange, bh_bytes name, bh_bytes *value); /* [request] */
} bh_host;

/* What a plugin is started with. [call], but for `context` and `host`. */
typedef struct bh_start {
  uint32_t size;
  const bh_host *host;
  bh_context *context;
  const char *name;            /* of the section in plugins.conf: [plugin NAME] */
  const char *mount;           /* "/api/v1/auth"; "" if none */
  const char *state_directory; /* absolute; the plugin's files go here */
  const bh_setting *const *settings;
  size_t setting_count;
  uint32_t generation;         /* of the worker, from 1 */
  uint32_t loop_count;         /* how many loop threads will call at once */
} bh_start;

/* ---- The plugin's table -------------------------------------------------------------------------------------- */

enum {
  BH_HANDLES_REQUEST = 1u << 0,  /* middleware with a request phase */
  BH_HANDLES_RESPONSE = 1u << 1, /* middleware with a response phase */
  BH_ROUTES = 1u << 2,           /* a router */
  BH_DECIDES_CORS = 1u << 3,     /* middleware that also sees CORS preflights, and decides them; without a key of [cors] in
                                    its own section it gets, as its settings, those of [cors] that its schema has */
  BH_AUTHENTICATES = 1u << 4,    /* middleware that sets the identity: while it is out, a protected route without
                                    one answers 503, and not 401 */
};

typedef struct bh_plugin bh_plugin;

/* What `bulkhead_plugin` returns. [static] */
struct bh_plugin {
  uint32_t size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t capabilities;
  const char *name;    /* kebab-case */
  const char *version; /* Semantic Versioning 2.0.0 */
  const char *summary; /* one line */
  const bh_setting_schema *const *settings; /* null if there are none */
  size_t setting_count;
  void *reserved; /* the plugin's own; the host does not read it */

  /* [main] Makes an instance: opens what the plugin needs, registers routes. On BH_FAULT (after set_error)
   * nothing is left behind, and `stop` is not called. */
  bh_status (*start)(const bh_plugin *plugin, const bh_start *start, void **instance);

  /* [main] Ends the instance. No other call is under way, and none follows. Not called when the process ends by
   * force: so it does once a plugin's `stop` faults, or does not return in the section's `timeout` (12 s without one).
   * May be null. */
  void (*stop)(void *instance);

  /* [loop] The request phase: BH_OK goes on, BH_RESPOND ends the phase with the response as made, BH_FAULT
   * quarantines. Null without BH_HANDLES_REQUEST. */
  bh_status (*request)(void *instance, bh_exchange *exchange, const bh_request *request);

  /* [loop] The response phase, in reverse order, for each plugin whose request phase ran. The response is whole, and
   * may be changed. BH_OK or BH_FAULT. Null without BH_HANDLES_RESPONSE. */
  bh_status (*response)(void *instance, bh_exchange *exchange, const bh_request *request);

  /* [loop] or [pool], as the route says. Makes the response (status 200 unless set): BH_OK or BH_FAULT. Null without
   * BH_ROUTES. */
  bh_status (*handle)(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request);

  /* [main] An extension's constant table by its id; null if the plugin has none such. May be null itself. */
  const void *(*extension)(const bh_plugin *plugin, const char *id);
};

typedef const bh_plugin *(*bh_entry)(void);

#ifdef __cplusplus
}
#endif

#endif
