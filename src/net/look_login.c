#include "net/look_login.h"

#include <string.h>

#include "base/wipe.h"

struct entry {
    struct look_login login;
    struct look_place place; /* of the prefix */
};

struct look_logins {
    GPtrArray *entries; /* the newest last */
    uint64_t last_number;
};

static void free_entry(void *data)
{
    struct entry *entry = data;
    wipe_free_string(&entry->login.user);
    wipe_free_string(&entry->login.password);
    look_place_clear(&entry->place);
    g_free(entry);
}

struct look_logins *look_logins_new(void)
{
    struct look_logins *logins = g_new0(struct look_logins, 1);
    logins->entries = g_ptr_array_new_with_free_func(free_entry);
    return logins;
}

void look_logins_free(struct look_logins *logins)
{
    if (logins) {
        g_ptr_array_unref(logins->entries);
        g_free(logins);
    }
}

/* A prefix may end behind the host, which no address of a repository does. */
static bool parse_prefix(const char *prefix, struct look_place *place, GError **error)
{
    g_autofree char *below = g_strconcat(prefix, g_str_has_suffix(prefix, "/") ? "x" : "/x", NULL);
    if (!look_place_parse(below, place, error)) {
        return false;
    }
    place->base[strlen(place->base) - strlen("x/")] = '\0';
    return true;
}

static bool is_replaced(const struct entry *old, const struct look_place *place,
                        const struct net_login *login)
{
    return strcmp(old->place.origin, place->origin) == 0 &&
           strcmp(old->place.path, place->path) == 0 &&
           (*login->user == '\0' || strcmp(old->login.user, login->user) == 0);
}

bool look_logins_set(struct look_logins *logins, const struct net_login *login, GError **error)
{
    struct look_place place;
    if (!parse_prefix(login->prefix, &place, error)) {
        return false;
    }
    for (guint i = logins->entries->len; i-- > 0;) {
        if (is_replaced(g_ptr_array_index(logins->entries, i), &place, login)) {
            g_ptr_array_remove_index(logins->entries, i);
        }
    }
    if (*login->user == '\0' && *login->password == '\0') {
        look_place_clear(&place);
        return true;
    }
    if (logins->entries->len >= LOOK_LOGINS_MAX) {
        g_ptr_array_remove_index(logins->entries, 0);
    }
    struct entry *entry = g_new0(struct entry, 1);
    entry->login.number = ++logins->last_number;
    entry->login.user = g_strdup(login->user);
    entry->login.password = g_strdup(login->password);
    entry->place = place;
    g_ptr_array_add(logins->entries, entry);
    return true;
}

static bool is_for(const struct entry *entry, const struct look_place *place)
{
    return strcmp(entry->place.origin, place->origin) == 0 &&
           g_str_has_prefix(place->path, entry->place.path) &&
           (!place->user || strcmp(place->user, entry->login.user) == 0);
}

const struct look_login *look_logins_find(const struct look_logins *logins,
                                          const struct look_place *place)
{
    const struct entry *best = NULL;
    for (guint i = 0; i < logins->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(logins->entries, i);
        if (is_for(entry, place) &&
            (!best || strlen(entry->place.path) >= strlen(best->place.path))) {
            best = entry;
        }
    }
    return best ? &best->login : NULL;
}

bool look_logins_forget(struct look_logins *logins, uint64_t number)
{
    for (guint i = 0; i < logins->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(logins->entries, i);
        if (entry->login.number == number) {
            g_ptr_array_remove_index(logins->entries, i);
            return true;
        }
    }
    return false;
}
