/*
 * What of a repository's own configuration decides where its refs are and which of them it shows
 * (git-config(1): core.repositoryFormatVersion, extensions.*, *.hideRefs, include.*). Pure;
 * everything else in it is passed over.
 */
#ifndef PHANTOM_CI_GIT_REPOCONFIG_H
#define PHANTOM_CI_GIT_REPOCONFIG_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct repoconfig {
    unsigned format_version;
    size_t id_length;     /* digits of an object id: 40 (SHA-1) or 64 (SHA-256) */
    bool is_reftable;     /* refs are in reftable/, not in files of their own */
    bool unknown_format;  /* an extension, object format or ref storage that is not known here */
    bool hides_refs;      /* transfer.hideRefs or uploadpack.hideRefs */
    bool has_includes;    /* include.path or includeIf.*.path: more configuration elsewhere */
    bool worktree_config; /* config.worktree in the git directory counts as well */
};

/* What no configuration says: version 0, SHA-1, loose and packed refs. */
void repoconfig_init(struct repoconfig *config);

/* Adds what a file says; the last word counts, as with git. ERROR_INVALID with the line for what
 * git would not read either. */
bool repoconfig_parse(struct repoconfig *config, const char *text, size_t length, GError **error);

#endif
