//! Ways to misbehave that Rust has: most begin with a panic.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{mpsc, Condvar, Mutex, Once};
use std::time::Duration;

pub fn run(name: &str) -> u32 {
    match name {
        "panic" => panic!("the price list is empty"),
        "panic-with-value" => std::panic::panic_any(42),
        "unwrap-none" => return black_box(None::<u32>).unwrap(),
        "unwrap-error" => drop(black_box("x").parse::<u32>().unwrap()),
        "index" => return black_box(vec![1u32, 2, 3])[black_box(1000)],
        "slice" => drop(black_box("velro")[black_box(3)..black_box(1)].to_owned()),
        "overflow" => return black_box(u32::MAX) + black_box(1),
        "divide" => return black_box(1) / black_box(0),
        "shift" => return black_box(1u32) << black_box(40),
        "borrow" => {
            let cell = RefCell::new(1);
            let _one = cell.borrow_mut();
            let _other = cell.borrow_mut();
        }
        "missing-key" => return HashMap::<u32, u32>::new()[&black_box(1)],
        "unreachable" => unreachable!("so it was said"),
        "capacity" => drop(black_box(Vec::<u64>::with_capacity(black_box(usize::MAX)))),
        "allocation" => drop(black_box(Vec::<u8>::with_capacity(black_box(isize::MAX as usize)))),
        "stack" => return descend(black_box(1)),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        "panic-in-drop" => {
            let _one = PanicsWhenDropped;
            panic!("the first of two");
        }
        "panic-while-locked" => poison(),
        "panic-in-once" => once(),
        "null" => unsafe { std::ptr::write_volatile(black_box(0usize) as *mut u32, 1) },
        "wild" => unsafe { std::ptr::write_volatile(black_box(0xdeadbeef000usize) as *mut u32, 1) },
        "double-free" => unsafe {
            let memory = black_box(Box::into_raw(Box::new(black_box([1u64; 300]))));
            drop(Box::from_raw(black_box(memory)));
            drop(Box::from_raw(black_box(memory)));
        },
        "deadlock" => {
            let mutex = Mutex::new(1);
            let _one = mutex.lock();
            let _other = mutex.lock();
        }
        "receive" => {
            let (_sender, receiver) = mpsc::channel::<u32>();
            return receiver.recv().unwrap_or(0);
        }
        "condition" => {
            let mutex = Mutex::new(false);
            let guard = mutex.lock().unwrap();
            let _guard = Condvar::new().wait_while(guard, |is_done| !*is_done);
        }
        "sleep" => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        "spin" => loop {
            std::hint::spin_loop();
        },
        "join-for-ever" => {
            let _ = std::thread::spawn(|| loop {
                std::thread::park();
            })
            .join();
        }
        "thread-panic" => drop(std::thread::spawn(|| panic!("on a thread of its own"))),
        "thread-abort" => drop(std::thread::spawn(|| std::process::abort())),
        "scope-panic" => std::thread::scope(|scope| {
            scope.spawn(|| panic!("in a scope"));
        }),
        "caught" => drop(std::panic::catch_unwind(|| panic!("and caught"))),
        "hook-exits" => std::panic::set_hook(Box::new(|_| std::process::exit(9))),
        "hook-panics" => std::panic::set_hook(Box::new(|_| panic!("in the hook"))),
        "print" => {
            for _ in 0..10_000 {
                println!("a line that nobody asked for");
                eprintln!("another one");
            }
        }
        _ => {}
    }
    0
}

#[inline(never)]
#[allow(unconditional_recursion)]
fn descend(depth: u32) -> u32 {
    let here = [depth; 64];
    black_box(&here);
    descend(depth.wrapping_add(1)).wrapping_add(here[7])
}

struct PanicsWhenDropped;
impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("while it is dropped");
    }
}

fn poison() {
    static LOCK: Mutex<u32> = Mutex::new(0);
    let _guard = LOCK.lock().unwrap();
    panic!("with a lock held");
}

fn once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic!("the first time"));
}
