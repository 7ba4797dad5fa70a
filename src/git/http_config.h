/*
 * What of the user's git configuration counts for looks that are not made by git itself: as options
 * of phantom_ci-net (net/look_protocol.h), or as the reason why git must look after all. Pure.
 *
 * 1. http_config_parse() what `git config --list -z --show-origin` prints.
 * 2. http_config_rewrite() tells what url.*.insteadOf makes of an address.
 * 3. For http and https: when http_config_is_particular(), ask `git config -z --get-urlmatch http
 *    URL` (git's own matching of http.<url>.*) and parse its answer; then http_config_decide().
 * 4. http_config_free().
 *
 * Values may be secrets (a token in http.extraHeader): they are overwritten when they go.
 */
#ifndef PHANTOM_CI_GIT_HTTP_CONFIG_H
#define PHANTOM_CI_GIT_HTTP_CONFIG_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

enum { HTTP_CONFIG_MAX_BYTES = 1024 * 1024, HTTP_CONFIG_MAX_ENTRIES = 20000 };

struct http_config;

/* `with_origin`: each entry has its origin in front, as --show-origin prints it. ERROR_INVALID for
 * what git does not print, ERROR_LIMIT. */
struct http_config *http_config_parse(const char *list, size_t length, bool with_origin,
                                      GError **error);
void http_config_free(struct http_config *config);

/* The files that the entries came from, each once, NULL-terminated; owned by the config. */
const char *const *http_config_files(const struct http_config *config);

/* Absolute paths that http.sslCAInfo and http.sslCAPath name, for whichever URL; `home` is what
 * "~/" stands for, or NULL. Free with g_strfreev(). */
char **http_config_authorities(const struct http_config *config, const char *home);

/* What git makes of the address, or NULL when no insteadOf begins it. Free with g_free(). */
char *http_config_rewrite(const struct http_config *config, const char *url);

/* True when credential.useHttpPath is set for whatever URL: logins differ by path. */
bool http_config_has_logins_by_path(const struct http_config *config);

/* True when a value may be a secret: a header, or a proxy with a user in it. */
bool http_config_has_secrets(const struct http_config *config);

/* True when a header (http.extraHeader) that is set for every URL would go along to wherever the
 * server redirects: git sends it there, too (seen with git 2.39), and a token may be in it. Not
 * when http.followRedirects says what is wanted. Logins of credential helpers stay where they
 * belong. */
bool http_config_redirects_leak(const struct http_config *config);

/* True when the user's own configuration hides refs (transfer.hideRefs, uploadpack.hideRefs). */
bool http_config_hides_refs(const struct http_config *config);

/* True when an http.<url>.* may be meant for this URL. */
bool http_config_is_particular(const struct http_config *config, const char *url);

/* "https://me@example.org:8443": a URL without its path. Free with g_free(). */
char *http_config_origin(const char *url);

/* URLs with the same key match the same http.<url>.*: scheme, user, host and port, or, when a
 * setting names a path, the whole URL. Free with g_free(). */
char *http_config_match_key(const struct http_config *config, const char *url);

/* The options for looks at `url`; or NULL and in *why_git the setting that only git itself can
 * follow. Free both with g_free(). `matched`: the parsed answer of --get-urlmatch, or NULL when the
 * URL is not particular. */
char *http_config_decide(const struct http_config *config, const struct http_config *matched,
                         const char *url, const char *home, char **why_git);

#endif
