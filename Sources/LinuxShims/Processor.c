/* The processor as the calling convention has it, which a plugin may leave otherwise. */
#include "FaultGuard.h"

uint32_t guard_mend_processor(void) {
  uint32_t left = 0;
#if defined(__x86_64__)
  if (__builtin_ia32_readeflags_u64() & 0x40400) {
    left |= GUARD_LEFT_FLAGS;
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~0x40400ull);
  }
  unsigned control = __builtin_ia32_stmxcsr();
  if ((control & 0x1f80) != 0x1f80) left |= GUARD_LEFT_EXCEPTIONS;
  __builtin_ia32_ldmxcsr(0x1f80);
  unsigned short x87 = 0x37f;
  __asm__ volatile("fnclex; fldcw %0" : : "m"(x87));
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  if (control & 0x9f00) left |= GUARD_LEFT_EXCEPTIONS;
  __asm__ volatile("msr fpcr, %0" : : "r"(0ull));
#endif
  return left;
}
