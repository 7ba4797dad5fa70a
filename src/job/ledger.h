/*
 * What a job writes into the store, through a full disk and a busy database: facts about a job are
 * not given up before LEDGER_PATIENCE_MS, and the reserve in the state directory is spent for them.
 */
#ifndef PHANTOM_CI_JOB_LEDGER_H
#define PHANTOM_CI_JOB_LEDGER_H

#include <glib.h>
#include <stdbool.h>

#include "base/paths.h"
#include "store/store.h"

enum { LEDGER_PATIENCE_MS = 10 * 60 * 1000, LEDGER_RETRY_MS = 1000 };

/* Calls `write` in a transaction of its own until that is committed, fails for another reason than
 * space or lock, or the patience is over. */
bool ledger_insist(const struct paths *paths, struct store *store,
                   bool (*write)(void *data, GError **error), void *data, GError **error);

#endif
