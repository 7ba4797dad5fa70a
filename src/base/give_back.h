/*
 * Gives back the code that only the start or the last work needed: pages of the program and of its
 * libraries, which the kernel maps again from their files when they are run. What a daemon has in
 * memory while it waits is then what waiting takes. Does nothing but on Linux.
 */
#ifndef PHANTOM_CI_BASE_GIVE_BACK_H
#define PHANTOM_CI_BASE_GIVE_BACK_H

void give_back_code(void);

#endif
