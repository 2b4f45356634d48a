/* State of the processor that calls have in common: flags, floating-point control. */
#define _GNU_SOURCE
#include "ways.h"

#include <fenv.h>
#include <stdio.h>

static void trapping_floats(way_call *call) { (void)call, feenableexcept(FE_ALL_EXCEPT); }

static void trapping_floats_used(way_call *call) {
  volatile double zero = 0;
  trapping_floats(call);
  volatile double result = 1 / zero;
  (void)result;
}

static void rounding_mode(way_call *call) { (void)call, fesetround(FE_UPWARD); }

static void direction_flag(way_call *call) {
  (void)call;
#if defined(__x86_64__)
  __asm__ volatile("std");
#endif
}

static void flush_denormals(way_call *call) {
  (void)call;
#if defined(__x86_64__)
  unsigned control;
  __asm__ volatile("stmxcsr %0" : "=m"(control));
  control |= 0x8040;
  __asm__ volatile("ldmxcsr %0" : : "m"(control));
#endif
}

static void misaligned_checks(way_call *call) {
  (void)call;
#if defined(__x86_64__)
  /* Alignment checks on: the next access that is not aligned, of whoever, is a SIGBUS. */
  __asm__ volatile("pushf; orl $0x40000, (%%rsp); popf" : : : "memory", "cc");
#endif
}

/* What a plugin may rely on: divides by zero, rounds, copies; a 200 if all is as C has it. */
static void check_processor(way_call *call) {
  volatile double zero = 0, tiny = 1e-310, one = 1;
  char from[64] = "0123456789", to[64] = "";
  volatile double infinite = one / zero, third = one / 3;
  memmove(to, from, sizeof from);
  const char *wrong = NULL;
  if (!(infinite > 1e300)) wrong = "1/0 is not infinite";
  if (third * 3 != 1 || fegetround() != FE_TONEAREST) wrong = "rounding is not to nearest";
  if (fegetexcept() != 0) wrong = "floating-point exceptions trap";
  if (tiny / 2 == 0) wrong = "denormals are flushed";
  if (strcmp(from, to) != 0) wrong = "memory is copied wrongly";
  if (wrong != NULL && call->exchange != NULL) {
    call->host->set_error(call->context, call->exchange, view(wrong));
    call->result = BH_FAULT;
  }
}

const way processor_ways[] = {
    {"trapping-floats", trapping_floats},   {"trapping-floats-used", trapping_floats_used},
    {"rounding-mode", rounding_mode},       {"direction-flag", direction_flag},
    {"flush-denormals", flush_denormals},   {"alignment-checks", misaligned_checks},
    {"check-processor", check_processor},   {NULL, NULL},
};
