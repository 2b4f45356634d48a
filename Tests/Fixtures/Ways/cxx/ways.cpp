// Ways to misbehave that C++ has, and C has not.
#include "ways.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <regex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <cxxabi.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

int zero() {
  static volatile int none = 0;
  return none;
}

namespace {

using namespace std::chrono_literals;

bh_status throw_exception() { throw std::runtime_error("the price list is empty"); }
bh_status throw_number() { throw 42; }

// The exception has a type that nobody else knows, and throws again when it is copied.
struct Foreign {
  Foreign() = default;
  Foreign(const Foreign &) { throw 1; }
};
bh_status throw_foreign() {
  static Foreign foreign;
  throw foreign;
}

void leave() noexcept { throw std::logic_error("out of a function that says it throws nothing"); }
bh_status throw_through_noexcept() { return leave(), BH_OK; }

struct ThrowsWhenDestroyed {
  ~ThrowsWhenDestroyed() noexcept(false) { throw std::runtime_error("from a destructor"); }
};
bh_status throw_twice() {
  ThrowsWhenDestroyed one;
  throw std::runtime_error("the first of two");
}

bh_status index_out_of_range() { return std::vector<int>{1, 2, 3}.at(static_cast<size_t>(zero()) + 1000); }
bh_status bad_allocation() {
  auto size = static_cast<size_t>(zero()) - 4096;
  return *static_cast<char *>(::operator new(size / 2)) != 0;
}
bh_status missing_key() { return static_cast<bh_status>(std::map<std::string, int>{}.at("price")); }
bh_status bad_number() { return static_cast<bh_status>(std::stoi("not a number")); }
bh_status rethrow_nothing() { throw; }
bh_status terminate() { std::terminate(); }

struct Base {
  Base() { call(); }
  virtual ~Base() = default;
  virtual void act() = 0;
  void call() { act(); }
};
struct Derived : Base {
  void act() override {}
};
bh_status pure_virtual_call() { return Derived(), BH_OK; }

bh_status deleted_object() {
  auto *object = new Derived;
  delete object;
  reinterpret_cast<void **>(object)[0] = nullptr;
  object->call();
  return BH_OK;
}

bh_status null_pointer() {
  std::unique_ptr<std::string> none;
  return static_cast<bh_status>(none->size());
}

// std::regex recurses for each character.
bh_status deep_regex() {
  return std::regex_match(std::string(1u << 20, 'a'), std::regex("(a|b)*c")) ? BH_OK : BH_OK;
}

bh_status thread_not_joined() {
  std::thread([] { std::this_thread::sleep_for(10s); });
  return BH_OK;
}
bh_status throw_on_thread() {
  std::thread([] { throw std::runtime_error("on a thread of its own"); }).detach();
  return BH_OK;
}

bh_status lock_twice() {
  static std::mutex mutex;
  mutex.lock();
  mutex.lock();
  return BH_OK;
}
bh_status wait_for_promise() { return std::promise<int>().get_future().wait(), BH_OK; }
bh_status wait_for_condition() {
  std::mutex mutex;
  std::condition_variable condition;
  std::unique_lock lock(mutex);
  condition.wait(lock, [] { return false; });
  return BH_OK;
}
bh_status catch_everything_and_go_on() {
  for (;;) {
    try {
      throw 1;
    } catch (...) {
    }
  }
}

// Traps when the thread that called it ends.
struct TrapsWithThread {
  int value = 1;
  ~TrapsWithThread() { *static_cast<volatile int *>(reinterpret_cast<int *>(static_cast<long>(zero()))) = value; }
};
bh_status thread_local_traps() {
  thread_local TrapsWithThread last;
  return last.value ? BH_OK : BH_FAULT;
}
struct HangsWithThread {
  int value = 1;
  ~HangsWithThread() {
    for (;;) pause();
  }
};
bh_status thread_local_hangs() {
  thread_local HangsWithThread last;
  return last.value ? BH_OK : BH_FAULT;
}
bh_status static_traps_at_exit() {
  static TrapsWithThread last;
  return last.value ? BH_OK : BH_FAULT;
}

// A cancelled thread is unwound by an exception that nobody may swallow.
bh_status swallow_cancellation() {
  pthread_cancel(pthread_self());
  try {
    pthread_testcancel();
  } catch (...) {
  }
  return BH_OK;
}

bh_status other_terminate_handler() {
  std::set_terminate([] { _exit(9); });
  return BH_OK;
}
bh_status other_new_handler() {
  std::set_new_handler([] { raise(SIGKILL); });
  return BH_OK;
}
bh_status guarded_static_hangs() {
  // Its own initialisation waits for it.
  struct Recursive {
    static Recursive &instance() {
      static Recursive one;
      return one;
    }
    Recursive() { instance(); }
  };
  return &Recursive::instance() ? BH_OK : BH_FAULT;
}

bh_status caught() {
  try {
    throw std::runtime_error("and caught");
  } catch (const std::exception &) {
    return BH_OK;
  }
}

} // namespace

const Way ways[] = {
    {"throw-exception", throw_exception},
    {"throw-number", throw_number},
    {"throw-foreign", throw_foreign},
    {"throw-through-noexcept", throw_through_noexcept},
    {"throw-twice", throw_twice},
    {"index-out-of-range", index_out_of_range},
    {"bad-allocation", bad_allocation},
    {"missing-key", missing_key},
    {"bad-number", bad_number},
    {"rethrow-nothing", rethrow_nothing},
    {"terminate", terminate},
    {"pure-virtual-call", pure_virtual_call},
    {"deleted-object", deleted_object},
    {"null-pointer", null_pointer},
    {"deep-regex", deep_regex},
    {"thread-not-joined", thread_not_joined},
    {"throw-on-thread", throw_on_thread},
    {"lock-twice", lock_twice},
    {"wait-for-promise", wait_for_promise},
    {"wait-for-condition", wait_for_condition},
    {"catch-everything-and-go-on", catch_everything_and_go_on},
    {"thread-local-traps", thread_local_traps},
    {"thread-local-hangs", thread_local_hangs},
    {"static-traps-at-exit", static_traps_at_exit},
    {"swallow-cancellation", swallow_cancellation},
    {"other-terminate-handler", other_terminate_handler},
    {"other-new-handler", other_new_handler},
    {"guarded-static-hangs", guarded_static_hangs},
    {"caught", caught},
};
const int way_count = sizeof ways / sizeof ways[0];
