/* The configuration of somebody else's repository. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "git/repoconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct repoconfig config;
    g_autoptr(GError) error = NULL;
    /* in a block of its own, so that a read beyond the end is seen */
    g_autofree char *text = g_memdup2(data, size);
    repoconfig_init(&config);
    bool good = repoconfig_parse(&config, text ? text : "", size, &error);
    require(good == (error == NULL));
    require(good || error_has_code(error, ERROR_INVALID));
    require(config.id_length == 40 || config.id_length == 64);
    /* What git takes can be followed by more, and then still says what it said. Two newlines: a
     * backslash at the end may take the first. */
    if (good && size > 0) {
        struct repoconfig more;
        g_autofree char *longer =
            g_strdup_printf("%.*s\n\n[transfer]\nhideRefs = x\n", (int)size, text);
        repoconfig_init(&more);
        require(repoconfig_parse(&more, longer, strlen(longer), NULL));
        require(more.hides_refs && more.id_length == config.id_length &&
                more.has_includes == config.has_includes &&
                more.is_reftable == config.is_reftable &&
                more.unknown_format == config.unknown_format);
    }
    return 0;
}
