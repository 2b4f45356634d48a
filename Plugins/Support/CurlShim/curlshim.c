#include "curlshim.h"

typedef CURLcode (*setopt_function)(CURL *, CURLoption, ...);
typedef CURLcode (*getinfo_function)(CURL *, CURLINFO, ...);

CURLcode curlshim_set_long(const void *setopt, CURL *handle, CURLoption option, long value) {
  return ((setopt_function)setopt)(handle, option, value);
}

CURLcode curlshim_set_pointer(const void *setopt, CURL *handle, CURLoption option, const void *value) {
  return ((setopt_function)setopt)(handle, option, value);
}

CURLcode curlshim_set_writer(const void *setopt, CURL *handle, CURLoption option, curl_write_callback value) {
  return ((setopt_function)setopt)(handle, option, value);
}

CURLcode curlshim_get_long(const void *getinfo, CURL *handle, CURLINFO value, long *result) {
  return ((getinfo_function)getinfo)(handle, value, result);
}

CURLcode curlshim_get_offset(const void *getinfo, CURL *handle, CURLINFO value, curl_off_t *result) {
  return ((getinfo_function)getinfo)(handle, value, result);
}

CURLcode curlshim_get_string(const void *getinfo, CURL *handle, CURLINFO value, const char **result) {
  return ((getinfo_function)getinfo)(handle, value, result);
}
