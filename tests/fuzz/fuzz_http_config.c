/* What `git config` prints, and what is made of it. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "git/http_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char url[] = "https://me@git.example.org:8443/team/app.git";

static void use(const struct http_config *config, const struct http_config *matched)
{
    g_autofree char *why_git = NULL;
    g_autofree char *options = http_config_decide(config, matched, url, "/home/me", &why_git);
    if (!options == !why_git) {
        abort();
    }
    g_autofree char *rewritten = http_config_rewrite(config, url);
    g_auto(GStrv) authorities = http_config_authorities(config, "/home/me");
    for (char **path = authorities; *path; path++) {
        if (**path != '/') {
            abort();
        }
    }
    http_config_is_particular(config, url);
    g_autofree char *key = http_config_match_key(config, url);
    if (!g_str_has_prefix(url, key)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int with_origin = 0; with_origin < 2; with_origin++) {
        /* in a block of its own, so that a read beyond the end is seen */
        g_autofree char *list = g_memdup2(data, size);
        struct http_config *config = http_config_parse(list ? list : "", size, with_origin, NULL);
        if (config) {
            use(config, NULL);
            use(config, config);
        }
        http_config_free(config);
    }
    return 0;
}
