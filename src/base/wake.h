/*
 * Waking another process of ours: one byte into a FIFO that it reads. The byte says "look into the
 * store"; what there is to do stands there, so that a lost wake costs time and nothing else.
 */
#ifndef PHANTOM_CI_BASE_WAKE_H
#define PHANTOM_CI_BASE_WAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"

/* Both are false when nobody reads there. */
bool wake_daemon(const struct paths *paths);
bool wake_job(const struct paths *paths, int64_t job);

#endif
