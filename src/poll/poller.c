#include "poll/poller.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "poll/remote.h"
#include "poll/schedule.h"

/* A look that takes longer than this gives up its place among max_looks, so that hung remotes never
 * starve the others; looks beyond POLLER_HARD_LIMIT wait in any case. */
enum { POLLER_PATIENCE_MS = 5000, POLLER_HARD_LIMIT = 256 };

struct poller {
    struct poller_callbacks callbacks;
    const struct config *config;
    GHashTable *remotes; /* key -> struct remote * */
    unsigned under_way;
};

struct poller *poller_new(const struct poller_callbacks *callbacks)
{
    struct poller *poller = g_new0(struct poller, 1);
    poller->callbacks = *callbacks;
    return poller;
}

static void count_looks(struct poller *poller)
{
    GHashTableIter iterator;
    void *value = NULL;
    poller->under_way = 0;
    g_hash_table_iter_init(&iterator, poller->remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        poller->under_way += ((struct remote *)value)->look ? 1 : 0;
    }
}

void poller_set_config(struct poller *poller, const struct config *config)
{
    GHashTable *old = poller->remotes;
    poller->remotes = remotes_from_config(config, old, clock_monotonic_ms());
    poller->config = config;
    g_clear_pointer(&old, g_hash_table_unref);
    count_looks(poller);
}

void poller_request(struct poller *poller, const char *repo)
{
    GHashTableIter iterator;
    void *value = NULL;
    int64_t now_ms = clock_monotonic_ms();
    g_hash_table_iter_init(&iterator, poller->remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct remote *remote = value;
        bool meant = !repo;
        for (unsigned i = 0; i < remote->sections->len && !meant; i++) {
            const struct repo_config *section = g_ptr_array_index(remote->sections, i);
            meant = strcmp(section->name, repo) == 0;
        }
        if (meant && remote->look) {
            remote->again = true;
        } else if (meant) {
            remote->due_ms = now_ms;
        }
    }
}

static void set_next_due(struct remote *remote, bool good, int64_t now_ms)
{
    if (good) {
        remote->failures = 0;
        remote->due_ms = now_ms + schedule_after_success(remote->interval_ms, !remote->seen_well,
                                                         g_random_int());
        remote->seen_well = true;
    } else {
        remote->failures++;
        remote->due_ms =
            now_ms + schedule_after_failure(remote->interval_ms, remote->failures, g_random_int());
    }
    if (remote->again) {
        remote->again = false;
        remote->due_ms = now_ms;
    }
}

/* Tells every section of the remote; the look was good when each of them could record it. */
static void report(struct poller *poller, struct remote *remote, GHashTable *refs,
                   const GError *look_error, int64_t now_ms)
{
    const struct poller_callbacks *callbacks = &poller->callbacks;
    unsigned count = remote->sections->len;
    g_autofree GError **errors = g_new0(GError *, count);
    bool good = true;
    for (unsigned i = 0; i < count; i++) {
        struct poll_look look = {g_ptr_array_index(remote->sections, i), remote->look_begun_utc_ms};
        if (!refs) {
            errors[i] = g_error_copy(look_error);
            good = false;
        } else if (!callbacks->seen(&look, refs, callbacks->data, &errors[i])) {
            good = false;
        }
    }
    set_next_due(remote, good, now_ms);
    int64_t next_utc_ms = clock_now_ms() + (remote->due_ms - now_ms);
    for (unsigned i = 0; i < count; i++) {
        struct poll_look look = {g_ptr_array_index(remote->sections, i), remote->look_begun_utc_ms};
        callbacks->ended(&look, errors[i] ? remote->failures : 0, next_utc_ms, errors[i],
                         callbacks->data);
        g_clear_error(&errors[i]);
    }
}

static void end_look(struct poller *poller, struct remote *remote, int64_t now_ms)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) refs = git_look_finish(remote->look, &error);
    g_clear_pointer(&remote->look, git_look_free);
    remote->fds_at = -1;
    poller->under_way--;
    report(poller, remote, refs, error, now_ms);
}

static void begin_look(struct poller *poller, struct remote *remote, int64_t now_ms)
{
    const struct git_remote address = {remote->url, remote->ssh_key_path};
    g_autoptr(GError) error = NULL;
    remote->look_begun_ms = now_ms;
    remote->look_begun_utc_ms = clock_now_ms();
    remote->look = git_look_start(&address, (const char *const *)remote->wanted, &error);
    if (!remote->look) {
        report(poller, remote, NULL, error, now_ms);
        return;
    }
    poller->under_way++;
    remote->due_ms = INT64_MAX;
    for (unsigned i = 0; i < remote->sections->len; i++) {
        struct poll_look look = {g_ptr_array_index(remote->sections, i), remote->look_begun_utc_ms};
        poller->callbacks.begun(&look, poller->callbacks.data);
    }
}

static int compare_due(const void *left, const void *right)
{
    const struct remote *const *a = left;
    const struct remote *const *b = right;
    return ((*a)->due_ms > (*b)->due_ms) - ((*a)->due_ms < (*b)->due_ms);
}

/* Ends overdue looks, counts those that still hold a place, and lists what is due, oldest first. */
static GPtrArray *take_stock(struct poller *poller, int64_t now_ms, unsigned *places_taken)
{
    GPtrArray *due = g_ptr_array_new();
    GHashTableIter iterator;
    void *value = NULL;
    *places_taken = 0;
    g_hash_table_iter_init(&iterator, poller->remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct remote *remote = value;
        if (remote->look && now_ms - remote->look_begun_ms >= poller->config->look_timeout_ms) {
            git_look_kill(remote->look);
            end_look(poller, remote, now_ms);
        }
        if (remote->look) {
            *places_taken += now_ms - remote->look_begun_ms < POLLER_PATIENCE_MS ? 1 : 0;
        } else if (remote->due_ms <= now_ms) {
            g_ptr_array_add(due, remote);
        }
    }
    g_ptr_array_sort(due, compare_due);
    return due;
}

void poller_run(struct poller *poller, int64_t now_ms)
{
    unsigned places_taken = 0;
    g_autoptr(GPtrArray) due = take_stock(poller, now_ms, &places_taken);
    for (unsigned i = 0; i < due->len; i++) {
        if (places_taken >= poller->config->max_looks || poller->under_way >= POLLER_HARD_LIMIT) {
            break;
        }
        struct remote *remote = g_ptr_array_index(due, i);
        begin_look(poller, remote, now_ms);
        places_taken += remote->look ? 1 : 0;
    }
}

/* When something happens by itself to this remote: it falls due, or its look loses its place or its
 * time. */
static int64_t next_moment(const struct poller *poller, const struct remote *remote,
                           bool places_free, int64_t now_ms)
{
    if (!remote->look) {
        return remote->due_ms > now_ms || places_free ? remote->due_ms : INT64_MAX;
    }
    int64_t patience_ms = remote->look_begun_ms + POLLER_PATIENCE_MS;
    int64_t timeout_ms = remote->look_begun_ms + poller->config->look_timeout_ms;
    return patience_ms > now_ms ? MIN(patience_ms, timeout_ms) : timeout_ms;
}

int64_t poller_next_due_ms(const struct poller *poller, int64_t now_ms)
{
    GHashTableIter iterator;
    void *value = NULL;
    unsigned places_taken = 0;
    g_hash_table_iter_init(&iterator, poller->remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        const struct remote *remote = value;
        places_taken += remote->look && now_ms - remote->look_begun_ms < POLLER_PATIENCE_MS ? 1 : 0;
    }
    bool places_free =
        places_taken < poller->config->max_looks && poller->under_way < POLLER_HARD_LIMIT;
    int64_t next_ms = INT64_MAX;
    g_hash_table_iter_init(&iterator, poller->remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        next_ms = MIN(next_ms, next_moment(poller, value, places_free, now_ms));
    }
    return next_ms;
}

void poller_add_fds(struct poller *poller, GArray *pollfds)
{
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, poller->remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct remote *remote = value;
        if (remote->look) {
            int fds[2];
            git_look_fds(remote->look, fds);
            remote->fds_at = (int)pollfds->len;
            for (int i = 0; i < 2; i++) {
                struct pollfd entry = {.fd = fds[i], .events = POLLIN};
                g_array_append_val(pollfds, entry);
            }
        }
    }
}

void poller_handle(struct poller *poller, const struct pollfd *fds, unsigned count, int64_t now_ms)
{
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, poller->remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct remote *remote = value;
        if (!remote->look || remote->fds_at < 0 || (unsigned)remote->fds_at + 1 >= count) {
            continue;
        }
        const struct pollfd *own = &fds[remote->fds_at];
        remote->fds_at = -1;
        if ((own[0].revents || own[1].revents) && !git_look_read(remote->look)) {
            end_look(poller, remote, now_ms);
        }
    }
}

int64_t poller_lateness_ms(const struct poller *poller, int64_t now_ms)
{
    GHashTableIter iterator;
    void *value = NULL;
    int64_t lateness_ms = 0;
    g_hash_table_iter_init(&iterator, poller->remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        const struct remote *remote = value;
        if (!remote->look) {
            lateness_ms = MAX(lateness_ms, now_ms - remote->due_ms);
        }
    }
    return lateness_ms;
}

void poller_stop(struct poller *poller)
{
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, poller->remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct remote *remote = value;
        g_clear_pointer(&remote->look, git_look_free);
        remote->due_ms = INT64_MAX;
    }
    poller->under_way = 0;
}

void poller_free(struct poller *poller)
{
    if (poller) {
        g_clear_pointer(&poller->remotes, g_hash_table_unref);
        g_free(poller);
    }
}
