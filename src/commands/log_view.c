#include "commands/log_view.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/tty.h"
#include "base/units.h"
#include "store/joblog.h"
#include "store/retention.h"

enum {
    FOLLOW_CHECK_US = 100 * 1000,
    LINE_MAX_BYTES = 64 * 1024, /* longer lines are shown in pieces */
    JOBS_LISTED = 1000,
};

/* One job's output on its way to the reader. */
struct view {
    const struct log_request *request;
    struct job *job;
    struct joblog_reader *reader;
    int64_t end;  /* of the range that is asked for; INT64_MAX = the end of the output */
    bool by_line; /* lines are made: for a terminal, a prefix or time stamps */
    bool escape, headers;
    char *prefix;
    GString *line; /* unfinished */
    int64_t line_offset;
    GPtrArray *steps, *notes;
    unsigned next_step, next_note;
};

static void view_free(struct view *view)
{
    joblog_reader_close(view->reader);
    job_free(view->job);
    g_free(view->prefix);
    if (view->line) {
        g_string_free(view->line, TRUE);
    }
    g_clear_pointer(&view->steps, g_ptr_array_unref);
    g_clear_pointer(&view->notes, g_ptr_array_unref);
    g_free(view);
}

static struct view *view_new(const struct log_request *request, struct job *job, bool prefixed)
{
    struct view *view = g_new0(struct view, 1);
    bool terminal = isatty(STDOUT_FILENO);
    view->request = request;
    view->job = job;
    view->end = INT64_MAX;
    view->escape = (terminal || prefixed) && !request->raw;
    view->headers = terminal && !prefixed && request->step < 0;
    view->by_line = terminal || prefixed || request->timestamps;
    view->line = g_string_new(NULL);
    view->prefix =
        prefixed ? g_strdup_printf("%s#%" G_GINT64_FORMAT " | ", job->repo, job->id) : g_strdup("");
    return view;
}

static bool open_reader(struct view *view)
{
    if (!view->reader) {
        g_autofree char *directory =
            paths_job_log_directory(&view->request->context->paths, view->job->id);
        view->reader = joblog_reader_open(directory, NULL);
    }
    return view->reader != NULL;
}

static void load_marks(struct view *view)
{
    struct store *store = view->request->context->store;
    g_clear_pointer(&view->steps, g_ptr_array_unref);
    g_clear_pointer(&view->notes, g_ptr_array_unref);
    view->steps = store_steps(store, view->job->id, NULL);
    view->notes = store_notes(store, view->job->id, NULL);
}

static void print_mark(const char *text)
{
    g_autofree char *escaped = text_escape(text);
    tty_print(stdout, TTY_DIM, escaped);
    putchar('\n');
}

/* Headers of steps and notes that stand at or before this offset. */
static void print_marks_until(struct view *view, int64_t offset)
{
    if (!view->headers) {
        return;
    }
    while (view->steps && view->next_step < view->steps->len) {
        const struct step *step = g_ptr_array_index(view->steps, view->next_step);
        if (step->log_offset > offset) {
            break;
        }
        g_autofree char *words = text_join_words(step->argv);
        g_autofree char *header =
            g_strdup_printf("-- step %" G_GUINT64_FORMAT ": %s", step->number, words);
        print_mark(header);
        view->next_step++;
    }
    while (view->notes && view->next_note < view->notes->len) {
        const struct note *note = g_ptr_array_index(view->notes, view->next_note);
        if (note->log_offset > offset) {
            break;
        }
        g_autofree char *text = g_strdup_printf("-- phantom_ci: %s", note->text);
        print_mark(text);
        view->next_note++;
    }
}

static void print_line(struct view *view, bool whole)
{
    if (view->request->timestamps) {
        g_autofree char *time =
            clock_format(joblog_reader_time_at(view->reader, view->line_offset));
        printf("%s ", time);
    }
    fputs(view->prefix, stdout);
    if (view->escape) {
        g_autoptr(GString) shown = g_string_new(NULL);
        size_t length = view->line->len;
        if (length > 0 && view->line->str[length - 1] == '\r') {
            length--;
        }
        text_append_escaped(shown, view->line->str, length, TEXT_KEEP_LAYOUT);
        fwrite(shown->str, 1, shown->len, stdout);
    } else {
        fwrite(view->line->str, 1, view->line->len, stdout);
    }
    if (whole || view->prefix[0]) {
        putchar('\n');
    }
    g_string_truncate(view->line, 0);
}

static void print_bytes_by_line(struct view *view, int64_t offset, const char *bytes, size_t length)
{
    const char *end = bytes + length;
    while (bytes < end) {
        if (view->line->len == 0) {
            view->line_offset = offset;
            print_marks_until(view, offset);
        }
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        const char *stop = newline ? newline : end;
        g_string_append_len(view->line, bytes, stop - bytes);
        if (newline || view->line->len >= LINE_MAX_BYTES) {
            print_line(view, newline != NULL);
        }
        offset += (newline ? newline + 1 : end) - bytes;
        bytes = newline ? newline + 1 : end;
    }
}

static void tell_dropped(const struct view *view, int64_t dropped_bytes)
{
    g_autofree char *size = units_format_size(dropped_bytes);
    g_autofree char *text = g_strdup_printf("[phantom_ci: %" G_GINT64_FORMAT
                                            " bytes (%s) not kept here: the log's cap]",
                                            dropped_bytes, size);
    if (view->by_line) {
        print_mark(text);
    } else {
        fflush(stdout);
        fprintf(stderr, "%s\n", text);
    }
}

/* Prints what there is; 1 = something came, 0 = nothing (more) now, -1 = the reader is gone. */
static int print_available(struct view *view)
{
    int result = 0;
    struct joblog_chunk chunk;
    while (joblog_reader_next(view->reader, &chunk, NULL) &&
           (chunk.length || chunk.dropped_bytes)) {
        if (chunk.offset >= view->end) {
            return 0;
        }
        if (chunk.dropped_bytes) {
            tell_dropped(view, chunk.dropped_bytes);
        }
        size_t length = (size_t)MIN((int64_t)chunk.length, view->end - chunk.offset);
        if (view->by_line) {
            print_bytes_by_line(view, chunk.offset, chunk.bytes, length);
        } else {
            fwrite(chunk.bytes, 1, length, stdout);
        }
        result = 1;
        if (ferror(stdout)) {
            return -1;
        }
    }
    fflush(stdout);
    return ferror(stdout) ? -1 : result;
}

static void finish_view(struct view *view)
{
    if (view->line->len > 0) {
        print_line(view, isatty(STDOUT_FILENO));
    }
    load_marks(view);
    print_marks_until(view, INT64_MAX);
    fflush(stdout);
}

/* Where the last `lines` lines begin, found from behind. */
static int64_t find_last_lines(struct view *view, int64_t begin, int64_t end, int lines)
{
    enum { WINDOW_BYTES = 64 * 1024 };
    int64_t window_end = end;
    int64_t found = begin;
    int missing = lines + 1;
    while (window_end > begin && missing > 0) {
        int64_t window = MAX(begin, window_end - WINDOW_BYTES);
        struct joblog_chunk chunk;
        g_autoptr(GString) bytes = g_string_new(NULL);
        joblog_reader_seek(view->reader, window);
        while ((int64_t)bytes->len < window_end - window &&
               joblog_reader_next(view->reader, &chunk, NULL) && chunk.length &&
               !chunk.dropped_bytes) {
            g_string_append_len(bytes, chunk.bytes, (gssize)chunk.length);
        }
        gsize length = MIN(bytes->len, (gsize)(window_end - window));
        if (length == 0) {
            break;
        }
        for (gsize i = length; i > 0 && missing > 0; i--) {
            bool last_byte = window + (int64_t)i == end;
            if (bytes->str[i - 1] == '\n' && !last_byte && --missing == 1) {
                found = window + (int64_t)i;
                missing = 0;
            }
        }
        window_end = window;
    }
    return found;
}

static bool seek_range(struct view *view)
{
    const struct log_request *request = view->request;
    int64_t begin = 0;
    int64_t end = joblog_reader_end(view->reader);
    if (request->step >= 0) {
        const struct step *step = NULL;
        for (unsigned i = 0; view->steps && i < view->steps->len && !step; i++) {
            const struct step *candidate = g_ptr_array_index(view->steps, i);
            step = candidate->number == (uint64_t)request->step ? candidate : NULL;
        }
        if (!step) {
            return false;
        }
        begin = step->log_offset;
        if (step->log_length >= 0) {
            end = begin + step->log_length;
            view->end = end;
        }
    }
    if (request->lines > 0) {
        begin = find_last_lines(view, begin, end, request->lines);
    }
    joblog_reader_seek(view->reader, begin);
    return true;
}

static bool is_over(struct view *view)
{
    struct job *now = store_job_get(view->request->context->store, view->job->id, NULL);
    bool over = !now || job_state_is_final(now->state);
    job_free(now);
    return over;
}

/* Until the job is over and everything is printed; false when the reader of our output is gone. */
static bool follow(struct view *view)
{
    for (;;) {
        bool over = is_over(view);
        load_marks(view);
        if (open_reader(view) && print_available(view) < 0) {
            return false;
        }
        if (over) {
            return true;
        }
        g_usleep(FOLLOW_CHECK_US);
    }
}

/* Whether retention has taken the log, by now or while it was read: then says so. */
static bool tell_dropped_log(const struct log_request *request)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    struct store *store = request->context->store;
    if (!store_retention_dropped_log(store, request->job, &text, NULL)) {
        return false;
    }
    struct job *job = text ? NULL : store_job_get(store, request->job, &error);
    job_free(job);
    if (text || error_has_code(error, ERROR_NOT_FOUND)) {
        command_fail_text(EXIT_CODE_NOT_FOUND, "job %" G_GINT64_FORMAT ": %s", request->job,
                          text ? text : "it was removed by retention while its log was read");
        return true;
    }
    return false;
}

int log_view_job(const struct log_request *request)
{
    g_autoptr(GError) error = NULL;
    struct job *job = store_job_get(request->context->store, request->job, &error);
    if (!job) {
        return command_fail(error);
    }
    struct view *view = view_new(request, job, false);
    int code = EXIT_CODE_OK;
    load_marks(view);
    if (tell_dropped_log(request)) {
        code = EXIT_CODE_NOT_FOUND;
    } else if (open_reader(view) && !seek_range(view)) {
        code = command_fail_text(EXIT_CODE_NOT_FOUND,
                                 "job %" G_GINT64_FORMAT " has no step %" G_GINT64_FORMAT,
                                 request->job, (int64_t)request->step);
    } else if (request->follow) {
        follow(view);
        finish_view(view);
    } else if (view->reader) {
        print_available(view);
        finish_view(view);
    } else if (isatty(STDOUT_FILENO)) {
        g_autofree char *reason = text_escape(job->reason);
        printf("job %" G_GINT64_FORMAT " has written nothing: %s%s%s\n", job->id,
               job_state_name(job->state), *reason ? ", " : "", reason);
    }
    if (code == EXIT_CODE_OK && tell_dropped_log(request)) {
        code = EXIT_CODE_NOT_FOUND;
    }
    view_free(view);
    return code;
}

static GPtrArray *list_jobs(const struct log_request *request, int64_t after_id)
{
    struct job_filter filter = {.text = request->filter,
                                .repo = request->repo,
                                .branch = request->branch,
                                .after_id = after_id,
                                .limit = JOBS_LISTED};
    return store_jobs(request->context->store, &filter, NULL);
}

static int64_t count_lines(struct view *view, int64_t begin)
{
    int64_t lines = 0;
    char last = '\n';
    struct joblog_chunk chunk;
    joblog_reader_seek(view->reader, begin);
    while (joblog_reader_next(view->reader, &chunk, NULL) &&
           (chunk.length || chunk.dropped_bytes)) {
        for (size_t i = 0; i < chunk.length; i++) {
            lines += chunk.bytes[i] == '\n' ? 1 : 0;
        }
        last = chunk.length ? chunk.bytes[chunk.length - 1] : last;
    }
    return lines + (last == '\n' ? 0 : 1);
}

/* The views of the newest jobs that together have the lines asked for, oldest first, each at its
 * beginning. */
static GPtrArray *choose_views(const struct log_request *request, const GPtrArray *jobs)
{
    GPtrArray *views = g_ptr_array_new();
    int64_t missing = request->lines > 0 ? request->lines : INT64_MAX;
    for (unsigned i = 0; i < jobs->len && missing > 0; i++) {
        const struct job *listed = g_ptr_array_index(jobs, i);
        struct view *view =
            view_new(request, store_job_get(request->context->store, listed->id, NULL), true);
        if (!view->job || !open_reader(view)) {
            view_free(view);
            continue;
        }
        int64_t begin = 0;
        if (missing != INT64_MAX) {
            begin = find_last_lines(view, 0, joblog_reader_end(view->reader), (int)missing);
            missing -= count_lines(view, begin);
        }
        joblog_reader_seek(view->reader, begin);
        g_ptr_array_insert(views, 0, view);
    }
    return views;
}

/* Jobs that have come since: they join the views. */
static void add_new_views(const struct log_request *request, GPtrArray *views, int64_t *last_id)
{
    g_autoptr(GPtrArray) jobs = list_jobs(request, *last_id);
    for (unsigned i = jobs ? jobs->len : 0; i > 0; i--) {
        const struct job *listed = g_ptr_array_index(jobs, i - 1);
        struct job *job = store_job_get(request->context->store, listed->id, NULL);
        *last_id = MAX(*last_id, listed->id);
        if (job) {
            g_ptr_array_add(views, view_new(request, job, true));
        }
    }
}

static void follow_all(const struct log_request *request, GPtrArray *views, int64_t last_id)
{
    bool reader_is_there = true;
    while (reader_is_there) {
        add_new_views(request, views, &last_id);
        for (unsigned i = 0; i < views->len; i++) {
            struct view *view = g_ptr_array_index(views, i);
            bool over = is_over(view);
            if (open_reader(view) && print_available(view) < 0) {
                reader_is_there = false;
            }
            if (over) {
                finish_view(view);
                view_free(view);
                g_ptr_array_remove_index(views, i--);
            }
        }
        g_usleep(FOLLOW_CHECK_US);
    }
}

int log_view_all(const struct log_request *request)
{
    g_autoptr(GPtrArray) jobs = list_jobs(request, 0);
    if (!jobs) {
        return EXIT_CODE_TRY_AGAIN;
    }
    int64_t last_id = jobs->len ? ((const struct job *)g_ptr_array_index(jobs, 0))->id : 0;
    GPtrArray *views = choose_views(request, jobs);
    for (unsigned i = 0; i < views->len; i++) {
        struct view *view = g_ptr_array_index(views, i);
        print_available(view);
        if (!request->follow) {
            finish_view(view);
        }
    }
    if (request->follow) {
        follow_all(request, views, last_id);
    }
    for (unsigned i = 0; i < views->len; i++) {
        view_free(g_ptr_array_index(views, i));
    }
    g_ptr_array_unref(views);
    return EXIT_CODE_OK;
}
