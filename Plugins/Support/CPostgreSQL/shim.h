/* Declarations only: the library is opened when a setting names a PostgreSQL server, and never linked. */
#include <postgresql/libpq-fe.h>
