/*
 * A job's output on disk: the bytes of stdout and stderr as they came, in append-only files.
 *
 *   logs/<job>/output              the first half of the cap (all of it, when the output fits)
 *   logs/<job>/output.<offset>     segments of the tail, named by their offset in the whole output
 *                                  (20 digits); the oldest is removed when a new one is begun
 *   logs/<job>/times               pairs of little-endian int64: offset, UTC milliseconds
 *
 * Head and tail together stay below the cap, and the end of the output is always kept. Offsets
 * count in the output as the steps wrote it, so that a step's range stays true whatever was
 * dropped.
 */
#ifndef PHANTOM_CI_STORE_JOBLOG_H
#define PHANTOM_CI_STORE_JOBLOG_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct joblog_writer;

/* Makes the directory (0700), which must not exist yet or be empty of output (a symlink or a file
 * in its place is ERROR_DENIED). cap_bytes >= 64 KiB. */
struct joblog_writer *joblog_writer_open(const char *directory, int64_t cap_bytes, GError **error);
/* Appends; ERROR_NO_SPACE when the disk is full. */
bool joblog_writer_append(struct joblog_writer *writer, const char *bytes, size_t length,
                          int64_t now_ms, GError **error);
int64_t joblog_writer_offset(const struct joblog_writer *writer);
/* fsync; frees in any case */
bool joblog_writer_close(struct joblog_writer *writer, GError **error);

struct joblog_reader;

struct joblog_chunk {
    int64_t offset;        /* of bytes[0] in the output */
    int64_t dropped_bytes; /* that lie before bytes[0] and were not kept; then length may be 0 */
    const char *bytes;     /* valid until the next call */
    size_t length;         /* 0 and dropped_bytes 0 = nothing more for now */
};

/* ERROR_NOT_FOUND when the job has no output yet. */
struct joblog_reader *joblog_reader_open(const char *directory, GError **error);
void joblog_reader_close(struct joblog_reader *reader);
/* The next piece from the current position (0 at first). Safe while the writer appends and drops.
 */
bool joblog_reader_next(struct joblog_reader *reader, struct joblog_chunk *chunk, GError **error);
void joblog_reader_seek(struct joblog_reader *reader, int64_t offset);
/* Where the output ends now. */
int64_t joblog_reader_end(struct joblog_reader *reader);
/* When the byte at `offset` was read from the step, UTC milliseconds; 0 = unknown. */
int64_t joblog_reader_time_at(struct joblog_reader *reader, int64_t offset);

#endif
