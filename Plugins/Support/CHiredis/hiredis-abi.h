/* What of hiredis is reached by dlsym(3), in both of its binary interfaces: <hiredis/hiredis.h> states only the one
 * that is installed where this is compiled, and a plugin meets the other elsewhere (Debian 12 has 0.14, Debian 13
 * has 1.2). Nothing here is linked. */
#ifndef BULKHEAD_HIREDIS_ABI_H
#define BULKHEAD_HIREDIS_ABI_H

#include <stddef.h>

enum {
  BH_REDIS_STRING = 1,
  BH_REDIS_ARRAY = 2,
  BH_REDIS_INTEGER = 3,
  BH_REDIS_NIL = 4,
  BH_REDIS_STATUS = 5,
  BH_REDIS_ERROR = 6,
};

/* redisReply of 0.13 and 0.14. */
typedef struct bh_redis_reply_0 {
  int type;
  long long integer;
  size_t len;
  char *str;
  size_t elements;
  struct bh_redis_reply_0 **element;
} bh_redis_reply_0;

/* redisReply of 1.0 to 1.4. */
typedef struct bh_redis_reply_1 {
  int type;
  long long integer;
  double dval;
  size_t len;
  char *str;
  char vtype[4];
  size_t elements;
  struct bh_redis_reply_1 **element;
} bh_redis_reply_1;

/* redisReader, opaque. */
typedef struct bh_redis_reader bh_redis_reader;

typedef bh_redis_reader *(*bh_redis_reader_create)(void);
typedef void (*bh_redis_reader_free)(bh_redis_reader *reader);
typedef int (*bh_redis_reader_feed)(bh_redis_reader *reader, const char *bytes, size_t count);
/* 0; `reply` is null while it is not whole. */
typedef int (*bh_redis_reader_get_reply)(bh_redis_reader *reader, void **reply);
typedef void (*bh_redis_free_reply)(void *reply);
/* `long long` since 1.1; no command is near 2 GiB, and an int is read from the same register. */
typedef int (*bh_redis_format)(char **target, int count, const char **arguments, const size_t *lengths);
typedef void (*bh_redis_free_command)(char *command);

#endif
