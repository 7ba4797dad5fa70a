#include "job/skip_mark.h"

#include <glib.h>
#include <string.h>

const char *skip_mark_find(const char *subject)
{
    static const char *const marks[] = {"[skip ci]", "[ci skip]", "[no ci]"};
    g_autofree char *lower = g_ascii_strdown(subject ? subject : "", -1);
    for (unsigned i = 0; i < G_N_ELEMENTS(marks); i++) {
        if (strstr(lower, marks[i])) {
            return marks[i];
        }
    }
    return NULL;
}
