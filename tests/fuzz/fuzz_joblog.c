/*
 * The log reader on a directory with arbitrary contents. The input is a list of files: a byte that
 * chooses the kind of name, a byte for its number, a byte for the length, and that many bytes.
 * Whatever lies there, reading must end, with positions that only grow.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "store/joblog.h"

enum { FILES_MAX = 16, READS_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void name_file(char *name, size_t size, uint8_t kind, uint8_t number)
{
    static const unsigned long long far[] = {0ULL,       1ULL << 32, 1ULL << 60,
                                             1ULL << 61, ~0ULL >> 1, ~0ULL};
    switch (kind % 6) {
    case 0:
        g_strlcpy(name, "output", size);
        break;
    case 1:
        g_strlcpy(name, "times", size);
        break;
    case 2:
        g_snprintf(name, size, "output.%020d", number);
        break;
    case 3:
        g_snprintf(name, size, "output.%020llu", far[number % G_N_ELEMENTS(far)] + number);
        break;
    case 4:
        g_snprintf(name, size, "output.%d", number);
        break;
    default:
        g_snprintf(name, size, "output.%c", number > 31 && number != '/' ? number : 'x');
        break;
    }
}

static void make_file(int directory_fd, const char *name, uint8_t kind, const uint8_t *bytes,
                      size_t length)
{
    if (kind >= 240) {
        mkdirat(directory_fd, name, 0700);
    } else if (kind >= 230) {
        mkfifoat(directory_fd, name, 0600);
    } else if (kind >= 220) {
        symlinkat("output", directory_fd, name);
    } else {
        auto_fd fd = openat(directory_fd, name,
                            O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd >= 0) {
            fd_write_all(fd, bytes, length, NULL);
        }
    }
}

static void make_files(const char *directory, const uint8_t *data, size_t size)
{
    auto_fd directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < FILES_MAX && size >= 3; i++) {
        size_t length = MIN((size_t)data[2], size - 3);
        char name[64];
        name_file(name, sizeof(name), data[0], data[1]);
        make_file(directory_fd, name, data[0], data + 3, length);
        data += 3 + length;
        size -= 3 + length;
    }
}

static void read_all(struct joblog_reader *reader, int64_t position)
{
    joblog_reader_seek(reader, position);
    for (int i = 0; i < READS_MAX; i++) {
        struct joblog_chunk chunk;
        g_autoptr(GError) error = NULL;
        if (!joblog_reader_next(reader, &chunk, &error) ||
            (chunk.length == 0 && chunk.dropped_bytes == 0)) {
            return;
        }
        if (chunk.offset != position + chunk.dropped_bytes || chunk.dropped_bytes < 0) {
            abort();
        }
        position = chunk.offset + (int64_t)chunk.length;
        joblog_reader_time_at(reader, chunk.offset);
    }
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *directory = g_dir_make_tmp("phantom_ci-fuzz-XXXXXX", NULL);
    if (!directory) {
        abort();
    }
    make_files(directory, data, size);
    struct joblog_reader *reader = joblog_reader_open(directory, NULL);
    if (reader) {
        read_all(reader, 0);
        read_all(reader, 7);
        if (joblog_reader_end(reader) < 0) {
            abort();
        }
        joblog_reader_close(reader);
    }
    file_remove_tree_at_path(directory, NULL);
    return 0;
}
