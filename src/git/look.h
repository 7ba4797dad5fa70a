/*
 * One look at a remote: which refs it has, as `git ls-remote` tells, without waiting.
 *
 * 1. git_look_start() spawns it; the caller waits for git_look_fd() to become readable.
 * 2. git_look_read() takes what there is; when it says "over", git_look_finish() gives the answer.
 * 3. git_look_kill() at the caller's time limit, then git_look_finish().
 * 4. git_look_free() kills what is left.
 *
 * Memory is bounded: only refs that are asked for are kept, at most REFSET_MAX_REFS.
 */
#ifndef PHANTOM_CI_GIT_LOOK_H
#define PHANTOM_CI_GIT_LOOK_H

#include <glib.h>
#include <stdbool.h>

#include "git/command.h"
#include "git/refset.h"

enum { GIT_LOOK_MAX_LINE = 4096 };

struct git_look;

/* `no_redirects`: of git_settings_redirects_leak(). `wanted`: full ref names and globs below
 * refs/heads/ and refs/tags/ (git/refset.h). */
struct git_look *git_look_start(const struct git_remote *remote, bool no_redirects,
                                const char *const *wanted, GError **error);

/* Two descriptors to poll for reading; -1 once at its end. */
void git_look_fds(const struct git_look *look, int fds[2]);
/* True while there is more to come. */
bool git_look_read(struct git_look *look);
void git_look_kill(struct git_look *look);

/* Reaps. A table as git/refset.h has it, or NULL with ERROR_REMOTE (explained) or ERROR_LIMIT after
 * git_look_kill(). */
GHashTable *git_look_finish(struct git_look *look, GError **error);
void git_look_free(struct git_look *look);

/* The same, waiting (for the command line). */
GHashTable *git_look_now(const struct git_remote *remote, const char *const *wanted, int timeout_ms,
                         GError **error);

/* One line of ls-remote's output, "<id>\t<full ref name>": its parts, which point into it. What a
 * tag points to comes in a line of its own behind it, as "<full ref name>^{}": the same name. */
struct git_look_line {
    const char *id, *name;
    size_t id_length, name_length;
};

/* Pure. False when the line is none: no object id, a NUL, or a name outside of refs/. */
bool git_look_parse_line(const char *text, size_t length, struct git_look_line *line);

#endif
