/*
 * workflow/<branch>.toml, or a file of the host in its place: numbered tables with the single key
 * `run`. Bytes in, struct or diagnostics out; no I/O.
 *
 * `run` is a string, split into words by the quoting rules of a POSIX shell without any expansion
 * (g_shell_parse_argv(): an unquoted newline separates words like a blank, and a '#' at the
 * beginning of a word begins a comment that ends with the line), or an array of strings, taken as
 * they are.
 */
#ifndef PHANTOM_CI_CONFIG_WORKFLOW_H
#define PHANTOM_CI_CONFIG_WORKFLOW_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

#include "config/diagnostics.h"
#include "config/toml.h"

enum { WORKFLOW_MAX_BYTES = 256 * 1024, WORKFLOW_MAX_STEPS = 10000 };

struct workflow_step {
    uint64_t number;
    char **argv;   /* at least one word; argv[0] is not empty */
    unsigned line; /* 0 = not of a file */
};

struct workflow {
    GPtrArray *steps; /* of struct workflow_step *, by number */
};

/* `file` is the name for messages. NULL when anything is wrong; every error is in `diagnostics`.
 * A workflow without any step is an error. */
struct workflow *workflow_parse(const char *bytes, size_t length, const char *file,
                                struct diagnostics *diagnostics);
void workflow_free(struct workflow *workflow);

/* An item of `steps` in Repo.toml, what `run` of a workflow accepts or a table with the keys of a
 * step, as one line whose words g_shell_parse_argv() finds. NULL with a diagnostic; free with
 * g_free(). */
char *workflow_read_line(const struct toml_value *step, const char *file,
                         struct diagnostics *diagnostics);
/* The workflow that such lines are, numbered from 0; NULL when one of them is none. */
struct workflow *workflow_from_lines(char *const *lines);

#define WORKFLOW_PATH_OF_TAGS "workflow/tag.toml"

/* "workflow/feature/x.toml"; NULL when the branch name cannot name a path below workflow/ (a
 * component
 * "." or "..", an empty one). Free with g_free(). */
char *workflow_path_for_branch(const char *branch);
/* The same for the key of a branch or a tag (base/refkey.h). */
char *workflow_path_for_ref(const char *key);

#endif
