/*
 * What a step may see and do, as data: nothing here does anything to a process.
 *
 * 1. Fill a struct sandbox_request with what the section says and where things are.
 * 2. sandbox_policy_new() makes every path canonical, drops what is not there to be hidden, and
 *    refuses what can't be granted.
 * 3. sandbox_plan_new() (sandbox/plan.h) turns it into an ordered list of operations, which is what
 *    is printed, and what is done.
 */
#ifndef PHANTOM_CI_SANDBOX_POLICY_H
#define PHANTOM_CI_SANDBOX_POLICY_H

#include <glib.h>
#include <stdbool.h>

enum sandbox_level {
    SANDBOX_OFF,       /* a plain process of the user */
    SANDBOX_WORKSPACE, /* the machine as it is, read-only but for the workspace; secrets hidden */
    SANDBOX_STRICT,    /* the system's programs and the workspace, nothing else */
};
const char *sandbox_level_name(enum sandbox_level level);

/* All paths absolute; lists NULL-terminated, NULL = empty. */
struct sandbox_request {
    enum sandbox_level level;
    bool network;
    bool shares_proc;      /* no new /proc can be mounted here: the host's is shown, read-only */
    const char *workspace; /* where the steps run; writable */
    const char *temporary; /* the job's own directory for temporary files; writable, also as /tmp */
    const char *home;      /* of the user, or NULL */
    const char *const *writable;
    const char *const *readable; /* shown although hidden, or (strict) although not there */
    const char *const *hidden;   /* besides those that always are */
    const char *const *secrets;  /* of this section and of others: hidden as well */
    const char *const *own;      /* phantom_ci's directories: hidden, whatever else is asked for */
    const char *helper;          /* the path of phantom_ci-sandbox */
    const char *objects; /* of git, for git in a step: shown though phantom_ci's own; or NULL */
};

struct sandbox_policy {
    enum sandbox_level level;
    bool network;
    bool shares_proc;
    char *workspace, *temporary;
    char *home;     /* or NULL */
    char *resolver; /* the file behind /etc/resolv.conf when that lies below /run, or NULL */
    char *helper;
    char *objects;                                /* or NULL */
    char **writable, **readable, **hidden, **own; /* NULL-terminated, never NULL */
};

/* NULL with ERROR_INVALID when a path of `writable` or `readable` is not there, or is one of
 * phantom_ci's own directories or lies in one; with ERROR_NOT_FOUND when the workspace or the
 * temporary directory is not there. */
struct sandbox_policy *sandbox_policy_new(const struct sandbox_request *request, GError **error);
void sandbox_policy_free(struct sandbox_policy *policy);

/* True when `path` is `directory` or lies below it; both canonical. */
bool sandbox_path_is_within(const char *path, const char *directory);

/* The paths below the home directory and of the system that are always hidden, for the manual and
 * for tests; NULL-terminated, those of the home relative to it. */
const char *const *sandbox_hidden_in_home(void);
const char *const *sandbox_hidden_in_system(void);

#endif
