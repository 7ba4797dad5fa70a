/*
 * What the daemon knows about its looks, for `repo`, `status`, `why` and `doctor`: the file
 * state/looks, fixed-size records that are rewritten in place. It is news, not a fact that must
 * survive: no fsync, and never in the database, so that a look without news writes nothing there.
 * What each look changes, its times, lies apart from what hardly any changes: the times of
 * thousands of sections are written with one call.
 *
 * The daemon's side:
 * 1. look_book_open() takes over what the file of the last daemon says.
 * 2. look_book_set_repos() at the start and after each reload.
 * 3. look_book_get() gives the status of a section, to be read and changed; look_book_touch() after
 *    a change, or look_book_touch_times(). look_book_flush() writes what was touched;
 *    look_book_flush_due() says whether it is time for it, so that a thousand looks a second are
 * one turn of writing.
 */
#ifndef PHANTOM_CI_DAEMON_LOOK_STATUS_H
#define PHANTOM_CI_DAEMON_LOOK_STATUS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LOOK_STATUS_RECORD_BYTES = 1024,
    LOOK_BOOK_FLUSH_MS = 1000,  /* so long a change stays unwritten while the daemon works, and */
    LOOK_BOOK_BEHIND_MS = 3000, /* never longer than this; */
    LOOK_BOOK_PAUSE_MS = 100,   /* at once when it has nothing to do for so long */
};

struct look_status {
    char *repo;           /* section */
    int64_t last_look_ms; /* begun; 0 = never */
    int64_t last_ok_ms;   /* ended well; 0 = never */
    int64_t next_look_ms; /* due; 0 = a look is under way */
    unsigned failures;    /* in a row */
    bool is_watched;      /* changes are noticed at once, looks are a safety net */
    char *error;          /* of the last look, one line, cut to fit; NULL when it was well */
    char *road;           /* how it is looked at, for people; NULL = not known */
    char *learned;        /* struct poll_memory of poll/poller.h; NULL = nothing */
    char *moved_to;       /* where the server says that it is now; NULL = it does not */
};

/* Of the daemon itself. */
struct look_summary {
    int64_t late_ms; /* how late looks began lately, at worst */
    int64_t at_ms;   /* UTC: when that was so */
};

struct look_book;
/* Never fails: without a file there is only memory, and `error` says why (may be NULL). */
struct look_book *look_book_open(const char *path, GError **error);
void look_book_close(struct look_book *book);

/* Keeps what is known of `repos` (NULL-terminated), drops the others, and writes the file anew. */
bool look_book_set_repos(struct look_book *book, const char *const *repos, GError **error);

/* Owned by the book; its strings are g_malloc()ed. NULL for a section that is not in the book. */
struct look_status *look_book_get(struct look_book *book, const char *repo);
void look_book_touch(struct look_book *book, struct look_status *status);
/* Nothing but times (`last_look_ms`, `last_ok_ms`, `next_look_ms`) has changed. */
void look_book_touch_times(struct look_book *book, struct look_status *status);
void look_book_set_summary(struct look_book *book, const struct look_summary *summary);

/* True when something is to be written, and either the last time is LOOK_BOOK_FLUSH_MS ago or the
 * caller is about to sleep until then for longer than LOOK_BOOK_PAUSE_MS (INT64_MAX = for ever). */
bool look_book_flush_due(const struct look_book *book, int64_t now_ms, int64_t until_ms);
bool look_book_flush(struct look_book *book, int64_t now_ms, GError **error);

/* The reader's side: all (struct look_status *) by repo; an absent file is an empty table. What is
 * being written meanwhile is left out.
 * `summary` may be NULL. */
GHashTable *look_status_read(const char *path, struct look_summary *summary, GError **error);

#endif
