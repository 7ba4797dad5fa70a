/*
 * Hours in the life of the scheduler: as many remotes as it is told, on simulated time, with the
 * code that phantom_ci runs (poll/agenda.h, poll/schedule.h). Prints JSON.
 *
 * Each remote is pushed to at random times; how often differs from remote to remote over four
 * orders of magnitude, from every hour to once a year. A look takes a while, and sees what
 * was pushed before it began. The first hour is not counted. The processor time is real: of the
 * scheduling, and of what little it takes to simulate the rest.
 *
 *   simulate_fleet REMOTES HOSTS HOURS LEAST_MS MOST_MS
 *
 * poll_interval is "auto" within those bounds; both the same: it is fixed.
 */
#include <glib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "poll/agenda.h"
#include "poll/heap.h"
#include "poll/schedule.h"

enum {
    LOOK_LEAST_MS = 60,
    LOOK_MOST_MS = 300,
    LOOKS_AT_ONCE = 256,
    LOOKS_AT_ONCE_PER_HOST = 16,
    HOUR_MS = 60 * 60 * 1000,
    WARM_UP_MS = HOUR_MS,
    SEED = 4,
};

/* The mean time between two pushes is 10^U hours, with U even in this range. */
static const double LEAST_EXPONENT = 0.0;
static const double MOST_EXPONENT = 4.0;

struct simulated {
    struct agenda_item item;    /* first: an item of the agenda is its remote */
    struct heap_node look_ends; /* in `looks` while one is under way */
    double pushes_apart_ms;     /* on average */
    double pushed_ms;           /* the first push that no look has seen yet; may lie ahead */
    int64_t changed_ms;         /* when a look last had news */
    bool seen_well;
};

struct simulation {
    struct agenda *agenda;
    struct heap looks; /* under way, by their end */
    GRand *dice;
    int64_t least_ms, most_ms;
    int64_t now_ms;
    struct {
        int64_t looks;
        int64_t worst_late_ms;
        GArray *waits_ms; /* int64_t, from each push to the end of the look that saw it */
    } counted;
};

static double draw_exponential(GRand *dice, double mean)
{
    return -mean * log1p(-g_rand_double(dice));
}

static void begin_looks(struct simulation *simulation)
{
    struct agenda_item *item;
    while ((item = agenda_next(simulation->agenda, simulation->now_ms))) {
        struct simulated *remote = (struct simulated *)item;
        int64_t late_ms = simulation->now_ms - item->due.at;
        simulation->counted.worst_late_ms = MAX(simulation->counted.worst_late_ms, late_ms);
        simulation->counted.looks++;
        heap_put(&simulation->looks, &remote->look_ends,
                 simulation->now_ms +
                     g_rand_int_range(simulation->dice, LOOK_LEAST_MS, LOOK_MOST_MS));
    }
}

/* True when there was news. */
static bool see_pushes(struct simulation *simulation, struct simulated *remote)
{
    bool news = false;
    while (remote->pushed_ms <= (double)remote->item.begun_ms) {
        int64_t wait_ms = simulation->now_ms - (int64_t)remote->pushed_ms;
        g_array_append_val(simulation->counted.waits_ms, wait_ms);
        remote->pushed_ms += draw_exponential(simulation->dice, remote->pushes_apart_ms);
        news = true;
    }
    return news;
}

static void end_look(struct simulation *simulation, struct simulated *remote)
{
    int64_t now_ms = simulation->now_ms;
    if (see_pushes(simulation, remote)) {
        remote->changed_ms = now_ms;
    }
    int64_t interval_ms =
        schedule_automatic(now_ms - remote->changed_ms, simulation->least_ms, simulation->most_ms);
    int64_t wait_ms =
        schedule_after_success(interval_ms, !remote->seen_well, g_rand_int(simulation->dice));
    remote->seen_well = true;
    agenda_end(simulation->agenda, &remote->item, now_ms);
    agenda_put(simulation->agenda, &remote->item,
               schedule_due(remote->item.begun_ms, now_ms, wait_ms), schedule_slack(interval_ms),
               now_ms);
}

static struct simulated *add_remotes(struct simulation *simulation, unsigned count, unsigned hosts)
{
    struct simulated *remotes = g_new0(struct simulated, count);
    for (unsigned i = 0; i < count; i++) {
        struct simulated *remote = &remotes[i];
        g_autofree char *host = g_strdup_printf("host%u", i % hosts);
        double exponent = g_rand_double_range(simulation->dice, LEAST_EXPONENT, MOST_EXPONENT);
        remote->pushes_apart_ms = pow(10, exponent) * HOUR_MS;
        remote->pushed_ms = draw_exponential(simulation->dice, remote->pushes_apart_ms);
        remote->changed_ms = -(int64_t)draw_exponential(simulation->dice, remote->pushes_apart_ms);
        int64_t interval_ms =
            schedule_automatic(-remote->changed_ms, simulation->least_ms, simulation->most_ms);
        agenda_add(simulation->agenda, &remote->item, host, LANE_NET);
        agenda_put(
            simulation->agenda, &remote->item,
            schedule_first(i / hosts, count / hosts + 1, SCHEDULE_FIRST_APART_MS, interval_ms),
            schedule_slack(interval_ms), 0);
    }
    return remotes;
}

static void run_until(struct simulation *simulation, int64_t end_ms)
{
    while (simulation->now_ms < end_ms) {
        struct heap_node *first;
        while ((first = heap_first(&simulation->looks)) && first->at <= simulation->now_ms) {
            heap_remove(&simulation->looks, first);
            end_look(
                simulation,
                (struct simulated *)((char *)first - G_STRUCT_OFFSET(struct simulated, look_ends)));
        }
        begin_looks(simulation);
        int64_t next_ms = agenda_wake_ms(simulation->agenda, simulation->now_ms);
        first = heap_first(&simulation->looks);
        next_ms = first ? MIN(next_ms, first->at) : next_ms;
        simulation->now_ms = MAX(next_ms, simulation->now_ms + 1);
    }
}

static int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static void print_figures(const struct simulation *simulation, unsigned count, double minutes,
                          double processor_s)
{
    GArray *waits = simulation->counted.waits_ms;
    g_array_sort(waits, compare_times);
    unsigned pushes = waits->len;
    printf("{\"remotes\": %u, \"minutes\": %.0f, \"looks_per_minute\": %.1f, \"pushes\": %u, "
           "\"wait_median_s\": %.1f, \"wait_p95_s\": %.1f, \"worst_late_ms\": %" G_GINT64_FORMAT
           ", \"processor_us_per_look\": %.2f, \"bytes_per_remote\": %zu}\n",
           count, minutes, (double)simulation->counted.looks / minutes, pushes,
           pushes ? (double)g_array_index(waits, int64_t, pushes / 2) / 1000 : 0,
           pushes ? (double)g_array_index(waits, int64_t, pushes - 1 - pushes / 20) / 1000 : 0,
           simulation->counted.worst_late_ms,
           1e6 * processor_s / (double)MAX(simulation->counted.looks, 1),
           sizeof(struct agenda_item));
}

static unsigned parse_count(const char *text)
{
    guint64 value = 0;
    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT, &value, NULL)) {
        fprintf(stderr, "\"%s\" is no number from 1 on\n", text);
        exit(2);
    }
    return (unsigned)value;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fputs("usage: simulate_fleet REMOTES HOSTS HOURS LEAST_MS MOST_MS\n", stderr);
        return 2;
    }
    unsigned count = parse_count(argv[1]);
    int64_t hours = parse_count(argv[3]);
    struct simulation simulation = {
        .agenda = agenda_new(),
        .dice = g_rand_new_with_seed(SEED),
        .least_ms = parse_count(argv[4]),
        .most_ms = parse_count(argv[5]),
        .counted.waits_ms = g_array_new(FALSE, FALSE, sizeof(int64_t)),
    };
    const struct agenda_limits limits = {
        .lanes[LANE_NET] = {LOOKS_AT_ONCE, LOOKS_AT_ONCE},
        .patience_ms = 5000,
        .host_at_once = LOOKS_AT_ONCE_PER_HOST,
    };
    agenda_set_limits(simulation.agenda, &limits, 0);
    heap_init(&simulation.looks);
    struct simulated *remotes = add_remotes(&simulation, count, parse_count(argv[2]));
    run_until(&simulation, WARM_UP_MS);
    simulation.counted.looks = simulation.counted.worst_late_ms = 0;
    g_array_set_size(simulation.counted.waits_ms, 0);
    clock_t before = clock();
    run_until(&simulation, WARM_UP_MS + hours * HOUR_MS);
    print_figures(&simulation, count, (double)hours * 60,
                  (double)(clock() - before) / CLOCKS_PER_SEC);
    for (unsigned i = 0; i < count; i++) {
        agenda_remove(simulation.agenda, &remotes[i].item, simulation.now_ms);
    }
    agenda_free(simulation.agenda);
    heap_release(&simulation.looks);
    g_array_unref(simulation.counted.waits_ms);
    g_rand_free(simulation.dice);
    g_free(remotes);
    return 0;
}
