/* The library of which there are two versions. */
int shared_version(void);
int shared_version(void) { return VERSION; }
