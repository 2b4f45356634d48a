#include "DiagnosticsPage.h"

/* C23, 6.10.4, which Clang knows in every dialect. */
#pragma clang diagnostic ignored "-Wc23-extensions"

static const char page[] = {
#embed "page.html"
};

const char *diagnostics_page(void) { return page; }
size_t diagnostics_page_size(void) { return sizeof page; }
