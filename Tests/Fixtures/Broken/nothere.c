/* libnothere.so: missing-library.c is linked against it, and then it is removed. */
int nothere(void);
int nothere(void) { return 0; }
