/* A mirror and a workspace of it, and what a fresh clone is like. */
#ifndef PHANTOM_CI_TESTS_GIT_SITE_H
#define PHANTOM_CI_TESTS_GIT_SITE_H

#include "git/checkout.h"
#include "git_fixture.h"

struct site {
    struct fixture fixture;
    struct mirror *mirror;
    struct checkout *checkout;
    const char *workspace;
    const char *const *keep;
    bool submodules;
    bool replaced, rebuilt;
};

static const struct git_limits limits = {.timeout_ms = 60000, .cancel_fd = -1};

G_GNUC_UNUSED static void open_site(struct site *site)
{
    struct git_remote remote = {.url = site->fixture.url};
    GError *error = NULL;
    site->mirror = mirror_open(site->fixture.cache, &remote, &limits, &error);
    g_assert_no_error(error);
    site->checkout = checkout_open(site->fixture.cache, "app", "feature/x", &error);
    /* a job that was killed just when it forked has a child with its descriptors until the exec */
    for (int i = 0; i < 500 && error_has_code(error, ERROR_BUSY); i++) {
        g_clear_error(&error);
        g_usleep(10000);
        site->checkout = checkout_open(site->fixture.cache, "app", "feature/x", &error);
    }
    g_assert_no_error(error);
    site->workspace = checkout_path(site->checkout);
}

G_GNUC_UNUSED static void close_site(struct site *site)
{
    checkout_close(site->checkout);
    mirror_close(site->mirror);
}

G_GNUC_UNUSED static void site_init(struct site *site)
{
    *site = (struct site){.mirror = NULL};
    fixture_init(&site->fixture);
    open_site(site);
}

G_GNUC_UNUSED static void site_clear(struct site *site)
{
    close_site(site);
    fixture_clear(&site->fixture);
}

G_GNUC_UNUSED static bool prepare_with(struct site *site, const char *sha, struct git_limits with,
                                       GError **error)
{
    struct git_remote remote = {.url = site->fixture.url};
    if (!mirror_fetch(site->mirror, sha, "refs/heads/main", "app/main", &site->rebuilt, error))
        return false;
    struct checkout_request request = {.mirror = site->mirror,
                                       .remote = &remote,
                                       .sha = sha,
                                       .ref = "refs/heads/feature/x",
                                       .keep = site->keep,
                                       .submodules = site->submodules,
                                       .limits = with};
    return checkout_prepare(site->checkout, &request, &site->replaced, error);
}

G_GNUC_UNUSED static void prepare(struct site *site, const char *sha)
{
    GError *error = NULL;
    prepare_with(site, sha, limits, &error);
    g_assert_no_error(error);
}

/* Names, types, modes, link targets and bytes of everything but the .git at the top. */
G_GNUC_UNUSED static char *picture(const char *directory)
{
    return sh(directory,
              "find . -path ./.git -prune -o -printf '%%P|%%y|%%m|%%l\\n' | sort;"
              "find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0r sha256sum");
}

/* The workspace is what a fresh clone of that commit is. */
G_GNUC_UNUSED static void assert_like_a_fresh_clone(struct site *site, const char *sha)
{
    const char *root = site->fixture.root;
    g_free(sh(root,
              "umask 022; rm -rf fresh; git clone -q --no-local --no-checkout source fresh; cd "
              "fresh; git checkout -q --detach %s",
              sha));
    g_autofree char *fresh = path_in(root, "fresh");
    g_autofree char *expected = picture(fresh);
    g_autofree char *found = picture(site->workspace);
    g_assert_cmpstr(found, ==, expected);
}

G_GNUC_UNUSED static char *project(struct fixture *fixture)
{
    return commit(fixture, "mkdir -p src/deep/er bin; echo 1 >src/a.c; echo 2 >src/deep/er/b.c; "
                           "echo '#!/bin/sh' >bin/run;"
                           "chmod 755 bin/run; ln -s ../src/a.c bin/link; ln -s /etc/passwd "
                           "outside; ln -s nowhere dangling;"
                           "ln -s src linked; printf 'target/\\n*.o\\n' >.gitignore; echo x >'odd "
                           "name'; echo y >\"$(printf 'n\\nl')\"");
}

#endif
