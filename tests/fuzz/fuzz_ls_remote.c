/* What a remote makes git say: lines of ls-remote, and its complaints. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "git/look.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *id, *branch;
    /* in a block of its own, so that a read beyond the end is seen */
    g_autofree char *line = g_memdup2(data, size);
    bool ok = git_look_parse_line(line ? line : "", size, &id, &branch);
    require(ok == (id != NULL) && ok == (branch != NULL));
    if (ok)
        require(text_is_object_id(id) && url_remote_branch_is_valid(branch, NULL));
    g_free(id);
    g_free(branch);
    g_autofree char *said = g_strndup((const char *)data, size);
    struct git_remote remote = {.url = "ssh://git@example.org/app"};
    g_autofree char *words = git_explain_failure(said, &remote);
    require(strlen(words) <= 400 && g_utf8_validate(words, -1, NULL));
    for (const char *p = words; *p; p++)
        require((unsigned char)*p >= 0x20 && *p != 0x7f);
    return 0;
}
