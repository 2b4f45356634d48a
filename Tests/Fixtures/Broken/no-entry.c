/* A library, and no plugin: it lacks the symbol. */
int something_else(void);
int something_else(void) { return 0; }
