/* What a remote makes git say: lines of ls-remote, and its complaints. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "git/look.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct git_look_line found;
    /* in a block of its own, so that a read beyond the end is seen */
    g_autofree char *line = g_memdup2(data, size);
    if (git_look_parse_line(line ? line : "", size, &found)) {
        g_autoptr(GHashTable) refs = refset_new();
        require(found.id >= line && found.name + found.name_length <= line + size);
        require(refset_add(refs, NULL, found.name, found.name_length, found.id, found.id_length));
        require(g_hash_table_size(refs) <= 1);
    }
    g_autofree char *said = g_strndup((const char *)data, size);
    struct git_remote remote = {.url = "ssh://git@example.org/app"};
    g_autofree char *words = git_explain_failure(said, &remote);
    require(strlen(words) <= 400 && g_utf8_validate(words, -1, NULL));
    for (const char *p = words; *p; p++)
        require((unsigned char)*p >= 0x20 && *p != 0x7f);
    return 0;
}
