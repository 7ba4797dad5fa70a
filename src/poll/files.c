#include "poll/files.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/refkey.h"
#include "poll/refwatch.h"

enum { WATCH_AGAIN_MS = 10 * 60 * 1000 }; /* the kernel's limit of watches may have been raised */

struct files {
    struct files_events events;
    struct refwatch *watch; /* NULL where there is none */
    int fd_at;              /* in the poll set, or -1 */
    bool told;              /* that something can't be watched */
};

struct files *files_new(const struct files_events *events)
{
    struct files *files = g_new0(struct files, 1);
    g_autoptr(GError) error = NULL;
    files->events = *events;
    files->fd_at = -1;
    files->watch = refwatch_new(&error);
    if (error) {
        event_print(EVENT_WARNING, "watch failed", "err", error->message, "note",
                    "repositories on this machine are looked at every poll_interval", NULL);
    }
    return files;
}

void files_free(struct files *files)
{
    if (files) {
        refwatch_free(files->watch);
        g_free(files);
    }
}

static bool wants_tags(const struct remote *remote)
{
    for (char **name = remote->wanted; *name; name++) {
        if (g_str_has_prefix(*name, REFKEY_TAGS)) {
            return true;
        }
    }
    return false;
}

void files_watch(struct files *files, struct tracked *tracked)
{
    const char *directory = local_refs_directory(tracked->files);
    int64_t now_ms = clock_monotonic_ms();
    g_autoptr(GError) error = NULL;
    if (!files->watch || !directory || tracked->road.is_watched ||
        now_ms < tracked->watch_from_ms) {
        return;
    }
    tracked->watch_from_ms = now_ms + WATCH_AGAIN_MS;
    if (refwatch_add(files->watch, tracked, directory, wants_tags(tracked->remote), &error)) {
        tracked->road.is_watched = true;
        files->events.changed(tracked, files->events.data);
    } else if (!files->told && error_has_code(error, ERROR_LIMIT)) {
        files->told = true;
        event_print(EVENT_WARNING, "watch failed", "err", error->message, "note",
                    "what can't be watched is looked at every poll_interval", NULL);
    }
}

enum local_refs_result files_look(struct tracked *tracked, GHashTable **refs, GError **error)
{
    if (!tracked->files) {
        tracked->files =
            local_refs_new(tracked->road.plan.url, (const char *const *)tracked->remote->wanted);
    }
    if (!tracked->known) {
        local_refs_forget(tracked->files);
    }
    local_refs_set_thorough(tracked->files, tracked->road.is_watched);
    return local_refs_look(tracked->files, refs, error);
}

void files_git_answered(struct tracked *tracked)
{
    local_refs_git_answered(tracked->files);
}

void files_unwatch(struct files *files, struct tracked *tracked)
{
    if (files->watch && tracked->road.is_watched) {
        refwatch_remove(files->watch, tracked);
    }
    tracked->road.is_watched = false;
    tracked->watch_from_ms = 0;
}

void files_forget(struct files *files, struct tracked *tracked)
{
    files_unwatch(files, tracked);
    g_clear_pointer(&tracked->files, local_refs_free);
}

void files_add_fds(struct files *files, GArray *pollfds)
{
    struct pollfd entry = {.fd = refwatch_fd(files->watch), .events = POLLIN};
    files->fd_at = -1;
    if (entry.fd >= 0) {
        files->fd_at = (int)pollfds->len;
        g_array_append_val(pollfds, entry);
    }
}

static void take_change(void *owner, bool lost, void *data)
{
    struct files *files = data;
    struct tracked *tracked = owner;
    if (lost) {
        tracked->road.is_watched = false;
        tracked->watch_from_ms = 0;
    }
    files->events.changed(tracked, files->events.data);
}

void files_handle(struct files *files, const struct pollfd *fds, unsigned count)
{
    if (files->fd_at >= 0 && (unsigned)files->fd_at < count && fds[files->fd_at].revents) {
        refwatch_take(files->watch, take_change, files);
    }
    files->fd_at = -1;
}
