/*
 * Whether a file or directory is still the one that was read, told from stat(2) alone.
 *
 * 1. Before the contents are read, stamp_trust_note() the stamp that fstat(2) gives.
 * 2. Later, stamp_trust_holds() says whether another stamp of it proves that nothing changed.
 *
 * A file that is written twice within one tick of its file system's clock can have the same stamp
 * with other contents, even the inode number of a file that was renamed over it. So a stamp proves
 * something only when the contents were read, with that stamp, at least STAMP_SETTLE_MS after it
 * was first seen: what is written later then has a later time. Intervals are measured on the
 * monotonic clock: the clock that stamps the files may be another machine's, and may be wrong.
 */
#ifndef PHANTOM_CI_BASE_STAMP_H
#define PHANTOM_CI_BASE_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* More than the 2 s of FAT, the coarsest clock among file systems. */
enum { STAMP_SETTLE_MS = 3000 };

struct stamp {
    uint64_t device, inode;
    int64_t modified_ns, changed_ns;
    int64_t size_bytes;
    mode_t mode;     /* 0: there is no such file */
    bool is_blocked; /* there is none, and can be none: its directory is a file */
};

void stamp_from_status(struct stamp *stamp, const struct stat *status);
/* Of what could not be opened or looked at: false when that does not say that it is not there. */
bool stamp_from_errno(struct stamp *stamp, int errnum);

/* Of directory_fd/path (AT_FDCWD: as open(2)); a symbolic link is followed or not. A file that is
 * not there (ENOENT, ENOTDIR) has a stamp, too. False with errno when it can't be told. */
bool stamp_take(int directory_fd, const char *path, bool follow, struct stamp *stamp);

bool stamp_is_absent(const struct stamp *stamp);
bool stamp_equals(const struct stamp *left, const struct stamp *right);
/* Of one open file, before and after it was read: was it written meanwhile? That another file was
 * renamed over it, which takes a link from it and so changes its stamp, does not count. */
bool stamp_contents_equal(const struct stamp *before, const struct stamp *after);

struct stamp_trust {
    struct stamp stamp;
    int64_t since_ms; /* monotonic: when this stamp was first seen */
    bool known, settled;
};

/* All zeros is a trust that knows nothing. `settle_ms`: STAMP_SETTLE_MS, or less in a test. That a
 * file is not there is settled at once: what appears has another stamp. */
void stamp_trust_note(struct stamp_trust *trust, const struct stamp *stamp, int64_t now_ms,
                      int64_t settle_ms);
bool stamp_trust_holds(const struct stamp_trust *trust, const struct stamp *now);

#endif
