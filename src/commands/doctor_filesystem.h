/* File systems by their number in statfs(2). No I/O. */
#ifndef PHANTOM_CI_COMMANDS_DOCTOR_FILESYSTEM_H
#define PHANTOM_CI_COMMANDS_DOCTOR_FILESYSTEM_H

#include <stdbool.h>
#include <stdint.h>

/* The name of a file system on which flock(2) or memory shared between processes can't be relied
 * upon ("NFS"); NULL for all others. */
const char *doctor_filesystem_trouble(uint64_t type);

/* What statvfs(3) told, judged. */
enum doctor_room { DOCTOR_ROOM_ENOUGH, DOCTOR_ROOM_LOW, DOCTOR_ROOM_NONE };

/* LOW: less than 1 GiB or a twentieth; NONE: less than 64 MiB, in which hardly a job can run.
 * For a unit that is not counted (`total` 0) ENOUGH. */
enum doctor_room doctor_judge_bytes(uint64_t free_bytes, uint64_t total_bytes);
/* LOW: less than a twentieth; NONE: less than 1000. */
enum doctor_room doctor_judge_inodes(uint64_t free_inodes, uint64_t total_inodes);

#endif
