#include "base/fault.h"

#ifdef PHANTOM_CI_FAULTS

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

static int errno_by_name(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } known[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO}, {"ENOMEM", ENOMEM}, {"EACCES", EACCES}};
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        if (strcmp(known[i].name, name) == 0) {
            return known[i].number;
        }
    }
    g_error("PHANTOM_CI_FAULT: unknown fault \"%s\"", name);
}

int fault_point(const char *name)
{
    static GHashTable *calls;
    const char *specification = g_getenv("PHANTOM_CI_FAULT");
    if (!specification) {
        return 0;
    }
    if (!calls) {
        calls = g_hash_table_new(g_str_hash, g_str_equal);
    }
    unsigned call = GPOINTER_TO_UINT(g_hash_table_lookup(calls, name)) + 1;
    g_hash_table_insert(calls, (void *)name, GUINT_TO_POINTER(call));
    g_auto(GStrv) faults = g_strsplit(specification, ",", -1);
    for (char **fault = faults; *fault; fault++) {
        g_auto(GStrv) parts = g_strsplit(*fault, ":", 3);
        g_assert(g_strv_length(parts) == 3);
        bool every = strcmp(parts[1], "*") == 0;
        if (strcmp(parts[0], name) != 0 ||
            (!every && g_ascii_strtoull(parts[1], NULL, 10) != call)) {
            continue;
        }
        if (strcmp(parts[2], "KILL") == 0) {
            raise(SIGKILL);
        }
        return errno_by_name(parts[2]);
    }
    return 0;
}

#else

/* ISO C forbids an empty translation unit. */
extern int fault_is_not_built_in;
int fault_is_not_built_in;

#endif
