#include "net/library.h"

#include <curl/curl.h>
#include <string.h>
#ifdef __linux__
#include <malloc.h>
#include <stdlib.h>
#endif

#include "base/error.h"
#include "base/wipe.h"
#include "net/protocol.h"

#ifdef __linux__
/* URLs and headers are copied all over libcurl. The size that malloc gave is known here, so each
 * block is overwritten before it goes back. */
static void wiping_free(void *block)
{
    if (block) {
        wipe_bytes(block, malloc_usable_size(block));
        free(block);
    }
}

static void *wiping_realloc(void *block, size_t size)
{
    if (!block) {
        return malloc(size);
    }
    void *moved = malloc(size);
    if (moved) {
        memcpy(moved, block, MIN(size, malloc_usable_size(block)));
        wiping_free(block);
    }
    return moved;
}

static char *copy_string(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

static CURLcode global_init(void)
{
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc,
                                copy_string, calloc);
}
#else
static CURLcode global_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT);
}
#endif

bool library_init(GError **error)
{
    CURLcode code = global_init();
    if (code != CURLE_OK) {
        g_set_error(error, NET_ERROR, ERROR_SYSTEM, "cannot start libcurl: %s",
                    curl_easy_strerror(code));
        return false;
    }
    return true;
}
