/* A job's output on disk: writer and reader against a model, alone and side by side. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "small_disk.h"
#include "store/joblog.h"
#include "store_fixture.h"

enum { CAP = 64 * 1024, HEAD = CAP / 2, SEGMENT = CAP / 8 };

/* Byte `offset` of the model output: any prefix of it can be checked without keeping it. */
static char model_byte(int64_t offset)
{
    return (char)((uint64_t)offset * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

static struct joblog_writer *open_writer(const char *directory)
{
    g_autoptr(GError) error = NULL;
    struct joblog_writer *writer = joblog_writer_open(directory, CAP, &error);
    g_assert_no_error(error);
    g_assert_nonnull(writer);
    return writer;
}

static struct joblog_reader *open_reader(const char *directory)
{
    g_autoptr(GError) error = NULL;
    struct joblog_reader *reader = joblog_reader_open(directory, &error);
    g_assert_no_error(error);
    return reader;
}

static void append_model(struct joblog_writer *writer, int64_t end, int64_t now_ms)
{
    static char bytes[200 * 1024];
    while (joblog_writer_offset(writer) < end) {
        int64_t start = joblog_writer_offset(writer);
        int64_t length = MIN(end - start, (int64_t)sizeof(bytes));
        if (g_random_boolean()) {
            int64_t some = g_random_int_range(1, 3000); /* MIN would draw it twice */
            length = MIN(length, some);
        }
        for (int64_t i = 0; i < length; i++) {
            bytes[i] = model_byte(start + i);
        }
        g_autoptr(GError) error = NULL;
        joblog_writer_append(writer, bytes, (size_t)length, now_ms, &error);
        g_assert_no_error(error);
        g_assert_cmpint(joblog_writer_offset(writer), ==, start + length);
    }
}

static void close_writer(struct joblog_writer *writer)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(joblog_writer_close(writer, &error));
    g_assert_no_error(error);
}

struct seen {
    int64_t end, dropped, kept;
};

/* Reads until there is nothing more; each byte must be the model's, each offset accounted for. */
static struct seen read_on(struct joblog_reader *reader, int64_t position)
{
    struct seen seen = {.end = position};
    for (;;) {
        struct joblog_chunk chunk;
        g_autoptr(GError) error = NULL;
        joblog_reader_next(reader, &chunk, &error);
        g_assert_no_error(error);
        if (chunk.length == 0 && chunk.dropped_bytes == 0) {
            return seen;
        }
        g_assert_cmpint(chunk.offset, ==, seen.end + chunk.dropped_bytes);
        for (size_t i = 0; i < chunk.length; i++) {
            g_assert_cmpint(chunk.bytes[i], ==, model_byte(chunk.offset + (int64_t)i));
        }
        seen.end = chunk.offset + (int64_t)chunk.length;
        seen.dropped += chunk.dropped_bytes;
        seen.kept += (int64_t)chunk.length;
    }
}

static int64_t bytes_on_disk(const char *directory)
{
    int64_t sum = 0;
    const char *name;
    g_autoptr(GDir) entries = g_dir_open(directory, 0, NULL);
    while ((name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        struct stat status;
        g_assert_cmpint(stat(path, &status), ==, 0);
        g_assert_cmpint(status.st_mode & 07777, ==, 0600);
        if (g_str_has_prefix(name, "output")) {
            sum += status.st_size;
        }
    }
    return sum;
}

static void output__random_chunks_below_and_above_the_cap__is_the_model(void)
{
    static const int64_t lengths[] = {
        0,       1,   HEAD - 1, HEAD,          HEAD + 1,          HEAD + SEGMENT,
        CAP - 1, CAP, CAP + 1,  CAP + SEGMENT, CAP + SEGMENT + 1, 5 * CAP + 77};
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        struct fixture fixture;
        fixture_init(&fixture);
        g_autofree char *directory = g_build_filename(fixture.directory, "1", NULL);
        struct joblog_writer *writer = open_writer(directory);
        append_model(writer, lengths[i], 1);
        close_writer(writer);
        struct joblog_reader *reader = open_reader(directory);
        struct seen seen = read_on(reader, 0);
        g_assert_cmpint(seen.end, ==, lengths[i]);
        g_assert_cmpint(seen.kept, <=, CAP);
        g_assert_cmpint(seen.kept + seen.dropped, ==, lengths[i]);
        g_assert_cmpint(seen.kept, ==, bytes_on_disk(directory));
        if (lengths[i] <= CAP) {
            g_assert_cmpint(seen.dropped, ==, 0);
        } else {
            g_assert_cmpint(seen.kept, >, CAP - SEGMENT - 1);
        }
        g_assert_cmpint(joblog_reader_end(reader), ==, lengths[i]);
        joblog_reader_close(reader);
        fixture_close(&fixture);
    }
}

static void seek__anywhere__finds_the_byte_or_the_gap(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *directory = g_build_filename(fixture.directory, "1", NULL);
    struct joblog_writer *writer = open_writer(directory);
    const int64_t length = 3 * CAP + 1000;
    append_model(writer, length, 1);
    close_writer(writer);
    struct joblog_reader *reader = open_reader(directory);
    for (int i = 0; i < 500; i++) {
        int64_t position = g_random_int_range(0, (gint32)length + 100);
        joblog_reader_seek(reader, position);
        if (g_random_boolean()) {
            struct seen seen = read_on(reader, position);
            g_assert_cmpint(seen.end, ==, MAX(length, position));
            continue;
        }
        struct joblog_chunk chunk;
        g_assert_true(joblog_reader_next(reader, &chunk, NULL));
        g_assert_cmpint(chunk.offset - chunk.dropped_bytes, ==, position);
        g_assert_true(chunk.length == 0 || chunk.bytes[0] == model_byte(chunk.offset));
    }
    joblog_reader_seek(reader, -5);
    g_assert_cmpint(read_on(reader, 0).end, ==, length);
    joblog_reader_close(reader);
    fixture_close(&fixture);
}

static void read__in_step_with_the_writer__sees_each_byte(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *directory = g_build_filename(fixture.directory, "1", NULL);
    struct joblog_writer *writer = open_writer(directory);
    struct joblog_reader *reader = open_reader(directory);
    int64_t position = 0;
    while (position < 6 * CAP) {
        append_model(writer, position + g_random_int_range(1, 2 * SEGMENT), 1);
        struct seen seen = read_on(reader, position);
        g_assert_cmpint(seen.dropped, ==, 0);
        g_assert_cmpint(seen.end, ==, joblog_writer_offset(writer));
        position = seen.end;
    }
    /* The reader stands in a segment that goes away under it, and falls far behind. */
    append_model(writer, position + 4 * CAP, 1);
    struct seen seen = read_on(reader, position);
    g_assert_cmpint(seen.dropped, >, 0);
    g_assert_cmpint(seen.end, ==, joblog_writer_offset(writer));
    joblog_reader_close(reader);
    close_writer(writer);
    fixture_close(&fixture);
}

static void read__beside_a_fast_writer_process__sees_the_model_to_its_end(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *directory = g_build_filename(fixture.directory, "1", NULL);
    const int64_t length = 400 * CAP;
    struct joblog_writer *writer = open_writer(directory);
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        append_model(writer, length, 1);
        close_writer(writer);
        _exit(0);
    }
    struct joblog_reader *reader = open_reader(directory);
    struct seen all = {.end = 0};
    while (all.end < length) {
        struct seen seen = read_on(reader, all.end);
        all.end = seen.end;
        all.kept += seen.kept;
        all.dropped += seen.dropped;
        joblog_reader_end(reader);
    }
    g_assert_cmpint(all.kept + all.dropped, ==, length);
    g_assert_cmpint(all.kept, >=, CAP - SEGMENT);
    int status = 0;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    joblog_reader_close(reader);
    joblog_writer_close(writer, NULL);
    fixture_close(&fixture);
}

static void times__spaced_and_searched__name_the_chunk(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *directory = g_build_filename(fixture.directory, "1", NULL);
    struct joblog_writer *writer = open_writer(directory);
    struct joblog_reader *reader = open_reader(directory);
    g_assert_cmpint(joblog_reader_time_at(reader, 0), ==, 0);
    for (int i = 0; i < 100; i++) {
        g_assert_true(joblog_writer_append(writer, "0123456789", 10, 1000 + i * 50, NULL));
    }
    g_autofree char *path = g_build_filename(directory, "times", NULL);
    struct stat status;
    g_assert_cmpint(stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_size, ==, 50 * 16);
    for (int i = 0; i < 100; i++) {
        g_assert_cmpint(joblog_reader_time_at(reader, i * 10), ==, 1000 + i / 2 * 100);
        g_assert_cmpint(joblog_reader_time_at(reader, i * 10 + 9), ==, 1000 + i / 2 * 100);
    }
    g_assert_cmpint(joblog_reader_time_at(reader, 15), ==, 1000);
    g_assert_cmpint(joblog_reader_time_at(reader, 1000000), ==, 1000 + 49 * 100);
    g_assert_cmpint(joblog_reader_time_at(reader, -1), ==, 0);
    /* A clock that was set back. */
    g_assert_true(joblog_writer_append(writer, "x", 1, 500, NULL));
    g_assert_cmpint(joblog_reader_time_at(reader, 1000), ==, 500);
    joblog_reader_close(reader);
    close_writer(writer);
    fixture_close(&fixture);
}

static void times__very_many__are_spaced_further_and_further(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *directory = g_build_filename(fixture.directory, "1", NULL);
    struct joblog_writer *writer = open_writer(directory);
    for (int64_t i = 0; i < 3 * 64 * 1024; i++) {
        g_assert_true(joblog_writer_append(writer, "x", 1, 1 + i * 100, NULL));
    }
    close_writer(writer);
    g_autofree char *path = g_build_filename(directory, "times", NULL);
    struct stat status;
    g_assert_cmpint(stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_size, ==, 2 * 64 * 1024 * 16);
    fixture_close(&fixture);
}

static void write_text(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* S24 */
static void writer__planted_names__are_denied_and_untouched(void)
{
    static const char *const names[] = {"output", "times", "output.00000000000000032768"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        struct fixture fixture;
        fixture_init(&fixture);
        g_autofree char *directory = g_build_filename(fixture.directory, "1", NULL);
        g_autofree char *planted = g_build_filename(directory, names[i], NULL);
        g_autofree char *victim = g_build_filename(fixture.directory, "victim", NULL);
        write_text(fixture.directory, "victim", "precious");
        g_assert_cmpint(mkdir(directory, 0700), ==, 0);
        g_assert_cmpint(symlink(victim, planted), ==, 0);
        g_autoptr(GError) error = NULL;
        struct joblog_writer *writer = joblog_writer_open(directory, CAP, &error);
        if (writer) {
            /* A segment's name is met on the way. */
            static char zeros[HEAD + 1];
            g_assert_false(joblog_writer_append(writer, zeros, sizeof(zeros), 1, &error));
            joblog_writer_close(writer, NULL);
        }
        assert_code(&error, ERROR_DENIED);
        g_autoptr(GBytes) after = contents(victim);
        g_assert_cmpmem(g_bytes_get_data(after, NULL), g_bytes_get_size(after), "precious", 8);
        fixture_close(&fixture);
    }
}

static void writer__directory_is_a_link_or_in_use__is_denied(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = g_build_filename(fixture.directory, "1", NULL);
    g_autofree char *link = g_build_filename(fixture.directory, "2", NULL);
    struct joblog_writer *writer = open_writer(directory);
    g_assert_null(joblog_writer_open(directory, CAP, &error));
    assert_code(&error, ERROR_DENIED);
    g_assert_cmpint(symlink(directory, link), ==, 0);
    g_assert_null(joblog_writer_open(link, CAP, &error));
    assert_code(&error, ERROR_DENIED);
    write_text(fixture.directory, "3", "");
    g_autofree char *file = g_build_filename(fixture.directory, "3", NULL);
    g_assert_null(joblog_writer_open(file, CAP, &error));
    assert_code(&error, ERROR_DENIED);
    close_writer(writer);
    fixture_close(&fixture);
}

static void reader__no_output_yet__is_not_found(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autoptr(GError) error = NULL;
    g_autofree char *absent = g_build_filename(fixture.directory, "absent", NULL);
    g_assert_null(joblog_reader_open(absent, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    write_text(fixture.directory, "times", "");
    g_assert_null(joblog_reader_open(fixture.directory, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    fixture_close(&fixture);
}

static void reader__foreign_names__are_passed_over(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    const char *directory = fixture.directory;
    write_text(directory, "output", "head");
    write_text(directory, "output.00000000000000000010", "tail");
    write_text(directory, "output.10", "no");
    write_text(directory, "output.0000000000000000000x", "no");
    write_text(directory, "output.00000000000000000000", "no");
    write_text(directory, "output.99999999999999999999", "no");
    write_text(directory, "outputs", "no");
    write_text(directory, "times", "odd length");
    g_autofree char *fifo = g_build_filename(directory, "output.00000000000000000006", NULL);
    g_autofree char *folder = g_build_filename(directory, "output.00000000000000000014", NULL);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(mkdir(folder, 0700), ==, 0);
    struct joblog_reader *reader = open_reader(directory);
    struct joblog_chunk chunk;
    g_assert_true(joblog_reader_next(reader, &chunk, NULL));
    g_assert_cmpmem(chunk.bytes, chunk.length, "head", 4);
    g_assert_true(joblog_reader_next(reader, &chunk, NULL));
    g_assert_cmpmem(chunk.bytes, chunk.length, "tail", 4);
    g_assert_cmpint(chunk.dropped_bytes, ==, 6);
    g_assert_true(joblog_reader_next(reader, &chunk, NULL));
    g_assert_cmpuint(chunk.length, ==, 0);
    g_assert_cmpint(joblog_reader_end(reader), ==, 14);
    g_assert_cmpint(joblog_reader_time_at(reader, 3), ==, 0);
    joblog_reader_close(reader);
    fixture_close(&fixture);
}

static void write_to_a_full_disk(const char *directory)
{
    g_autofree char *log = g_build_filename(directory, "1", NULL);
    g_autofree char *ballast = g_build_filename(directory, "ballast", NULL);
    static char bytes[CAP];
    g_autoptr(GError) error = NULL;
    struct joblog_writer *writer = open_writer(log);
    append_model(writer, 5000, 1);
    small_disk_fill(ballast);
    for (int64_t i = 0; i < (int64_t)sizeof(bytes); i++) {
        bytes[i] = model_byte(5000 + i);
    }
    g_assert_false(joblog_writer_append(writer, bytes, sizeof(bytes), 2, &error));
    assert_code(&error, ERROR_NO_SPACE);
    int64_t recorded = joblog_writer_offset(writer);
    g_assert_cmpint(recorded, >, 5000); /* the rest of the page was there */
    g_assert_cmpint(recorded, ==, bytes_on_disk(log));
    g_assert_cmpint(unlink(ballast), ==, 0);
    append_model(writer, 3 * CAP, 200);
    joblog_writer_close(writer, NULL);
    struct joblog_reader *reader = open_reader(log);
    g_assert_cmpint(read_on(reader, 0).end, ==, 3 * CAP);
    joblog_reader_close(reader);
}

static void disk_full__part_way__offset_equals_the_bytes_on_disk(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    small_disk_run(fixture.directory, "size=1m", write_to_a_full_disk);
    fixture_close(&fixture);
}

#ifdef PHANTOM_CI_FAULTS
static void fault__append__is_no_space(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *directory = g_build_filename(fixture.directory, "1", NULL);
    g_autoptr(GError) error = NULL;
    struct joblog_writer *writer = open_writer(directory);
    g_setenv("PHANTOM_CI_FAULT", "joblog.append:*:ENOSPC", TRUE);
    g_assert_false(joblog_writer_append(writer, "x", 1, 1, &error));
    g_unsetenv("PHANTOM_CI_FAULT");
    assert_code(&error, ERROR_NO_SPACE);
    g_assert_cmpint(joblog_writer_offset(writer), ==, 0);
    close_writer(writer);
    fixture_close(&fixture);
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/joblog/" #name, name)
    ADD(output__random_chunks_below_and_above_the_cap__is_the_model);
    ADD(seek__anywhere__finds_the_byte_or_the_gap);
    ADD(read__in_step_with_the_writer__sees_each_byte);
    ADD(read__beside_a_fast_writer_process__sees_the_model_to_its_end);
    ADD(times__spaced_and_searched__name_the_chunk);
    ADD(times__very_many__are_spaced_further_and_further);
    ADD(writer__planted_names__are_denied_and_untouched);
    ADD(writer__directory_is_a_link_or_in_use__is_denied);
    ADD(reader__no_output_yet__is_not_found);
    ADD(reader__foreign_names__are_passed_over);
    ADD(disk_full__part_way__offset_equals_the_bytes_on_disk);
#ifdef PHANTOM_CI_FAULTS
    ADD(fault__append__is_no_space);
#endif
    return g_test_run();
}
