/* The list of a commit's files as git tells it: a digest or a refusal, and the same one twice. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "config/pin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const patterns[] = {"Makefile", "scripts/**", "!*.md", NULL};
    struct pin *pin = pin_new("workflow/main.toml", patterns);
    /* exactly as long as the input, so that reading beyond it is seen */
    g_autofree char *tree = g_memdup2(data, size);
    g_autofree char *first = pin_digest(pin, "x", 1, tree ? tree : "", size);
    g_autofree char *second = pin_digest(pin, "x", 1, tree ? tree : "", size);
    g_assert_cmpstr(first, ==, second);
    g_assert_true(first || size > 0);
    pin_free(pin);
    return 0;
}
