/*
 * The user's git configuration for looks that git itself does not make: asked from git once, and
 * again when a file that it came from has changed.
 *
 * 1. git_settings_new() asks nothing. 2. git_settings_refresh() now and then. 3.
 * git_settings_plan() for each address. 4. git_settings_free().
 */
#ifndef PHANTOM_CI_GIT_SETTINGS_H
#define PHANTOM_CI_GIT_SETTINGS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct git_settings;
struct git_settings *git_settings_new(void);
void git_settings_free(struct git_settings *settings);

/* Looks at the files' time stamps, and asks git when one is another. Waits for git, a few
 * milliseconds (10 s at most). True when the settings are others than before. */
bool git_settings_refresh(struct git_settings *settings);

/* How an address is to be looked at. */
struct git_plan {
    char *url;     /* as url.*.insteadOf makes it */
    char *options; /* http: for phantom_ci-net (net/look_protocol.h); "" else */
    char *why_git; /* in words: git itself must look; NULL = it need not */
};

/* May ask git, as above, but once for all addresses with the same answer. */
void git_settings_plan(struct git_settings *settings, const char *url, struct git_plan *plan);
void git_plan_clear(struct git_plan *plan);

/* Whether git may follow no redirect of this address's server: see http_config_redirects_leak().
 * Of other schemes false; true when git gave no answer. Asks as git_settings_plan() does. */
bool git_settings_redirects_leak(struct git_settings *settings, const char *url);

/* The same for one address and without settings at hand: asks git, a few milliseconds. */
bool git_redirects_leak(const char *url);

/* The same text for all addresses that git's credential helpers would give the same login. Free
 * with g_free(). */
char *git_settings_login_key(const struct git_settings *settings, const char *url);

/* Files and directories of authorities that any setting names; owned by the settings, valid until
 * the next refresh. */
const char *const *git_settings_authorities(const struct git_settings *settings);

#endif
