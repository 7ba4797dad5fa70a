/*
 * `phantom_ci doctor`: what its parts share.
 *
 * 1. command_doctor() fills a struct doctor and calls the parts one after another.
 * 2. A part announces with doctor_look_at() what it is about to look at, and reports each finding
 *    with doctor_add(): one line each, printed at once, or one element of the JSON list at the end.
 * 3. Nothing is changed: no directory or file is made (but control groups, for a moment), nothing
 * is started but programs that only tell something, each with a time limit.
 */
#ifndef PHANTOM_CI_COMMANDS_DOCTOR_H
#define PHANTOM_CI_COMMANDS_DOCTOR_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/spawn.h"
#include "commands/commands.h"

enum doctor_status {
    DOCTOR_OK,
    DOCTOR_INFO, /* good to know, neither well nor ill */
    DOCTOR_WARN,
    DOCTOR_FAIL, /* something can't work, or is not safe: exit code 1 */
    DOCTOR_SKIPPED,
    DOCTOR_STATUSES
};

enum { DOCTOR_PROGRAM_MS = 5000, DOCTOR_PLACE_BYTES = 256 };

struct doctor {
    struct command_context *context; /* `config` is NULL when it has errors */
    bool offline;
    char **names;     /* sections to look at, NULL-terminated; none = all */
    char *place;      /* DOCTOR_PLACE_BYTES, shared with the parent: what is being looked at */
    int cancel_fd;    /* readable once a signal asks for the end */
    int64_t end_ms;   /* monotonic; remotes whose turn has not come by then are skipped */
    bool daemon_runs; /* after doctor_check_state() */
    json_t *list;     /* the findings; NULL without --json */
    unsigned counts[DOCTOR_STATUSES];
};

const char *doctor_status_name(enum doctor_status status);

void doctor_look_at(struct doctor *doctor, const char *subject);

/* `check`: one word, the same for all findings of its kind. `mend`: a command or a sentence, NULL =
 * none. Foreign text is escaped here. */
void doctor_add(struct doctor *doctor, enum doctor_status status, const char *check,
                const char *subject, const char *mend, const char *detail_format, ...)
    G_GNUC_PRINTF(6, 7);

/* The two halves of "what is wrong; mend it with: COMMAND". Without a command *mend is NULL. Free
 * both with g_free(). */
char *doctor_split_mend(const char *message, char **mend);

/* Runs a program that only tells something, within DOCTOR_PROGRAM_MS and the time that is left.
 * False with `error` when it could not be started or did not end; else its exit is in `result`.
 * `environment` NULL = ours. `result` is always safe to clear. Does not return after a signal. */
bool doctor_run(struct doctor *doctor, const char *const *argv, const char *const *environment,
                struct spawn_result *result, GError **error);

/* Ends this process, without a word: a person has had enough. What was started is dead by then. */
G_NORETURN void doctor_give_up(void);

/* The milliseconds until `end_ms`, at least 0 and at most `most`. */
int doctor_time_left_ms(const struct doctor *doctor, int most);

/* True for a section that the command line asks for. */
bool doctor_is_asked_for(const struct doctor *doctor, const char *section);

/* The parts, in the order of their lines. */
void doctor_check_versions(struct doctor *doctor);
void doctor_check_host(struct doctor *doctor);
void doctor_check_directories(struct doctor *doctor);
void doctor_check_contents(struct doctor *doctor);      /* part of the one above */
void doctor_check_configuration(struct doctor *doctor); /* loads the configuration */
void doctor_check_resources(struct doctor *doctor);
void doctor_check_state(struct doctor *doctor);
void doctor_check_service(struct doctor *doctor);
void doctor_check_sandbox(struct doctor *doctor);
void doctor_check_limits(struct doctor *doctor);
void doctor_check_trust(struct doctor *doctor);
void doctor_check_webhooks(struct doctor *doctor);
void doctor_check_secrets(struct doctor *doctor);
void doctor_check_remotes(struct doctor *doctor);

#endif
