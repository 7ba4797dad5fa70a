/*
 * One look at a remote: which branches it has, as `git ls-remote` tells, without waiting.
 *
 * 1. git_look_start() spawns it; the caller waits for git_look_fd() to become readable.
 * 2. git_look_read() takes what there is; when it says "over", git_look_finish() gives the answer.
 * 3. git_look_kill() at the caller's time limit, then git_look_finish().
 * 4. git_look_free() kills what is left.
 *
 * Memory is bounded: only refs that a pattern asks for are kept.
 */
#ifndef PHANTOM_CI_GIT_LOOK_H
#define PHANTOM_CI_GIT_LOOK_H

#include <glib.h>
#include <stdbool.h>

#include "git/command.h"

enum { GIT_LOOK_MAX_REFS = 200000, GIT_LOOK_MAX_LINE = 4096 };

struct git_look;

/* `patterns`: branch names and globs (fnmatch, `*` matches '/'); NULL, none or "" = every branch.
 * Branches whose names url_remote_branch_is_valid() refuses are never reported. */
struct git_look *git_look_start(const struct git_remote *remote, const char *const *patterns,
                                GError **error);

/* Two descriptors to poll for reading; -1 once at its end. */
void git_look_fds(const struct git_look *look, int fds[2]);
/* True while there is more to come. */
bool git_look_read(struct git_look *look);
void git_look_kill(struct git_look *look);

/* Reaps. A table branch name -> object id (both char *, owned), or NULL with ERROR_REMOTE
 * (explained) or ERROR_LIMIT after git_look_kill(). */
GHashTable *git_look_finish(struct git_look *look, GError **error);
void git_look_free(struct git_look *look);

/* The same, waiting (for the command line). */
GHashTable *git_look_now(const struct git_remote *remote, const char *const *patterns,
                         int timeout_ms, GError **error);

/* One line of ls-remote output ("<id>\trefs/heads/<name>"), pure. False for anything else. */
bool git_look_parse_line(const char *line, size_t length, char **object_id, char **branch);

#endif
