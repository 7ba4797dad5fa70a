/* The system calls of a network client, as a seccomp filter (Linux). */
#ifndef PHANTOM_CI_SANDBOX_FILTER_H
#define PHANTOM_CI_SANDBOX_FILTER_H

#include <glib.h>
#include <stdbool.h>

/* Loads the filter for this process and its threads; it sets no_new_privs as well. What is allowed
 * is in filter.c, one table and a few rules about arguments; all else is EPERM. */
bool filter_network_client(GError **error);

#endif
