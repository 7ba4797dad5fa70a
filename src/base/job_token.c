#include "base/job_token.h"

char *job_token(const char *state_directory, int64_t job)
{
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, state_directory, -1);
    return g_strdup_printf("PHANTOM_CI_JOB_TOKEN=%.16s-%" G_GINT64_FORMAT, digest, job);
}
