#include "base/wipe.h"

#include <string.h>
#include <sys/resource.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

/* A call through a volatile pointer can't be taken out, on every libc: explicit_bzero() is absent
 * from macOS, memset_s() from glibc. */
static void *(*const volatile fill)(void *, int, size_t) = memset;

void wipe_bytes(void *bytes, size_t length)
{
    if (length > 0) {
        fill(bytes, 0, length);
    }
}

void wipe_free(char **text, size_t length)
{
    if (*text) {
        wipe_bytes(*text, length);
        g_free(*text);
        *text = NULL;
    }
}

void wipe_free_string(char **text)
{
    wipe_free(text, *text ? strlen(*text) : 0);
}

void wipe_free_strings(char ***strings)
{
    for (char **string = *strings; string && *string; string++) {
        wipe_free_string(string);
    }
    g_clear_pointer(strings, g_free);
}

void wipe_array_front(GByteArray *array, size_t length)
{
    g_assert(length <= array->len);
    if (length == 0) {
        return; /* an array that never held anything has no data to point at */
    }
    size_t left = array->len - length;
    memmove(array->data, array->data + length, left);
    wipe_bytes(array->data + left, length);
    g_byte_array_set_size(array, (guint)left);
}

void wipe_array_free(GByteArray **array)
{
    if (*array) {
        wipe_bytes((*array)->data, (*array)->len);
        g_byte_array_free(*array, TRUE);
        *array = NULL;
    }
}

void wipe_forbid_dumps(void)
{
#ifdef __linux__
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

void wipe_forbid_cores(void)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_CORE, &none);
    wipe_forbid_dumps();
}
