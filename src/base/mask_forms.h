/*
 * The forms in which programs print a secret that they were given: each is a value for a mask
 * (base/mask.h).
 *
 * The secret itself; each line of one that has several, without the blanks around it; base64 (also
 * of the URL-safe kind), at each of the three places that a byte can have in a group of three, with
 * other bytes around it or at the end, with and without padding, in lines of 64 and 76 when it
 * begins there; URL-encoded as browsers, forms and the libraries of the usual languages do it;
 * escaped for a JSON string.
 */
#ifndef PHANTOM_CI_BASE_MASK_FORMS_H
#define PHANTOM_CI_BASE_MASK_FORMS_H

#include <glib.h>

/* An array of strings that are wiped when they are freed. */
GPtrArray *mask_forms_new(void);

/* Adds the forms of one secret of at least MASK_MIN_BYTES, those that would be shorter left out. */
void mask_forms_add(GPtrArray *forms, const char *secret);

#endif
