/* The domain of this folder's errors. */
#ifndef PHANTOM_CI_SANDBOX_ERROR_H
#define PHANTOM_CI_SANDBOX_ERROR_H

#include <glib.h>

#define SANDBOX_ERROR (g_quark_from_static_string("phantom-ci-sandbox"))

#endif
