#define _GNU_SOURCE
#include "StraySignals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t latest;

void stray_signal(int signal) { latest = signal; }

int stray_signals_absorb(void) {
  static const int named[] = {SIGTERM,   SIGINT,  SIGHUP,  SIGQUIT, SIGUSR1, SIGALRM, SIGVTALRM,
                              SIGPROF, SIGXCPU, SIGXFSZ, SIGIO,   SIGPWR,  SIGSTKFLT};
  struct sigaction action = {.sa_handler = stray_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  for (size_t index = 0; index < sizeof named / sizeof named[0]; index++)
    if (sigaction(named[index], &action, 0) != 0) return -1;
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
    if (sigaction(signal, &action, 0) != 0) return -1;
  return 0;
}

int stray_signals_take(void) {
  int signal = latest;
  latest = 0;
  return signal;
}
