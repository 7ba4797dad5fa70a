#include "config/path_filter.h"

#include <stdint.h>
#include <string.h>

/*
 * A pattern is a list of tokens, matched as a nondeterministic automaton: a state is the number of
 * the token that comes next, and all states that are possible are followed at once. So no pattern
 * makes a hostile path expensive.
 */
enum token_kind {
    TOKEN_BYTE,        /* this byte */
    TOKEN_ONE,         /* the first byte of a character, not '/' */
    TOKEN_SET,         /* the same, and in the set */
    TOKEN_REST,        /* any number of bytes that go on with a UTF-8 character */
    TOKEN_STAR,        /* any number of bytes, not '/' */
    TOKEN_TREE,        /* any number of bytes */
    TOKEN_MAYBE,       /* nothing: the next token may be left out */
    TOKEN_DIRECTORIES, /* any number of bytes, the last one '/' */
};

struct token {
    enum token_kind kind;
    uint8_t byte;
    unsigned set; /* its number in `sets` */
};

struct set {
    uint8_t bits[32];
};

struct pattern {
    GArray *tokens; /* of struct token */
    GArray *sets;   /* of struct set */
    bool is_negative;
    bool is_plain; /* no signs: what lies below the path matches, too */
};

struct path_filter {
    GPtrArray *patterns; /* of struct pattern * */
    bool matches_by_default;
    unsigned most_tokens;
};

static void pattern_free(void *data)
{
    struct pattern *pattern = data;
    g_array_unref(pattern->tokens);
    g_array_unref(pattern->sets);
    g_free(pattern);
}

/* ----------------------------------------------------------------- parsing */

static bool refuse(char **why, const char *reason)
{
    *why = g_strdup(reason);
    return false;
}

static void add_token(struct pattern *pattern, enum token_kind kind, char byte)
{
    struct token token = {kind, (uint8_t)byte, pattern->sets->len};
    g_array_append_val(pattern->tokens, token);
}

static void add_range(struct set *set, uint8_t first, uint8_t last)
{
    for (unsigned byte = first; byte <= last; byte++) {
        set->bits[byte / 8] |= (uint8_t)(1U << byte % 8);
    }
}

/* One character between brackets; *at goes behind it. */
static bool take_set_byte(const char **at, uint8_t *byte, char **why)
{
    *at += **at == '\\' ? 1 : 0;
    if (!**at) {
        return refuse(why, "a '[' has no ']'");
    }
    if ((uint8_t) * *at >= 0x80) {
        return refuse(why, "only ASCII characters can stand between '[' and ']'");
    }
    *byte = (uint8_t) * (*at)++;
    return true;
}

/* *at stands behind the '['. */
static bool take_set(struct pattern *pattern, const char **at, char **why)
{
    struct set set = {{0}};
    bool is_negative = **at == '!' || **at == '^';
    *at += is_negative ? 1 : 0;
    bool first = true;
    for (; **at != ']' || first; first = false) {
        uint8_t low, high;
        if (!take_set_byte(at, &low, why)) {
            return false;
        }
        high = low;
        if (**at == '-' && (*at)[1] && (*at)[1] != ']') {
            (*at)++;
            if (!take_set_byte(at, &high, why)) {
                return false;
            }
        }
        if (high < low) {
            return refuse(why, "a range between '[' and ']' ends before it begins");
        }
        add_range(&set, low, high);
    }
    (*at)++;
    for (unsigned i = 0; is_negative && i < sizeof(set.bits); i++) {
        set.bits[i] = (uint8_t)~set.bits[i];
    }
    add_token(pattern, TOKEN_SET, 0);
    add_token(pattern, TOKEN_REST, 0);
    g_array_append_val(pattern->sets, set);
    return true;
}

/* *at stands at the first '*'. */
static void take_stars(struct pattern *pattern, const char **at, bool at_part)
{
    size_t count = strspn(*at, "*");
    *at += count;
    if (count == 2 && at_part && **at == '/') {
        (*at)++;
        add_token(pattern, TOKEN_MAYBE, 0);
        add_token(pattern, TOKEN_DIRECTORIES, 0);
    } else {
        add_token(pattern, count == 1 ? TOKEN_STAR : TOKEN_TREE, 0);
    }
}

static bool take_tokens(struct pattern *pattern, const char *text, char **why)
{
    const char *at = text;
    while (*at) {
        bool at_part = at == text || at[-1] == '/';
        if (*at == '*') {
            pattern->is_plain = false;
            take_stars(pattern, &at, at_part);
        } else if (*at == '?') {
            pattern->is_plain = false;
            at++;
            add_token(pattern, TOKEN_ONE, 0);
            add_token(pattern, TOKEN_REST, 0);
        } else if (*at == '[') {
            pattern->is_plain = false;
            at++;
            if (!take_set(pattern, &at, why)) {
                return false;
            }
        } else if (*at == '\\' && !at[1]) {
            return refuse(why, "it ends in a single '\\'");
        } else {
            at += *at == '\\' ? 1 : 0;
            add_token(pattern, TOKEN_BYTE, *at++);
        }
    }
    return true;
}

static bool check_parts(const char *text, char **why)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", -1);
    for (char **part = parts; *part; part++) {
        if (!**part && part[1]) {
            return refuse(why, "it has \"//\" in it, which no path has");
        }
        if (strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0) {
            return refuse(why, "paths begin at the root of the repository and have no \".\" and "
                               "\"..\" in them");
        }
    }
    return true;
}

static struct pattern *parse(const char *text, char **why)
{
    struct pattern *pattern = g_new0(struct pattern, 1);
    pattern->tokens = g_array_new(FALSE, FALSE, sizeof(struct token));
    pattern->sets = g_array_new(FALSE, FALSE, sizeof(struct set));
    pattern->is_plain = true;
    pattern->is_negative = *text == '!';
    text += pattern->is_negative ? 1 : 0;
    text += *text == '/' ? 1 : 0;
    bool good = *text || refuse(why, "it names no path; for every file write \"**\"");
    good = good && (strlen(text) <= PATH_PATTERN_MAX_BYTES || refuse(why, "it is too long"));
    good = good && check_parts(text, why) && take_tokens(pattern, text, why);
    if (!good) {
        pattern_free(pattern);
        return NULL;
    }
    if (g_str_has_suffix(text, "/")) {
        add_token(pattern, TOKEN_TREE, 0);
    }
    return pattern;
}

bool path_filter_check(const char *text, char **why)
{
    struct pattern *pattern = parse(text, why);
    if (!pattern) {
        return false;
    }
    pattern_free(pattern);
    return true;
}

/* ---------------------------------------------------------------- matching */

/* What can be left out adds the states behind it. */
static void add_reachable(const struct pattern *pattern, bool *states)
{
    for (unsigned i = 0; i < pattern->tokens->len; i++) {
        enum token_kind kind = g_array_index(pattern->tokens, struct token, i).kind;
        if (!states[i]) {
            continue;
        }
        if (kind == TOKEN_STAR || kind == TOKEN_TREE || kind == TOKEN_REST) {
            states[i + 1] = true;
        } else if (kind == TOKEN_MAYBE) {
            states[i + 1] = states[i + 2] = true;
        }
    }
}

static bool set_contains(const struct pattern *pattern, unsigned number, uint8_t byte)
{
    const struct set *set = &g_array_index(pattern->sets, struct set, number);
    return set->bits[byte / 8] >> byte % 8 & 1;
}

/* Where one byte leads from the state i: to itself, to the next one. */
static void follow(const struct pattern *pattern, unsigned i, uint8_t byte, bool *stays,
                   bool *passes)
{
    const struct token *token = &g_array_index(pattern->tokens, struct token, i);
    bool goes_on = (byte & 0xC0) == 0x80;
    bool begins = byte != '/' && !goes_on;
    *stays = *passes = false;
    switch (token->kind) {
    case TOKEN_BYTE:
        *passes = byte == token->byte;
        return;
    case TOKEN_ONE:
        *passes = begins;
        return;
    case TOKEN_SET:
        *passes = begins && set_contains(pattern, token->set, byte);
        return;
    case TOKEN_REST:
        *stays = goes_on;
        return;
    case TOKEN_STAR:
        *stays = byte != '/';
        return;
    case TOKEN_TREE:
        *stays = true;
        return;
    case TOKEN_MAYBE:
        return;
    case TOKEN_DIRECTORIES:
        *stays = true;
        *passes = byte == '/';
        return;
    }
}

/* `states` and `next` have room for one more than there are tokens. */
static bool matches(const struct pattern *pattern, const char *path, size_t length, bool *states,
                    bool *next)
{
    unsigned count = pattern->tokens->len;
    memset(states, 0, (count + 1) * sizeof(*states));
    states[0] = true;
    add_reachable(pattern, states);
    for (size_t at = 0; at < length; at++) {
        bool any = false;
        if (pattern->is_plain && states[count] && path[at] == '/') {
            return true;
        }
        memset(next, 0, (count + 1) * sizeof(*next));
        for (unsigned i = 0; i < count; i++) {
            bool stays = false;
            bool passes = false;
            if (states[i]) {
                follow(pattern, i, (uint8_t)path[at], &stays, &passes);
            }
            next[i] = next[i] || stays;
            next[i + 1] = next[i + 1] || passes;
            any = any || stays || passes;
        }
        if (!any) {
            return false;
        }
        add_reachable(pattern, next);
        bool *swap = states;
        states = next;
        next = swap;
    }
    return states[count];
}

struct path_filter *path_filter_new(const char *const *patterns)
{
    struct path_filter *filter = g_new0(struct path_filter, 1);
    filter->patterns = g_ptr_array_new_with_free_func(pattern_free);
    filter->matches_by_default = true;
    for (; *patterns; patterns++) {
        g_autofree char *why = NULL;
        struct pattern *pattern = parse(*patterns, &why);
        if (pattern) {
            g_ptr_array_add(filter->patterns, pattern);
            filter->matches_by_default = filter->matches_by_default && pattern->is_negative;
            filter->most_tokens = MAX(filter->most_tokens, pattern->tokens->len);
        }
    }
    return filter;
}

void path_filter_free(struct path_filter *filter)
{
    if (filter) {
        g_ptr_array_unref(filter->patterns);
        g_free(filter);
    }
}

bool path_filter_matches(const struct path_filter *filter, const char *path, size_t length)
{
    g_autofree bool *states = g_new(bool, 2 * (filter->most_tokens + 1));
    for (unsigned i = filter->patterns->len; i > 0; i--) {
        const struct pattern *pattern = g_ptr_array_index(filter->patterns, i - 1);
        if (matches(pattern, path, length, states, states + filter->most_tokens + 1)) {
            return !pattern->is_negative;
        }
    }
    return filter->matches_by_default;
}
