#include "poll/tracked.h"

#include "base/clock.h"
#include "git/refset.h"
#include "poll/schedule.h"

struct tracked *tracked_new(const struct remote *remote)
{
    struct tracked *tracked = g_new0(struct tracked, 1);
    tracked->remote = remote;
    return tracked;
}

void tracked_free(struct tracked *tracked)
{
    if (tracked) {
        road_release(&tracked->road);
        g_free(tracked->known);
        g_free(tracked);
    }
}

void tracked_forget_known(struct tracked *tracked)
{
    g_clear_pointer(&tracked->known, g_free);
}

static struct poll_look look_of(const struct tracked *tracked, unsigned section)
{
    return (struct poll_look){g_ptr_array_index(tracked->remote->sections, section),
                              tracked->begun_utc_ms};
}

void tracked_recall(struct tracked *tracked, const struct poller_callbacks *callbacks,
                    int64_t now_ms)
{
    int64_t changed_utc_ms = 0;
    for (unsigned i = 0; i < tracked->remote->sections->len; i++) {
        struct poll_memory memory = {.learned = NULL};
        callbacks->recall(g_ptr_array_index(tracked->remote->sections, i), &memory,
                          callbacks->data);
        changed_utc_ms = MAX(changed_utc_ms, memory.changed_ms);
        road_remember(&tracked->road, memory.learned, now_ms);
    }
    int64_t quiet_ms = changed_utc_ms > 0 ? clock_now_ms() - changed_utc_ms : 0;
    tracked->changed_ms = now_ms - MAX(quiet_ms, 0);
}

void tracked_tell_begun(struct tracked *tracked, const struct poller_callbacks *callbacks)
{
    for (unsigned i = 0; i < tracked->remote->sections->len; i++) {
        struct poll_look look = look_of(tracked, i);
        callbacks->begun(&look, callbacks->data);
    }
}

/* False when a section could not record what was seen; `errors` has one for each of them. */
static bool tell_seen(struct tracked *tracked, GHashTable *refs,
                      const struct poller_callbacks *callbacks, GError **errors, int64_t now_ms)
{
    g_autofree char *digest = refset_digest(refs);
    bool news = false;
    bool good = true;
    if (g_strcmp0(digest, tracked->known) == 0) {
        return true;
    }
    for (unsigned i = 0; i < tracked->remote->sections->len; i++) {
        struct poll_look look = look_of(tracked, i);
        good = callbacks->seen(&look, refs, &news, callbacks->data, &errors[i]) && good;
    }
    tracked_forget_known(tracked);
    if (good) {
        tracked->known = g_steal_pointer(&digest);
    }
    if (news) {
        tracked->changed_ms = now_ms;
    }
    return good;
}

int64_t tracked_interval_ms(const struct tracked *tracked, int64_t now_ms)
{
    int64_t interval_ms = remote_interval_ms(tracked->remote, now_ms - tracked->changed_ms);
    return tracked->road.is_watched ? schedule_watched(interval_ms) : interval_ms;
}

static int64_t wait_after_success_ms(const struct tracked *tracked, int64_t interval_ms)
{
    return tracked->item.lane == LANE_FILES
               ? schedule_together(tracked->item.begun_ms, interval_ms)
               : schedule_after_success(interval_ms, !tracked->seen_well, g_random_int());
}

static int64_t next_due_ms(struct tracked *tracked, bool good, int64_t now_ms)
{
    int64_t wait_ms;
    if (good) {
        wait_ms = wait_after_success_ms(tracked, tracked_interval_ms(tracked, now_ms));
        tracked->failures = 0;
        tracked->seen_well = true;
    } else {
        /* What failed may have been the recording: no watch tells when there is room again. */
        int64_t interval_ms = remote_interval_ms(tracked->remote, now_ms - tracked->changed_ms);
        tracked->failures++;
        wait_ms = schedule_after_failure(interval_ms, tracked->failures, g_random_int());
    }
    if (tracked->again) {
        tracked->again = false;
        return now_ms;
    }
    return schedule_due(tracked->item.begun_ms, now_ms, wait_ms);
}

int64_t tracked_tell_ended(struct tracked *tracked, const struct look_answer *answer,
                           const struct poller_callbacks *callbacks, int64_t now_ms)
{
    unsigned count = tracked->remote->sections->len;
    g_autofree GError **errors = g_new0(GError *, count);
    bool good = answer->end == LOOK_SAME;
    if (answer->end == LOOK_REFS) {
        good = tell_seen(tracked, answer->refs, callbacks, errors, now_ms);
    }
    int64_t due_ms = next_due_ms(tracked, good, now_ms);
    due_ms = MAX(due_ms, answer->not_before_ms);
    g_autofree char *road = road_describe(&tracked->road);
    struct poll_end end = {
        .next_ms = clock_now_ms() + (due_ms - now_ms),
        .road = road,
        .learned = road_learned(&tracked->road),
        .moved_to = tracked->road.moved_to ? tracked->road.moved_to : "",
        .is_watched = tracked->road.is_watched,
    };
    for (unsigned i = 0; i < count; i++) {
        struct poll_look look = look_of(tracked, i);
        end.failure = answer->error ? answer->error : errors[i];
        end.failures = end.failure ? tracked->failures : 0;
        callbacks->ended(&look, &end, callbacks->data);
        g_clear_error(&errors[i]);
    }
    return due_ms;
}
