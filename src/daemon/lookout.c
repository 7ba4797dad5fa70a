#include "daemon/lookout.h"

#include "base/clock.h"
#include "base/event.h"
#include "daemon/look_status.h"
#include "daemon/record.h"

struct lookout {
    const struct paths *paths;
    struct store *store;
    struct look_book *book;
    bool has_jobs, has_notices;
    bool is_lost; /* the file can't be written, which has been told */
};

static void report_loss(struct lookout *lookout, const GError *error)
{
    if (error && !lookout->is_lost) {
        event_print(EVENT_WARNING, "look status lost", "err", error->message, NULL);
    }
    lookout->is_lost = error != NULL;
}

static void begun(const struct poll_look *look, void *data)
{
    struct lookout *lookout = data;
    struct look_status *status = look_book_get(lookout->book, look->repo->name);
    if (status) {
        status->last_look_ms = look->begun_ms;
        status->next_look_ms = 0;
        look_book_touch_times(lookout->book, status);
    }
}

static bool seen(const struct poll_look *look, GHashTable *refs, bool *news, void *data,
                 GError **error)
{
    struct lookout *lookout = data;
    bool told = false;
    bool good = record_look(lookout->paths, lookout->store, look->repo, refs, clock_now_ms(),
                            &lookout->has_jobs, &told, error);
    lookout->has_notices = lookout->has_notices || told;
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

static void flush(struct lookout *lookout)
{
    g_autoptr(GError) error = NULL;
    look_book_flush(lookout->book, clock_monotonic_ms(), &error);
    report_loss(lookout, error);
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
    struct lookout *lookout = data;
    struct look_status *status = look_book_get(lookout->book, look->repo->name);
    if (!status) {
        return;
    }
    bool is_news = status->failures != end->failures || status->is_watched != end->is_watched;
    status->failures = end->failures;
    status->is_watched = end->is_watched;
    status->next_look_ms = end->next_ms;
    status->last_look_ms = look->begun_ms;
    if (!end->failure) {
        status->last_ok_ms = clock_now_ms();
    }
    bool other_result = replace(&status->error, end->failure ? end->failure->message : NULL);
    bool other_place = replace(&status->moved_to, end->moved_to);
    bool other_road = replace(&status->road, end->road);
    bool learned = replace(&status->learned, end->learned);
    if (is_news || other_result || other_place || other_road || learned) {
        look_book_touch(lookout->book, status);
    } else {
        look_book_touch_times(lookout->book, status);
    }
    if (other_result || other_place || other_road) {
        flush(lookout); /* who reads of it in the log finds it in the file */
    }
    if (other_result) {
        announce_result(look, end);
    }
    if (other_place) {
        announce_move(look, end);
    }
}

/* When a branch of the section last moved; 0 = not known. */
static int64_t last_change_ms(const struct lookout *lookout, const char *repo)
{
    g_autoptr(GPtrArray) branches = store_branches(lookout->store, repo, NULL);
    int64_t last_ms = 0;
    for (unsigned i = 0; branches && i < branches->len; i++) {
        last_ms = MAX(last_ms, ((const struct branch *)g_ptr_array_index(branches, i))->seen_ms);
    }
    return last_ms;
}

static void recall(const struct repo_config *repo, struct poll_memory *memory, void *data)
{
    struct lookout *lookout = data;
    const struct look_status *status = look_book_get(lookout->book, repo->name);
    memory->learned = status ? status->learned : NULL;
    memory->changed_ms =
        repo->poll_interval_ms == POLL_INTERVAL_AUTO ? last_change_ms(lookout, repo->name) : 0;
}

struct poller_callbacks lookout_callbacks(struct lookout *lookout)
{
    return (struct poller_callbacks){begun, seen, ended, recall, lookout};
}

void lookout_set_config(struct lookout *lookout, const struct config *config)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (unsigned i = 0; i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        g_ptr_array_add(names, repo->name);
    }
    g_ptr_array_add(names, NULL);
    g_autoptr(GError) error = NULL;
    look_book_set_repos(lookout->book, (const char *const *)names->pdata, &error);
    report_loss(lookout, error);
}

bool lookout_take_jobs(struct lookout *lookout)
{
    bool has_jobs = lookout->has_jobs;
    lookout->has_jobs = false;
    return has_jobs;
}

bool lookout_take_notices(struct lookout *lookout)
{
    bool has_notices = lookout->has_notices;
    lookout->has_notices = false;
    return has_notices;
}

void lookout_write(struct lookout *lookout, const struct poller *poller, int64_t until_ms)
{
    int64_t now_ms = clock_monotonic_ms();
    if (!look_book_flush_due(lookout->book, now_ms, until_ms)) {
        return;
    }
    const struct look_summary summary = {poller_late_ms(poller, now_ms), clock_now_ms()};
    look_book_set_summary(lookout->book, &summary);
    flush(lookout);
}

struct lookout *lookout_new(const struct paths *paths, struct store *store)
{
    struct lookout *lookout = g_new0(struct lookout, 1);
    g_autofree char *path = paths_look_status(paths);
    g_autoptr(GError) error = NULL;
    lookout->paths = paths;
    lookout->store = store;
    lookout->book = look_book_open(path, &error);
    report_loss(lookout, error);
    return lookout;
}

void lookout_free(struct lookout *lookout)
{
    if (lookout) {
        look_book_close(lookout->book);
        g_free(lookout);
    }
}
