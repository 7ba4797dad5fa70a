/* mirror_fetch_tag(): see mirror.h. */
#include "base/error.h"
#include "base/fd.h"
#include "base/refkey.h"
#include "git/mirror_internal.h"

/* The commit that the mirror's own ref of the tag leads to, or NULL. */
static char *resolve(struct mirror *mirror, const char *ref)
{
    g_autofree char *revision = g_strconcat(ref, "^{commit}", NULL);
    const char *arguments[] = {"rev-parse",        "--verify", "--quiet",
                               "--end-of-options", revision,   NULL};
    struct spawn_result result = {0};
    char *commit =
        mirror_git(mirror, arguments, &result, NULL) ? g_strstrip(g_strdup(result.out)) : NULL;
    spawn_result_clear(&result);
    return commit;
}

static bool leads_to(struct mirror *mirror, const char *ref, const char *sha)
{
    g_autofree char *commit = resolve(mirror, ref);
    return g_strcmp0(commit, sha) == 0;
}

bool mirror_fetch_tag(struct mirror *mirror, const char *sha, const char *ref, char **why,
                      GError **error)
{
    g_autofree char *said = NULL;
    g_autoptr(GError) failure = NULL;
    *why = NULL;
    mirror_begin(mirror);
    auto_fd lock = mirror_lock_for_fetch(mirror, error);
    if (lock < 0) {
        return false;
    }
    bool fetched = mirror_fetch_into(mirror, ref, ref, &said, &failure);
    if (fetched && leads_to(mirror, ref, sha)) {
        return true;
    }
    if (error_has_code(failure, ERROR_CANCELED)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    *why = g_strdup(fetched ? "it has moved since" : failure->message);
    return mirror_update_ref(mirror, ref, sha, error);
}
