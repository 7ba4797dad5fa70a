/*
 * How git is called: always with an environment made from scratch, never through a shell, URLs
 * behind
 * "--", full ref names.
 *
 * Two kinds of environment:
 * - GIT_ENVIRONMENT_REMOTE, for commands that talk to a remote: the user's own git configuration
 *   counts (credential helpers, proxies, CA files), with everything that could run a command on
 *   behalf of a repository overridden, GIT_TERMINAL_PROMPT=0, GIT_ALLOW_PROTOCOL = the URL's scheme
 *   alone, ssh in BatchMode with StrictHostKeyChecking=yes.
 * - GIT_ENVIRONMENT_LOCAL, for commands on the mirror and the workspace: no configuration but the
 *   mirror's own, so that a tree is exactly the commit's.
 */
#ifndef PHANTOM_CI_GIT_COMMAND_H
#define PHANTOM_CI_GIT_COMMAND_H

#include <glib.h>
#include <stdint.h>

#include "base/spawn.h"
#include "git/url.h"

/* Absolute path of git, found once in PATH; ERROR_NOT_FOUND says how to install it. */
const char *git_executable(GError **error);

/* Absolute path of another program that git's work needs, found as git is; NULL when it is not
 * installed. Free with g_free(). */
char *git_find_program(const char *name);

struct git_remote {
    const char *url;
    const char *ssh_key_path; /* or NULL */
};

/* NULL-terminated "K=V" vector; free with g_strfreev(). */
char **git_environment_remote(const struct git_remote *remote, GError **error);
/* For `git config`: what GIT_ENVIRONMENT_REMOTE lets count of the user's own configuration. */
char **git_environment_config(void);
char **git_environment_local(const char *index_file); /* NULL = none */

/* Appends (with g_strdup()) the options that every ssh of ours gets: nobody is asked, the host's
 * key must be known, a dead host is noticed. `ssh_key_path`: the only key to be used, or NULL. */
void git_append_ssh_options(GPtrArray *argv, const char *ssh_key_path);

struct git_limits {
    int timeout_ms;         /* -1 = none */
    int cancel_fd;          /* -1 = none */
    int64_t file_max_bytes; /* no file that git writes, a pack or one of a checkout, is larger; 0 =
                               any */
};

/* PATH, HOME, USER, LOGNAME, TMPDIR, SSH_AUTH_SOCK and an English locale: what ssh and its tools
 * need. */
char **git_environment_plain(void);
/* The same, with these "K=V" instead of or beside its own. */
char **git_environment_with(const char *const *variables);
/* Puts "K=V" into a vector in place of its own; returns it, maybe moved. */
char **git_environment_replace(char **environment, const char *const *variables);
/* Adds a setting to those that the environment carries; returns it, maybe moved.
 * "http.followRedirects", "false" belongs to GIT_ENVIRONMENT_REMOTE where git/settings.h says that
 * a redirect would take a header along. */
char **git_environment_add_config(char **environment, const char *key, const char *value);

/* Runs git with these arguments (without argv[0]). A non-zero exit is ERROR_REMOTE with git's own
 * last words and, where known, a hint what to do, or ERROR_NO_SPACE when they tell of a full disk,
 * or ERROR_INVALID when a file would be larger than the limit or git's check finds fault with an
 * object (fetch.fsckObjects).
 * `out` may be NULL; else it is filled whenever git ran, also on failure, and the caller clears it.
 * `limits` may be NULL. At most GIT_MAX_OUTPUT bytes are taken; more is ERROR_LIMIT. */
enum { GIT_MAX_OUTPUT = 128 * 1024 * 1024 };
bool git_run(const char *const *arguments, const char *const *environment,
             const struct git_limits *limits, struct spawn_result *out, GError **error);

/* The error of a commit that git_limits.file_max_bytes is too little for. */
GError *git_too_large(int64_t file_max_bytes);

/* What git or ssh said, as one line for people: progress and noise left out, control characters
 * escaped, at most 400 bytes, and a hint for well-known causes (authentication, host key unknown or
 * changed with both fingerprints, host not found, repository not found, TLS). Free with g_free().
 */
char *git_explain_failure(const char *stderr_text, const struct git_remote *remote);

/* What kind of failure it tells of, as far as anybody would do something different about it. */
enum git_failure {
    GIT_FAILURE_OTHER,
    GIT_FAILURE_UNREACHABLE, /* the host, or its server, can't be reached (now) */
    GIT_FAILURE_UNTRUSTED,   /* its host key or certificate is not known, or has changed */
    GIT_FAILURE_ABSENT,      /* there is no such repository, or none that is shown */
};
enum git_failure git_failure_of(const char *stderr_text);

/* Takes a message that ends in such a line apart: what happened, and what to do about it (NULL when
 * it holds no hint of ours). Free both with g_free(). */
void git_explain_split(const char *message, char **what, char **mend);

#endif
