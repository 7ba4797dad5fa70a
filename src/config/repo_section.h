/* The keys of a section of Repo.toml: their table, defaults and checks. */
#ifndef PHANTOM_CI_CONFIG_REPO_SECTION_H
#define PHANTOM_CI_CONFIG_REPO_SECTION_H

#include "config/config.h"
#include "config/schema.h"

/* All keys; for [defaults] of config.toml the same without `path`. */
extern const struct schema_key repo_section_keys[];
extern const struct schema_key *const repo_default_keys;

/* True when `name` can head a section: 1 to 100 bytes, no '/', no control characters, no '-' in
 * front. */
bool repo_section_name_is_valid(const char *name, size_t length);

/* A section with the built-in defaults. */
struct repo_config *repo_section_new(void);
struct repo_config *repo_section_copy(const struct repo_config *section);

/* That a section, or [defaults], names one place at most where its steps come from. */
void repo_section_check_one_place(const struct toml_value *table, const char *file,
                                  struct diagnostics *diagnostics);

/* Reads one section over `defaults`. NULL when it has an error. */
struct repo_config *repo_section_read(const struct toml_value *section,
                                      const struct repo_config *defaults, const char *file,
                                      struct diagnostics *diagnostics);

#endif
