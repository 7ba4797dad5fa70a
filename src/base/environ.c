#include "base/environ.h"

void environ_pick(GPtrArray *environment, const char *const *names)
{
    for (; *names; names++) {
        const char *value = g_getenv(*names);
        if (value) {
            g_ptr_array_add(environment, g_strdup_printf("%s=%s", *names, value));
        }
    }
}

void environ_pick_sanitizers(GPtrArray *environment)
{
#ifdef PHANTOM_CI_FAULTS
    static const char *const names[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                                        "LLVM_PROFILE_FILE", NULL};
    environ_pick(environment, names);
#else
    (void)environment;
#endif
}
