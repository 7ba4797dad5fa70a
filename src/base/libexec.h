/* The helper executables (phantom_ci-job, phantom_ci-net, ...) that belong to this one. */
#ifndef PHANTOM_CI_BASE_LIBEXEC_H
#define PHANTOM_CI_BASE_LIBEXEC_H

#include <glib.h>

/*
 * The path of `name`: in PHANTOM_CI_LIBEXEC_DIR if that is set, else beside this executable (a
 * build tree), else in ../libexec/phantom_ci as seen from it (a relocated installation), else where
 * it was configured to be installed. ERROR_NOT_FOUND. Free with g_free().
 */
char *libexec_find(const char *name, GError **error);

#endif
