/*
 * Looks into the files of repositories on this machine (git/localrefs.h), and the watch over them
 * (poll/refwatch.h). Internal to poll/.
 *
 * 1. files_new(). 2. files_look(), which answers at once; after a good look files_watch(), after a
 * failed one files_unwatch(). files_add_fds(), poll(2), files_handle(), which calls back for each
 * remote whose files changed. 3. files_forget() each remote; files_free().
 */
#ifndef PHANTOM_CI_POLL_FILES_H
#define PHANTOM_CI_POLL_FILES_H

#include <glib.h>
#include <poll.h>

#include "git/localrefs.h"
#include "poll/tracked.h"

struct files;

struct files_events {
    /* The files have changed, or the watch over them has ended (tracked->road.is_watched). */
    void (*changed)(struct tracked *tracked, void *data);
    void *data;
};
struct files *files_new(const struct files_events *events);
void files_free(struct files *files);

/* As local_refs_look(); LOCAL_REFS_SAME only when tracked->known is what it saw. */
enum local_refs_result files_look(struct tracked *tracked, GHashTable **refs, GError **error);

/* Watches the files from now on, if they are not watched and can be. When the watch begins,
 * `changed` is called, for what happened before it stood. */
void files_watch(struct files *files, struct tracked *tracked);
void files_unwatch(struct files *files, struct tracked *tracked);

/* Git looked in place of the files, with success. */
void files_git_answered(struct tracked *tracked);

/* Ends the watch, and forgets what was read. */
void files_forget(struct files *files, struct tracked *tracked);

void files_add_fds(struct files *files, GArray *pollfds);
void files_handle(struct files *files, const struct pollfd *fds, unsigned count);

#endif
