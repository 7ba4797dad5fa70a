/* What a subject says about being run. Pure. */
#ifndef PHANTOM_CI_JOB_SKIP_MARK_H
#define PHANTOM_CI_JOB_SKIP_MARK_H

/* "[skip ci]", "[ci skip]" or "[no ci]", whichever stands in the subject, in small or capital
 * letters; NULL when none does. `subject` may be NULL. */
const char *skip_mark_find(const char *subject);

#endif
