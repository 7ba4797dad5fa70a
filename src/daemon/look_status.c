#include "daemon/look_status.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "daemon/launch.h"

/* The file, of the machine that it is on:
 * 1. a record of the daemon;
 * 2. the times of each section, one struct times after the other;
 * 3. a record of each section, in the same order.
 * A record is one JSON object, blanks, and a newline. `g` at its beginning and `h` at its end are
 * the same number in a record that was not read while it was being written; so are `begin` and
 * `end` of times. */
enum {
    ERROR_MAX_BYTES = 400,
    ERROR_SHORT_BYTES = 100, /* when there is no room for more */
    FILE_MAX_BYTES = 256 * 1024 * 1024,
    RECORDS_AT_ONCE = 64,
    TIMES_AT_ONCE = 512,
};

struct times {
    uint64_t begin;
    int64_t last_look_ms, last_ok_ms, next_look_ms;
    uint64_t end;
};

enum touched { UNTOUCHED, TOUCHED_TIMES, TOUCHED_ALL };

struct entry {
    struct look_status status; /* the first member: a status is its entry */
    unsigned slot;             /* its place in the file */
    enum touched touched;
};

struct look_book {
    char *path;
    int fd;              /* -1 = there is no file */
    GHashTable *entries; /* repo -> struct entry * */
    GPtrArray *order;    /* of struct entry *, as in the file */
    GPtrArray *touched;  /* of struct entry * */
    struct look_summary summary;
    bool summary_touched;
    unsigned generation;
    int64_t flushed_ms; /* monotonic */
};

/* --------------------------------------------------------------------------------- records */

static void look_status_free(struct look_status *status)
{
    g_free(status->repo);
    g_free(status->error);
    g_free(status->road);
    g_free(status->learned);
    g_free(status->moved_to);
    g_free(status);
}

static void free_status(void *status)
{
    look_status_free(status);
}

static bool is_whole(json_t *root)
{
    const json_t *begin = json_object_get(root, "g");
    return json_is_integer(begin) && json_equal(begin, json_object_get(root, "h"));
}

static struct look_status *status_from_json(json_t *root, const struct times *times)
{
    const char *repo = NULL, *error = NULL, *road = NULL, *learned = NULL, *moved_to = NULL;
    json_int_t failures = 0;
    int is_watched = 0;
    if (json_unpack(root, "{s:s,s:I,s?b,s?s,s?s,s?s,s?s}", "repo", &repo, "failures", &failures,
                    "watched", &is_watched, "error", &error, "road", &road, "learned", &learned,
                    "moved_to", &moved_to) != 0) {
        return NULL;
    }
    struct look_status *status = g_new0(struct look_status, 1);
    *status = (struct look_status){
        .repo = g_strdup(repo),
        .last_look_ms = times->last_look_ms,
        .last_ok_ms = times->last_ok_ms,
        .next_look_ms = times->next_look_ms,
        .failures = (unsigned)failures,
        .is_watched = is_watched,
        .error = g_strdup(error),
        .road = g_strdup(road),
        .learned = g_strdup(learned),
        .moved_to = g_strdup(moved_to),
    };
    return status;
}

/* Fills one record; false when it does not fit. Takes `root` over. */
static bool fill_record(char *record, json_t *root)
{
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    size_t length = text ? strlen(text) : 0;
    bool fits = length > 0 && length < LOOK_STATUS_RECORD_BYTES;
    if (fits) {
        memcpy(record, text, length);
        memset(record + length, ' ', LOOK_STATUS_RECORD_BYTES - length);
        record[LOOK_STATUS_RECORD_BYTES - 1] = '\n';
    }
    free(text);
    json_decref(root);
    return fits;
}

static json_t *status_to_json(const struct look_status *status, unsigned generation,
                              const char *error, const char *moved_to)
{
    return json_pack("{s:I,s:s,s:I,s:b,s:s*,s:s*,s:s*,s:s*,s:I}", "g", (json_int_t)generation,
                     "repo", status->repo, "failures", (json_int_t)status->failures, "watched",
                     (int)status->is_watched, "road", status->road, "learned", status->learned,
                     "moved_to", moved_to, "error", error, "h", (json_int_t)generation);
}

static char *cut(const char *text, size_t most)
{
    char *escaped = text ? text_escape(text) : NULL;
    if (escaped && strlen(escaped) > most) {
        escaped[most] = '\0';
        *g_utf8_find_prev_char(escaped, escaped + most) = '\0';
    }
    return escaped;
}

/* What is too long is cut, and then left out. */
static bool encode_status(char *record, const struct look_status *status, unsigned generation)
{
    g_autofree char *error = cut(status->error, ERROR_MAX_BYTES);
    if (fill_record(record, status_to_json(status, generation, error, status->moved_to))) {
        return true;
    }
    g_autofree char *less = cut(status->error, ERROR_SHORT_BYTES);
    return fill_record(record, status_to_json(status, generation, less, NULL));
}

static bool encode_summary(char *record, const struct look_summary *summary, unsigned generation)
{
    return fill_record(record, json_pack("{s:I,s:I,s:I,s:I}", "g", (json_int_t)generation, "late",
                                         (json_int_t)summary->late_ms, "at",
                                         (json_int_t)summary->at_ms, "h", (json_int_t)generation));
}

static size_t times_at(unsigned slot)
{
    return LOOK_STATUS_RECORD_BYTES + (size_t)slot * sizeof(struct times);
}

static size_t record_at(unsigned sections, unsigned slot)
{
    return times_at(sections) + (size_t)slot * LOOK_STATUS_RECORD_BYTES;
}

/* --------------------------------------------------------------------------------- reading */

static json_t *load_record(const char *record)
{
    json_t *root = json_loadb(record, LOOK_STATUS_RECORD_BYTES, JSON_DISABLE_EOF_CHECK, NULL);
    if (!is_whole(root)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static void read_summary(const char *bytes, struct look_summary *summary)
{
    json_int_t late = 0, at = 0;
    json_t *root = load_record(bytes);
    if (json_unpack(root, "{s:I,s:I}", "late", &late, "at", &at) == 0) {
        *summary = (struct look_summary){late, at};
    }
    json_decref(root);
}

static struct look_status *read_status(const char *bytes, unsigned sections, unsigned slot)
{
    struct times times;
    memcpy(&times, bytes + times_at(slot), sizeof(times));
    json_t *root = times.begin == times.end ? load_record(bytes + record_at(sections, slot)) : NULL;
    struct look_status *status = root ? status_from_json(root, &times) : NULL;
    json_decref(root);
    return status;
}

GHashTable *look_status_read(const char *path, struct look_summary *summary, GError **error)
{
    struct look_summary unused = {0, 0};
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_status);
    g_autoptr(GError) local = NULL;
    size_t length = 0;
    g_autofree char *bytes = file_read(path, FILE_MAX_BYTES, &length, &local);
    summary = summary ? summary : &unused;
    *summary = (struct look_summary){0, 0};
    if (!bytes && !error_has_code(local, ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&local));
        g_hash_table_unref(table);
        return NULL;
    }
    /* A file is made as long as it stays, under another name. */
    unsigned sections = 0;
    if (length >= LOOK_STATUS_RECORD_BYTES) {
        read_summary(bytes, summary);
        sections = (unsigned)((length - LOOK_STATUS_RECORD_BYTES) /
                              (sizeof(struct times) + LOOK_STATUS_RECORD_BYTES));
    }
    for (unsigned slot = 0; slot < sections; slot++) {
        struct look_status *status = read_status(bytes, sections, slot);
        if (status) {
            g_hash_table_replace(table, status->repo, status);
        }
    }
    return table;
}

/* ------------------------------------------------------------------------------------ book */

static GHashTable *new_entries(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_status);
}

static struct entry *take_over(struct look_status *status)
{
    struct entry *entry = g_new0(struct entry, 1);
    entry->status = *status;
    g_free(status);
    return entry;
}

struct look_book *look_book_open(const char *path, GError **error)
{
    struct look_book *book = g_new0(struct look_book, 1);
    book->path = g_strdup(path);
    book->fd = -1;
    book->entries = new_entries();
    book->order = g_ptr_array_new();
    book->touched = g_ptr_array_new();
    g_autoptr(GHashTable) old = look_status_read(path, NULL, error);
    GHashTableIter iterator;
    void *value = NULL;
    if (old) {
        g_hash_table_iter_init(&iterator, old);
        while (g_hash_table_iter_next(&iterator, NULL, &value)) {
            g_hash_table_iter_steal(&iterator);
            struct entry *entry = take_over(value);
            g_hash_table_insert(book->entries, entry->status.repo, entry);
        }
    }
    return book;
}

void look_book_close(struct look_book *book)
{
    if (book) {
        fd_close(&book->fd);
        g_hash_table_unref(book->entries);
        g_ptr_array_unref(book->order);
        g_ptr_array_unref(book->touched);
        g_free(book->path);
        g_free(book);
    }
}

struct look_status *look_book_get(struct look_book *book, const char *repo)
{
    return g_hash_table_lookup(book->entries, repo);
}

static void touch(struct look_book *book, struct look_status *status, enum touched touched)
{
    struct entry *entry = (struct entry *)status;
    if (entry->touched == UNTOUCHED) {
        g_ptr_array_add(book->touched, entry);
    }
    entry->touched = MAX(entry->touched, touched);
}

void look_book_touch(struct look_book *book, struct look_status *status)
{
    touch(book, status, TOUCHED_ALL);
}

void look_book_touch_times(struct look_book *book, struct look_status *status)
{
    touch(book, status, TOUCHED_TIMES);
}

void look_book_set_summary(struct look_book *book, const struct look_summary *summary)
{
    book->summary_touched =
        book->summary_touched || summary->late_ms > 0 || summary->late_ms != book->summary.late_ms;
    book->summary = *summary;
}

bool look_book_flush_due(const struct look_book *book, int64_t now_ms, int64_t until_ms)
{
    return (book->touched->len > 0 || book->summary_touched) &&
           (now_ms - book->flushed_ms >= LOOK_BOOK_FLUSH_MS ||
            until_ms > now_ms + LOOK_BOOK_PAUSE_MS);
}

/* --------------------------------------------------------------------------------- writing */

static bool write_at(const struct look_book *book, const void *bytes, size_t length, size_t at,
                     GError **error)
{
    ssize_t written = pwrite(book->fd, bytes, length, (off_t)at);
    if (written != (ssize_t)length) {
        return error_set_errno(error, DAEMON_ERROR, written < 0 ? errno : ENOSPC, "cannot write %s",
                               book->path);
    }
    return true;
}

static bool write_summary(struct look_book *book, GError **error)
{
    char record[LOOK_STATUS_RECORD_BYTES];
    return !encode_summary(record, &book->summary, ++book->generation) ||
           write_at(book, record, sizeof(record), 0, error);
}

static struct times times_of(const struct entry *entry, uint64_t generation)
{
    const struct look_status *status = &entry->status;
    return (struct times){generation, status->last_look_ms, status->last_ok_ms,
                          status->next_look_ms, generation};
}

/* From `entries`, which are in the order of their slots: as many as lie side by side, from number
 * *next on. */
static bool write_times(struct look_book *book, const GPtrArray *entries, unsigned *next,
                        GError **error)
{
    struct times times[TIMES_AT_ONCE];
    const struct entry *entry = g_ptr_array_index(entries, *next);
    unsigned first = entry->slot;
    unsigned count = 0;
    do {
        times[count++] = times_of(entry, ++book->generation);
        entry = ++*next < entries->len ? g_ptr_array_index(entries, *next) : NULL;
    } while (entry && entry->slot == first + count && count < TIMES_AT_ONCE);
    return write_at(book, times, count * sizeof(*times), times_at(first), error);
}

static bool write_all_times(struct look_book *book, const GPtrArray *entries, GError **error)
{
    bool good = true;
    for (unsigned next = 0; good && next < entries->len;) {
        good = write_times(book, entries, &next, error);
    }
    return good;
}

static int by_slot(const void *left, const void *right)
{
    const struct entry *const *a = left, *const *b = right;
    return ((*a)->slot > (*b)->slot) - ((*a)->slot < (*b)->slot);
}

static bool write_touched(struct look_book *book, GError **error)
{
    char record[LOOK_STATUS_RECORD_BYTES];
    bool good = true;
    g_ptr_array_sort(book->touched, by_slot);
    good = write_all_times(book, book->touched, error);
    for (unsigned i = 0; good && i < book->touched->len; i++) {
        const struct entry *entry = g_ptr_array_index(book->touched, i);
        if (entry->touched == TOUCHED_ALL &&
            encode_status(record, &entry->status, ++book->generation)) {
            good = write_at(book, record, sizeof(record), record_at(book->order->len, entry->slot),
                            error);
        }
    }
    return good && (!book->summary_touched || write_summary(book, error));
}

static void untouch_all(struct look_book *book)
{
    for (unsigned i = 0; i < book->touched->len; i++) {
        ((struct entry *)g_ptr_array_index(book->touched, i))->touched = UNTOUCHED;
    }
    g_ptr_array_set_size(book->touched, 0);
    book->summary_touched = false;
}

static bool write_records(struct look_book *book, GError **error)
{
    g_autofree char *records = g_malloc((size_t)RECORDS_AT_ONCE * LOOK_STATUS_RECORD_BYTES);
    const GPtrArray *order = book->order;
    unsigned first = 0;
    while (first < order->len) {
        unsigned count = MIN(order->len - first, RECORDS_AT_ONCE);
        for (unsigned i = 0; i < count; i++) {
            const struct entry *entry = g_ptr_array_index(order, first + i);
            char *record = records + (size_t)i * LOOK_STATUS_RECORD_BYTES;
            if (!encode_status(record, &entry->status, ++book->generation)) {
                memset(record, ' ', LOOK_STATUS_RECORD_BYTES); /* a name too long to show */
            }
        }
        if (!write_at(book, records, (size_t)count * LOOK_STATUS_RECORD_BYTES,
                      record_at(order->len, first), error)) {
            return false;
        }
        first += count;
    }
    return true;
}

/* A new file under a new name: a reader never sees records of another order. */
static bool write_anew(struct look_book *book, GError **error)
{
    g_autofree char *temporary = g_strconcat(book->path, ".new", NULL);
    fd_close(&book->fd);
    unlink(temporary);
    book->fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (book->fd < 0) {
        return error_set_errno(error, DAEMON_ERROR, errno, "cannot write %s", temporary);
    }
    bool good = write_summary(book, error) && write_all_times(book, book->order, error) &&
                write_records(book, error);
    if (good && rename(temporary, book->path) < 0) {
        good = error_set_errno(error, DAEMON_ERROR, errno, "cannot write %s", book->path);
    }
    if (!good) {
        fd_close(&book->fd);
    }
    return good;
}

/* What could not be written stays touched: later looks may change nothing but times. */
bool look_book_flush(struct look_book *book, int64_t now_ms, GError **error)
{
    bool good = book->fd >= 0 ? write_touched(book, error) : write_anew(book, error);
    if (good) {
        untouch_all(book);
    }
    book->flushed_ms = now_ms;
    return good;
}

/* The entries of `repos`, in their order. */
static void keep_entries(struct look_book *book, const char *const *repos)
{
    GHashTable *old = g_steal_pointer(&book->entries);
    book->entries = new_entries();
    g_ptr_array_set_size(book->touched, 0);
    g_ptr_array_set_size(book->order, 0);
    for (; *repos; repos++) {
        struct entry *entry = NULL;
        if (!g_hash_table_steal_extended(old, *repos, NULL, (void **)&entry)) {
            entry = g_new0(struct entry, 1);
            entry->status.repo = g_strdup(*repos);
        }
        entry->slot = book->order->len;
        entry->touched = UNTOUCHED;
        g_ptr_array_add(book->order, entry);
        g_hash_table_insert(book->entries, entry->status.repo, entry);
    }
    g_hash_table_unref(old);
}

bool look_book_set_repos(struct look_book *book, const char *const *repos, GError **error)
{
    keep_entries(book, repos);
    return write_anew(book, error);
}
