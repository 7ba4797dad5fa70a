/* What the kernel tells of control groups: texts, each ended by a NUL, for the membership of a
 * process, the table of mounts, and a file of keys. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "base/job_group.h"
#include "sandbox/cgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *take_text(const uint8_t **data, size_t *size)
{
    size_t length = strnlen((const char *)*data, *size);
    char *text = g_strndup((const char *)*data, length);
    size_t used = MIN(length + 1, *size);
    *data += used;
    *size -= used;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    g_autofree char *membership = take_text(&data, &size);
    g_autofree char *mounts = take_text(&data, &size);
    g_autofree char *flat = take_text(&data, &size);
    g_autoptr(GPtrArray) places = cgroup_parse_places(membership, mounts);
    for (unsigned i = 0; i < places->len; i++) {
        const struct cgroup_place *place = g_ptr_array_index(places, i);
        g_assert_true(*place->directory == '/');
        g_assert_true(place->unified || place->abilities != 0);
    }
    int64_t number = 0;
    g_assert_true(!cgroup_parse_flat(flat, "oom_kill", &number) || number >= 0);
    g_assert_true(!job_group_is_in(membership, "phantom_ci-0-1") ||
                  strstr(membership, "/phantom_ci-0-1"));
    return 0;
}
