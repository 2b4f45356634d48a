/* Signals that end a process which does not expect them (signal(7)), and that a plugin, or a library that it uses, may have
 * sent to the worker: by a timer, a limit of processor time, an asynchronous descriptor. They are nobody's fault, and end
 * nothing. A plugin that installs a handler gets them as ever, and a program that it starts finds the defaults.
 *
 * Who sends SIGTERM, SIGINT, SIGHUP, SIGQUIT or SIGUSR1 to all processes of the host means the supervisor, which tells its
 * workers to drain. */
#ifndef STRAY_SIGNALS_H
#define STRAY_SIGNALS_H

/* From now on they are received, and nothing more. */
int stray_signals_absorb(void);

/* The handler. Async-signal-safe. */
void stray_signal(int signal);

/* The latest that came since the last call; 0 if none did. */
int stray_signals_take(void);

#endif
