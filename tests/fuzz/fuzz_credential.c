/* What a credential helper makes git print. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "git/credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* in a block of its own, so that a read beyond the end is seen */
    g_autofree char *text = g_memdup2(data, size);
    struct git_credential credential;
    struct git_credential again = {.protocol = NULL};
    if (!git_credential_parse(text ? text : "", size, &credential, NULL)) {
        return 0;
    }
    g_autofree char *formatted = git_credential_format(&credential);
    g_autofree char *prefix = git_credential_prefix(&credential);
    bool fits = strlen(formatted) <= GIT_CREDENTIAL_MAX_BYTES;
    if (!strstr(prefix, "://") ||
        (fits && !git_credential_parse(formatted, strlen(formatted), &again, NULL))) {
        abort();
    }
    if (fits && strcmp(again.password, credential.password) != 0) {
        abort();
    }
    git_credential_clear(&credential);
    git_credential_clear(&again);
    return 0;
}
