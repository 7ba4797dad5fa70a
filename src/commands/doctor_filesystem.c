#include "commands/doctor_filesystem.h"

#include <stddef.h>

enum { SCARCE_PART = 20 };

static const uint64_t gibibyte = UINT64_C(1) << 30;
static const uint64_t least_bytes = UINT64_C(64) << 20;
static const uint64_t least_inodes = 1000;

const char *doctor_filesystem_trouble(uint64_t type)
{
    /* statfs(2), linux/magic.h; the kernel gives some of them with their sign extended. */
    static const struct {
        uint32_t type;
        const char *name;
    } troubles[] = {
        {0x6969, "NFS"},        {0xff534d42, "CIFS"},        {0xfe534d42, "SMB"},
        {0x517b, "SMB"},        {0x01021997, "9p"},          {0x65735546, "FUSE (sshfs?)"},
        {0x5346414f, "AFS"},    {0x6b414653, "AFS"},         {0x00c36400, "Ceph"},
        {0x73757245, "Coda"},   {0x0bd00bd0, "Lustre"},      {0x01161970, "GFS2"},
        {0x786f4256, "vboxsf"}, {0xbacbacbc, "VMware hgfs"},
    };
    for (size_t i = 0; i < sizeof(troubles) / sizeof(*troubles); i++) {
        if ((uint32_t)type == troubles[i].type) {
            return troubles[i].name;
        }
    }
    return NULL;
}

enum doctor_room doctor_judge_bytes(uint64_t free_bytes, uint64_t total_bytes)
{
    if (total_bytes == 0) {
        return DOCTOR_ROOM_ENOUGH;
    }
    if (free_bytes < least_bytes) {
        return DOCTOR_ROOM_NONE;
    }
    bool is_low = free_bytes < gibibyte || free_bytes < total_bytes / SCARCE_PART;
    return is_low ? DOCTOR_ROOM_LOW : DOCTOR_ROOM_ENOUGH;
}

enum doctor_room doctor_judge_inodes(uint64_t free_inodes, uint64_t total_inodes)
{
    if (total_inodes == 0) {
        return DOCTOR_ROOM_ENOUGH;
    }
    if (free_inodes < least_inodes) {
        return DOCTOR_ROOM_NONE;
    }
    return free_inodes < total_inodes / SCARCE_PART ? DOCTOR_ROOM_LOW : DOCTOR_ROOM_ENOUGH;
}
