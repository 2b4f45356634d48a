/* Dies while it holds a lock that others want: malloc's, one of its own, or a database's. The routes:
 *
 *     GET main-heap  aborts within free(3), which finds a block freed twice, with the lock of the main thread's heap
 *     GET own-heap   aborts within malloc(3), which finds its heap overwritten, with the lock of its own thread's heap
 *     GET mutex      crashes with its mutex locked; `GET wait` locks and unlocks it
 *     GET database   crashes in the middle of a write to the SQLite database that the setting `database` names
 */
#include "broken.h"

#include <malloc.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { MAIN_HEAP, OWN_HEAP, MUTEX, WAIT, DATABASE };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char database[1024];

static void die(void) { *(volatile int *)0 = 1; }

/* A block that is free has lost the mark that says whose heap it is from, and counts as the main one's. It is larger than
 * what free(3) keeps aside without a lock, and smaller than what it takes from the system. */
static void free_twice(void) {
  void *volatile block = malloc(60000);
  free(block);
  free(block);
}

static void write_past_the_end(void) {
  char *volatile block = malloc(100000);
  memset(block + malloc_usable_size(block), 0xff, 8);
  block = malloc(120000);
}

static bh_status lock_database(void) {
  sqlite3 *connection;
  if (sqlite3_open(database, &connection) != SQLITE_OK) return BH_FAULT;
  const char *writes = "PRAGMA busy_timeout = 1000; BEGIN IMMEDIATE; CREATE TABLE half_way (done INTEGER); INSERT INTO half_way VALUES (1)";
  if (sqlite3_exec(connection, writes, 0, 0, 0) != SQLITE_OK) return BH_FAULT;
  die();
  return BH_OK;
}

static bh_status handle(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  (void)instance, (void)exchange, (void)request;
  switch (handler) {
    case MAIN_HEAP: free_twice(); break;
    case OWN_HEAP: write_past_the_end(); break;
    case MUTEX:
      pthread_mutex_lock(&mutex);
      die();
      break;
    case WAIT:
      pthread_mutex_lock(&mutex);
      pthread_mutex_unlock(&mutex);
      break;
    case DATABASE: return lock_database();
  }
  return BH_OK;
}

static const bh_setting_schema file = {
    .size = sizeof(bh_setting_schema), .type = BH_SETTING_STRING, .name = "database", .default_value = "", .help = "a file"};
static const bh_setting_schema *const schema[] = {&file};

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  for (size_t index = 0; index < start->setting_count; index++) {
    if (strcmp(start->settings[index]->name, "database") == 0) {
      bh_bytes path = start->settings[index]->text;
      snprintf(database, sizeof database, "%.*s", (int)path.count, (const char *)path.data);
    }
  }
  const bh_route routes[] = {
      {.size = sizeof(bh_route), .method = "GET", .pattern = "main-heap", .handler = MAIN_HEAP},
      {.size = sizeof(bh_route), .method = "GET", .pattern = "own-heap", .handler = OWN_HEAP},
      {.size = sizeof(bh_route), .method = "GET", .pattern = "mutex", .handler = MUTEX},
      {.size = sizeof(bh_route), .method = "GET", .pattern = "wait", .handler = WAIT},
      {.size = sizeof(bh_route), .method = "GET", .pattern = "database", .handler = DATABASE, .execution = BH_BLOCKING},
  };
  for (size_t index = 0; index < sizeof routes / sizeof routes[0]; index++) {
    if (start->host->add_route(start->context, &routes[index]) != BH_OK) return BH_FAULT;
  }
  *instance = &mutex;
  return BH_OK;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin), .abi_major = BH_ABI_MAJOR, .abi_minor = BH_ABI_MINOR, .capabilities = BH_ROUTES,
    .name = "dies-with-a-lock", .version = "1.0.0", .summary = "Broken on purpose", .settings = schema, .setting_count = 1,
    .start = start, .handle = handle};

const bh_plugin *bulkhead_plugin(void) { return &table; }
