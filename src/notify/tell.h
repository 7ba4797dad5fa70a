/*
 * What happened to jobs and branches, as notices into the outbox. Each function writes into the
 * transaction that is open, the one that records the fact, and reads the job back from the store;
 * it is a no-op where the section's policy is "none". The daemon decides later, against the policy
 * and the branch's history, which of them are sent (notify_wants()).
 */
#ifndef PHANTOM_CI_NOTIFY_TELL_H
#define PHANTOM_CI_NOTIFY_TELL_H

#include <glib.h>
#include <stdbool.h>

#include "config/config.h"
#include "store/store.h"

bool tell_started(struct store *store, enum notify_policy policy, int64_t job, int64_t now_ms,
                  GError **error);

/* The end of a step's output. */
struct tell_output {
    const char *bytes; /* NULL = there is none to show */
    size_t length;
    int64_t before; /* bytes of the step's output that came before these */
};
bool tell_step_failed(struct store *store, enum notify_policy policy, const struct step *step,
                      const struct tell_output *output, int64_t now_ms, GError **error);

/* After the final state is written. `failed` is the step that ended the job, or NULL; it and its
 * output are told with the end where no message of their own tells them. */
bool tell_end(struct store *store, enum notify_policy policy, int64_t job,
              const struct step *failed, const struct tell_output *output, int64_t now_ms,
              GError **error);

bool tell_branch_missing(struct store *store, enum notify_policy policy, const char *repo,
                         const char *branch, int64_t now_ms, GError **error);

#endif
