#include <string.h>

#include "store/store_internal.h"

void step_free(struct step *step)
{
    if (step) {
        g_strfreev(step->argv);
        g_free(step->reason);
        g_free(step);
    }
}

static void free_step(void *step)
{
    step_free(step);
}

/* The words of argv one after another, each with its NUL: any byte but NUL may stand in them. */
static GByteArray *pack_argv(const char *const *argv)
{
    GByteArray *bytes = g_byte_array_new();
    for (; *argv; argv++) {
        g_byte_array_append(bytes, (const guint8 *)*argv, (guint)strlen(*argv) + 1);
    }
    return bytes;
}

static char **unpack_argv(const char *bytes, size_t length)
{
    GPtrArray *words = g_ptr_array_new();
    for (size_t at = 0; at < length;) {
        size_t word = strnlen(bytes + at, length - at);
        g_ptr_array_add(words, g_strndup(bytes + at, word));
        at += word + 1;
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

static void *read_step(sqlite3_stmt *row)
{
    struct step *step = g_new0(struct step, 1);
    g_autofree char *state = store_text(row, 3);
    step->job = sqlite3_column_int64(row, 0);
    step->number = (uint64_t)sqlite3_column_int64(row, 1);
    step->argv = unpack_argv(sqlite3_column_blob(row, 2), (size_t)sqlite3_column_bytes(row, 2));
    step->state = STEP_ERROR;
    step_state_from_name(state ? state : "", &step->state);
    step->exit_code = sqlite3_column_int(row, 4);
    step->signal = sqlite3_column_int(row, 5);
    step->reason = store_text(row, 6);
    step->started_ms = sqlite3_column_int64(row, 7);
    step->finished_ms = sqlite3_column_int64(row, 8);
    step->cpu_us = sqlite3_column_int64(row, 9);
    step->max_rss_bytes = sqlite3_column_int64(row, 10);
    step->log_offset = sqlite3_column_int64(row, 11);
    step->log_length = sqlite3_column_int64(row, 12);
    step->memory_peak_bytes = sqlite3_column_int64(row, 13);
    step->pids_peak = sqlite3_column_int64(row, 14);
    return step;
}

bool store_step_start(struct store *store, int64_t job, uint64_t number, const char *const *argv,
                      int64_t log_offset, int64_t now_ms, GError **error)
{
    g_autoptr(GByteArray) words = pack_argv(argv);
    return store_write(store, error, NULL,
                       "INSERT INTO step(job, number, argv, state, started, log_offset) "
                       "VALUES(?, ?, ?, 'running', ?, ?)",
                       "iibii", job, (int64_t)number, words->data, (size_t)words->len, now_ms,
                       log_offset);
}

bool store_step_finish(struct store *store, const struct step *step, GError **error)
{
    int changes = 0;
    if (!store_write(
            store, error, &changes,
            "UPDATE step SET state = ?, exit_code = ?, signal = ?, reason = ?, finished = ?, "
            "cpu_us = ?, max_rss = ?, memory_peak = ?, pids_peak = ?, log_length = ? "
            "WHERE job = ? AND number = ?",
            "siisiiiiiiii", step_state_name(step->state), (int64_t)step->exit_code,
            (int64_t)step->signal, step->reason, step->finished_ms, step->cpu_us,
            step->max_rss_bytes, step->memory_peak_bytes, step->pids_peak, step->log_length,
            step->job, (int64_t)step->number)) {
        return false;
    }
    if (changes == 0) {
        g_set_error(error, STORE_ERROR, ERROR_NOT_FOUND,
                    "job %" G_GINT64_FORMAT " has no step %" G_GUINT64_FORMAT, step->job,
                    step->number);
    }
    return changes > 0;
}

GPtrArray *store_steps(struct store *store, int64_t job, GError **error)
{
    return store_collect(
        store, error,
        store_prepare(store, error,
                      "SELECT job, number, argv, state, exit_code, signal, reason, "
                      "started, finished, cpu_us, max_rss, log_offset, log_length, "
                      "memory_peak, pids_peak FROM step WHERE job = ? ORDER BY number",
                      "i", job),
        read_step, free_step);
}

bool store_steps_interrupt(struct store *store, int64_t job, int64_t now_ms, GError **error)
{
    return store_write(store, error, NULL,
                       "UPDATE step SET state = 'interrupted', finished = ? "
                       "WHERE job = ? AND state = 'running'",
                       "ii", now_ms, job);
}

void note_free(struct note *note)
{
    if (note) {
        g_free(note->text);
        g_free(note);
    }
}

static void free_note(void *note)
{
    note_free(note);
}

static void *read_note(sqlite3_stmt *row)
{
    struct note *note = g_new0(struct note, 1);
    note->at_ms = sqlite3_column_int64(row, 0);
    note->log_offset = sqlite3_column_int64(row, 1);
    note->text = store_text(row, 2);
    return note;
}

bool store_note_add(struct store *store, int64_t job, int64_t log_offset, const char *text,
                    int64_t now_ms, GError **error)
{
    return store_write(store, error, NULL,
                       "INSERT INTO note(job, at, log_offset, text) VALUES(?, ?, ?, ?)", "iiis",
                       job, now_ms, log_offset, text);
}

GPtrArray *store_notes(struct store *store, int64_t job, GError **error)
{
    return store_collect(
        store, error,
        store_prepare(store, error,
                      "SELECT at, log_offset, text FROM note WHERE job = ? ORDER BY id", "i", job),
        read_note, free_note);
}
