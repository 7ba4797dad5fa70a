/*
 * The receivers of messages, as `.env` names them:
 *
 *   DISCORD_WEBHOOK_URL    SLACK_WEBHOOK_URL    CUSTOM_WEBHOOK_URL    CUSTOM_WEBHOOK_SECRET
 *
 * Absent and empty mean: not configured. Other keys are other programs' business, but one that
 * differs from ours in a letter or two is taken for a mistake. A URL is a secret: it is in no
 * message, and targets wipe it when they are freed.
 */
#ifndef PHANTOM_CI_NOTIFY_TARGET_H
#define PHANTOM_CI_NOTIFY_TARGET_H

#include <glib.h>
#include <stdbool.h>

#include "base/mask.h"
#include "config/diagnostics.h"

enum {
    TARGET_URL_MAX_BYTES = 2048,
    TARGET_SECRET_MAX_BYTES = 4096,
    TARGET_SECRET_GOOD_BYTES = 16, /* a shorter one is accepted with a warning */
    TOKEN_MIN_BYTES = 16
};

enum target_kind { TARGET_DISCORD, TARGET_SLACK, TARGET_CUSTOM };
enum { TARGET_KINDS = TARGET_CUSTOM + 1 };

const char *target_kind_name(enum target_kind kind); /* "discord" "slack" "custom" */
bool target_kind_from_name(const char *name, enum target_kind *kind);

struct target {
    enum target_kind kind;
    char *url;    /* http or https, printable ASCII */
    char *secret; /* of TARGET_CUSTOM only; NULL = messages are not signed */
};

/* At most one target of each kind, in the order of the enum: a GPtrArray of struct target *, empty
 * when nothing is configured. Read from $CREDENTIALS_DIRECTORY/phantom_ci.env if it exists (where
 * systemd's LoadCredential=phantom_ci.env:PATH puts it), else from config_directory/.env. NULL when
 * something is wrong; `errors` then holds all of it. What is allowed but hardly meant (http to
 * another machine, a short secret or one without a URL) is added to `warnings`, which may be NULL.
 * Free with g_ptr_array_unref(). */
GPtrArray *targets_load(const char *config_directory, struct diagnostics *errors,
                        struct diagnostics *warnings);

/* The same from the entries of one file (see config/dotenv.h). */
GPtrArray *targets_from_entries(const GPtrArray *entries, const char *file,
                                struct diagnostics *errors, struct diagnostics *warnings);

const struct target *targets_find(const GPtrArray *targets, enum target_kind kind);

/* Hides all URLs, the parts of their paths and queries that may be tokens (of TOKEN_MIN_BYTES and
 * more), and all secrets of the targets (see notice_mask()). */
struct mask *targets_mask(const GPtrArray *targets);

/* The only part of the URL that may be shown: its host, without user, port, path and query. Free
 * with g_free(). */
char *target_host(const struct target *target);

#endif
