#include "git/localrefs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "git/localrepo.h"
#include "git/looserefs.h"
#include "git/packedrefs.h"
#include "git/refset.h"
#include "git/url.h"

enum {
    SYMBOLIC_STEPS = 5, /* as many as git follows */
    READ_TRIES = 3,     /* of a repository that is replaced while it is read */
};

#ifndef O_PATH
#define O_PATH O_RDONLY
#endif

/* Replaced, by a rename, with every change of reftables. Its stamp tells that git is to be asked.
 */
static const char reftable_list[] = "reftable/tables.list";

enum state {
    NOTHING,  /* nothing is known */
    READ,     /* from the files; `digest` */
    ASKED,    /* git is to be asked */
    ANSWERED, /* it has been asked */
};

struct local_refs {
    char *url, *path; /* path: NULL when the URL is not one of this machine */
    char **names;
    struct refset_wanted *wanted;
    struct local_repository repository;
    struct loose_refs loose;
    struct packed_refs packed;
    struct local_proof reftable;
    struct local_doubt doubt;
    struct local_owner accepted; /* git has read the repository of this owner, */
    bool has_accepted;           /* if of any */
    bool asked_for_owner;
    enum state state;
    bool is_thorough; /* each look looks at the configuration */
    bool is_anchored; /* what was read would not be there if the repository were gone */
    bool is_loose;    /* all that was read: packed-refs has no say in it */
    char digest[REFSET_DIGEST_LENGTH + 1];
    unsigned looks;
    int64_t settle_ms;
};

struct local_refs *local_refs_new(const char *url, const char *const *wanted)
{
    struct local_refs *local = g_new0(struct local_refs, 1);
    local->url = g_strdup(url);
    local->path = local_repository_path(url);
    local->names = g_strdupv((char **)wanted);
    local->wanted = refset_wanted_new(wanted);
    local->settle_ms = STAMP_SETTLE_MS;
    loose_refs_init(&local->loose, wanted);
    return local;
}

void local_refs_set_settle_ms(struct local_refs *local, int64_t settle_ms)
{
    local->settle_ms = settle_ms;
}

void local_refs_set_thorough(struct local_refs *local, bool thorough)
{
    local->is_thorough = thorough;
}

static void release_files(struct local_refs *local)
{
    loose_refs_release(&local->loose);
    packed_refs_release(&local->packed);
    local_proof_clear(&local->reftable);
}

void local_refs_free(struct local_refs *local)
{
    if (!local) {
        return;
    }
    release_files(local);
    local_repository_clear(&local->repository);
    local_doubt_clear(&local->doubt);
    refset_wanted_free(local->wanted);
    g_strfreev(local->names);
    g_free(local->path);
    g_free(local->url);
    g_free(local);
}

void local_refs_forget(struct local_refs *local)
{
    release_files(local);
    loose_refs_init(&local->loose, (const char *const *)local->names);
    local_repository_clear(&local->repository);
    local->state = NOTHING;
}

const char *local_refs_directory(const struct local_refs *local)
{
    return local->repository.common_directory;
}

/* ----------------------------------------------------------------------------------- the answer */

/* The object id that a symbolic ref leads to; NULL when it leads nowhere. */
static const char *resolve(struct local_refs *local, const struct loose_ref *ref)
{
    for (int steps = 0; steps < SYMBOLIC_STEPS; steps++) {
        const struct loose_ref *target = loose_refs_find(&local->loose, ref->value);
        if (target && target->kind == LOOSE_REF_ID) {
            return target->value;
        }
        /* Where a branch `a` is in the way of `a/b`, git finds a packed `a/b` for itself, but not
         * as what a symbolic ref points to. */
        if (target && target->trust.stamp.is_blocked) {
            break;
        }
        if (target && target->kind == LOOSE_REF_ABSENT) {
            const struct packed_ref *packed = packed_refs_find(&local->packed, ref->value);
            return packed ? packed->id : NULL;
        }
        if (!target || target->kind == LOOSE_REF_BROKEN) {
            break;
        }
        ref = target;
    }
    local_doubt_raise(&local->doubt, false, "the symbolic ref %s leads too far", ref->name);
    return NULL;
}

static bool is_tag(const char *name)
{
    return g_str_has_prefix(name, "refs/tags/");
}

static void add(struct local_refs *local, GHashTable *refs, const char *name, const char *id)
{
    if (!refset_add(refs, local->wanted, name, strlen(name), id, strlen(id))) {
        local_doubt_raise(&local->doubt, true, "it has too many refs");
    }
}

static void add_packed(struct local_refs *local, GHashTable *refs)
{
    for (guint i = 0; i < local->packed.refs->len; i++) {
        const struct packed_ref *ref = local->packed.refs->pdata[i];
        if (is_tag(ref->name) && !ref->is_peeled) {
            local_doubt_raise(&local->doubt, false, "what the tag %s points to is not known",
                              ref->name);
        }
        add(local, refs, ref->name,
            is_tag(ref->name) && ref->peeled_id[0] ? ref->peeled_id : ref->id);
    }
}

/* A loose ref counts, and hides the packed one of its name, whatever it is. */
static void add_loose(struct local_refs *local, GHashTable *refs, const GPtrArray *array)
{
    for (guint i = 0; i < array->len; i++) {
        const struct loose_ref *ref = array->pdata[i];
        if (ref->is_target || ref->kind == LOOSE_REF_ABSENT) {
            continue;
        }
        g_hash_table_remove(refs, ref->name);
        if (ref->kind == LOOSE_REF_BROKEN) {
            local_doubt_raise(&local->doubt, false, "%s is broken", ref->name);
            continue;
        }
        const char *id = ref->kind == LOOSE_REF_SYMBOLIC ? resolve(local, ref) : ref->value;
        if (id && is_tag(ref->name)) {
            /* An annotated tag's own id, perhaps: its object would say. */
            local_doubt_raise(&local->doubt, false, "what the tag %s points to is not known",
                              ref->name);
        } else if (id) {
            add(local, refs, ref->name, id);
        }
    }
}

/* -------------------------------------------------------------------------------------- reading */

static GHashTable *names_of_targets(const struct loose_refs *loose)
{
    GHashTable *names = NULL;
    for (guint i = 0; i < loose->named->len; i++) {
        struct loose_ref *ref = loose->named->pdata[i];
        if (ref->is_target && ref->kind == LOOSE_REF_ABSENT) {
            names = names ? names : g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
            g_hash_table_add(names, g_strdup(ref->name));
        }
    }
    return names;
}

/* Loose before packed, as git does it: a ref that is packed meanwhile is in what is read later. */
static void read_files(struct local_refs *local, int directory_fd)
{
    struct loose_refs_reading loose = {
        .directory_fd = directory_fd,
        .wanted = local->wanted,
        .id_length = local->repository.id_length,
        .settle_ms = local->settle_ms,
        .doubt = &local->doubt,
    };
    loose_refs_read(&local->loose, &loose);
    g_autoptr(GHashTable) targets = names_of_targets(&local->loose);
    struct packed_refs_reading packed = {
        .directory_fd = directory_fd,
        .wanted = local->wanted,
        .extra = targets,
        .id_length = local->repository.id_length,
        .settle_ms = local->settle_ms,
        .doubt = &local->doubt,
    };
    packed_refs_read(&local->packed, &packed);
}

static void note_reftable(struct local_refs *local)
{
    struct local_proof known = local->reftable;
    local->reftable = (struct local_proof){.path = NULL};
    if (local->repository.is_reftable && local->repository.common_directory) {
        g_autofree char *path =
            g_build_filename(local->repository.common_directory, reftable_list, NULL);
        local_proof_set(&local->reftable, &known, path, local->settle_ms);
    }
    local_proof_clear(&known);
}

static bool is_accepted(const struct local_refs *local)
{
    const struct local_owner *owner = &local->repository.owner, *accepted = &local->accepted;
    return local->has_accepted && owner->device == accepted->device &&
           owner->inode == accepted->inode && owner->directory == accepted->directory &&
           owner->link == accepted->link;
}

/* Finds the repository and notes what is in doubt about it as a whole. */
static bool find(struct local_refs *local, GError **error)
{
    size_t id_length = local->repository.id_length;
    if (!local_repository_find(&local->repository, local->path, local->settle_ms, error)) {
        return false;
    }
    if (local->repository.id_length != id_length) {
        release_files(local);
        loose_refs_init(&local->loose, (const char *const *)local->names);
    }
    local_doubt_clear(&local->doubt);
    local->asked_for_owner = local->repository.is_foreign && !is_accepted(local);
    if (local->repository.doubt.reason) {
        local_doubt_raise(&local->doubt, local->repository.doubt.always, "%s",
                          local->repository.doubt.reason);
        local->asked_for_owner = false;
    }
    if (local->asked_for_owner) {
        local_doubt_raise(&local->doubt, false,
                          "it belongs to another user (safe.directory of git)");
    }
    note_reftable(local);
    return true;
}

static bool is_still_there(const struct local_refs *local, int directory_fd)
{
    struct stat opened, now;
    return fstat(directory_fd, &opened) == 0 &&
           stat(local->repository.common_directory, &now) == 0 && opened.st_dev == now.st_dev &&
           opened.st_ino == now.st_ino;
}

/* The refs, or NULL with `doubt`; NULL and no doubt: there is no repository, `error`. */
static GHashTable *read_all(struct local_refs *local, GError **error)
{
    for (int tries = 0; tries < READ_TRIES; tries++) {
        if (!find(local, error)) {
            return NULL;
        }
        if (!local->repository.common_directory) {
            break;
        }
        auto_fd fd =
            open(local->repository.common_directory, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) {
            local_doubt_raise(&local->doubt, true, "%s", g_strerror(errno));
            continue;
        }
        read_files(local, fd);
        g_autoptr(GHashTable) refs = refset_new();
        add_packed(local, refs);
        add_loose(local, refs, local->loose.found);
        add_loose(local, refs, local->loose.named);
        if (is_still_there(local, fd)) {
            return local->doubt.reason ? NULL : g_steal_pointer(&refs);
        }
    }
    local_doubt_raise(&local->doubt, true, "it changes while it is read");
    return NULL;
}

/* ---------------------------------------------------------------------------------------- looks */

/* Where the repository is and what it is configured to show hardly ever changes. Now and then is
 * enough for that, unless nothing else would show that the repository is gone. */
static bool repository_stands(const struct local_refs *local)
{
    bool in_turn = local->is_thorough || local->looks % LOCAL_REFS_CONFIGURATION_EVERY == 0;
    return (local->state == READ && local->is_anchored && !in_turn) ||
           (local_repository_stands(&local->repository) && local_proof_stands(&local->reftable));
}

static bool stands(struct local_refs *local)
{
    const char *directory = local->repository.common_directory;
    bool is_loose = local->state == READ && local->is_loose;
    /* packed-refs last, as in reading */
    return directory && repository_stands(local) && loose_refs_stand(&local->loose, directory) &&
           (is_loose || packed_refs_stand(&local->packed, directory));
}

static enum local_refs_result ask_git(struct local_refs *local, GError **error)
{
    local->state = ASKED;
    g_set_error(error, GIT_ERROR, ERROR_INVALID, "%s is left to git: %s", local->url,
                local->doubt.reason);
    return LOCAL_REFS_ASK_GIT;
}

static enum local_refs_result read_again(struct local_refs *local, bool stood, GHashTable **refs,
                                         GError **error)
{
    g_autoptr(GError) failure = NULL;
    enum state before = local->state;
    g_autoptr(GHashTable) found = read_all(local, &failure);
    if (failure) {
        local_refs_forget(local);
        g_propagate_error(error, g_steal_pointer(&failure));
        return LOCAL_REFS_FAILED;
    }
    if (!found) {
        bool answered = before == ANSWERED && stood && !local->doubt.always;
        return answered ? LOCAL_REFS_SAME : ask_git(local, error);
    }
    g_autofree char *digest = refset_digest(found);
    local->state = READ;
    local->is_anchored = !local->repository.link.path && (packed_refs_are_there(&local->packed) ||
                                                          loose_refs_are_there(&local->loose));
    local->is_loose = loose_refs_hide_packed(&local->loose);
    if (before == READ && strcmp(digest, local->digest) == 0) {
        return LOCAL_REFS_SAME;
    }
    g_strlcpy(local->digest, digest, sizeof(local->digest));
    *refs = g_steal_pointer(&found);
    return LOCAL_REFS_READ;
}

enum local_refs_result local_refs_look(struct local_refs *local, GHashTable **refs, GError **error)
{
    *refs = NULL;
    if (!local->path) {
        local_doubt_clear(&local->doubt);
        local_doubt_raise(&local->doubt, true, "it is no path on this machine");
        return ask_git(local, error);
    }
    bool known = local->state == READ || (local->state != NOTHING && !local->doubt.always);
    local->looks++;
    bool stood = known && stands(local);
    if (!stood || local->looks % LOCAL_REFS_SEARCH_EVERY == 0) {
        return read_again(local, stood, refs, error);
    }
    return local->state == ASKED ? ask_git(local, error) : LOCAL_REFS_SAME;
}

void local_refs_git_answered(struct local_refs *local)
{
    if (local->state != ASKED) {
        return;
    }
    if (local->asked_for_owner) {
        local->accepted = local->repository.owner;
        local->has_accepted = true;
        local->state = NOTHING;
    } else if (!local->doubt.always) {
        local->state = ANSWERED;
    }
}
