/*
 * The .git of a workspace: for the steps, which may do with it what they like. It is written anew
 * for every job, and but for submodules (which are fetched before the first step) no git of ours
 * reads it.
 */
#ifndef PHANTOM_CI_GIT_THROWAWAY_GIT_H
#define PHANTOM_CI_GIT_THROWAWAY_GIT_H

#include <glib.h>
#include <stdbool.h>

struct throwaway_git {
    const char *objects;    /* absolute: the mirror's object directory */
    const char *index_file; /* is copied */
    const char *sha, *url;
    const char *ref;  /* full name; of a tag nothing is made of it */
    const char *tags; /* packed-refs lines of the tags, sorted */
};

/* Writes `.git` into the directory, where none may be: HEAD detached at the commit, the branch and
 * the remote-tracking branch, and the tags as refs, objects borrowed from the mirror. */
bool throwaway_git_write(int workspace_fd, const struct throwaway_git *what, GError **error);

#endif
