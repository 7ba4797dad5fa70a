/* The files of a job's output, as writer and reader name them; see joblog.h. */
#ifndef PHANTOM_CI_STORE_JOBLOG_SEGMENT_H
#define PHANTOM_CI_STORE_JOBLOG_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

enum { JOBLOG_NAME_SIZE = 32 };

#define JOBLOG_TIMES "times"

/* Offsets beyond this are no output of ours; it leaves room for the size of a file. */
#define JOBLOG_MAX_OFFSET (INT64_MAX / 4)

/* "output" for 0, else "output." and 20 digits. */
void joblog_segment_name(char name[JOBLOG_NAME_SIZE], int64_t offset);

/* The offset that a file name stands for; -1 for any other name. */
int64_t joblog_segment_offset(const char *name);

struct joblog_segments {
    int64_t holding; /* start of the last segment at or before the position, -1 = none */
    int64_t behind;  /* start of the first one behind it, -1 = none */
    int64_t last;    /* start of the last of all, -1 = none */
};

/* Looks through the directory; only regular files count. False with errno. */
bool joblog_segments_scan(int directory_fd, int64_t position, struct joblog_segments *found);

#endif
