/*
 * Steps that belong to this machine: `steps` or `workflow_file` of a section, in place of the
 * repository's workflow/<branch>.toml, which is then neither read nor needed. The daemon knows only
 * where they are; the file is read for each job anew, and by `phantom_ci check`.
 */
#ifndef PHANTOM_CI_CONFIG_HOST_STEPS_H
#define PHANTOM_CI_CONFIG_HOST_STEPS_H

#include "config/config.h"
#include "config/workflow.h"

bool host_steps_are_set(const struct repo_config *repo);

/* Reads a workflow_file. It must be a regular file of at most WORKFLOW_MAX_BYTES that belongs to
 * this user or root and that nobody else may write, else NULL with `error`; NULL with diagnostics
 * alone when what it says is wrong. `digest`: its SHA-256 in hexadecimal digits, freed with
 * g_free(); may be NULL. */
struct workflow *host_steps_read_file(const char *path, char **digest,
                                      struct diagnostics *diagnostics, GError **error);

/* The steps of a section for which host_steps_are_set(); fails as host_steps_read_file() does.
 * `origin`: in words, where they came from; freed with g_free(). */
struct workflow *host_steps_load(const struct repo_config *repo, char **origin,
                                 struct diagnostics *diagnostics, GError **error);

/* Reads the files of all sections once; what is wrong is told at the section, in `repo_toml`, or in
 * the file. */
void host_steps_check(const struct config *config, const char *repo_toml,
                      struct diagnostics *diagnostics);

#endif
