/*
 * A job's output on standard output, as it comes: whole lines, each led by its job ("app#12 |
 * ..."), control characters escaped. Standard output may be a terminal, a file, a pipe or the
 * journal, and is shared with the daemon and with other jobs; a reader that does not read costs
 * lines there (they are counted and told), never time.
 */
#ifndef PHANTOM_CI_JOB_ECHO_H
#define PHANTOM_CI_JOB_ECHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct echo;

/* `fd`: usually STDOUT_FILENO. `prefix` NULL = no prefix; `job` is named where lines were dropped.
 */
struct echo *echo_new(int fd, const char *prefix, int64_t job);

/* Takes bytes as they come; complete lines go out, the rest waits. */
void echo_write(struct echo *echo, const char *bytes, size_t length);

/* Ends an unfinished line. */
void echo_end_line(struct echo *echo);

/* A descriptor to poll for writing while something waits to go out, else -1. */
int echo_pending_fd(const struct echo *echo);
void echo_pump(struct echo *echo);

/* Lets what waits go out, for at most timeout_ms, and frees. */
void echo_free(struct echo *echo, int timeout_ms);

#endif
