/*
 * What an approval of a workflow is for: the file of the branch, and the files that `approve_paths`
 * names, as they are in one commit. Pure.
 */
#ifndef PHANTOM_CI_CONFIG_PIN_H
#define PHANTOM_CI_CONFIG_PIN_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct pin;

/* `workflow_path` is NULL where the steps are the host's. `patterns`: of config/path_filter.h; may
 * be empty, unless there is no workflow. */
struct pin *pin_new(const char *workflow_path, const char *const *patterns);
void pin_free(struct pin *pin);

/* Whether an approval is for that path, too. */
bool pin_covers(const struct pin *pin, const char *path, size_t length);

/* SHA-256 in hexadecimal digits: of the workflow's bytes alone, and where there are patterns, of
 * them (if there is a workflow) and of mode, object and path of each file that is covered. `tree`:
 * as git ls-tree -r -z tells it; not read without patterns. NULL when it is not of that form. Free
 * with g_free(). */
char *pin_digest(const struct pin *pin, const char *workflow, size_t workflow_length,
                 const char *tree, size_t tree_length);

#endif
