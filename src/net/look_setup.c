#include "net/look_setup.h"

#include <sys/stat.h>

#include "base/wipe.h"
#include "net/setting.h"

enum { QUESTIONS = 2, BUNDLE_MIN_BYTES = 64 * 1024 };

struct look_setup {
    char *text; /* of the options */
    struct look_options options;
    struct curl_slist *own[QUESTIONS];    /* headers, with the user's own */
    struct curl_slist *others[QUESTIONS]; /* and without */
    GPtrArray *handles;                   /* of CURL, that no look has */
    unsigned looks;
    GList link; /* in setups->unused while no look has it */
};

struct look_setups {
    struct look_environment environment;
    GHashTable *by_text;
    GQueue unused; /* longest unused first */
    unsigned handles;
};

/* ---------------------------------------------------------------------------------------- life */

static void free_setup(void *data)
{
    struct look_setup *setup = data;
    g_ptr_array_unref(setup->handles);
    for (unsigned i = 0; i < QUESTIONS; i++) {
        curl_slist_free_all(setup->own[i]);
        curl_slist_free_all(setup->others[i]);
    }
    look_options_clear(&setup->options);
    wipe_free_string(&setup->text);
    g_free(setup);
}

struct look_setups *look_setups_new(void)
{
    struct look_setups *setups = g_new0(struct look_setups, 1);
    look_environment_load(&setups->environment);
    setups->by_text = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_setup);
    g_queue_init(&setups->unused);
    return setups;
}

void look_setups_free(struct look_setups *setups)
{
    if (setups) {
        g_hash_table_unref(setups->by_text);
        g_free(setups);
    }
}

/* What git sends, too (remote-curl.c, http.c). */
static bool make_headers(const struct look_setup *setup, enum look_question question, bool own,
                         struct curl_slist **headers)
{
    static const char *const of_command[] = {"Content-Type: application/x-git-upload-pack-request",
                                             "Accept: application/x-git-upload-pack-result",
                                             "Git-Protocol: version=2", "Expect:", NULL};
    static const char *const of_advertisement[] = {"Accept: */*", "Pragma: no-cache",
                                                   "Git-Protocol: version=2", NULL};
    const char *const *lines = question == LOOK_COMMAND ? of_command : of_advertisement;
    for (; *lines; lines++) {
        if (!setting_append_line(headers, *lines)) {
            return false;
        }
    }
    for (guint i = 0; own && i < setup->options.headers->len; i++) {
        if (!setting_append_line(headers, g_ptr_array_index(setup->options.headers, i))) {
            return false;
        }
    }
    return true;
}

struct look_setup *look_setups_get(struct look_setups *setups, const char *options, GError **error)
{
    struct look_setup *setup = g_hash_table_lookup(setups->by_text, options);
    if (setup) {
        if (setup->looks++ == 0) {
            g_queue_unlink(&setups->unused, &setup->link);
        }
        return setup;
    }
    setup = g_new0(struct look_setup, 1);
    setup->text = g_strdup(options);
    setup->handles = g_ptr_array_new_with_free_func(curl_easy_cleanup);
    setup->link.data = setup;
    setup->looks = 1;
    if (!look_options_parse(options, &setups->environment, &setup->options, error)) {
        free_setup(setup);
        return NULL;
    }
    for (unsigned i = 0; i < QUESTIONS; i++) {
        bool made = make_headers(setup, (enum look_question)i, true, &setup->own[i]) &&
                    make_headers(setup, (enum look_question)i, false, &setup->others[i]);
        g_assert(made); /* as GLib ends without memory */
    }
    g_hash_table_insert(setups->by_text, setup->text, setup);
    return setup;
}

static void drop_handles_of(struct look_setups *setups, struct look_setup *setup)
{
    setups->handles -= setup->handles->len;
    g_ptr_array_set_size(setup->handles, 0);
}

void look_setups_put(struct look_setups *setups, struct look_setup *setup)
{
    if (--setup->looks > 0) {
        return;
    }
    g_queue_push_tail_link(&setups->unused, &setup->link);
    if (setups->unused.length > LOOK_SETUPS_KEPT) {
        struct look_setup *oldest = g_queue_pop_head_link(&setups->unused)->data;
        drop_handles_of(setups, oldest);
        g_hash_table_remove(setups->by_text, oldest->text);
    }
}

const struct look_options *look_setup_options(const struct look_setup *setup)
{
    return &setup->options;
}

struct curl_slist *look_setup_headers(const struct look_setup *setup, enum look_question question,
                                      bool own)
{
    return own ? setup->own[question] : setup->others[question];
}

/* ------------------------------------------------------------------------------------- handles */

/* What libcurl may do at all. */
static bool set_rules(CURL *handle, CURLcode *code)
{
    static const struct setting rules[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_NETRC, CURL_NETRC_IGNORED},
        {CURLOPT_DISALLOW_USERNAME_IN_URL, 1},
        {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_CONNECTTIMEOUT_MS, LOOK_CONNECT_TIMEOUT_MS},
#if LIBCURL_VERSION_NUM >= 0x075700
        /* A name server that is silent must not hold up the other looks when this one ends. */
        {CURLOPT_QUICK_EXIT, 1},
        {CURLOPT_CA_CACHE_TIMEOUT, LOOK_CA_CACHE_S},
#endif
    };
    return setting_all(handle, rules, G_N_ELEMENTS(rules), code) &&
           setting_text(handle, CURLOPT_PROTOCOLS_STR, "http,https", code) &&
           setting_text(handle, CURLOPT_ACCEPT_ENCODING, "gzip", code);
}

static const char *default_bundle(void)
{
    const curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);
    return version->age >= CURLVERSION_SEVENTH ? version->cainfo : NULL;
}

/* libcurl keeps what it parsed of the file of authorities, for all connections, only when there is
 * no directory of them (lib/vtls/openssl.c): else each new connection costs 40 ms and a megabyte
 * for a file of the usual 150 authorities. So beside a file of that kind the default directory,
 * which has the same ones, is left out; beside a file with an authority of one's own it stays, and
 * adds the system's, as in git. */
static bool is_whole_bundle(const char *file)
{
    struct stat status;
    return file && stat(file, &status) == 0 && status.st_size >= BUNDLE_MIN_BYTES;
}

static bool set_trust(CURL *handle, const struct look_options *options, CURLcode *code)
{
    if (!setting_long(handle, CURLOPT_SSL_VERIFYPEER, options->verify, code) ||
        !setting_long(handle, CURLOPT_SSL_VERIFYHOST, options->verify ? 2 : 0, code)) {
        return false;
    }
    if (options->ca_info && (!setting_text(handle, CURLOPT_CAINFO, options->ca_info, code) ||
                             !setting_text(handle, CURLOPT_PROXY_CAINFO, options->ca_info, code))) {
        return false;
    }
    const char *file = options->ca_info ? options->ca_info : default_bundle();
    bool keeps_default = !options->ca_path && !is_whole_bundle(file);
    return keeps_default || (setting_text(handle, CURLOPT_CAPATH, options->ca_path, code) &&
                             setting_text(handle, CURLOPT_PROXY_CAPATH, options->ca_path, code));
}

static bool set_proxy(CURL *handle, const struct look_options *options, CURLcode *code)
{
    return (!options->proxy || setting_text(handle, CURLOPT_PROXY, options->proxy, code)) &&
           (!options->no_proxy || setting_text(handle, CURLOPT_NOPROXY, options->no_proxy, code));
}

CURL *look_setup_take(struct look_setups *setups, struct look_setup *setup, CURLcode *code)
{
    if (setup->handles->len > 0) {
        setups->handles--;
        return g_ptr_array_steal_index_fast(setup->handles, setup->handles->len - 1);
    }
    CURL *handle = curl_easy_init();
    *code = CURLE_OUT_OF_MEMORY;
    if (handle && set_rules(handle, code) && set_trust(handle, &setup->options, code) &&
        set_proxy(handle, &setup->options, code) &&
        setting_text(handle, CURLOPT_USERAGENT, setup->options.user_agent, code)) {
        return handle;
    }
    if (handle) {
        curl_easy_cleanup(handle);
    }
    return NULL;
}

void look_setup_give(struct look_setups *setups, struct look_setup *setup, CURL *handle)
{
    if (setups->handles >= LOOK_HANDLES_KEPT) {
        curl_easy_cleanup(handle);
        return;
    }
    setups->handles++;
    g_ptr_array_add(setup->handles, handle);
}
