/* Patterns of `paths` (one a line), and behind an empty line the path of a commit. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/path_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* The path as a pattern that can mean nothing else. */
static char *quote(const char *path)
{
    GString *pattern = g_string_new(NULL);
    for (; *path; path++) {
        if (*path != '/')
            g_string_append_c(pattern, '\\');
        g_string_append_c(pattern, *path);
    }
    return g_string_free(pattern, FALSE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    char *path = strstr(text, "\n\n");
    if (path) {
        *path = '\0';
        path += 2;
    } else {
        path = (char *)"src/main.c";
    }
    g_auto(GStrv) patterns = g_strsplit(text, "\n", 16);
    struct path_filter *filter = path_filter_new((const char *const *)patterns);
    bool matched = path_filter_matches(filter, path, strlen(path));
    path_filter_free(filter);

    for (char **pattern = patterns; *pattern; pattern++) {
        g_autofree char *why = NULL;
        require(path_filter_check(*pattern, &why) == (why == NULL));
    }
    /* What comes last decides. */
    g_autofree char *own = quote(path);
    g_autofree char *why = NULL;
    if (path_filter_check(own, &why) && *own != '/' && !g_str_has_suffix(own, "/")) {
        g_autofree char *not_own = g_strconcat("!", own, NULL);
        const char *const with[] = {text, own, NULL};
        const char *const without[] = {"**", not_own, NULL};
        struct path_filter *first = path_filter_new(with);
        struct path_filter *second = path_filter_new(without);
        require(path_filter_matches(first, path, strlen(path)));
        require(!path_filter_matches(second, path, strlen(path)));
        path_filter_free(first);
        path_filter_free(second);
    }
    (void)matched;
    return 0;
}
