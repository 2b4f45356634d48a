/// The variadic functions of libcurl, which Swift cannot call, with the types that the options demand.
///
/// Each takes the address of the function, as dlsym(3) found it: `curl_easy_setopt` or `curl_easy_getinfo`. No logic,
/// and nothing that would need libcurl to be linked. Any thread, as long as no other uses the handle.
#ifndef CURLSHIM_H
#define CURLSHIM_H

#include <curl/curl.h>

/// For options whose type is CURLOPTTYPE_LONG or CURLOPTTYPE_VALUES.
CURLcode curlshim_set_long(const void *setopt, CURL *handle, CURLoption option, long value);

/// For options whose type is CURLOPTTYPE_STRINGPOINT, _SLISTPOINT, _CBPOINT or _OBJECTPOINT.
CURLcode curlshim_set_pointer(const void *setopt, CURL *handle, CURLoption option, const void *value);

/// For CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION.
CURLcode curlshim_set_writer(const void *setopt, CURL *handle, CURLoption option, curl_write_callback value);

/// For values of CURLINFO_LONG.
CURLcode curlshim_get_long(const void *getinfo, CURL *handle, CURLINFO value, long *result);

/// For values of CURLINFO_OFF_T.
CURLcode curlshim_get_offset(const void *getinfo, CURL *handle, CURLINFO value, curl_off_t *result);

/// For values of CURLINFO_STRING. libcurl owns the result, until the handle is used again.
CURLcode curlshim_get_string(const void *getinfo, CURL *handle, CURLINFO value, const char **result);

#endif
