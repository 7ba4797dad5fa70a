/*
 * What `env_file` names, and what `secret_command` writes: variables for steps, as a `.env` file
 * has them (config/dotenv.h). No message quotes anything of it.
 */
#ifndef PHANTOM_CI_CONFIG_ENV_FILE_H
#define PHANTOM_CI_CONFIG_ENV_FILE_H

#include <glib.h>
#include <stddef.h>

#include "config/diagnostics.h"

/* A GPtrArray of struct dotenv_entry *, each key a name that a section may set and there only once;
 * NULL with all that is wrong in `diagnostics`. `what` is the name for messages.
 * g_ptr_array_unref() wipes and frees. */
GPtrArray *env_file_parse(const char *bytes, size_t length, const char *what,
                          struct diagnostics *diagnostics);

/* The same of an absolute path, or of "credential:NAME": the file of that name below
 * $CREDENTIALS_DIRECTORY, where systemd's LoadCredential= and LoadCredentialEncrypted= put it. What
 * is checked of the file is said at dotenv_load(); it must be there. */
GPtrArray *env_file_load(const char *place, struct diagnostics *diagnostics);

#endif
