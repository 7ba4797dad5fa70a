#include "daemon/looks.h"

#include "base/clock.h"
#include "base/event.h"
#include "daemon/look_status.h"
#include "daemon/record.h"

struct looks {
    const struct paths *paths;
    struct store *store;
    struct look_book *book;
    bool has_jobs, has_notices;
    bool is_lost; /* the file can't be written, which has been told */
};

static void report_loss(struct looks *looks, const GError *error)
{
    if (error && !looks->is_lost) {
        event_print(EVENT_WARNING, "look status lost", "err", error->message, NULL);
    }
    looks->is_lost = error != NULL;
}

static void begun(const struct poll_look *look, void *data)
{
    struct looks *looks = data;
    struct look_status *status = look_book_get(looks->book, look->repo->name);
    if (status) {
        status->last_look_ms = look->begun_ms;
        status->next_look_ms = 0;
        look_book_touch(looks->book, status);
    }
}

static bool seen(const struct poll_look *look, GHashTable *refs, bool *news, void *data,
                 GError **error)
{
    struct looks *looks = data;
    bool told = false;
    bool good = record_look(looks->paths, looks->store, look->repo, refs, clock_now_ms(),
                            &looks->has_jobs, &told, error);
    looks->has_notices = looks->has_notices || told;
    *news = *news || told;
    return good;
}

/* The text becomes what `with` says; true when it was another one ("" and NULL are none). */
static bool replace(char **text, const char *with)
{
    with = with && *with ? with : NULL;
    if (g_strcmp0(*text, with) == 0) {
        return false;
    }
    g_free(*text);
    *text = g_strdup(with);
    return true;
}

static void flush(struct looks *looks)
{
    g_autoptr(GError) error = NULL;
    look_book_flush(looks->book, clock_monotonic_ms(), &error);
    report_loss(looks, error);
}

/* The same trouble again is no news: one line when it begins, one when it ends. */
static void announce_result(const struct poll_look *look, const struct poll_end *end)
{
    if (end->failure) {
        event_print(EVENT_WARNING, "look failed", "repo", look->repo->name, "err",
                    end->failure->message, NULL);
    } else {
        event_print(EVENT_INFO, "look recovered", "repo", look->repo->name, NULL);
    }
}

static void announce_move(const struct poll_look *look, const struct poll_end *end)
{
    if (*end->moved_to) {
        event_print(EVENT_WARNING, "repository moved", "repo", look->repo->name, "to",
                    end->moved_to, "note", "change path in Repo.toml", NULL);
    }
}

static void ended(const struct poll_look *look, const struct poll_end *end, void *data)
{
    struct looks *looks = data;
    struct look_status *status = look_book_get(looks->book, look->repo->name);
    if (!status) {
        return;
    }
    status->failures = end->failures;
    status->next_look_ms = end->next_ms;
    status->last_look_ms = look->begun_ms;
    status->is_watched = end->is_watched;
    if (!end->failure) {
        status->last_ok_ms = clock_now_ms();
    }
    bool other_result = replace(&status->error, end->failure ? end->failure->message : NULL);
    bool other_place = replace(&status->moved_to, end->moved_to);
    bool other_road = replace(&status->road, end->road);
    replace(&status->learned, end->learned);
    look_book_touch(looks->book, status);
    if (other_result || other_place || other_road) {
        flush(looks); /* who reads of it in the log finds it in the file */
    }
    if (other_result) {
        announce_result(look, end);
    }
    if (other_place) {
        announce_move(look, end);
    }
}

/* When a branch of the section last moved; 0 = not known. */
static int64_t last_change_ms(const struct looks *looks, const char *repo)
{
    g_autoptr(GPtrArray) branches = store_branches(looks->store, repo, NULL);
    int64_t last_ms = 0;
    for (unsigned i = 0; branches && i < branches->len; i++) {
        last_ms = MAX(last_ms, ((const struct branch *)g_ptr_array_index(branches, i))->seen_ms);
    }
    return last_ms;
}

static void recall(const struct repo_config *repo, struct poll_memory *memory, void *data)
{
    struct looks *looks = data;
    const struct look_status *status = look_book_get(looks->book, repo->name);
    memory->learned = status ? status->learned : NULL;
    memory->changed_ms =
        repo->poll_interval_ms == POLL_INTERVAL_AUTO ? last_change_ms(looks, repo->name) : 0;
}

struct poller_callbacks looks_callbacks(struct looks *looks)
{
    return (struct poller_callbacks){begun, seen, ended, recall, looks};
}

void looks_set_config(struct looks *looks, const struct config *config)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (unsigned i = 0; i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        g_ptr_array_add(names, repo->name);
    }
    g_ptr_array_add(names, NULL);
    g_autoptr(GError) error = NULL;
    look_book_set_repos(looks->book, (const char *const *)names->pdata, &error);
    report_loss(looks, error);
}

bool looks_take_jobs(struct looks *looks)
{
    bool has_jobs = looks->has_jobs;
    looks->has_jobs = false;
    return has_jobs;
}

bool looks_take_notices(struct looks *looks)
{
    bool has_notices = looks->has_notices;
    looks->has_notices = false;
    return has_notices;
}

void looks_write(struct looks *looks, const struct poller *poller, int64_t until_ms)
{
    int64_t now_ms = clock_monotonic_ms();
    if (!look_book_flush_due(looks->book, now_ms, until_ms)) {
        return;
    }
    const struct look_summary summary = {poller_late_ms(poller, now_ms), clock_now_ms()};
    look_book_set_summary(looks->book, &summary);
    flush(looks);
}

struct looks *looks_new(const struct paths *paths, struct store *store)
{
    struct looks *looks = g_new0(struct looks, 1);
    g_autofree char *path = paths_look_status(paths);
    g_autoptr(GError) error = NULL;
    looks->paths = paths;
    looks->store = store;
    looks->book = look_book_open(path, &error);
    report_loss(looks, error);
    return looks;
}

void looks_free(struct looks *looks)
{
    if (looks) {
        look_book_close(looks->book);
        g_free(looks);
    }
}
