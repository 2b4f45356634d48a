/* The page at /__diag/, as it stands in page.html: part of the program, so that it is there when everything else is
 * broken. */
#ifndef BULKHEAD_DIAGNOSTICS_PAGE_H
#define BULKHEAD_DIAGNOSTICS_PAGE_H

#include <stddef.h>

/* UTF-8. "@NONCE@" stands where each response has its nonce. */
const char *diagnostics_page(void);
size_t diagnostics_page_size(void);

#endif
