/* libcurl for the whole process. */
#ifndef PHANTOM_CI_NET_LIBRARY_H
#define PHANTOM_CI_NET_LIBRARY_H

#include <glib.h>
#include <stdbool.h>

/* Prepares libcurl; to be called once, before a second thread exists. What libcurl frees is
 * overwritten from then on (Linux): URLs and headers are secrets. */
bool library_init(GError **error);

#endif
